// SPDX-License-Identifier: MIT
//! Comments that describe what is defined below them: `# NAME what it is`.

use std::collections::BTreeMap;

use crate::{Dockerfile, Lines, ParseError, logical};

/// The comments before each instruction, by its first line.
#[derive(Debug)]
pub(super) struct Comments(BTreeMap<usize, Vec<String>>);

impl Comments {
    /// Reads the comments of a file.
    ///
    /// # Errors
    /// As [`Dockerfile::parse`], which would have told before.
    pub(super) fn of(text: &str, file: &Dockerfile) -> Result<Self, ParseError> {
        let lines = logical::split(text, file.directives.escape)?;
        Ok(Self(
            lines.into_iter().map(|one| (one.lines.first, one.comments)).collect(),
        ))
    }

    /// Returns what is said of something that is defined in these lines; nothing without a name.
    pub(super) fn describe(&self, lines: Lines, name: &str) -> String {
        let said = self.0.get(&lines.first).map(Vec::as_slice).unwrap_or_default();
        let mut said = said.iter().filter(|_| !name.is_empty());
        let found = said.find_map(|comment| comment.strip_prefix(name)?.strip_prefix(' '));
        found.unwrap_or_default().to_owned()
    }
}
