// SPDX-License-Identifier: MIT
//! Files of variables: `.env` and what `env_file` names.
//!
//! `KEY=value`, `KEY: value`, `export KEY=value`, and `KEY` alone (the value of the surroundings). Values without quotes end at ` #` and are
//! expanded, in single quotes they are literal, in double quotes escapes and expressions count; quoted values may span lines.
//!
//! Source: <https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax>; in doubt what
//! `docker compose config` answers.

use std::collections::BTreeMap;

use super::template::{self, Variables};

/// What is wrong with a file of variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(crate) struct DotenvError {
    line: u32,
    reason: String,
}

/// Adds the variables of a file to those of earlier files. Lines see what stands before them, after the surroundings.
pub(crate) fn parse(
    text: &str,
    surroundings: &dyn Variables,
    earlier: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, DotenvError> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text),
        line: 1,
        values: earlier,
        surroundings,
    };
    while reader.statement()? {}
    Ok(reader.values)
}

/// The lines of `env_file` with `format: raw`: everything behind `=` is the value.
pub(crate) fn parse_raw(text: &str, surroundings: &dyn Variables) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| line.trim_start())
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| match line.split_once('=') {
            Some((key, value)) => Some((key.to_owned(), value.to_owned())),
            None => Some((line.to_owned(), surroundings.get(line)?)),
        })
        .collect()
}

struct Reader<'text> {
    rest: &'text str,
    line: u32,
    values: BTreeMap<String, String>,
    surroundings: &'text dyn Variables,
}

struct Both<'a> {
    first: &'a dyn Variables,
    second: &'a BTreeMap<String, String>,
}

impl Variables for Both<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.first.get(name).or_else(|| self.second.get(name).cloned())
    }
}

impl Reader<'_> {
    fn wrong(&self, reason: impl Into<String>) -> DotenvError {
        DotenvError {
            line: self.line,
            reason: reason.into(),
        }
    }

    fn advance(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at(bytes);
        self.line += u32::try_from(passed.matches('\n').count()).unwrap_or(u32::MAX);
        self.rest = rest;
    }

    /// Reads one statement; `false` at the end.
    fn statement(&mut self) -> Result<bool, DotenvError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.advance(blank);
            if !self.rest.starts_with('#') {
                break;
            }
            self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
        }
        if self.rest.is_empty() {
            return Ok(false);
        }
        if let Some(after) = self.rest.strip_prefix("export")
            && after.starts_with([' ', '\t'])
        {
            self.advance("export".len() + after.len() - after.trim_start_matches([' ', '\t']).len());
        }
        let line_end = self.rest.find('\n').unwrap_or(self.rest.len());
        let end = self.rest[..line_end].find(['=', ':']).unwrap_or(line_end);
        let key = self.rest[..end].trim_end().to_owned();
        if let Some(odd) = key
            .chars()
            .find(|character| !(character.is_alphanumeric() || matches!(character, '_' | '.' | '-' | '[' | ']' | ' ')))
        {
            let line = &self.rest[..line_end];
            return Err(self.wrong(format!("unexpected character {odd:?} in variable name {line:?}")));
        }
        if key.contains(' ') {
            return Err(self.wrong("key cannot contain a space"));
        }
        if key.is_empty() {
            return Err(self.wrong("a value without a name"));
        }
        if end == line_end {
            self.advance(line_end);
            if let Some(value) = self.surroundings.get(&key) {
                self.values.insert(key, value);
            }
            return Ok(true);
        }
        self.advance(end + 1);
        let blank = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r']).len();
        self.advance(blank);
        let value = self.value()?;
        self.values.insert(key, value);
        Ok(true)
    }

    fn value(&mut self) -> Result<String, DotenvError> {
        let quote = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => quote,
            _ => return self.unquoted(),
        };
        let mut value = String::new();
        let mut escaped = false;
        for (position, character) in self.rest.char_indices().skip(1) {
            if escaped {
                if character != quote {
                    value.push('\\');
                }
                value.push(character);
                escaped = false;
            } else if character == '\\' {
                escaped = true;
            } else if character == quote {
                let value = if quote == '"' {
                    self.expanded(&unescape(&value))?
                } else {
                    value
                };
                self.advance(position + 1);
                return Ok(value);
            } else {
                value.push(character);
            }
        }
        let line = self.rest.lines().next().unwrap_or_default().to_owned();
        Err(self.wrong(format!("unterminated quoted value {line}")))
    }

    fn unquoted(&mut self) -> Result<String, DotenvError> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let value = line.split_once(" #").map_or(line, |(value, _)| value).trim_end();
        let value = self.expanded(value)?;
        self.advance(end);
        Ok(value)
    }

    fn expanded(&self, value: &str) -> Result<String, DotenvError> {
        let variables = Both {
            first: self.surroundings,
            second: &self.values,
        };
        template::substitute(value, &variables, &mut Vec::new()).map_err(|reason| self.wrong(reason.to_string()))
    }
}

