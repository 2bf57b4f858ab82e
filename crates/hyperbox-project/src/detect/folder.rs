// SPDX-License-Identifier: MIT
//! A folder as detection sees it: names, texts, and what can be read of them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::compose::Files;

/// A folder.
pub(crate) struct Folder<'a> {
    path: PathBuf,
    files: &'a dyn Files,
}

impl<'a> Folder<'a> {
    pub(crate) fn new(path: &Path, files: &'a dyn Files) -> Self {
        Self {
            path: path.to_owned(),
            files,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file of the folder is.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        name.split('/').fold(self.path.clone(), |path, part| path.join(part))
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.is_file(&self.join(name))
    }

    /// The first of some files that is there.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<&'static str> {
        names.iter().copied().find(|name| self.has(name))
    }

    /// The text of a file; `None` when it cannot be read.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.files.read(&self.join(name)).ok()
    }

    /// The first line of a file that says something.
    pub(crate) fn line(&self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let mut lines = text.lines().map(str::trim);
        lines
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
    }

    /// A file as JSON; nothing when it is none.
    pub(crate) fn json(&self, name: &str) -> Value {
        let text = self.text(name).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A file as TOML; nothing when it is none.
    pub(crate) fn toml(&self, name: &str) -> toml::Table {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// The names of what is in a directory of the folder, sorted.
    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let path = if directory.is_empty() {
            self.path.clone()
        } else {
            self.join(directory)
        };
        let mut names = self.files.names(&path).unwrap_or_default();
        names.sort();
        names
    }

    /// The first file of the folder whose name ends so.
    pub(crate) fn ending(&self, end: &str) -> Option<String> {
        let mut names = self.names("").into_iter();
        names.find(|name| name.len() > end.len() && name.ends_with(end) && self.has(name))
    }
}

/// The first number of a text such as `>=18.2 <21`, `v20`, `^3.12`: as many of its parts as wanted.
pub(crate) fn version(text: &str, parts: usize) -> Option<String> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let rest = &text[start..];
    let end = rest
        .find(|character: char| !(character.is_ascii_digit() || character == '.'))
        .unwrap_or(rest.len());
    let numbers: Vec<&str> = rest[..end]
        .split('.')
        .filter(|part| !part.is_empty())
        .take(parts)
        .collect();
    Some(numbers.join("."))
}

/// Whether a text may be a part of an image's tag, of a path or of a word in a Dockerfile as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._-".contains(character))
        && !text.starts_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, parts, expected) in [
            (">=18.2 <21", 1, Some("18")),
            ("v20.11.1", 2, Some("20.11")),
            ("^3.12", 2, Some("3.12")),
            ("ruby-3.3.0", 2, Some("3.3")),
            ("3.", 2, Some("3")),
            ("lts/*", 1, None),
            ("", 1, None),
        ] {
            assert_eq!(version(text, parts).as_deref(), expected, "{text}");
        }
        assert!(is_plain("a-b_c.1") && !is_plain("a b") && !is_plain("-a") && !is_plain(".."));
    }
}
