// SPDX-License-Identifier: MIT
//! Where the result of a build goes: `--output`, `--push`, `--load`.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use hyperbox_types::build::BuildOutput;

use crate::error::CliError;
use crate::options;

/// Where the result goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    pub(super) output: BuildOutput,
    pub(super) place: Place,
    /// More names of the image.
    pub(super) names: Vec<String>,
}

/// Where bytes go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// There are none.
    Nowhere,
    /// Standard output.
    Output,
    /// A file.
    File(PathBuf),
    /// Files below a directory.
    Directory(PathBuf),
}

/// Reads the options.
pub(super) fn destination(outputs: &[String], push: bool, load: bool) -> Result<Destination, CliError> {
    let image = Destination {
        output: BuildOutput::Image { push },
        place: Place::Nowhere,
        names: Vec::new(),
    };
    match outputs {
        [] => Ok(image),
        [none] if none.is_empty() => Ok(image),
        [_] if push || load => Err(CliError::new("--push and --load cannot be combined with --output")),
        [only] => parse(only),
        _ => Err(CliError::new("multiple outputs currently unsupported")),
    }
}

fn parse(text: &str) -> Result<Destination, CliError> {
    let invalid =
        |reason: String| CliError::new(format!("invalid argument {text:?} for \"-o, --output\" flag: {reason}"));
    let fields = options::comma_separated(&[text.to_owned()]).map_err(invalid)?;
    let (mut kind, mut path, mut push, mut names) = (None, None, false, Vec::new());
    if fields.len() == 1 && !text.starts_with("type=") {
        // A path alone is a directory, or standard output for a dash.
        kind = Some(if text == "-" { "tar" } else { "local" }.to_owned());
        path = Some(text.to_owned());
    } else {
        for field in &fields {
            let (key, value) = field
                .split_once('=')
                .ok_or_else(|| invalid(format!("invalid value {field}")))?;
            match key.trim().to_ascii_lowercase().as_str() {
                "type" => kind = Some(value.to_owned()),
                "dest" => path = Some(value.to_owned()),
                "push" => push = options::switch(value).map_err(invalid)?,
                "name" => names.extend(value.split(',').map(str::to_owned)),
                // As with BuildKit, what an exporter does not know it does not look at.
                _ => {}
            }
        }
    }
    let kind = kind.ok_or_else(|| invalid("type is required for output".to_owned()))?;
    let path = path.filter(|path| !path.is_empty());
    let to_file = |path: Option<String>| match path.as_deref() {
        None | Some("-") => Place::Output,
        Some(path) => Place::File(path.into()),
    };
    let (output, place) = match (kind.as_str(), path) {
        ("local", None) => return Err(invalid("dest is required for local exporter".to_owned())),
        ("local", Some(path)) => (BuildOutput::Files, Place::Directory(path.into())),
        ("tar", path) => (BuildOutput::Files, to_file(path)),
        ("oci", path) => (BuildOutput::Oci, to_file(path)),
        ("docker", Some(path)) => (BuildOutput::Docker, to_file(Some(path))),
        ("docker" | "image", _) => (BuildOutput::Image { push }, Place::Nowhere),
        ("registry", _) => (BuildOutput::Image { push: true }, Place::Nowhere),
        ("cacheonly", _) => (BuildOutput::Nothing, Place::Nowhere),
        (other, _) => return Err(invalid(format!("unknown exporter {other:?}"))),
    };
    if let Place::File(path) = &place
        && path.is_dir()
    {
        let message = format!("destination file {} is a directory", path.display());
        return Err(CliError::new(message));
    }
    if place == Place::Output && io::stdout().is_terminal() {
        return Err(CliError::new(
            "dest file is required for an archive: refusing to write to a terminal",
        ));
    }
    Ok(Destination { output, place, names })
}

