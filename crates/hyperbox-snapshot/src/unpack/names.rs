// SPDX-License-Identifier: MIT
//! Names in layer archives: which path one means, and whether it is a whiteout. Pure.

use hyperbox_core::seam::SnapshotError;

use crate::failure::{refused, shown};

/// `PATH_MAX` of Linux, with the final NUL.
const LONGEST_PATH: usize = 4096;

/// What a name in an archive stands for (OCI image-spec, layer.md, "Whiteouts").
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Role<'a> {
    /// A file of that name.
    Plain,
    /// `.wh.hidden`: the file `hidden` of layers below is not there.
    Whiteout { directory: &'a [u8], hidden: &'a [u8] },
    /// `.wh..wh..opq`: nothing of that directory in layers below is there.
    Opaque(&'a [u8]),
    /// `.wh..wh.…`: bookkeeping of AUFS.
    Ignored,
}

/// Returns the path relative to the layer's root, without `.`, `..`, empty components; empty for the root itself.
///
/// # Errors
/// A path that leaves the root, is too long, or has a NUL.
pub(crate) fn normalise(name: &[u8]) -> Result<Vec<u8>, SnapshotError> {
    if name.contains(&0) {
        return Err(refused(format!("{}: a name with a NUL", shown(name))));
    }
    let mut path = Vec::with_capacity(name.len());
    for component in name.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." if path.is_empty() => return Err(refused(format!("{}: the name leaves the layer", shown(name)))),
            b".." => path.truncate(split(&path).0.len()),
            component => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    if path.len() >= LONGEST_PATH {
        return Err(refused(format!("{}…: the name is too long", shown(&path))));
    }
    Ok(path)
}

/// Returns the path, relative to the layer's root, that a symbolic link with this text in `directory` leads to. As for a process
/// that has the layer's root as its own, `..` there is the root itself.
pub(crate) fn follow(directory: &[u8], text: &[u8]) -> Vec<u8> {
    let start = if text.starts_with(b"/") { b"" } else { directory };
    let mut path = start.to_vec();
    for component in text.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => path.truncate(split(&path).0.len()),
            component => path = join(&path, component),
        }
    }
    path
}

/// Splits a normalised path into directory and last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Puts a directory and a name together again.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        name.to_vec()
    } else {
        [directory, b"/", name].concat()
    }
}

/// Tells what a normalised path stands for.
///
/// # Errors
/// A whiteout of `.`, `..` or of nothing.
pub(crate) fn role(path: &[u8]) -> Result<Role<'_>, SnapshotError> {
    const PREFIX: &[u8] = b".wh.";
    const RESERVED: &[u8] = b".wh..wh.";
    let (directory, name) = split(path);
    if name == b".wh..wh..opq" {
        return Ok(Role::Opaque(directory));
    }
    if path
        .split(|byte| *byte == b'/')
        .any(|component| component.starts_with(RESERVED))
    {
        return Ok(Role::Ignored);
    }
    match name.strip_prefix(PREFIX) {
        None => Ok(Role::Plain),
        Some(b"" | b"." | b"..") => Err(refused(format!("{}: a whiteout of no name", shown(path)))),
        Some(hidden) => Ok(Role::Whiteout { directory, hidden }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        let long = [b"a/".repeat(2100)].concat();
        for (name, expected) in [
            (&b"etc/passwd"[..], Some(&b"etc/passwd"[..])),
            (b"/etc/passwd", Some(b"etc/passwd")),
            (b"./etc//./passwd/", Some(b"etc/passwd")),
            (b"./", Some(b"")),
            (b"/", Some(b"")),
            (b"", Some(b"")),
            (b"a/../b", Some(b"b")),
            (b"a/b/../../c", Some(b"c")),
            (b"a/..", Some(b"")),
            (b"...", Some(b"...")),
            (b"\xff\xfe/x", Some(b"\xff\xfe/x")),
            (b"..", None),
            (b"../etc", None),
            (b"/../etc", None),
            (b"a/../../etc", None),
            (b"a\0b", None),
            (&long, None),
        ] {
            assert_eq!(
                normalise(name).ok().as_deref(),
                expected,
                "{}",
                String::from_utf8_lossy(name)
            );
        }
    }

    #[test]
    fn links_lead_inside() {
        for (directory, text, expected) in [
            (&b"usr"[..], &b"lib"[..], &b"usr/lib"[..]),
            (b"usr", b"/lib", b"lib"),
            (b"", b"usr//lib/.", b"usr/lib"),
            (b"a/b", b"../c", b"a/c"),
            (b"a", b"../../../c", b"c"),
            (b"a", b"/", b""),
        ] {
            assert_eq!(follow(directory, text), expected);
        }
    }

    #[test]
    fn whiteouts_are_recognised() {
        for (path, expected) in [
            (&b"a/b"[..], Some(Role::Plain)),
            (b"", Some(Role::Plain)),
            (b"a/.whx", Some(Role::Plain)),
            (b".wh.a/b", Some(Role::Plain)),
            (
                b"a/.wh.b",
                Some(Role::Whiteout {
                    directory: b"a",
                    hidden: b"b",
                }),
            ),
            (
                b".wh.b",
                Some(Role::Whiteout {
                    directory: b"",
                    hidden: b"b",
                }),
            ),
            (b"a/.wh..wh..opq", Some(Role::Opaque(b"a"))),
            (b".wh..wh..opq", Some(Role::Opaque(b""))),
            (b".wh..wh.plnk", Some(Role::Ignored)),
            (b".wh..wh.plnk/1.2", Some(Role::Ignored)),
            (b"a/.wh.", None),
            (b"a/.wh..", None),
            (b"a/.wh...", None),
        ] {
            assert_eq!(role(path).ok(), expected, "{}", String::from_utf8_lossy(path));
        }
    }
}
