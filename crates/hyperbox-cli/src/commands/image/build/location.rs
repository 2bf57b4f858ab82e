// SPDX-License-Identifier: MIT
//! Where context and Dockerfile are: what `PATH | URL | -` and `--file` mean.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hyperbox_types::build::{ContextPlace, DockerfilePlace};

use super::upload::Upload;
use crate::error::CliError;

/// How much of standard input tells an archive from a Dockerfile: the magic of tar is at 257 (POSIX pax(1)).
const SNIFFED: usize = 512;
/// A Dockerfile longer than that is none.
const LONGEST_DOCKERFILE: u64 = 16 << 20;

/// A context and a Dockerfile.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) context: ContextPlace,
    pub(super) dockerfile: DockerfilePlace,
    /// The Dockerfile's text where it is known, for when the context has to be sent.
    pub(super) text: Option<DockerfilePlace>,
    /// What is sent as the context.
    pub(super) bytes: Option<Upload>,
}

/// Finds both.
pub(super) fn locate(context: &str, file: Option<&str>, on_this_machine: bool) -> Result<Located, CliError> {
    if context == "-" {
        if file == Some("-") {
            return Err(CliError::new(
                "invalid argument: can't use stdin for both build context and dockerfile",
            ));
        }
        return of_stdin(file);
    }
    if is_remote(context) {
        return of_remote(context, file);
    }
    of_directory(Path::new(context), file, on_this_machine)
}

/// Finds a context whose Dockerfile is a text.
pub(super) fn locate_with_text(context: &str, text: &str, on_this_machine: bool) -> Result<Located, CliError> {
    let dockerfile = DockerfilePlace::Text {
        name: "Dockerfile".to_owned(),
        text: text.to_owned(),
        ignore: None,
    };
    if is_remote(context) {
        return Ok(Located {
            dockerfile,
            ..of_remote(context, None)?
        });
    }
    let root = context_root(Path::new(context))?;
    if on_this_machine {
        return Ok(Located {
            context: same_directory(&root)?,
            text: Some(dockerfile.clone()),
            dockerfile,
            bytes: None,
        });
    }
    Ok(Located {
        context: ContextPlace::Upload,
        dockerfile,
        text: None,
        bytes: Some(Upload::Directory { root, ignore: None }),
    })
}

pub(super) fn is_remote(text: &str) -> bool {
    let schemes = ["http://", "https://", "git://", "ssh://", "git@", "github.com/"];
    schemes.iter().any(|scheme| text.starts_with(scheme))
}

fn of_stdin(file: Option<&str>) -> Result<Located, CliError> {
    let mut start = vec![0; SNIFFED];
    let mut length = 0;
    let mut input = io::stdin().lock();
    while length < SNIFFED {
        match input.read(&mut start[length..])? {
            0 => break,
            read => length += read,
        }
    }
    drop(input);
    start.truncate(length);
    if is_archive(&start) {
        return Ok(Located {
            context: ContextPlace::Upload,
            dockerfile: in_context(file.unwrap_or("Dockerfile")),
            text: None,
            bytes: Some(Upload::Stream(Box::new(io::Cursor::new(start).chain(io::stdin())))),
        });
    }
    if file.is_some() {
        return Err(CliError::new(
            "ambiguous Dockerfile source: both stdin and flag correspond to Dockerfiles",
        ));
    }
    let text = read_text(&mut io::Cursor::new(start).chain(io::stdin()), "-")?;
    Ok(Located {
        context: ContextPlace::Empty,
        dockerfile: DockerfilePlace::Text {
            name: "Dockerfile".to_owned(),
            text,
            ignore: None,
        },
        text: None,
        bytes: None,
    })
}

