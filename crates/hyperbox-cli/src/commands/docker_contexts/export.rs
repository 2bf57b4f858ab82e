// SPDX-License-Identifier: MIT
//! `docker context export`: a tar with `meta.json` and the certificates in `tls/`, as Docker writes it.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use clap::Args;
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context::{self, DEFAULT};
use crate::error::{CliError, Outcome, go_text};

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    #[arg(hide = true)]
    name: String,
    #[arg(hide = true)]
    file: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    ExportArgs,
    run,
    ["export"],
    "Export a context to a tar archive FILE or a tar stream on STDOUT.",
    "[OPTIONS] CONTEXT [FILE|-]"
);

fn run(context: &Context, arguments: ExportArgs) -> Outcome {
    let name = &arguments.name;
    let config = context.config_directory();
    let document = if name == DEFAULT {
        let host = context.default_host()?;
        let endpoints = json!({ "docker": { "Host": host, "SkipTLSVerify": false } });
        docker_context::document(name, &json!({}), &endpoints)
    } else {
        let metadata = docker_context::metadata(&config, name)?;
        docker_context::document(name, &metadata["Metadata"], &metadata["Endpoints"])
    };
    let certificates = docker_context::storage(&config, name).1;
    let archive = archive(&document, &certificates)?;
    let file = arguments.file.unwrap_or_else(|| format!("{name}.dockercontext"));
    if file == "-" {
        if io::stdout().is_terminal() {
            let text = "cowardly refusing to export to a terminal, specify a file path";
            return Err(CliError::new(text));
        }
        io::stdout().lock().write_all(&archive)?;
        return Ok(0);
    }
    let opened = |error: io::Error| CliError::new(format!("open {file}: {}", go_text(&error)));
    let mut output = File::create_new(&file).map_err(opened)?;
    output.write_all(&archive)?;
    context.note(&format!("Written file \"{file}\""));
    Ok(0)
}

fn archive(document: &str, certificates: &Path) -> Result<Vec<u8>, CliError> {
    let mut builder = Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, path, bytes)
    };
    add("meta.json", EntryType::Regular, 0o644, document.as_bytes())?;
    add("tls", EntryType::Directory, 0o700, &[])?;
    // One directory for each endpoint. Whoever has no certificates has no directory of them.
    for endpoint in fs::read_dir(certificates).into_iter().flatten().flatten() {
        let place = format!("tls/{}", endpoint.file_name().to_string_lossy());
        add(&place, EntryType::Directory, 0o700, &[])?;
        for file in fs::read_dir(endpoint.path())? {
            let file = file?;
            let path = format!("{place}/{}", file.file_name().to_string_lossy());
            add(&path, EntryType::Regular, 0o600, &fs::read(file.path())?)?;
        }
    }
    Ok(builder.into_inner()?)
}
