// SPDX-License-Identifier: MIT
//! Words of an instruction, with quotes and backslashes as in a Dockerfile. Pure.

use crate::{Result, ServiceError};

/// Splits at blanks that are not quoted; quotes and backslashes are taken away.
pub(super) fn split(text: &str) -> Vec<String> {
    raw(text).iter().map(|word| unquote(word)).collect()
}

/// Reads `name=value …`, or one `name value`.
pub(super) fn pairs(word: &str, text: &str) -> Result<Vec<(String, String)>> {
    if text.is_empty() {
        return Err(ServiceError::invalid(format!("{word} requires at least one argument")));
    }
    let words = raw(text);
    if !words.first().is_some_and(|first| first.contains('=')) {
        let Some((name, value)) = text.split_once(char::is_whitespace) else {
            return Err(ServiceError::invalid(format!("{word} must have two arguments")));
        };
        return Ok(vec![(name.to_owned(), unquote(value.trim()))]);
    }
    let mut pairs = Vec::new();
    for pair in words {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(ServiceError::invalid(format!(
                "Syntax error - can't find = in {pair:?}. Must be of the form: name=value"
            )));
        };
        if name.is_empty() {
            return Err(ServiceError::invalid(format!("{word} names can not be blank")));
        }
        pairs.push((unquote(name), unquote(value)));
    }
    Ok(pairs)
}

/// Words with their quotes.
fn raw(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            (' ' | '\t', None) => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            ('\\', None | Some('"')) => {
                word.push(letter);
                word.extend(letters.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(letter),
            (closing, Some(opened)) if closing == opened => quote = None,
            _ => {}
        }
        word.push(letter);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn unquote(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut quote = None;
    let mut letters = word.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (closing, Some(opened)) if closing == opened => quote = None,
            ('\\', None) => plain.extend(letters.next()),
            ('\\', Some('"')) if letters.peek().is_some_and(|next| matches!(next, '"' | '\\' | '$')) => {
                plain.extend(letters.next());
            }
            (letter, _) => plain.push(letter),
        }
    }
    plain
}
