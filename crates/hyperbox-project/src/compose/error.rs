// SPDX-License-Identifier: MIT
//! What can be wrong with a project's files, with the place where it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::tree::At;

/// A key of a document, such as `services.web.ports[0]`.
///
/// Paths share what they have in common: one is made for each key that is looked at, and read only when something is wrong there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyPath(Option<Arc<Link>>);

#[derive(Debug, PartialEq, Eq)]
struct Link {
    parent: KeyPath,
    segment: Segment,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Key(Box<str>),
    Index(usize),
}

impl KeyPath {
    /// The path of a member of a map.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// The path of an item of a list.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// A path of keys alone.
    pub(crate) fn of(keys: &[&str]) -> Self {
        keys.iter().fold(Self::default(), |path, key| path.key(key))
    }

    /// Whether it is the document itself.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_none()
    }

    fn with(&self, segment: Segment) -> Self {
        let parent = self.clone();
        Self(Some(Arc::new(Link { parent, segment })))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Documents are not so deep that this is.
        let Some(link) = &self.0 else { return Ok(()) };
        link.parent.fmt(formatter)?;
        match &link.segment {
            Segment::Key(key) if link.parent.is_root() => formatter.write_str(key),
            Segment::Key(key) => write!(formatter, ".{key}"),
            Segment::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}

/// Something wrong at a place of a document; becomes a [`LoadError`] when the names of the files are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: At,
    pub(crate) key: KeyPath,
    pub(crate) reason: Reason,
}

impl Fault {
    pub(crate) fn new(at: At, key: &KeyPath, reason: Reason) -> Self {
        Self {
            at,
            key: key.clone(),
            reason,
        }
    }

    /// A fault told by a sentence of its own.
    pub(crate) fn said(at: At, key: &KeyPath, sentence: impl Into<String>) -> Self {
        Self::new(at, key, Reason::Invalid(sentence.into()))
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text is not YAML.
    #[error("not valid YAML: {0}")]
    Syntax(String),
    /// The document is too large or too deep once its aliases are followed.
    #[error("the document is too {0}")]
    TooMuch(&'static str),
    /// A key that Compose does not know; the second is one that looks like it.
    #[error("unknown key {name:?}{}", .similar.map(|key| format!(", did you mean {key:?}?")).unwrap_or_default())]
    UnknownKey {
        /// The key.
        name: String,
        /// A known key that is spelled nearly so.
        similar: Option<&'static str>,
    },
    /// A value of another kind than the key takes.
    #[error("must be {expected}, not {found}")]
    WrongKind {
        /// What the key takes.
        expected: String,
        /// What was written.
        found: String,
    },
    /// A `$` expression that cannot be read.
    #[error("invalid interpolation {0:?}; write $$ for a dollar sign")]
    Interpolation(String),
    /// `${NAME:?message}` and there is no such variable.
    #[error("required variable {name} is missing a value{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Required {
        /// The variable.
        name: String,
        /// What the file says about it.
        message: String,
    },
    /// Anything else, in words.
    #[error("{0}")]
    Invalid(String),
}

/// Why a project's files cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file cannot be read.
    #[error("{path}: {reason}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Something is wrong at a place of a file.
    #[error("{}", place(.path, *.line, *.column, .key, .reason))]
    Content {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1; 0 when it cannot be said.
        line: u32,
        /// Which column, from 1.
        column: u32,
        /// Which key.
        key: KeyPath,
        /// What is wrong there.
        reason: Reason,
    },
    /// Nothing is described by any of the files.
    #[error("the files {0} describe nothing")]
    Empty(String),
}

fn place(path: &std::path::Path, line: u32, column: u32, key: &KeyPath, reason: &Reason) -> String {
    let mut text = path.display().to_string();
    if line > 0 {
        text.push_str(&format!(":{line}:{column}"));
    }
    if !key.is_root() {
        text.push_str(&format!(": {key}"));
    }
    format!("{text}: {reason}")
}
