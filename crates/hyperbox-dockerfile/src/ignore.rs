// SPDX-License-Identifier: MIT
//! `.dockerignore`: which files of a context a build does not see.
//!
//! Each line is a pattern from the context's root; the last that matches a path or a directory above it decides, `!` takes back. A
//! line that begins with `#` is a comment.

use crate::pattern::path::Pattern;

/// The rules of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    takes_back: bool,
}

/// A line that is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing .dockerignore: line {line}: {message}: {text:?}")]
pub struct IgnoreError {
    line: usize,
    text: String,
    message: &'static str,
}

impl Ignore {
    /// Parses a file.
    ///
    /// # Errors
    /// The first malformed pattern.
    pub fn parse(text: &str) -> Result<Self, IgnoreError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let error = |message| IgnoreError {
                line: index + 1,
                text: line.to_owned(),
                message,
            };
            let trimmed = line.trim();
            let (takes_back, pattern) = match trimmed.strip_prefix('!') {
                Some("") => return Err(error("illegal exclusion pattern")),
                Some(rest) => (true, rest.trim()),
                None => (false, trimmed),
            };
            let cleaned = clean(pattern);
            // The root itself is never left out.
            if cleaned.is_empty() {
                continue;
            }
            let pattern = Pattern::parse(&cleaned).map_err(error)?;
            rules.push(Rule { pattern, takes_back });
        }
        Ok(Self { rules })
    }

    /// Tells whether a build does not see a path, which is relative and without `.` or `..`.
    pub fn excludes(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        let mut excluded = false;
        for rule in &self.rules {
            // What stands does not change what is so already.
            if rule.takes_back == excluded && rule.covers(&names) {
                excluded = !rule.takes_back;
            }
        }
        excluded
    }

    /// Tells whether any pattern takes something back.
    pub fn takes_back(&self) -> bool {
        self.rules.iter().any(|rule| rule.takes_back)
    }

    /// Tells whether something below an excluded directory may be seen all the same, so that it must be walked.
    pub fn may_take_back_below(&self, directory: &str) -> bool {
        let names: Vec<&str> = directory.split('/').filter(|name| !name.is_empty()).collect();
        let mut rules = self.rules.iter().filter(|rule| rule.takes_back);
        rules.any(|rule| rule.covers(&names) || rule.pattern.may_match_below(&names))
    }
}

impl Rule {
    /// Tells whether it matches the path or a directory above it.
    fn covers(&self, names: &[&str]) -> bool {
        (1..=names.len()).any(|length| {
            let path = &names[..length];
            self.pattern.matches(path) || self.pattern.matches_deep(path)
        })
    }
}

/// Takes away what says nothing: slashes at the ends, `.`; and resolves `..`, which never leaves the root.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = pattern.starts_with('/');
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            // What leads out of the root is nothing in it.
            ".." if parts.last().is_none_or(|last| *last == "..") && !rooted => parts.push(part),
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn excluded(rules: &str, path: &str) -> bool {
        Ignore::parse(rules).unwrap().excludes(path)
    }

    #[test]
    fn patterns() {
        for (rules, out, seen) in [
            ("a", vec!["a", "a/b", "a/b/c"], vec!["b/a", "ab"]),
            ("/a/", vec!["a", "a/b"], vec!["b/a"]),
            (
                "*/temp*",
                vec!["x/temp", "x/temporary.txt", "x/temp/y"],
                vec!["temp", "x/y/temp"],
            ),
            (
                "*.md\n!README*.md\nREADME-secret.md",
                vec!["x.md", "README-secret.md"],
                vec!["README.md", "a/x.md"],
            ),
            ("**/*.go", vec!["a.go", "x/y/a.go"], vec!["a.goo"]),
            ("a/**", vec!["a/b", "a/b/c"], vec!["a", "b"]),
            ("**", vec!["a", "a/b"], vec![]),
            ("a/**/b", vec!["a/b", "a/x/b", "a/x/y/b", "a/b/c"], vec!["a", "b"]),
            ("temp?", vec!["tempa"], vec!["temp", "tempab"]),
            ("[a-c]x", vec!["ax", "cx"], vec!["dx"]),
            ("[^a-c]x", vec!["dx"], vec!["ax"]),
            ("a\\*", vec!["a*"], vec!["ab"]),
            (
                "node_modules\n!node_modules/keep",
                vec!["node_modules", "node_modules/x"],
                vec!["node_modules/keep", "node_modules/keep/y"],
            ),
            ("# a\n\n  b  ", vec!["b"], vec!["# a", "a"]),
            ("x/../a", vec!["a"], vec!["x/a"]),
            ("../a", vec![], vec!["a"]),
            ("/../a", vec!["a"], vec![]),
            (".", vec![], vec!["a"]),
            ("*", vec!["a", "a/b"], vec![]),
            ("*\n!src/*.c", vec!["src", "src/a.h"], vec!["src/a.c"]),
        ] {
            for path in out {
                assert!(excluded(rules, path), "{rules:?} leaves {path} out");
            }
            for path in seen {
                assert!(!excluded(rules, path), "{rules:?} lets {path} be seen");
            }
        }
    }

    #[test]
    fn excluded_directories_are_walked_only_where_something_may_come_back() {
        let ignore = Ignore::parse("node_modules\n*.d\n!a/b/c\n!**/keep").unwrap();
        assert!(ignore.may_take_back_below("a"));
        let ignore = Ignore::parse("node_modules\n!a/b/c").unwrap();
        assert!(ignore.may_take_back_below("a/b") && !ignore.may_take_back_below("node_modules"));
        assert!(ignore.may_take_back_below("a/b/c/d"));
    }

    #[test]
    fn mistakes() {
        let message = |text| Ignore::parse(text).unwrap_err().to_string();
        assert_eq!(
            message("a\n["),
            "error parsing .dockerignore: line 2: syntax error in pattern: \"[\""
        );
        assert_eq!(
            message("!"),
            "error parsing .dockerignore: line 1: illegal exclusion pattern: \"!\""
        );
        assert!(Ignore::parse("a\\").is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(rules in "[ab*?!/\\[\\]^.\\\\-]{0,12}(\n[ab*?!/]{0,8})?", path in "[ab/]{0,8}") {
            if let Ok(ignore) = Ignore::parse(&rules) {
                ignore.excludes(&path);
                ignore.may_take_back_below(&path);
            }
        }

        #[test]
        fn what_comes_back_below_a_directory_is_found(rules in "([ab*!]{1,2}(/[ab*]{1,2})?\n){1,3}", path in "[ab](/[ab]){1,2}") {
            if let Ok(ignore) = Ignore::parse(&rules)
                && let Some((directory, _)) = path.rsplit_once('/')
                && ignore.excludes(directory)
                && !ignore.excludes(&path)
            {
                prop_assert!(ignore.may_take_back_below(directory), "{:?} {}", rules, path);
            }
        }
    }
}
