// SPDX-License-Identifier: MIT
//! Paths as texts: cleaned and joined by their letters alone, without asking a file system.

use std::path::{Path, PathBuf};

/// The shortest name of a slash-separated path, as Go's `path.Clean`: no `.`, no `..` that can be resolved, no double slashes.
pub(crate) fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if absolute => {}
            other => parts.push(other),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A path of a file, seen from a directory; `~` is the user's home.
pub(crate) fn absolute(path: &str, directory: &Path, home: Option<&str>) -> String {
    let expanded = match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => path.to_owned(),
    };
    if is_absolute(&expanded) {
        return expanded;
    }
    clean(&format!("{}/{expanded}", directory.display()))
}

/// The path of a file that is named from a directory, cleaned.
pub fn file(path: &str, directory: &Path) -> PathBuf {
    PathBuf::from(absolute(path, directory, None))
}

/// Absolute on Unix or on Windows, wherever this runs: the file may be for an engine elsewhere.
pub(crate) fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with('/')
        || path.starts_with("\\\\")
        || (bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/'))
}

/// Whether a build's context is not a directory: a URL, a git repository, an image, another service.
pub(crate) fn is_remote_context(context: &str) -> bool {
    context.contains("://")
        || ["service:", "github.com/", "git@"]
            .iter()
            .any(|prefix| context.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, expected) in [
            ("/a/./b//c/", "/a/b/c"),
            ("/../a", "/a"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(clean(path), expected, "{path}");
        }
    }

    #[test]
    fn paths_become_absolute() {
        let directory = Path::new("/work/shop");
        for (path, expected) in [
            ("./src", "/work/shop/src"),
            ("../up", "/work/up"),
            ("/abs/./x", "/abs/./x"),
            ("~/x", "/home/me/x"),
            ("~", "/home/me"),
            ("~other/x", "/work/shop/~other/x"),
            ("C:\\x", "C:\\x"),
        ] {
            assert_eq!(absolute(path, directory, Some("/home/me")), expected, "{path}");
        }
    }
}