/// Tells an archive, compressed or not, by its first bytes.
fn is_archive(start: &[u8]) -> bool {
    const MAGIC: [&[u8]; 4] = [b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGIC.iter().any(|magic| start.starts_with(magic)) || start.get(257..262) == Some(b"ustar")
}

fn of_remote(address: &str, file: Option<&str>) -> Result<Located, CliError> {
    let dockerfile = match file {
        Some("-") => named("Dockerfile", &mut io::stdin().lock())?,
        other => in_context(other.unwrap_or("Dockerfile")),
    };
    Ok(Located {
        context: ContextPlace::Remote {
            address: address.to_owned(),
        },
        dockerfile,
        text: None,
        bytes: None,
    })
}

fn of_directory(directory: &Path, file: Option<&str>, on_this_machine: bool) -> Result<Located, CliError> {
    let root = context_root(directory)?;
    if !root.is_dir() {
        return Err(CliError::new(format!(
            "unable to prepare context: path {:?} is no directory",
            directory.display().to_string()
        )));
    }
    let (path, text) = match file {
        Some("-") => (None, named("Dockerfile", &mut io::stdin().lock())?),
        file => {
            let path = match file {
                Some(file) if Path::new(file).is_relative() && !Path::new(file).exists() => root.join(file),
                Some(file) => PathBuf::from(file),
                None => usual(&root),
            };
            let name = file.unwrap_or("Dockerfile");
            let mut opened = fs::File::open(&path).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => CliError::new(format!(
                    "failed to read dockerfile: open {name}: no such file or directory"
                )),
                _ => CliError::new(format!("failed to read dockerfile: open {}: {error}", path.display())),
            })?;
            let text = named(name, &mut opened)?;
            let text = with_rules(text, &path)?;
            (Some(path), text)
        }
    };
    if !on_this_machine {
        let ignore = rules_of(&text);
        return Ok(Located {
            context: ContextPlace::Upload,
            dockerfile: text,
            text: None,
            bytes: Some(Upload::Directory { root, ignore }),
        });
    }
    let inside = path.and_then(|path| place_below(&root, &path));
    Ok(Located {
        context: same_directory(&root)?,
        dockerfile: inside.map_or_else(|| text.clone(), |path| in_context(&path)),
        text: Some(text),
        bytes: None,
    })
}

fn context_root(directory: &Path) -> Result<PathBuf, CliError> {
    let shown = directory.display().to_string();
    directory.canonicalize().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => CliError::new(format!("unable to prepare context: path {shown:?} not found")),
        _ => CliError::new(format!("unable to prepare context: cannot look at {shown:?}: {error}")),
    })
}

/// Returns the Dockerfile of a directory; as with Docker it may be spelt small.
fn usual(root: &Path) -> PathBuf {
    let (usual, small) = (root.join("Dockerfile"), root.join("dockerfile"));
    if !usual.exists() && small.exists() {
        return small;
    }
    usual
}

/// Adds the list beside a Dockerfile of what is left out of its context.
fn with_rules(dockerfile: DockerfilePlace, path: &Path) -> Result<DockerfilePlace, CliError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".dockerignore");
    let rules = match fs::read(&beside) {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let path = beside.display();
            return Err(CliError::new(format!("cannot read {path}: {error}")));
        }
    };
    Ok(match dockerfile {
        DockerfilePlace::Text { name, text, .. } => DockerfilePlace::Text {
            name,
            text,
            ignore: rules,
        },
        place => place,
    })
}

fn rules_of(dockerfile: &DockerfilePlace) -> Option<String> {
    match dockerfile {
        DockerfilePlace::Text { ignore, .. } => ignore.clone(),
        DockerfilePlace::Context { .. } => None,
    }
}

/// Returns where a file is below a directory, by its own name: what is beside it belongs to that. `None` for a link, which may lead
/// anywhere.
fn place_below(root: &Path, path: &Path) -> Option<String> {
    let found = path.canonicalize().ok()?;
    let named = path.parent().map(Path::canonicalize)?.ok()?.join(path.file_name()?);
    let below = named.strip_prefix(root).ok().filter(|_| found == named)?;
    below.to_str().map(str::to_owned)
}

