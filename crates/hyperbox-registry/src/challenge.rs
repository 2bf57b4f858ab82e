// SPDX-License-Identifier: MIT
//! `WWW-Authenticate`: challenges as RFC 9110 §11.6.1 writes them. Pure.
//!
//! The grammar is ambiguous about commas (between parameters and between challenges); a token that is followed by `=` is a
//! parameter, one that is not starts a challenge. Whatever does not parse is skipped, never an error: a server may offer schemes
//! that this client has never heard of beside one that it knows.

use std::collections::BTreeMap;

/// An authentication scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// User name and password with each request (RFC 7617).
    Basic,
    /// A token, fetched from `realm` (distribution's `token` specification).
    Bearer,
    /// Anything else, in lower case.
    Other(String),
}

/// One challenge with its parameters; names are in lower case, the first of equal ones counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// The scheme.
    pub scheme: Scheme,
    /// The parameters.
    pub parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// Returns a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }
}

/// The most bytes of one header and the most challenges that are looked at.
const MAX_HEADER: usize = 16 * 1024;
const MAX_CHALLENGES: usize = 16;

/// Parses one header value; a response may have several headers, to be chained by the caller.
pub fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    if header.len() > MAX_HEADER {
        return challenges;
    }
    let mut rest = Scanner { text: header };
    while challenges.len() < MAX_CHALLENGES {
        rest.skip(|character| character.is_ascii_whitespace() || character == ',');
        if rest.text.is_empty() {
            break;
        }
        let word = rest.token();
        if word.is_empty() {
            rest.skip_garbage();
            continue;
        }
        rest.skip(|character| matches!(character, ' ' | '\t'));
        // `Negotiate dGVzdA==` has a token68, not a parameter: nothing follows its padding.
        let value = rest.value_after_equals();
        match (value, challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let name = word.to_ascii_lowercase();
                challenge.parameters.entry(name).or_insert(value);
            }
            // A parameter before any scheme: garbage.
            (Some(_), None) => {}
            (None, _) => challenges.push(Challenge {
                scheme: scheme(word),
                parameters: BTreeMap::new(),
            }),
        }
    }
    challenges
}

fn scheme(word: &str) -> Scheme {
    match word.to_ascii_lowercase().as_str() {
        "basic" => Scheme::Basic,
        "bearer" => Scheme::Bearer,
        other => Scheme::Other(other.to_owned()),
    }
}

struct Scanner<'a> {
    text: &'a str,
}

impl<'a> Scanner<'a> {
    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.text = self.text.trim_start_matches(unwanted);
    }

    /// Takes a token (RFC 9110 §5.6.2), perhaps an empty one.
    fn token(&mut self) -> &'a str {
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.text.find(|c: char| !is_token(c)).unwrap_or(self.text.len());
        let (token, rest) = self.text.split_at(end);
        self.text = rest;
        token
    }

    /// Drops everything up to the next comma that is outside quotes, at least one character.
    fn skip_garbage(&mut self) {
        if self.text.starts_with('"') {
            self.quoted();
            return;
        }
        let mut characters = self.text.chars();
        characters.next();
        self.text = characters.as_str();
        self.skip(|character| character != ',' && character != '"');
    }

    fn value_after_equals(&mut self) -> Option<String> {
        self.text = self.text.strip_prefix('=')?;
        self.skip(|character| matches!(character, ' ' | '\t'));
        if self.text.starts_with('"') {
            return Some(self.quoted());
        }
        // Servers leave the quotes off around URLs, too: take everything up to a separator.
        let end = self
            .text
            .find(|c: char| c == ',' || c.is_ascii_whitespace())
            .unwrap_or(self.text.len());
        let (value, rest) = self.text.split_at(end);
        self.text = rest;
        Some(value.to_owned())
    }

    /// Takes a quoted string; one that is never closed ends with the header.
    fn quoted(&mut self) -> String {
        let mut value = String::new();
        let mut characters = self.text.chars();
        characters.next();
        while let Some(character) = characters.next() {
            match character {
                '"' => break,
                '\\' => value.extend(characters.next()),
                other => value.push(other),
            }
        }
        self.text = characters.as_str();
        value
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn shown(header: &str) -> String {
        let challenges = parse_challenges(header).into_iter().map(|challenge| {
            let parameters: Vec<String> = challenge
                .parameters
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!("{:?}[{}]", challenge.scheme, parameters.join(" & "))
        });
        challenges.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn challenges_of_real_and_odd_servers() {
        for (header, expected) in [
            (
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
                "Bearer[realm=https://auth.docker.io/token & scope=repository:a/b:pull,push & service=registry.docker.io]",
            ),
            (r#"Basic realm="Registry Realm""#, "Basic[realm=Registry Realm]"),
            ("basic", "Basic[]"),
            (
                r#"BASIC realm="a", Bearer realm="b", error="invalid_token""#,
                "Basic[realm=a] Bearer[error=invalid_token & realm=b]",
            ),
            (
                r#"Digest qop="auth, auth-int" , Basic realm=x"#,
                r#"Other("digest")[qop=auth, auth-int] Basic[realm=x]"#,
            ),
            (
                r#"Bearer realm="a \"quoted\" \\ one""#,
                r#"Bearer[realm=a "quoted" \ one]"#,
            ),
            (
                r#"Bearer realm = "spaced" , service = s"#,
                "Bearer[realm=spaced & service=s]",
            ),
            (
                "Bearer realm=https://x/token,service=y",
                "Bearer[realm=https://x/token & service=y]",
            ),
            ("Negotiate, Basic realm=\"x\"", "Other(\"negotiate\")[] Basic[realm=x]"),
            (r#"Bearer realm="first",realm="second""#, "Bearer[realm=first]"),
            (
                r#"Bearer realm="never closed, Basic"#,
                "Bearer[realm=never closed, Basic]",
            ),
            (r#"Bearer realm="""#, "Bearer[realm=]"),
            (r#"realm="without scheme", Basic"#, "Basic[]"),
            (r#""garbage" {} , Basic realm="x""#, "Basic[realm=x]"),
            ("=,=,\"", ""),
            (",,, ,", ""),
            ("", ""),
            ("Bearer realm", "Bearer[] Other(\"realm\")[]"),
            ("Bearer REALM=\"ü\"", "Bearer[realm=ü]"),
        ] {
            assert_eq!(shown(header), expected, "{header}");
        }
    }

    #[test]
    fn floods_are_cut() {
        assert_eq!(parse_challenges(&"Basic, ".repeat(1000)).len(), MAX_CHALLENGES);
        assert!(parse_challenges(&"x".repeat(MAX_HEADER + 1)).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_survived(header in any::<String>()) {
            parse_challenges(&header);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]{0,40}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
            let challenges = parse_challenges(&format!("Bearer realm=\"{escaped}\", Basic"));
            assert_eq!(challenges.len(), 2);
            assert_eq!(challenges[0].parameter("realm"), Some(value.as_str()));
        }
    }
}
