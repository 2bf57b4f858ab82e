// SPDX-License-Identifier: MIT
//! Where something is in a Dockerfile, and what is wrong there.

use std::fmt::{self, Write as _};

/// A range of lines, counted from one, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lines {
    /// The first.
    pub first: usize,
    /// The last; never before the first.
    pub last: usize,
}

impl Lines {
    /// A single line.
    pub const fn one(line: usize) -> Self {
        Self {
            first: line,
            last: line,
        }
    }

    /// Shows the lines in their surroundings, the lines themselves marked, as Docker's clients do below an error.
    ///
    /// Two lines before and after are shown, one if several are marked, also the empty one behind the last line end. `name` is the file's; line numbers beyond the text
    /// show nothing.
    pub fn excerpt(&self, name: &str, text: &str) -> String {
        let around = if self.first == self.last { 2 } else { 1 };
        let mut shown = format!("{name}:{}\n--------------------\n", self.first);
        for (index, line) in text.split('\n').enumerate() {
            let line = line.trim_end_matches('\r');
            let number = index + 1;
            if number + around < self.first || number > self.last + around {
                continue;
            }
            let mark = if (self.first..=self.last).contains(&number) {
                ">>>"
            } else {
                "   "
            };
            // Writing to a string cannot fail.
            let _infallible = writeln!(shown, "{number:>4} | {mark} {line}");
        }
        shown.push_str("--------------------\n");
        shown
    }
}

/// Why a Dockerfile is refused: Docker's words, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Where; `None` when it is the whole file.
    pub lines: Option<Lines>,
    /// What is wrong.
    pub message: String,
    /// Whether it is an instruction that is malformed, which is said with its line, or the file.
    pub(crate) is_instruction: bool,
}

impl std::error::Error for ParseError {}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lines.filter(|_| self.is_instruction) {
            Some(lines) => write!(
                formatter,
                "dockerfile parse error on line {}: {}",
                lines.first, self.message
            ),
            None => formatter.write_str(&self.message),
        }
    }
}

impl ParseError {
    pub(crate) fn at(lines: Lines, message: impl Into<String>) -> Self {
        Self {
            lines: Some(lines),
            message: message.into(),
            is_instruction: true,
        }
    }

    /// What is wrong with the file as a whole.
    pub(crate) fn of_file(lines: Option<Lines>, message: &str) -> Self {
        Self {
            lines,
            message: message.to_owned(),
            is_instruction: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_marks_the_lines_in_their_surroundings() {
        let text = "FROM a\nRUN b\nFOO \\\n c\nRUN d\nRUN e\nRUN f\n";
        assert_eq!(
            Lines { first: 3, last: 4 }.excerpt("Dockerfile", text),
            "Dockerfile:3\n--------------------\n   2 |     RUN b\n   3 | >>> FOO \\\n   4 | >>>  c\n   5 |     RUN d\n--------------------\n"
        );
        assert_eq!(
            Lines::one(3).excerpt("Dockerfile", "FROM a\nRUN b\nFOO c\nRUN d\nRUN e\nRUN f\n"),
            "Dockerfile:3\n--------------------\n   1 |     FROM a\n   2 |     RUN b\n   3 | >>> FOO c\n   4 |     RUN d\n   5 |     RUN e\n--------------------\n"
        );
    }

    #[test]
    fn an_error_names_its_line() {
        let error = ParseError::at(Lines::one(2), "unknown instruction: FOO");
        assert_eq!(
            error.to_string(),
            "dockerfile parse error on line 2: unknown instruction: FOO"
        );
    }
}
