// SPDX-License-Identifier: MIT
//! Decides where a copy lands and under which name (`PrepareArchiveCopy` of github.com/moby/go-archive). Pure.
//!
//! Paths are text with slashes, since one side is always a container; a trailing slash or `/.` says that a directory is meant.

/// What is at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Present {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// Anything else.
    File,
}

/// Where an archive is unpacked, and what its first name becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// An existing directory.
    pub(crate) directory: String,
    /// The new name of what is copied; unchanged when `None`.
    pub(crate) rename: Option<String>,
}

/// One side of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Side {
    /// A path in a container.
    Container(String, String),
    /// A path here, or `-`.
    Local(String),
}

/// Tells what an argument means: `CONTAINER:PATH`, unless it looks like a path.
pub(crate) fn side(text: &str) -> Side {
    let is_path = text.starts_with(['/', '.', '\\']) || text.as_bytes().get(1..3).is_some_and(|rest| rest == b":\\");
    match text.split_once(':') {
        Some((container, path)) if !is_path && !container.is_empty() => {
            Side::Container(container.to_owned(), path.to_owned())
        }
        _ => Side::Local(text.to_owned()),
    }
}

/// Says whether a path can only mean a directory.
pub(crate) fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

/// Splits a path into directory and last name.
pub(crate) fn split(path: &str) -> (String, String) {
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some(("", name)) => ("/".to_owned(), name.to_owned()),
        Some((directory, name)) => (directory.to_owned(), name.to_owned()),
        None if trimmed.is_empty() => ("/".to_owned(), String::new()),
        None => (".".to_owned(), trimmed.to_owned()),
    }
}

/// Decides where `source` lands at `destination`.
///
/// # Errors
/// Docker's texts.
pub(crate) fn place(source_is_directory: bool, destination: &str, present: Present) -> Result<Placement, &'static str> {
    let (directory, name) = split(destination);
    match present {
        Present::Directory => Ok(Placement {
            directory: destination.to_owned(),
            rename: None,
        }),
        Present::File if source_is_directory => Err("cannot copy directory"),
        Present::Nothing if !source_is_directory && asserts_directory(destination) => Err("no such directory"),
        Present::File | Present::Nothing => Ok(Placement {
            directory,
            rename: Some(name),
        }),
    }
}

/// Gives a name of an archive its new beginning.
pub(crate) fn renamed(name: &str, old: &str, new: Option<&str>) -> String {
    let Some(new) = new else {
        return name.to_owned();
    };
    let rest = name.strip_prefix(old).unwrap_or(name);
    format!(
        "{new}{}{rest}",
        if rest.is_empty() || rest.starts_with('/') {
            ""
        } else {
            "/"
        }
    )
}

/// Makes the target of a link a path: a relative one begins where the link is.
pub(crate) fn follow(link: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    format!("{}/{target}", split(link).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides() {
        let container = |name: &str, path: &str| Side::Container(name.to_owned(), path.to_owned());
        for (text, expected) in [
            ("web:/x", container("web", "/x")),
            ("web:x", container("web", "x")),
            ("/a:b", Side::Local("/a:b".to_owned())),
            ("./a:b", Side::Local("./a:b".to_owned())),
            ("a", Side::Local("a".to_owned())),
            ("-", Side::Local("-".to_owned())),
            (":x", Side::Local(":x".to_owned())),
            ("C:\\x", Side::Local("C:\\x".to_owned())),
        ] {
            assert_eq!(side(text), expected, "{text}");
        }
    }

    #[test]
    fn placements() {
        use Present::{Directory, File, Nothing};
        let to = |directory: &str, rename: Option<&str>| {
            Ok(Placement {
                directory: directory.to_owned(),
                rename: rename.map(str::to_owned),
            })
        };
        for (is_directory, destination, present, expected) in [
            (false, "/a/b", Directory, to("/a/b", None)),
            (false, "/a/b", File, to("/a", Some("b"))),
            (false, "/a/b", Nothing, to("/a", Some("b"))),
            (false, "/a/b/", Nothing, Err("no such directory")),
            (true, "/a/b", File, Err("cannot copy directory")),
            (true, "/a/b", Nothing, to("/a", Some("b"))),
            (true, "/a/b/", Nothing, to("/a", Some("b"))),
            (true, "/a/b", Directory, to("/a/b", None)),
            (false, "b", Nothing, to(".", Some("b"))),
            (false, "/b", File, to("/", Some("b"))),
        ] {
            assert_eq!(
                place(is_directory, destination, present),
                expected,
                "{destination} {present:?}"
            );
        }
    }

    #[test]
    fn names() {
        assert_eq!(renamed("d/f", "d", Some("e")), "e/f");
        assert_eq!(renamed("./f", ".", Some("e")), "e/f");
        assert_eq!(renamed("d", "d", Some("e")), "e");
        assert_eq!(renamed("d/f", "d", None), "d/f");
        assert_eq!(follow("/a/l", "../b"), "/a/../b");
    }
}
