// SPDX-License-Identifier: MIT
//! Paths of entries: bytes, relative to the tree's root, as archives write them. Pure.
//!
//! A leading `/`, empty components and `.` mean nothing. `..` is refused: what it means depends on links, which only the caller may
//! follow.

use crate::error::{BuildError, shown};

/// The longest name of an entry in bytes (`EROFS_NAME_LEN`, which is Linux' `NAME_MAX`).
pub(crate) const NAME_MOST: usize = 255;

/// The components of a path that mean something, each checked.
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = Result<&[u8], BuildError>> {
    path.split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty() && *component != b".")
        .map(move |component| match refusal(component) {
            None => Ok(component),
            Some(reason) => Err(BuildError::Path {
                path: shown(path),
                reason,
            }),
        })
}

/// Separates the parent from the name, when the path's form makes that simple: both parts are then what they seem.
/// The name is not checked.
pub(crate) fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = path.iter().rposition(|byte| *byte != b'/')?;
    let path = &path[..=end];
    let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&path[..0], path),
    };
    (name != b".").then_some((parent, name))
}

/// Why a component cannot be a name.
pub(crate) fn refusal(component: &[u8]) -> Option<&'static str> {
    if component == b".." {
        Some("it leaves the tree by `..`")
    } else if component.len() > NAME_MOST {
        Some("a name is longer than 255 bytes")
    } else if component.contains(&0) {
        Some("a name contains a NUL byte")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::{components, split};

    #[test]
    fn components_that_mean_something() {
        let long = [b'x'; 256];
        type Case<'a> = (&'a [u8], Option<&'a [&'a [u8]]>);
        let cases: [Case<'_>; 9] = [
            (b"", Some(&[])),
            (b"./", Some(&[])),
            (b"/a//b/./c/", Some(&[b"a", b"b", b"c"])),
            (b"...", Some(&[b"..."])),
            (b"a/../b", None),
            (b"..", None),
            (b"a\0b", None),
            (&long, None),
            (&long[1..], Some(&[&long[1..]])),
        ];
        for (path, expected) in cases {
            let found: Option<Vec<&[u8]>> = components(path).collect::<Result<_, _>>().ok();
            assert_eq!(found.as_deref(), expected, "{}", path.escape_ascii());
        }
    }

    #[test]
    fn simple_paths_are_split() {
        type Split = Option<(&'static [u8], &'static [u8])>;
        let cases: [(&[u8], Split); 7] = [
            (b"", None),
            (b"/", None),
            (b"a", Some((b"", b"a"))),
            (b"a/b//", Some((b"a", b"b"))),
            (b"./a/b", Some((b"./a", b"b"))),
            (b"a/.", None),
            (b"/a", Some((b"", b"a"))),
        ];
        for (path, expected) in cases {
            assert_eq!(split(path), expected, "{}", path.escape_ascii());
        }
    }
}
