// SPDX-License-Identifier: MIT
//! `docker context import`: what `docker context export` has written.
//!
//! Nothing is written before the whole archive has been read and found good. Paths of an archive are compared, never followed: only
//! `meta.json` and `tls/ENDPOINT/FILE` are taken.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path};

use clap::Args;
use serde_json::Value;
use tar::Archive;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context;
use crate::error::{CliError, Outcome, go_text};

/// Docker's own limit.
const LIMIT: u64 = 10 << 20;

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[arg(hide = true)]
    name: String,
    #[arg(hide = true)]
    file: String,
}

pub(crate) const SPEC: Spec = spec!(
    ImportArgs,
    run,
    ["import"],
    "Import a context from a tar file",
    "CONTEXT FILE|-"
);

/// What an archive holds.
#[derive(Debug, Default)]
struct Imported {
    metadata: Value,
    /// Endpoint, file name, content.
    certificates: Vec<(String, String, Vec<u8>)>,
}

fn run(context: &Context, arguments: ImportArgs) -> Outcome {
    let (config, name) = (context.config_directory(), &arguments.name);
    docker_context::check_name(name)?;
    if docker_context::is_there(&config, name) {
        return Err(docker_context::exists(name));
    }
    let input: Box<dyn Read> = match arguments.file.as_str() {
        "-" => Box::new(io::stdin().lock()),
        file => Box::new(File::open(file).map_err(|error| CliError::new(format!("open {file}: {}", go_text(&error))))?),
    };
    let imported = read(input.take(LIMIT))?;
    let (_, certificates) = docker_context::storage(&config, name);
    for (endpoint, file, content) in &imported.certificates {
        hyperbox_client::write_private_file(&certificates.join(endpoint).join(file), content)?;
    }
    let document = docker_context::document(name, &imported.metadata["Metadata"], &imported.metadata["Endpoints"]);
    docker_context::store(&config, name, &document)?;
    context.print(name)?;
    context.note(&format!("Successfully imported context \"{name}\""));
    Ok(0)
}

fn read(input: impl Read) -> Result<Imported, CliError> {
    let mut imported = Imported::default();
    let mut archive = Archive::new(input);
    let malformed = |_: io::Error| CliError::new("unexpected EOF");
    for entry in archive.entries().map_err(malformed)? {
        let mut entry = entry.map_err(malformed)?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let path = entry.path().map_err(malformed)?.into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(malformed)?;
        let parts = parts(&path).ok_or_else(|| unexpected(&path))?;
        match parts.as_slice() {
            ["meta.json"] => {
                imported.metadata =
                    serde_json::from_slice(&content).map_err(|error| CliError::new(format!("meta.json: {error}")))?;
            }
            ["tls", endpoint, file] => {
                imported
                    .certificates
                    .push(((*endpoint).to_owned(), (*file).to_owned(), content));
            }
            _ => return Err(unexpected(&path)),
        }
    }
    if !imported.metadata["Endpoints"].is_object() {
        return Err(CliError::new("invalid context: no metadata found"));
    }
    Ok(imported)
}

/// Returns the names in a path; `None` when it leads anywhere but down.
fn parts(path: &Path) -> Option<Vec<&str>> {
    let part = |component| match component {
        Component::Normal(name) => name.to_str(),
        _ => None,
    };
    path.components().map(part).collect()
}

fn unexpected(path: &Path) -> CliError {
    CliError::new(format!("{}: unexpected context file", path.display()))
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = Header::new_ustar();
            // Written by hand: the builder refuses paths that lead up.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).expect("added");
        }
        builder.into_inner().expect("an archive")
    }

    #[test]
    fn what_is_taken() {
        let meta = r#"{"Name":"a","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///x"}}}"#;
        let good = archive(&[("meta.json", meta), ("tls/docker/ca.pem", "x")]);
        let imported = read(good.as_slice()).expect("good");
        assert_eq!(imported.metadata["Endpoints"]["docker"]["Host"], "unix:///x");
        assert_eq!(
            imported.certificates,
            [("docker".to_owned(), "ca.pem".to_owned(), b"x".to_vec())]
        );
        for (files, expected) in [
            (&[("bad", "x")][..], "bad: unexpected context file"),
            (
                &[("meta.json", meta), ("tls/../../x", "y")],
                "tls/../../x: unexpected context file",
            ),
            (&[("tls/docker/ca.pem", "x")], "invalid context: no metadata found"),
        ] {
            let archive = archive(files);
            assert_eq!(read(archive.as_slice()).expect_err(expected).to_string(), expected);
        }
        assert_eq!(
            read(&b"hello\n"[..]).expect_err("no archive").to_string(),
            "unexpected EOF"
        );
    }
}
