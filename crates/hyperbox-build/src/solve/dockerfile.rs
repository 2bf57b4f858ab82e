// SPDX-License-Identifier: MIT
//! Reading the Dockerfile out of a context.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use hyperbox_types::ErrorKind;

use crate::BuildError;
use crate::context::{EntryKind, Tree, TreeError};

/// No Dockerfile is longer.
const LIMIT: u64 = 16 * 1024 * 1024;

/// How many links a path may lead through (the kernel's `MAXSYMLINKS`).
const LINKS: usize = 40;

/// Reads a file of a tree as text. Links are followed inside the tree. Blocks.
///
/// # Errors
/// In BuildKit's words when nothing is there.
pub(crate) fn text_of(tree: &dyn Tree, path: &str) -> Result<String, BuildError> {
    let failed = |reason: &dyn std::fmt::Display, kind| BuildError::Refused {
        kind,
        message: format!("failed to read dockerfile: open {path}: {reason}"),
    };
    let of_tree = |error: TreeError| failed(&error, error.kind());
    let missing = || failed(&"no such file or directory", ErrorKind::InvalidArgument);
    let found = resolve(tree, Path::new(path)).map_err(of_tree)?;
    let found = match (found, small(path)) {
        (None, Some(small)) => resolve(tree, &small).map_err(of_tree)?,
        (found, _) => found,
    };
    let found = found.ok_or_else(missing)?;
    let reader = tree.open(&found).map_err(of_tree)?;
    let mut bytes = Vec::new();
    let read = reader.take(LIMIT + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error, ErrorKind::Internal))?;
    if bytes.len() as u64 > LIMIT {
        return Err(failed(&"the file is too long", ErrorKind::InvalidArgument));
    }
    String::from_utf8(bytes).map_err(|_| failed(&"the file is not UTF-8 text", ErrorKind::InvalidArgument))
}

/// Returns the other spelling of the usual name, which Docker looks for where that is missing.
fn small(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let is_usual = path.file_name().is_some_and(|name| name == "Dockerfile");
    is_usual.then(|| path.with_file_name("dockerfile"))
}

/// Finds what a path means, all links followed and `..` never above the root; `None` when nothing is there.
fn resolve(tree: &dyn Tree, path: &Path) -> Result<Option<PathBuf>, TreeError> {
    let mut open: VecDeque<OsString> = names(path);
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(name) = open.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&name);
        let Some(entry) = tree.entry(&next)? else {
            return Ok(None);
        };
        let EntryKind::Symlink { target } = entry.kind else {
            at = next;
            continue;
        };
        links += 1;
        if links > LINKS {
            let reason = "too many levels of symbolic links".to_owned();
            return Err(TreeError::Refused { path: next, reason });
        }
        if target.is_absolute() {
            at = PathBuf::new();
        }
        for name in names(&target).into_iter().rev() {
            open.push_front(name);
        }
    }
    Ok(Some(at))
}

fn names(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.collect()
}
