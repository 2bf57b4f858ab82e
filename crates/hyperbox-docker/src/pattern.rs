// SPDX-License-Identifier: MIT
//! The two pattern languages of Docker's filters: regular expressions (names) and globs (image references). Pure.
//!
//! Patterns come from clients: regular expressions run in linear time and are bounded in size, globs backtrack over one star only.

use regex_lite::RegexBuilder;

/// Tells whether a regular expression is found in `source`; one that cannot be compiled matches only itself.
pub(crate) fn finds(pattern: &str, source: &str) -> bool {
    if pattern == source {
        return true;
    }
    RegexBuilder::new(pattern)
        .size_limit(64 * 1024)
        .build()
        .is_ok_and(|regex| regex.is_match(source))
}

/// Tells whether Go's `path.Match` takes a pattern: brackets are closed and have something in them, and nothing ends with a backslash.
pub(crate) fn is_glob(pattern: &str) -> bool {
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.next().is_none() => return false,
            '[' => {
                characters.next_if_eq(&'^');
                let mut members = 0;
                loop {
                    match characters.next() {
                        Some(']') if members > 0 => break,
                        Some('\\') if characters.next().is_some() => members += 1,
                        Some('\\' | ']') | None => return false,
                        Some(_) => members += 1,
                    }
                }
            }
            _ => {}
        }
    }
    true
}

/// Matches a shell pattern as Go's `path.Match`: `*` and `?` do not match a slash.
pub(crate) fn glob(pattern: &str, source: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let source: Vec<char> = source.chars().collect();
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < source.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, from));
            at += 1;
            continue;
        }
        match one(&pattern, at, source[from]) {
            Some(next) => {
                at = next;
                from += 1;
            }
            None => match star {
                Some((star_at, star_from)) if source[star_from] != '/' => {
                    star = Some((star_at, star_from + 1));
                    at = star_at + 1;
                    from = star_from + 1;
                }
                _ => return false,
            },
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

/// Matches one character against the pattern element at `at`; returns where the next element begins.
fn one(pattern: &[char], at: usize, c: char) -> Option<usize> {
    match *pattern.get(at)? {
        '?' => (c != '/').then_some(at + 1),
        '[' => class(pattern, at + 1, c),
        '\\' => (*pattern.get(at + 1)? == c).then_some(at + 2),
        literal => (literal == c).then_some(at + 1),
    }
}

fn class(pattern: &[char], mut at: usize, c: char) -> Option<usize> {
    let negated = pattern.get(at) == Some(&'^');
    at += usize::from(negated);
    let mut inside = false;
    let first = at;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            break;
        }
        let high = if pattern.get(at + 1) == Some(&'-') && pattern.get(at + 2).is_some_and(|c| *c != ']') {
            at += 2;
            pattern[at]
        } else {
            low
        };
        inside |= (low..=high).contains(&c);
        at += 1;
    }
    (inside != negated).then_some(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_that_are_none() {
        for (pattern, expected) in [
            ("", true),
            ("a*?b", true),
            ("[a-z]x", true),
            ("[^a]", true),
            ("[\\]]", true),
            ("[", false),
            ("[]", false),
            ("[a", false),
            ("a\\", false),
        ] {
            assert_eq!(is_glob(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, source, expected) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox:latest", true),
            ("*:latest", "busybox:latest", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("b?sybox", "busybox", true),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("", "", true),
            ("[", "x", false),
            ("\\*", "*", true),
        ] {
            assert_eq!(glob(pattern, source), expected, "{pattern} {source}");
        }
    }
}