/// Takes bytes as they come. A file appears under its name when it is complete.
#[derive(Debug)]
pub(super) enum Sink {
    Nowhere,
    Output,
    File {
        file: File,
        beside: PathBuf,
        path: PathBuf,
    },
    Directory {
        bytes: SyncSender<Vec<u8>>,
        unpacking: JoinHandle<io::Result<()>>,
    },
}

impl Sink {
    pub(super) fn open(place: &Place) -> Result<Self, CliError> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| CliError::new(format!("cannot write {path}: {error}"))
        };
        Ok(match place {
            Place::Nowhere => Self::Nowhere,
            Place::Output => Self::Output,
            Place::File(path) => {
                let mut beside = path.as_os_str().to_owned();
                beside.push(format!(".tmp{}", std::process::id()));
                let beside = PathBuf::from(beside);
                let file = File::create(&beside).map_err(failed(path))?;
                Self::File {
                    file,
                    beside,
                    path: path.clone(),
                }
            }
            Place::Directory(path) => {
                fs::create_dir_all(path).map_err(failed(path))?;
                let (bytes, receiver) = sync_channel(16);
                let path = path.clone();
                let unpacking = std::thread::spawn(move || {
                    unpack(
                        Pieces {
                            receiver,
                            piece: Vec::new(),
                            given: 0,
                        },
                        &path,
                    )
                });
                Self::Directory { bytes, unpacking }
            }
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Output => io::stdout().lock().write_all(bytes),
            Self::File { file, .. } => file.write_all(bytes),
            // Whoever unpacks has failed and says so at the end.
            Self::Directory { bytes: sender, .. } => sender
                .send(bytes.to_vec())
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    }

    /// Ends it; `whole` tells that everything has come.
    pub(super) fn finish(self, whole: bool) -> io::Result<()> {
        match self {
            Self::Nowhere => Ok(()),
            Self::Output => io::stdout().lock().flush(),
            Self::File { beside, path, .. } if whole => fs::rename(beside, path),
            Self::File { beside, .. } => fs::remove_file(beside),
            Self::Directory { bytes, unpacking } => {
                drop(bytes);
                let ended = unpacking.join();
                let result = ended.unwrap_or_else(|_| Err(io::Error::other("unpacking was interrupted")));
                if whole { result } else { Ok(()) }
            }
        }
    }
}

fn unpack(pieces: Pieces, directory: &Path) -> io::Result<()> {
    let mut archive = tar::Archive::new(pieces);
    archive.set_preserve_permissions(true);
    archive.set_preserve_mtime(true);
    archive.set_overwrite(true);
    archive.unpack(directory)
}

/// Bytes that another thread receives.
#[derive(Debug)]
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    given: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.given) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let length = (self.piece.len() - self.given).min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations() {
        let image = |push| (BuildOutput::Image { push }, Place::Nowhere);
        for (text, expected) in [
            ("out", (BuildOutput::Files, Place::Directory("out".into()))),
            (
                "type=local,dest=a/b",
                (BuildOutput::Files, Place::Directory("a/b".into())),
            ),
            ("type=tar,dest=x.tar", (BuildOutput::Files, Place::File("x.tar".into()))),
            ("type=oci,dest=x", (BuildOutput::Oci, Place::File("x".into()))),
            ("type=docker,dest=x", (BuildOutput::Docker, Place::File("x".into()))),
            ("type=docker", image(false)),
            ("type=image,push=true", image(true)),
            ("type=registry", image(true)),
            ("type=cacheonly", (BuildOutput::Nothing, Place::Nowhere)),
            ("type=image,compression=zstd,oci-mediatypes=true", image(false)),
        ] {
            let parsed = parse(text).unwrap();
            assert_eq!((parsed.output, parsed.place), expected, "{text}");
        }
        for (text, reason) in [
            ("type=local", "dest is required for local exporter"),
            ("type=moon", "unknown exporter \"moon\""),
            ("dest=x,push=false", "type is required for output"),
            ("type=tar,dest=/", "destination file / is a directory"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.ends_with(reason), "{message}");
        }
        assert!(destination(&["out".to_owned()], true, false).is_err());
    }
}
