// SPDX-License-Identifier: MIT
//! Paths in a container's tree: what a client's text means, and what is there.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use hyperbox_core::seam::{FilesError, PathStat};
use hyperbox_core::time::Timestamp;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::failed;
use crate::unpack::names;

/// How many symbolic links may lead on: what Go's `filepath.EvalSymlinks` allows.
const MOST_LINKS: usize = 255;

/// A path as a client asked for it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    text: String,
    /// Relative to the root, without `.`, `..` and empty components.
    path: Vec<u8>,
    /// What the client put behind the name: nothing, `/` or `/.`.
    tail: &'static str,
}

impl Asked {
    pub(super) fn new(text: &str) -> Self {
        let path = names::follow(b"", text.as_bytes());
        let tail = if path.is_empty() || text.ends_with("/.") || text == "." {
            "/."
        } else if text.ends_with('/') {
            "/"
        } else {
            ""
        };
        Self {
            text: text.to_owned(),
            path,
            tail,
        }
    }

    /// The path without what follows its name.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// The last name, as the client sees it.
    fn name(&self) -> Vec<u8> {
        match (self.path.as_slice(), self.tail) {
            (b"", _) if !self.text.ends_with('.') => b"/".to_vec(),
            (_, "/.") => b".".to_vec(),
            (path, _) => names::split(path).1.to_vec(),
        }
    }

    fn to_resolve(&self) -> Vec<u8> {
        match self.path.as_slice() {
            b"" => b".".to_vec(),
            path => [path, self.tail.as_bytes()].concat(),
        }
    }

    /// The error of a system call with this path.
    pub(super) fn failure(&self, error: Errno) -> FilesError {
        let text = &self.text;
        match error {
            Errno::NOENT => FilesError::NotFound { path: text.clone() },
            Errno::NOTDIR => FilesError::Refused {
                reason: format!("lstat {text}: not a directory"),
            },
            Errno::LOOP => FilesError::Refused {
                reason: format!("lstat {text}: too many levels of symbolic links"),
            },
            Errno::NAMETOOLONG => FilesError::Refused {
                reason: format!("lstat {text}: file name too long"),
            },
            error => failed("look at", text, error),
        }
    }
}

/// What is at a path.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stat: PathStat,
    /// The name that the archive's names begin with.
    pub(super) name: Vec<u8>,
    /// The directory itself, or the one that holds it.
    pub(super) directory: OwnedFd,
    /// Its name in that directory, when it is no directory.
    pub(super) file: Option<Vec<u8>>,
}

/// Looks at a path.
pub(super) fn look(root: BorrowedFd<'_>, asked: &Asked) -> Result<Found, FilesError> {
    let failure = |error| asked.failure(error);
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = resolve(root, &asked.to_resolve(), flags).map_err(failure)?;
    let stat = rustix::fs::fstat(&found).map_err(failure)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let link_target = if kind == FileType::Symlink {
        let end = evaluate_existing(root, asked.path(), Missing::Kept).map_err(failure)?;
        format!("/{}", String::from_utf8_lossy(&end))
    } else {
        String::new()
    };
    let (directory, file) = if kind == FileType::Directory {
        (found, None)
    } else {
        let (parent, name) = names::split(asked.path());
        (open(root, parent).map_err(failure)?, Some(name.to_vec()))
    };
    let name = asked.name();
    Ok(Found {
        stat: describe(&name, &stat, link_target),
        name,
        directory,
        file,
    })
}

fn describe(name: &[u8], stat: &Stat, link_target: String) -> PathStat {
    let nanoseconds = i64::try_from(stat.st_mtime_nsec).unwrap_or(0);
    PathStat {
        name: String::from_utf8_lossy(name).into_owned(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode,
        modified_at: Timestamp(stat.st_mtime.saturating_mul(1_000_000_000).saturating_add(nanoseconds)),
        link_target,
    }
}

/// Opens what is at a path, following links, for resolving others from it.
pub(super) fn open(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let path = if path.is_empty() { b".".as_slice() } else { path };
    resolve(root, path, OFlags::PATH | OFlags::CLOEXEC)
}

/// `EAGAIN` means that something was renamed meanwhile anywhere on the machine, so that `..` was not provably safe.
fn resolve(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
    let bounds = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags, Mode::empty(), bounds) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Returns the path (relative to the root) that another one leads to when all links are followed; it exists.
pub(super) fn evaluate(root: BorrowedFd<'_>, path: &[u8]) -> Result<Vec<u8>, Errno> {
    evaluate_existing(root, path, Missing::Refused)
}

/// What to do with components that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refused,
    Kept,
}

fn evaluate_existing(root: BorrowedFd<'_>, path: &[u8], missing: Missing) -> Result<Vec<u8>, Errno> {
    let components = |text: &[u8]| -> Vec<Vec<u8>> {
        let parts = text.split(|byte| *byte == b'/').rev();
        parts.map(<[u8]>::to_vec).collect()
    };
    let mut waiting = components(path);
    let mut reached: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(component) = waiting.pop() {
        match component.as_slice() {
            b"" | b"." => continue,
            b".." => {
                reached.truncate(names::split(&reached).0.len());
                continue;
            }
            _ => {}
        }
        let next = names::join(&reached, &component);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match resolve(root, &next, flags) {
            Err(Errno::NOENT | Errno::NOTDIR) if missing == Missing::Kept => {
                reached = next;
                continue;
            }
            result => result?,
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::Symlink {
            reached = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let text = rustix::fs::readlinkat(file.as_fd(), OsStr::new(""), Vec::new())?;
        if text.to_bytes().starts_with(b"/") {
            reached.clear();
        }
        waiting.extend(components(text.to_bytes()));
    }
    Ok(reached)
}

/// Shows a path of the tree.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", OsStr::from_bytes(path).display())
}
