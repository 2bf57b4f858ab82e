// SPDX-License-Identifier: MIT
//! The machine that reads a word character by character, with its quotes, escapes and substitutions.

use super::{Lookup, WordError};
use crate::pattern::shell;

/// What has been read so far: as one text, and as words.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) whole: String,
    words: Vec<String>,
    word: Option<String>,
}

impl Output {
    /// A character that belongs to its word, white space or not.
    fn quoted(&mut self, character: char) {
        self.whole.push(character);
        self.word.get_or_insert_default().push(character);
    }

    /// A character that ends the word if it is white space.
    fn plain(&mut self, character: char) {
        if character.is_whitespace() {
            self.whole.push(character);
            self.words.extend(self.word.take());
        } else {
            self.quoted(character);
        }
    }

    /// Quotes make a word even if nothing is in them.
    fn begin(&mut self) {
        self.word.get_or_insert_default();
    }

    pub(super) fn into_words(mut self) -> Vec<String> {
        self.words.extend(self.word.take());
        self.words
    }
}

pub(super) struct Expander<'a> {
    text: Vec<char>,
    next: usize,
    escape: char,
    lookup: Lookup<'a>,
    /// Whether quotes are characters like others.
    ignores_quotes: bool,
    depth: usize,
    /// So many bytes came of substitutions.
    substituted: usize,
}

/// How deep substitutions may stand in each other: each level is a level of calls.
const DEEPEST: usize = 64;
/// So many bytes come of the substitutions of one text: variables that are made of variables grow fast.
const MOST_SUBSTITUTED: usize = 16 << 20;

