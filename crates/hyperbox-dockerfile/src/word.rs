// SPDX-License-Identifier: MIT
//! Words: quotes, escapes and variables, as a Dockerfile has them.
//!
//! Known are `$NAME`, `${NAME}`, and in braces `:-` `-` `:+` `+` `:?` `?` (defaults, alternatives, errors), `#` `##` `%` `%%` (a pattern
//! taken from the beginning or the end) and `/` `//` (a pattern replaced once or always). Patterns know `*`, `?` and escapes; they
//! match any character. Single quotes take every meaning away, double quotes all but that of `$` and of escapes.

mod expander;
mod shown;

use expander::Expander;
pub use shown::expand_shown;

/// Why a word cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {word:?}: {message}")]
pub struct WordError {
    word: String,
    message: String,
}

impl WordError {
    /// The word is told by who knows all of it.
    fn new(message: String) -> Self {
        Self {
            word: String::new(),
            message,
        }
    }
}

/// Says that values that came of words are too long together.
pub(crate) fn too_much(word: &str, most: usize) -> WordError {
    WordError {
        word: word.to_owned(),
        message: format!("values are longer than {} MiB in all", most >> 20),
    }
}

/// Looks a variable up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces variables and takes quotes and escapes away; the result is one word, whatever white space it holds.
///
/// # Errors
/// Quotes or braces that do not end, an unknown modifier, a variable that must be set and is not.
pub fn expand(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, WordError> {
    Ok(Expander::run(text, escape, lookup, false)?.whole)
}

/// As [`expand`], but white space that is not quoted separates words, also white space in a variable's value.
///
/// # Errors
/// As [`expand`].
pub fn expand_words(text: &str, escape: char, lookup: Lookup<'_>) -> Result<Vec<String>, WordError> {
    Ok(Expander::run(text, escape, lookup, false)?.into_words())
}

/// Replaces variables in the text of a here-document: there quotes mean nothing.
///
/// # Errors
/// As [`expand`].
pub fn expand_heredoc(text: &str, escape: char, lookup: Lookup<'_>) -> Result<String, WordError> {
    Ok(Expander::run(text, escape, lookup, true)?.whole)
}

/// Splits at white space that is not quoted; quotes and escapes stay.
pub(crate) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if quote.is_none() && character.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        word.push(character);
        match quote {
            // In single quotes nothing is escaped.
            Some('\'') if character == '\'' => quote = None,
            Some('\'') => {}
            _ if character == escape => word.extend(characters.next()),
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            _ => {}
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes and escapes away; variables stay.
pub(crate) fn unquote(text: &str, escape: char) -> String {
    let mut plain = String::new();
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match quote {
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            Some('\'') => plain.push(character),
            _ if character == escape => plain.extend(characters.next()),
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
