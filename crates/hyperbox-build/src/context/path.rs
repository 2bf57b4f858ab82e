// SPDX-License-Identifier: MIT
//! Paths in trees, as bytes: cleaned, split, resolved. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Entry, EntryKind, Tree, TreeError};

/// As many symbolic links may lead on as Go's `filepath.EvalSymlinks` allows.
pub(crate) const MOST_LINKS: usize = 255;

/// A path such that those of one directory lie together, behind the directory: `/` sorts before everything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new(path: &[u8]) -> Self {
        Self(path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect())
    }

    /// Tells whether it is the same path or one below.
    pub(crate) fn is_at_or_below(&self, other: &Self) -> bool {
        let rest = self.0.strip_prefix(other.0.as_slice());
        other.0.is_empty() || rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == 0))
    }
}

/// Returns a path as text of the tree.
pub(crate) fn as_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// Returns the bytes of a path.
pub(crate) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Joins; either may be empty.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (b"", name) => name.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, name) => [directory, b"/", name].concat(),
    }
}

/// Splits off the last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Returns the names of a path without `.` and empty ones.
pub(crate) fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}

/// Cleans a path as text; `..` never leads above the root. The result has no slash at either end.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for name in names(path) {
        if name == b".." {
            kept.pop();
        } else {
            kept.push(name);
        }
    }
    kept.join(&b'/')
}

/// Shows a path with its leading slash.
pub(crate) fn shown(path: &[u8]) -> String {
    format!("/{}", OsStr::from_bytes(path).display())
}

/// Returns the path that another leads to when links are followed inside the tree; names that are not there are kept.
///
/// # Errors
/// Those of `look`; `InvalidArgument` for circles.
pub(crate) fn resolve<E: From<TreeError>>(
    path: &[u8],
    mut look: impl FnMut(&[u8]) -> Result<Option<Entry>, E>,
) -> Result<Vec<u8>, E> {
    let mut waiting: Vec<Vec<u8>> = names(path).rev().map(<[u8]>::to_vec).collect();
    let mut reached: Vec<u8> = Vec::new();
    let mut links = 0;
    while let Some(name) = waiting.pop() {
        if name == b".." {
            reached.truncate(split(&reached).0.len());
            continue;
        }
        let next = join(&reached, &name);
        let target = match look(&next)? {
            Some(Entry {
                kind: EntryKind::Symlink { target },
                ..
            }) => target,
            _ => {
                reached = next;
                continue;
            }
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(E::from(TreeError::Refused {
                path: as_path(path),
                reason: "too many links".to_owned(),
            }));
        }
        if target.is_absolute() {
            reached.clear();
        }
        waiting.extend(names(bytes(&target)).rev().map(<[u8]>::to_vec));
    }
    Ok(reached)
}

/// Returns the path that another leads to when all links are followed inside a tree; names that are not there are kept.
///
/// # Errors
/// Those of the tree; `InvalidArgument` for circles.
pub fn resolve_in(tree: &dyn Tree, path: &[u8]) -> Result<Vec<u8>, TreeError> {
    resolve(path, |path| tree.entry(&as_path(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cleaned_inside_the_root() {
        for (text, expected) in [
            ("/a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("../../a", "a"),
            ("a/../../b", "b"),
            ("/", ""),
            ("a/..", ""),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(clean(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn keys_keep_what_is_below_together() {
        let mut paths = ["a-b", "a", "a/z", "a.c", "a/b/c", "a/b"];
        paths.sort_by_key(|path| Key::new(path.as_bytes()));
        assert_eq!(paths, ["a", "a/b", "a/b/c", "a/z", "a-b", "a.c"]);
        let below = |path: &str, other: &str| Key::new(path.as_bytes()).is_at_or_below(&Key::new(other.as_bytes()));
        assert!(below("a/b", "a") && below("a", "a") && below("a", "") && !below("a-b", "a") && !below("a", "a/b"));
    }
}