impl<'a> Expander<'a> {
    /// Reads a whole text.
    pub(super) fn run(text: &str, escape: char, lookup: Lookup<'a>, ignores_quotes: bool) -> Result<Output, WordError> {
        let mut expander = Self {
            text: text.chars().collect(),
            next: 0,
            escape,
            lookup,
            ignores_quotes,
            depth: 0,
            substituted: 0,
        };
        let outcome = expander.until(None, false);
        outcome.map_err(|error| WordError {
            word: text.to_owned(),
            ..error
        })
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.next).copied()
    }

    fn take(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.next += 1;
        Some(character)
    }

    /// Reads up to a character, which is taken, or to the end. `keeps_escapes` leaves them in, for patterns.
    fn until(&mut self, stop: Option<char>, keeps_escapes: bool) -> Result<Output, WordError> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(WordError::new(format!(
                "substitutions stand more than {DEEPEST} deep in each other"
            )));
        }
        let mut output = Output::default();
        loop {
            let Some(character) = self.take() else {
                match stop {
                    None => break,
                    Some('/') => return Err(WordError::new("syntax error: missing '/' in ${}".to_owned())),
                    Some(stop) => return Err(WordError::new(format!("syntax error: missing '{stop}'"))),
                }
            };
            match character {
                _ if Some(character) == stop => break,
                '\'' if !self.ignores_quotes => self.single_quoted(&mut output)?,
                '"' if !self.ignores_quotes => self.double_quoted(&mut output)?,
                '$' => {
                    for character in self.dollar()?.chars() {
                        output.plain(character);
                    }
                }
                _ if character == self.escape => self.escaped(&mut output, keeps_escapes),
                _ => output.plain(character),
            }
        }
        self.depth -= 1;
        Ok(output)
    }

    fn escaped(&mut self, output: &mut Output, keeps_escapes: bool) {
        if keeps_escapes {
            output.quoted(self.escape);
        }
        if let Some(next) = self.take() {
            output.quoted(next);
        }
    }

    fn single_quoted(&mut self, output: &mut Output) -> Result<(), WordError> {
        output.begin();
        loop {
            match self.take() {
                Some('\'') => return Ok(()),
                Some(character) => output.quoted(character),
                None => return Err(unended("single-quote")),
            }
        }
    }

    fn double_quoted(&mut self, output: &mut Output) -> Result<(), WordError> {
        output.begin();
        loop {
            match self.take() {
                Some('"') => return Ok(()),
                Some('$') => {
                    for character in self.dollar()?.chars() {
                        output.quoted(character);
                    }
                }
                Some(character) if character == self.escape => {
                    let Some(next) = self.take() else {
                        return Err(unended("double-quote"));
                    };
                    if next != '"' && next != '$' && next != self.escape {
                        output.quoted(character);
                    }
                    output.quoted(next);
                }
                Some(character) => output.quoted(character),
                None => return Err(unended("double-quote")),
            }
        }
    }

    /// Reads what follows a `$`.
    fn dollar(&mut self) -> Result<String, WordError> {
        let value = self.substitution()?;
        self.substituted = self.substituted.saturating_add(value.len());
        match self.substituted > MOST_SUBSTITUTED {
            true => Err(too_long()),
            false => Ok(value),
        }
    }

    fn substitution(&mut self) -> Result<String, WordError> {
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(if name.is_empty() {
                "$".to_owned()
            } else {
                self.value(&name).unwrap_or_default()
            });
        }
        self.next += 1;
        match self.peek() {
            None => return Err(WordError::new("syntax error: missing '}'".to_owned())),
            Some('{' | '}' | ':') => return Err(WordError::new("syntax error: bad substitution".to_owned())),
            Some(_) => {}
        }
        let name = self.name();
        match self.take() {
            // As BuildKit, which shows the end of a text as a character that is none.
            None => Err(unsupported("\u{fffd}")),
            Some('}') => Ok(self.value(&name).unwrap_or_default()),
            Some(':') => self.unless_empty(&name),
            Some(modifier @ ('-' | '+' | '?')) => {
                let word = self.until(Some('}'), false)?.whole;
                let value = self.value(&name);
                choose(&name, modifier, value, word)
            }
            Some(modifier @ ('#' | '%')) => self.trimmed(&name, modifier),
            Some('/') => self.replaced(&name),
            Some(other) => Err(unsupported(&other.to_string())),
        }
    }

    /// Reads the rest of `${NAME:-word}`: an empty value counts as none.
    fn unless_empty(&mut self, name: &str) -> Result<String, WordError> {
        let modifier = self.take().unwrap_or('\u{fffd}');
        let word = self.until(Some('}'), false)?.whole;
        if !matches!(modifier, '-' | '+' | '?') {
            return Err(unsupported(&format!(":{modifier}")));
        }
        let value = self.value(name).filter(|value| !value.is_empty());
        choose(name, modifier, value, word)
    }

    fn trimmed(&mut self, name: &str, modifier: char) -> Result<String, WordError> {
        let longest = self.peek() == Some(modifier);
        if longest {
            self.next += 1;
        }
        let pattern = self.until(Some('}'), true)?.whole;
        let value = self.value(name).unwrap_or_default();
        Ok(match modifier {
            '#' => shell::without_prefix(&value, &pattern, self.escape, longest),
            _ => shell::without_suffix(&value, &pattern, self.escape, longest),
        })
    }

    fn replaced(&mut self, name: &str) -> Result<String, WordError> {
        let always = self.peek() == Some('/');
        if always {
            self.next += 1;
        }
        let pattern = self.until(Some('/'), true)?.whole;
        let replacement = self.until(Some('}'), false)?.whole;
        let value = self.value(name).unwrap_or_default();
        let most = MOST_SUBSTITUTED - self.substituted;
        let replaced = shell::replaced(&value, &pattern, self.escape, (&replacement, most), always);
        replaced.ok_or_else(too_long)
    }

    /// Reads a name: letters, digits and `_`, or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let start = self.next;
        match self.peek() {
            Some(first) if first.is_ascii_alphabetic() || first == '_' => {
                while self
                    .peek()
                    .is_some_and(|each| each.is_ascii_alphanumeric() || each == '_')
                {
                    self.next += 1;
                }
            }
            Some(first) if first.is_ascii_digit() => {
                while self.peek().is_some_and(|each| each.is_ascii_digit()) {
                    self.next += 1;
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => self.next += 1,
            _ => {}
        }
        self.text[start..self.next].iter().collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.lookup)(name)
    }
}

fn choose(name: &str, modifier: char, value: Option<String>, word: String) -> Result<String, WordError> {
    match (modifier, value) {
        ('+', Some(_)) => Ok(word),
        ('+', None) => Ok(String::new()),
        (_, Some(value)) => Ok(value),
        ('-', None) => Ok(word),
        (_, None) => {
            let message = if word.is_empty() {
                "is not allowed to be unset"
            } else {
                &word
            };
            Err(WordError::new(format!("{name}: {message}")))
        }
    }
}

fn too_long() -> WordError {
    let most = MOST_SUBSTITUTED >> 20;
    WordError::new(format!("substitutions are longer than {most} MiB"))
}

fn unsupported(modifier: &str) -> WordError {
    WordError::new(format!("unsupported modifier ({modifier}) in substitution"))
}

fn unended(what: &str) -> WordError {
    WordError::new(format!("unexpected end of statement while looking for matching {what}"))
}
