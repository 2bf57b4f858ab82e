// SPDX-License-Identifier: MIT
//! Parser directives: `# name=value` comments before anything else.
//!
//! The first line that is no directive ends them: another comment, an empty line, an instruction. An unknown name is a comment.

use crate::{Lines, ParseError};

/// What directives say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `syntax`: the frontend that reads the file.
    pub syntax: Option<String>,
    /// `escape`: what continues a line and takes a character's meaning; a backslash unless told otherwise.
    pub escape: char,
    /// `check`: how build checks are configured, as written.
    pub check: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: None,
        }
    }
}

impl Directives {
    /// Reads the directives of a Dockerfile.
    ///
    /// # Errors
    /// A directive that is given twice; an `escape` that is neither a backslash nor a backtick.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut directives = Self::default();
        let mut seen = Vec::new();
        for (index, line) in text.lines().enumerate() {
            // Scripts may begin with an interpreter's line.
            if index == 0 && line.starts_with("#!") {
                continue;
            }
            let Some((name, value)) = split(line) else { break };
            if seen.contains(&name) {
                let message = format!("only one {name} parser directive can be used");
                return Err(ParseError::of_file(Some(Lines::one(1)), &message));
            }
            match name.as_str() {
                "syntax" => directives.syntax = Some(value.to_owned()),
                "check" => directives.check = Some(value.to_owned()),
                "escape" => directives.escape = escape(value)?,
                _ => break,
            }
            seen.push(name);
        }
        Ok(directives)
    }
}

/// Counts the lines at the beginning of a Dockerfile that are directives.
pub(crate) fn count(text: &str) -> usize {
    let is_directive = |(index, line): &(usize, &str)| {
        let known = |(name, _): (String, &str)| matches!(name.as_str(), "syntax" | "check" | "escape");
        (*index == 0 && line.starts_with("#!")) || split(line).is_some_and(known)
    };
    text.lines().enumerate().take_while(is_directive).count()
}

fn escape(value: &str) -> Result<char, ParseError> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => {
            let message = format!("invalid escape token '{other}' does not match ` or \\");
            Err(ParseError::of_file(None, &message))
        }
    }
}

/// Splits `# name = value`.
fn split(line: &str) -> Option<(String, &str)> {
    let rest = line.trim_start_matches('\u{feff}').trim_start().strip_prefix('#')?;
    let (name, value) = rest.split_once('=')?;
    let name = name.trim();
    let valid = name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.chars().all(|each| each.is_ascii_alphanumeric());
    (valid && !value.trim().is_empty()).then(|| (name.to_ascii_lowercase(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_end_at_the_first_other_line() {
        let parsed = |text| Directives::parse(text).unwrap();
        assert_eq!(parsed("# syntax=docker/dockerfile:1\n# escape=`\nFROM a").escape, '`');
        assert_eq!(parsed("#syntax = x\nFROM a").syntax.as_deref(), Some("x"));
        assert_eq!(parsed("\n# escape=`\nFROM a").escape, '\\');
        assert_eq!(parsed("# a comment\n# escape=`\nFROM a").escape, '\\');
        assert_eq!(parsed("# unknown=1\n# escape=`\nFROM a").escape, '\\');
        assert_eq!(parsed("FROM a\n# escape=`\n").escape, '\\');
        assert_eq!(parsed("#!/bin/x\n# check=skip=all").check.as_deref(), Some("skip=all"));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |text| Directives::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("# escape=x\nFROM a"),
            "invalid escape token 'x' does not match ` or \\"
        );
        assert_eq!(
            message("# escape=`\n# escape=`\n"),
            "only one escape parser directive can be used"
        );
    }
}