/// Describes a directory so that the daemon can tell whether it sees the same one.
pub(super) fn same_directory(path: &Path) -> Result<ContextPlace, CliError> {
    let metadata =
        fs::metadata(path).map_err(|error| CliError::new(format!("cannot look at {}: {error}", path.display())))?;
    #[cfg(unix)]
    let (device, inode) = {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let (device, inode) = {
        // No daemon sees this machine's directories.
        drop(metadata);
        (0, 0)
    };
    Ok(ContextPlace::Directory {
        path: path.to_path_buf(),
        device,
        inode,
    })
}

/// Returns what is sent instead of a directory that the daemon does not see; `dockerfile` is the text.
pub(super) fn sent_instead(
    context: &ContextPlace,
    dockerfile: Option<&DockerfilePlace>,
) -> Result<(ContextPlace, Upload), CliError> {
    let ContextPlace::Directory { path, .. } = context else {
        return Err(CliError::new("the context is no directory"));
    };
    let upload = Upload::Directory {
        root: path.clone(),
        ignore: dockerfile.and_then(rules_of),
    };
    Ok((ContextPlace::Upload, upload))
}

fn in_context(path: &str) -> DockerfilePlace {
    DockerfilePlace::Context { path: path.to_owned() }
}

fn named(name: &str, content: &mut dyn Read) -> Result<DockerfilePlace, CliError> {
    Ok(DockerfilePlace::Text {
        name: name.to_owned(),
        text: read_text(content, name)?,
        ignore: None,
    })
}

fn read_text(content: &mut dyn Read, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::IsADirectory => CliError::new(format!("failed to read dockerfile: read {name}: is a directory")),
        _ => CliError::new(format!("failed to read dockerfile: read {name}: {error}")),
    };
    content
        .take(LONGEST_DOCKERFILE)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    String::from_utf8(bytes)
        .map_err(|_| CliError::new(format!("failed to read dockerfile: {name} is no text in UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_and_addresses_are_known() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(is_archive(&tar) && is_archive(b"\x1f\x8b\x08\0"));
        assert!(!is_archive(b"FROM scratch\n") && !is_archive(b""));
        assert!(
            is_remote("https://h/x.git#main") && is_remote("git@h:x") && !is_remote("./dir") && !is_remote("gitdir")
        );
    }

    #[test]
    fn a_dockerfile_in_the_context_is_named_by_its_path() {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("sub")).unwrap();
        fs::write(scratch.path().join("sub/Dockerfile.x"), "FROM scratch\n").unwrap();
        let located = locate(scratch.path().to_str().unwrap(), Some("sub/Dockerfile.x"), true).unwrap();
        assert_eq!(located.dockerfile, in_context("sub/Dockerfile.x"));
        assert!(matches!(located.context, ContextPlace::Directory { .. }));
        let outside = tempfile::tempdir().unwrap();
        let file = outside.path().join("D");
        fs::write(&file, "FROM scratch\n").unwrap();
        let located = locate(scratch.path().to_str().unwrap(), file.to_str(), true).unwrap();
        assert!(matches!(located.dockerfile, DockerfilePlace::Text { ignore: None, .. }));
        fs::write(outside.path().join("D.dockerignore"), "x\n").unwrap();
        for on_this_machine in [true, false] {
            let located = locate(scratch.path().to_str().unwrap(), file.to_str(), on_this_machine).unwrap();
            assert_eq!(rules_of(&located.dockerfile).as_deref(), Some("x\n"));
        }
        std::os::unix::fs::symlink(&file, scratch.path().join("linked")).unwrap();
        let located = locate(scratch.path().to_str().unwrap(), Some("linked"), true).unwrap();
        assert!(matches!(located.dockerfile, DockerfilePlace::Text { .. }));
        let missing = locate(scratch.path().to_str().unwrap(), None, true).unwrap_err();
        let message = "failed to read dockerfile: open Dockerfile: no such file or directory";
        assert_eq!(missing.to_string(), message);
        fs::write(scratch.path().join("dockerfile"), "FROM scratch\n").unwrap();
        let located = locate(scratch.path().to_str().unwrap(), None, true).unwrap();
        assert_eq!(located.dockerfile, in_context("dockerfile"));
        assert!(locate("/no/such/directory", None, true).is_err());
    }
}
