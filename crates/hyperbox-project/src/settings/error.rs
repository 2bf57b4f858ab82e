// SPDX-License-Identifier: MIT
//! What can be wrong with `hyperbox.toml`.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Place;

/// Something wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{}:{}: {}{reason}", .path.display(), .at.line, .at.column, prefix(.key))]
pub struct SettingsError {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub at: Place,
    /// Which key; empty when it cannot be said.
    pub key: String,
    /// What is wrong there.
    pub reason: String,
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

impl SettingsError {
    pub(crate) fn new(path: &Path, at: Place, key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            at,
            key: key.into(),
            reason: reason.into(),
        }
    }
}

/// The place of a range of bytes.
pub(crate) fn place(text: &str, span: &Range<usize>) -> Place {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    Place {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}