/// The escapes of double quotes: those of Go's strings, octal ones with a leading zero, and `\$`, which becomes `$$`.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\\' {
            result.push(character);
            continue;
        }
        match characters.next() {
            Some('a') => result.push('\u{7}'),
            Some('b') => result.push('\u{8}'),
            Some('f') => result.push('\u{c}'),
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some('v') => result.push('\u{b}'),
            Some('\\') => result.push('\\'),
            Some('"') => result.push('"'),
            Some('$') => result.push_str("$$"),
            Some('0') => octal(&mut characters, &mut result),
            Some(other) => {
                result.push('\\');
                result.push(other);
            }
            None => result.push('\\'),
        }
    }
    result
}

fn octal(characters: &mut std::iter::Peekable<std::str::Chars<'_>>, result: &mut String) {
    let mut digits = String::new();
    while digits.len() < 3
        && let Some(digit) = characters.next_if(|character| character.is_digit(8))
    {
        digits.push(digit);
    }
    match u8::from_str_radix(&digits, 8) {
        Ok(byte) if digits.len() == 3 => result.push(char::from(byte)),
        _ => {
            result.push_str("\\0");
            result.push_str(&digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Surroundings;
    impl Variables for Surroundings {
        fn get(&self, name: &str) -> Option<String> {
            (name == "OUT").then(|| "out".to_owned())
        }
    }

    #[test]
    fn every_form() {
        for (text, key, expected) in [
            ("A=1", "A", Some("1")),
            ("A = 1 ", "A", Some("1")),
            ("A: 1", "A", Some("1")),
            ("export A=1", "A", Some("1")),
            ("A=1 # comment", "A", Some("1")),
            ("A=1#2", "A", Some("1#2")),
            ("# A=1\nB=2", "B", Some("2")),
            ("A='a $OUT'", "A", Some("a $OUT")),
            ("A=\"a $OUT\\n\"", "A", Some("a out\n")),
            ("A=\"line\nline\"\nB=2", "B", Some("2")),
            ("A=\"a\\$b\"", "A", Some("a$b")),
            ("A=x\nB=$A-${A}", "B", Some("x-x")),
            ("OUT", "OUT", Some("out")),
            ("NO", "NO", None),
            ("A=", "A", Some("")),
            ("A=${NO:-d}", "A", Some("d")),
            ("A='it\\'s'", "A", Some("it's")),
            ("A=\"\\0101\"", "A", Some("A")),
            ("A=1\r\nB=2\r\n", "A", Some("1")),
        ] {
            let values = parse(text, &Surroundings, BTreeMap::new()).unwrap();
            assert_eq!(values.get(key).map(String::as_str), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong() {
        for (text, part) in [
            ("A=1\nB=\"x", "line 2: unterminated"),
            ("A B=1", "line 1: key cannot contain a space"),
            ("A!=1", "line 1: unexpected character"),
            ("\n\nA=${", "line 3: invalid interpolation"),
        ] {
            let error = parse(text, &Surroundings, BTreeMap::new()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn raw_lines_are_not_read() {
        let values = parse_raw("A='x' # y\n# B\nOUT\n", &Surroundings);
        assert_eq!(values["A"], "'x' # y");
        assert_eq!(values["OUT"], "out");
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=\"'\\\\$#\n:{} é0]{0,24}") {
            let _outcome = parse(&text, &Surroundings, BTreeMap::new());
        }
    }
}
