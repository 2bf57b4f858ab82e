// SPDX-License-Identifier: MIT
//! Logical lines: continuations joined, comments and empty lines gone, here-documents attached.

use crate::heredoc::{self, Heredoc};
use crate::{Lines, ParseError, directive};

/// One instruction as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logical {
    /// The keyword in upper case.
    pub(crate) keyword: String,
    /// All behind it, trimmed at its beginning.
    pub(crate) rest: String,
    /// All of it, as the history and ONBUILD show it.
    pub(crate) original: String,
    pub(crate) heredocs: Vec<Heredoc>,
    pub(crate) lines: Lines,
    /// The comments before it.
    pub(crate) comments: Vec<String>,
    /// The line that ends it, if an empty one is inside of it.
    pub(crate) empty_continuation: Option<usize>,
}

impl Logical {
    /// Returns the keyword as it is written.
    pub(crate) fn written(&self) -> &str {
        self.original.split(char::is_whitespace).next().unwrap_or_default()
    }
}

/// The instructions that may have here-documents.
const WITH_HEREDOCS: [&str; 3] = ["ADD", "COPY", "RUN"];

/// Splits a Dockerfile.
///
/// # Errors
/// A here-document that does not end.
pub(crate) fn split(text: &str, escape: char) -> Result<Vec<Logical>, ParseError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut physical = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let mut found = Vec::new();
    let mut comments = Vec::new();
    let directives = directive::count(text);
    while let Some((first, line)) = physical.next() {
        if is_ignored(line) {
            comments.extend(commented(line).filter(|_| first > directives));
            continue;
        }
        let (mut joined, mut continues) = without_continuation(line.trim_start(), escape);
        let (mut last, mut seen, mut has_empty) = (first, first, false);
        while continues {
            let Some((number, next)) = physical.next() else { break };
            seen = number;
            // Comments and empty lines inside of an instruction are no part of it, and do not end it.
            if is_ignored(next) {
                has_empty |= next.trim_start().is_empty();
                continue;
            }
            last = number;
            let (part, more) = without_continuation(next, escape);
            joined.push_str(&part);
            continues = more;
        }
        let mut logical = logical(joined, Lines { first, last });
        logical.comments = std::mem::take(&mut comments);
        logical.empty_continuation = has_empty.then_some(seen);
        for mut document in documents(&logical, escape) {
            let mut ended = false;
            for (number, line) in physical.by_ref() {
                logical.lines.last = number;
                ended = document.ends_at(line);
                if ended {
                    break;
                }
                document.push(line);
            }
            if !ended {
                return Err(ParseError::of_file(Some(logical.lines), "unterminated heredoc"));
            }
            logical.heredocs.push(document);
        }
        found.push(logical);
    }
    Ok(found)
}

/// Returns the text of a comment: what is behind its first character, which is all of an indented one.
fn commented(line: &str) -> Option<String> {
    let mut characters = line.chars();
    characters.next()?;
    (!line.trim_start().is_empty()).then(|| characters.as_str().trim().to_owned())
}

fn is_ignored(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

/// Returns the line without the escape character at its end, and whether there was one. White space may follow it.
fn without_continuation(line: &str, escape: char) -> (String, bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    match trimmed.strip_suffix(escape) {
        // An escaped escape character is a character.
        Some(rest) if (rest.len() - rest.trim_end_matches(escape).len()) % (2 * escape.len_utf8()) == 0 => {
            (rest.to_owned(), true)
        }
        _ => (line.to_owned(), false),
    }
}

fn logical(joined: String, lines: Lines) -> Logical {
    let text = joined.trim();
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Logical {
        keyword: keyword.to_ascii_uppercase(),
        rest: rest.trim_start().to_owned(),
        original: text.to_owned(),
        heredocs: Vec::new(),
        lines,
        comments: Vec::new(),
        empty_continuation: None,
    }
}

fn documents(logical: &Logical, escape: char) -> Vec<Heredoc> {
    let mut keyword = logical.keyword.as_str();
    let mut rest = logical.rest.as_str();
    let triggered;
    if keyword == "ONBUILD" {
        let (inner, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        triggered = inner.to_ascii_uppercase();
        (keyword, rest) = (&triggered, behind);
    }
    let exec_form = rest.trim_start().starts_with('[');
    if exec_form || !WITH_HEREDOCS.contains(&keyword) {
        return Vec::new();
    }
    heredoc::announced(rest, escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, String, usize, usize)> {
        split(text, '\\')
            .unwrap()
            .into_iter()
            .map(|one| (one.keyword, one.rest, one.lines.first, one.lines.last))
            .collect()
    }

    fn one(keyword: &str, rest: &str, first: usize, last: usize) -> (String, String, usize, usize) {
        (keyword.to_owned(), rest.to_owned(), first, last)
    }

    #[test]
    fn continuations_comments_and_empty_lines() {
        assert_eq!(
            shown("# c\n\nfrom a\nRUN a \\\n  # inside\n\n  b \\ \n  c\n  USER x\n"),
            [
                one("FROM", "a", 3, 3),
                one("RUN", "a   b   c", 4, 8),
                one("USER", "x", 9, 9)
            ]
        );
        assert_eq!(
            shown("RUN a\\\\\nUSER b"),
            [one("RUN", "a\\\\", 1, 1), one("USER", "b", 2, 2)]
        );
        assert_eq!(shown("RUN a \\"), [one("RUN", "a", 1, 1)]);
        assert_eq!(
            shown("\u{feff}FROM a\r\nUSER b\r\n"),
            [one("FROM", "a", 1, 1), one("USER", "b", 2, 2)]
        );
        assert_eq!(shown("   # only\n"), []);
    }

    #[test]
    fn here_documents_belong_to_their_line() {
        let found = split(
            "RUN <<A cat <<-B\n# no comment\n\\\nA\n\tb\n\tB\nUSER x\nUSER <<C",
            '\\',
        )
        .unwrap();
        assert_eq!(found.len(), 3);
        let contents: Vec<&str> = found[0].heredocs.iter().map(|one| one.content.as_str()).collect();
        assert_eq!(contents, ["# no comment\n\\\n", "b\n"]);
        assert_eq!(found[0].lines, Lines { first: 1, last: 6 });
        assert_eq!(split("ONBUILD RUN <<A\nx\nA\n", '\\').unwrap()[0].heredocs.len(), 1);
        assert_eq!(split("RUN [\"a\", \"<<B\"]\n", '\\').unwrap()[0].heredocs.len(), 0);
        let error = split("FROM a\nRUN <<A\nx\n", '\\').unwrap_err();
        assert_eq!(error.to_string(), "unterminated heredoc");
    }
}
