// SPDX-License-Identifier: MIT
//! What differs between any two runs of the same commands becomes the same text. Pure.
//!
//! Identifiers are numbered in the order of their appearance, so that a comparison still sees which of them are the same; an
//! id and its first twelve digits get the same number. The columns of tables lose their width, as it depends on what is in them.

use regex_lite::{Captures, Regex};

use crate::script::{Outcome, Rule};

/// The memory of one case.
#[derive(Debug)]
pub struct Normaliser {
    /// Texts that name places of this run, with what they are called; longest first.
    places: Vec<(String, String)>,
    identifiers: Vec<String>,
    patterns: Vec<(Regex, &'static str)>,
    identifier: Regex,
    time: Regex,
}

/// Times of the test images, which are the same everywhere, and Go's zero time.
const FIXED_TIMES: &[&str] = &["0001-01-01T00:00:00Z", "2024-01-01T00:00:00Z"];

const PATTERNS: &[(&str, &str)] = &[
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)? [+-]\d{4} [A-Z]+", "<time>"),
    (
        r"\b(Less than a second|About an? (minute|hour)|\d+ (second|minute|hour|day|week|month|year)s?)\b",
        "<duration>",
    ),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    // What comes out of the pools: Docker's 172.16.0.0/12 and 192.168.0.0/16, HyperBox's 10.0.0.0/8 when those are taken.
    (
        r"\b(172\.(1[6-9]|2\d|3[01])|192\.168|10\.\d{1,3})\.\d{1,3}\.\d{1,3}\b",
        "<address>",
    ),
    (r"<address>/\d+", "<address>/<length>"),
    (r#""IPPrefixLen": [1-9]\d*\b"#, "\"IPPrefixLen\": <length>"),
    (r"(0\.0\.0\.0|127\.0\.0\.1|\[::1?\]):[3-6]\d{4}\b", "$1:<port>"),
    (r#"("HostPort": ?)"[3-6]\d{4}""#, "$1\"<port>\""),
    (r"\b([1-9]\d*(\.\d+)?|0\.\d+)(e[+-]\d+)?[ ]?([kKMGT]i?)?B\b", "<size>"),
    // The client says this when the engine refuses before it has read everything: a race of the client's own.
    (r#"(?m)^time="?[^"\n]*"? level=error .*closed pipe"\n?"#, ""),
    // Which program of the engine could not start a process is no business of its clients.
    (
        r"runc create failed: unable to start container process: (error during container init: )?",
        "",
    ),
    (r"(?m)(\S) {2,}", "$1  "),
    (r"(?m)[ \t\r]+$", ""),
];

impl Normaliser {
    /// Makes one for a case; `places` are texts of this run with what they are called.
    ///
    /// # Panics
    /// When a pattern of this file is malformed.
    pub fn new(mut places: Vec<(String, String)>) -> Self {
        places.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let regex = |pattern: &str| Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        Self {
            places,
            identifiers: Vec::new(),
            patterns: PATTERNS.iter().map(|(pattern, name)| (regex(pattern), *name)).collect(),
            identifier: regex(r"\b([0-9a-f]{64}|[0-9a-f]{12})\b"),
            time: regex(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
        }
    }

    /// Makes what a step did comparable.
    ///
    /// # Panics
    /// When an expression of a rule is malformed.
    pub fn outcome(&mut self, stdout: &str, stderr: &str, code: i32, rules: &[Rule]) -> Outcome {
        let mut output = self.lines(stdout, rules);
        let errors = self.lines(stderr, rules);
        if rules.contains(&Rule::Sort) {
            output.sort();
        }
        let unless = |rule: Rule, lines: Vec<String>| if rules.contains(&rule) { Vec::new() } else { lines };
        Outcome {
            stdout: unless(Rule::IgnoreOutput, output),
            stderr: unless(Rule::IgnoreErrors, errors),
            code,
        }
    }

    fn lines(&mut self, text: &str, rules: &[Rule]) -> Vec<String> {
        let mut text = text.to_owned();
        for rule in rules {
            if let Rule::Replace(pattern, replacement) = rule {
                let regex = Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
                text = regex.replace_all(&text, replacement.as_str()).into_owned();
            }
        }
        self.text(&text).lines().map(str::to_owned).collect()
    }

    /// Makes a text comparable.
    pub fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (place, name) in &self.places {
            text = text.replace(place, name);
        }
        let time = |found: &Captures<'_>| {
            let time = &found[0];
            let fixed = FIXED_TIMES.contains(&time);
            if fixed { time.to_owned() } else { "<time>".to_owned() }
        };
        text = self.time.replace_all(&text, time).into_owned();
        let identifiers = &mut self.identifiers;
        let number = |found: &Captures<'_>| numbered(identifiers, &found[0]);
        text = self.identifier.replace_all(&text, number).into_owned();
        for (pattern, name) in &self.patterns {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        text
    }
}

fn numbered(known: &mut Vec<String>, identifier: &str) -> String {
    let short = &identifier[..12];
    let position = known.iter().position(|other| other == short).unwrap_or_else(|| {
        known.push(short.to_owned());
        known.len() - 1
    });
    let kind = if identifier.len() == 12 { "short" } else { "id" };
    format!("<{kind} {}>", position + 1)
}

#[cfg(test)]
mod tests {
    use super::Normaliser;

    #[test]
    fn what_differs_between_runs() {
        let id = "0123456789abcdef".repeat(4);
        for (text, expected) in [
            (format!("{id} {} {id}", &id[..12]), "<id 1> <short 1> <id 1>"),
            (format!("sha256:{id}"), "sha256:<id 1>"),
            ("fedcba987654 in web".to_owned(), "<short 1> in web"),
            ("/tmp/x/y and /tmp/xz".to_owned(), "<dir>/y and <dir>z"),
            ("2026-11-23T05:22:09.269676821Z".to_owned(), "<time>"),
            ("0001-01-01T00:00:00Z".to_owned(), "0001-01-01T00:00:00Z"),
            ("2026-11-23 05:22:09 +0000 UTC".to_owned(), "<time>"),
            ("Up 3 seconds (healthy)".to_owned(), "Up <duration> (healthy)"),
            ("About a minute ago".to_owned(), "<duration> ago"),
            ("172.28.0.2 but 100.9.8.0/24".to_owned(), "<address> but 100.9.8.0/24"),
            ("02:42:ac:1c:00:02".to_owned(), "<mac>"),
            ("0.0.0.0:32768->80/tcp".to_owned(), "0.0.0.0:<port>->80/tcp"),
            ("127.0.0.1:8080->80/tcp".to_owned(), "127.0.0.1:8080->80/tcp"),
            (
                "1.98MB / 0B (virtual 7.656GiB)".to_owned(),
                "<size> / 0B (virtual <size>)",
            ),
            ("NAME      IMAGE   ".to_owned(), "NAME  IMAGE"),
            ("    indented".to_owned(), "    indented"),
        ] {
            let mut normaliser = Normaliser::new(vec![("/tmp/x".to_owned(), "<dir>".to_owned())]);
            assert_eq!(normaliser.text(&text), expected, "{text}");
        }
    }
}
