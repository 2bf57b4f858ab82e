// SPDX-License-Identifier: MIT
//! Here-documents: `<<EOF` in the arguments of RUN, COPY and ADD, and the lines up to the one that ends them.

use crate::word;

/// A text that stands in the Dockerfile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it; for COPY and ADD the file's name.
    pub name: String,
    /// The file descriptor before `<<`, as written; empty for standard input.
    pub descriptor: String,
    /// The lines, each with its line end; leading tabs are gone if [`Self::strips_tabs`].
    pub content: String,
    /// Whether variables in it are replaced: not when any part of the word was quoted.
    pub expands: bool,
    /// Whether it was written `<<-`.
    pub strips_tabs: bool,
}

/// Finds the here-documents that the words of a line announce, in their order, still without content.
pub(crate) fn announced(line: &str, escape: char) -> Vec<Heredoc> {
    word::split(line, escape)
        .iter()
        .filter_map(|text| one(text, escape))
        .collect()
}

/// Reads `3<<-"EOF"`.
fn one(text: &str, escape: char) -> Option<Heredoc> {
    let digits = text.len() - text.trim_start_matches(|each: char| each.is_ascii_digit()).len();
    let (descriptor, rest) = text.split_at(digits);
    let rest = rest.strip_prefix("<<")?;
    let (strips_tabs, quoted) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    if quoted.contains('<') {
        return None;
    }
    let name = word::unquote(quoted, escape);
    if name.is_empty() || name.contains(['$', '\n']) {
        return None;
    }
    Some(Heredoc {
        expands: name == quoted,
        name,
        descriptor: descriptor.to_owned(),
        content: String::new(),
        strips_tabs,
    })
}

impl Heredoc {
    /// Tells whether this line ends it.
    pub(crate) fn ends_at(&self, line: &str) -> bool {
        let line = if self.strips_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }

    /// Takes a line of content, without its line end.
    pub(crate) fn push(&mut self, line: &str) {
        let line = if self.strips_tabs {
            line.trim_start_matches('\t')
        } else {
            line
        };
        self.content.push_str(line);
        self.content.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_announce_here_documents() {
        let found = |line| -> Vec<(String, String, bool, bool)> {
            announced(line, '\\')
                .into_iter()
                .map(|one| (one.name, one.descriptor, one.expands, one.strips_tabs))
                .collect()
        };
        let one = |name: &str, descriptor: &str, expands, strips| {
            vec![(name.to_owned(), descriptor.to_owned(), expands, strips)]
        };
        assert_eq!(found("RUN <<EOF"), one("EOF", "", true, false));
        assert_eq!(found("RUN <<-'EOF'"), one("EOF", "", false, true));
        assert_eq!(found("RUN cat 3<<\"A B\""), one("A B", "3", false, false));
        assert_eq!(found("RUN cat '<<EOF'"), []);
        assert_eq!(found("RUN a <<< b"), []);
        assert_eq!(found("RUN echo $((1<<2))"), []);
        assert_eq!(found("COPY <<a <<b /").len(), 2);
    }
}
