// SPDX-License-Identifier: MIT
//! Patterns of sources: Go's `filepath.Match`, in which `*`, `?` and classes never match a slash. Pure, on bytes; linear in pattern
//! times path.

/// Tells whether a text is a pattern. What is escaped is none.
pub(super) fn is_pattern(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// A malformed pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Byte(u8),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

impl Pattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// An unended class or escape.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            rest = after;
            tokens.push(match first {
                b'*' => Token::Any,
                b'?' => Token::One,
                b'\\' => {
                    let (escaped, after) = rest.split_first().ok_or(Malformed)?;
                    rest = after;
                    Token::Byte(*escaped)
                }
                b'[' => {
                    let (class, after) = class(rest)?;
                    rest = after;
                    class
                }
                byte => Token::Byte(*byte),
            });
        }
        Ok(Self(tokens))
    }

    /// Tells whether it matches a whole path.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        // For each number of bytes: whether the tokens so far match so much.
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        for token in &self.0 {
            let mut next = vec![false; path.len() + 1];
            for start in 0..=path.len() {
                let carried = *token == Token::Any && next[start];
                if !reached[start] && !carried {
                    continue;
                }
                match token {
                    Token::Any => {
                        next[start] = true;
                        if path.get(start).is_some_and(|byte| *byte != b'/') {
                            next[start + 1] = true;
                        }
                    }
                    Token::Byte(byte) if path.get(start) == Some(byte) => next[start + 1] = true,
                    Token::Byte(_) => {}
                    Token::One | Token::Class { .. } => {
                        if let Some((character, length)) = character(&path[start..])
                            && token.has(character)
                        {
                            next[start + length] = true;
                        }
                    }
                }
            }
            reached = next;
        }
        reached[path.len()]
    }
}

impl Token {
    fn has(&self, character: char) -> bool {
        match self {
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != *negated
            }
            _ => character != '/',
        }
    }
}

/// Takes a character; a byte that is none is one of its own, as in Go.
fn character(bytes: &[u8]) -> Option<(char, usize)> {
    let first = bytes.first()?;
    let longest = bytes.len().min(4);
    let valid = (1..=longest).find_map(|length| {
        let text = std::str::from_utf8(&bytes[..length]).ok()?;
        text.chars().next().map(|character| (character, length))
    });
    valid.or((*first >= 0x80).then_some((char::REPLACEMENT_CHARACTER, 1)))
}

fn class(text: &[u8]) -> Result<(Token, &[u8]), Malformed> {
    let (negated, mut rest) = match text.strip_prefix(b"^") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(b"]")
            && !ranges.is_empty()
        {
            return Ok((Token::Class { negated, ranges }, after));
        }
        let (first, after) = bound(rest)?;
        rest = after;
        let mut last = first;
        if let Some(after) = rest.strip_prefix(b"-") {
            (last, rest) = bound(after)?;
        }
        ranges.push((first, last));
    }
}

fn bound(text: &[u8]) -> Result<(char, &[u8]), Malformed> {
    let text = match text.first() {
        None | Some(b'-' | b']') => return Err(Malformed),
        Some(b'\\') => &text[1..],
        Some(_) => text,
    };
    let (character, length) = character(text).ok_or(Malformed)?;
    Ok((character, &text[length..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_gos() {
        // The table of Go's `path/filepath/match_test.go`, shortened.
        for (pattern, path, expected) in [
            ("abc", "abc", Some(true)),
            ("*", "abc", Some(true)),
            ("*c", "abc", Some(true)),
            ("a*", "a", Some(true)),
            ("a*", "ab/c", Some(false)),
            ("a*/b", "abc/b", Some(true)),
            ("a*/b", "a/c/b", Some(false)),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", Some(true)),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", Some(false)),
            ("ab[c]", "abc", Some(true)),
            ("ab[b-d]", "abc", Some(true)),
            ("ab[^b-d]", "abc", Some(false)),
            ("a\\*b", "a*b", Some(true)),
            ("a\\*b", "ab", Some(false)),
            ("a?b", "a☺b", Some(true)),
            ("a[^a]b", "a☺b", Some(true)),
            ("[a-ζ]*", "α", Some(true)),
            ("a?b", "a/b", Some(false)),
            ("a*b", "a/b", Some(false)),
            ("[\\]a]", "]", Some(true)),
            ("[\\-x]", "-", Some(true)),
            ("[x\\-]", "z", Some(false)),
            ("[]a]", "]", None),
            ("[-]", "-", None),
            ("[x-]", "x", None),
            ("[a-b-c]", "a", None),
            ("[", "a", None),
            ("[^bc", "a", None),
            ("a[", "ab", None),
            ("a\\", "a", None),
            ("*x", "xxx", Some(true)),
            ("", "", Some(true)),
            ("", "a", Some(false)),
        ] {
            let found = Pattern::parse(pattern.as_bytes()).ok();
            assert_eq!(
                found.map(|pattern| pattern.matches(path.as_bytes())),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn what_is_escaped_is_no_pattern() {
        assert!(is_pattern(b"a*") && is_pattern(b"a/[b]") && !is_pattern(b"a\\*") && !is_pattern(b"a\\"));
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in prop::collection::vec(any::<u8>(), 0..12), path in prop::collection::vec(any::<u8>(), 0..12)) {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                pattern.matches(&path);
            }
        }

        #[test]
        fn a_plain_text_matches_itself(path in "[a-z/é]{0,12}") {
            prop_assert!(Pattern::parse(path.as_bytes()).is_ok_and(|pattern| pattern.matches(path.as_bytes())));
        }
    }
}
