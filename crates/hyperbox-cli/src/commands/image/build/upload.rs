// SPDX-License-Identifier: MIT
//! Sending a context as a tar: what `.dockerignore` leaves out is not even read.
//!
//! The rules are those of `NAME.dockerignore` beside the Dockerfile, else of `.dockerignore` in the context's root.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use hyperbox_client::BuildWriter;
use hyperbox_dockerfile::Ignore;

use crate::error::CliError;

/// What is sent.
pub(super) enum Upload {
    /// An archive.
    Stream(Box<dyn Read + Send>),
    /// A directory.
    Directory {
        root: PathBuf,
        /// What is left out, where a list beside the Dockerfile says it.
        ignore: Option<String>,
    },
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Upload")
    }
}

/// Sends it to its end.
pub(super) fn send(upload: Upload, writer: &BuildWriter) -> Result<(), CliError> {
    match upload {
        Upload::Stream(mut stream) => {
            let mut buffer = vec![0; 32 * 1024];
            loop {
                match stream.read(&mut buffer)? {
                    0 => break,
                    length => writer.context(&buffer[..length])?,
                }
            }
        }
        Upload::Directory { root, ignore } => {
            let ignore = rules(&root, ignore)?;
            let mut archive = tar::Builder::new(io::BufWriter::with_capacity(32 * 1024, Frames(writer.clone())));
            archive.follow_symlinks(false);
            archive.mode(tar::HeaderMode::Complete);
            pack(&mut archive, &root, "", &ignore)?;
            archive.into_inner()?.flush()?;
        }
    }
    Ok(writer.end_context()?)
}

/// Reads the rules.
fn rules(root: &Path, beside: Option<String>) -> Result<Ignore, CliError> {
    let path = root.join(".dockerignore");
    let text = match beside {
        Some(text) => text,
        None => match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ignore::default()),
            Err(error) => return Err(CliError::new(format!("cannot read {}: {error}", path.display()))),
        },
    };
    Ignore::parse(&text).map_err(|error| CliError::new(error.to_string()))
}

fn pack<W: Write>(
    archive: &mut tar::Builder<W>,
    directory: &Path,
    prefix: &str,
    ignore: &Ignore,
) -> Result<(), CliError> {
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| CliError::new(format!("cannot send {path}: {error}"))
    };
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(directory)
        .and_then(Iterator::collect)
        .map_err(failed(directory))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            return Err(CliError::new(format!(
                "cannot send {}: its name is no text",
                path.display()
            )));
        };
        let below = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let kind = entry.file_type().map_err(failed(&path))?;
        let excluded = ignore.excludes(&below);
        if kind.is_dir() {
            if !excluded {
                archive.append_dir(&below, &path).map_err(failed(&path))?;
            }
            if !excluded || ignore.may_take_back_below(&below) {
                pack(archive, &path, &below, ignore)?;
            }
        } else if !excluded && (kind.is_file() || kind.is_symlink()) {
            archive.append_path_with_name(&path, &below).map_err(failed(&path))?;
        }
    }
    Ok(())
}

/// Bytes as frames of the session.
struct Frames(BuildWriter);

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.context(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_left_out() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        for (path, text) in [
            ("keep", "1"),
            ("drop.log", "2"),
            ("dir/drop.log", "3"),
            ("node_modules/x", "4"),
            ("node_modules/own/y", "5"),
            (".dockerignore", "**/*.log\nnode_modules\n!node_modules/own\n"),
        ] {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        let mut archive = tar::Builder::new(Vec::new());
        pack(&mut archive, root, "", &rules(root, None).unwrap()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        assert_eq!(
            names,
            [".dockerignore", "dir", "keep", "node_modules/own", "node_modules/own/y"]
        );
        let beside = rules(root, Some("keep\n".to_owned())).unwrap();
        assert!(beside.excludes("keep") && !beside.excludes("drop.log"));
    }
}
