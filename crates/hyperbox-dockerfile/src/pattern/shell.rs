// SPDX-License-Identifier: MIT
//! The shell's patterns: `*` is any text, `?` any character, what is escaped is itself.
//!
//! The time is that of pattern times text; replacing is that of pattern times the square of the text.

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Any,
    One,
    Character(char),
}

fn parse(pattern: &str, escape: char) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Part::Any,
            '?' => Part::One,
            _ if character == escape => Part::Character(characters.next().unwrap_or(escape)),
            _ => Part::Character(character),
        });
    }
    parts
}

/// Tells for each length whether the pattern matches that much of the text's beginning.
fn matching_prefixes(parts: &[Part], text: &[char]) -> Vec<bool> {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        for length in 0..=text.len() {
            next[length] = match part {
                Part::Any => reached[length] || (length > 0 && next[length - 1]),
                Part::One => length > 0 && reached[length - 1],
                Part::Character(character) => length > 0 && reached[length - 1] && text[length - 1] == *character,
            };
        }
        reached = next;
    }
    reached
}

/// Takes what the pattern matches from the beginning.
pub(crate) fn without_prefix(text: &str, pattern: &str, escape: char, longest: bool) -> String {
    let characters: Vec<char> = text.chars().collect();
    let cut = length(&parse(pattern, escape), &characters, longest).unwrap_or(0);
    characters[cut..].iter().collect()
}

/// Takes what the pattern matches from the end.
pub(crate) fn without_suffix(text: &str, pattern: &str, escape: char, longest: bool) -> String {
    let mut characters: Vec<char> = text.chars().rev().collect();
    let mut parts = parse(pattern, escape);
    parts.reverse();
    let cut = length(&parts, &characters, longest).unwrap_or(0);
    characters.drain(..cut);
    characters.iter().rev().collect()
}

/// Replaces what the pattern matches, leftmost and longest; the first time or always. An empty match is none. Returns nothing when
/// replacements make it longer than `most` bytes.
pub(crate) fn replaced(
    text: &str,
    pattern: &str,
    escape: char,
    (replacement, most): (&str, usize),
    always: bool,
) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let parts = parse(pattern, escape);
    let mut result = String::new();
    let mut position = 0;
    let mut done = false;
    while position < characters.len() {
        let found = if done {
            None
        } else {
            length(&parts, &characters[position..], true)
        };
        match found.filter(|length| *length > 0) {
            Some(length) => {
                if result.len().saturating_add(replacement.len()) > most {
                    return None;
                }
                result.push_str(replacement);
                position += length;
                done = !always;
            }
            None => {
                result.push(characters[position]);
                position += 1;
            }
        }
    }
    Some(result)
}

fn length(parts: &[Part], text: &[char], longest: bool) -> Option<usize> {
    let matching = matching_prefixes(parts, text);
    if longest {
        matching.iter().rposition(|matches| *matches)
    } else {
        matching.iter().position(|matches| *matches)
    }
}
