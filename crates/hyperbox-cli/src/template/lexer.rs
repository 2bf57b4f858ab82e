// SPDX-License-Identifier: MIT
//! Cuts a template into text and the tokens of its actions.

use super::TemplateError;

/// A piece of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Text between actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// `.Name`; an empty name is the dot itself. The flag tells whether it directly follows the token before.
    Field(String, bool),
    /// `$name`; an empty name is `$`.
    Variable(String),
    /// A function or keyword.
    Word(String),
    /// A quoted text.
    String(String),
    /// A number.
    Number(String),
    /// One of `( ) | , := =`
    Symbol(&'static str),
}

pub(super) fn tokenize(text: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find("{{") {
        let (before, action) = rest.split_at(open);
        let action = &action[2..];
        let trims = action.starts_with("- ") || action.starts_with("-\n") || action.starts_with("-\t");
        push_text(&mut tokens, if trims { before.trim_end() } else { before });
        let action = if trims { &action[2..] } else { action };
        let length = if let Some(comment) = action.trim_start().strip_prefix("/*") {
            let end = comment
                .find("*/")
                .ok_or_else(|| TemplateError::new("unclosed comment"))?;
            let after = &comment[end + 2..];
            let close = after
                .find("}}")
                .ok_or_else(|| TemplateError::new("comment ends before closing delimiter"))?;
            action.len() - after.len() + close
        } else {
            tokens.push(Token::Open);
            let length = tokenize_action(action, &mut tokens)?;
            tokens.push(Token::Close);
            length
        };
        let trims_after = action[..length].ends_with(" -");
        rest = &action[length + 2..];
        if trims_after {
            rest = rest.trim_start();
        }
    }
    push_text(&mut tokens, rest);
    Ok(tokens)
}

fn push_text(tokens: &mut Vec<Token>, text: &str) {
    if !text.is_empty() {
        tokens.push(Token::Text(text.to_owned()));
    }
}

/// Reads tokens up to `}}`; returns where that stands.
fn tokenize_action(text: &str, tokens: &mut Vec<Token>) -> Result<usize, TemplateError> {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let Some(first) = rest.chars().next() else {
            return Err(TemplateError::new("unclosed action"));
        };
        if rest.starts_with("}}") {
            return Ok(at);
        }
        if rest.starts_with("-}}") {
            return Ok(at + 1);
        }
        let spaced = at == 0 || text[..at].ends_with(|c: char| c.is_whitespace() || c == '(' || c == '|' || c == ',');
        at += match first {
            c if c.is_whitespace() => c.len_utf8(),
            '(' | ')' | '|' | ',' | '=' => {
                tokens.push(Token::Symbol(symbol(first)));
                1
            }
            ':' if rest.starts_with(":=") => {
                tokens.push(Token::Symbol(":="));
                2
            }
            '"' => quoted(rest, tokens)?,
            '`' => {
                let end = rest[1..]
                    .find('`')
                    .ok_or_else(|| TemplateError::new("unterminated raw quoted string"))?;
                tokens.push(Token::String(rest[1..=end].to_owned()));
                end + 2
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = identifier(&rest[1..]);
                tokens.push(Token::Field(name.to_owned(), !spaced));
                1 + name.len()
            }
            '$' => {
                let name = identifier(&rest[1..]);
                tokens.push(Token::Variable(name.to_owned()));
                1 + name.len()
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => number(rest, tokens)?,
            c if c.is_alphabetic() || c == '_' => {
                let name = identifier(rest);
                tokens.push(Token::Word(name.to_owned()));
                name.len()
            }
            c => return Err(TemplateError::new(format!("unexpected {c:?} in command"))),
        };
    }
}

fn symbol(character: char) -> &'static str {
    match character {
        '(' => "(",
        ')' => ")",
        '|' => "|",
        ',' => ",",
        _ => "=",
    }
}

fn identifier(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str, tokens: &mut Vec<Token>) -> Result<usize, TemplateError> {
    let end = text
        .char_indices()
        .find(|(index, c)| !(c.is_ascii_alphanumeric() || *c == '.' || (*index == 0 && matches!(c, '+' | '-'))))
        .map_or(text.len(), |(index, _)| index);
    let digits = &text[..end];
    if digits.parse::<f64>().is_err() {
        return Err(TemplateError::new(format!("bad number syntax: {digits:?}")));
    }
    tokens.push(Token::Number(digits.trim_start_matches('+').to_owned()));
    Ok(end)
}

fn quoted(text: &str, tokens: &mut Vec<Token>) -> Result<usize, TemplateError> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => {
                tokens.push(Token::String(value));
                return Ok(index + 1);
            }
            '\n' => break,
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some('r') => value.push('\r'),
                Some(escaped @ ('"' | '\\' | '\'')) => value.push(escaped),
                _ => return Err(TemplateError::new("unknown escape sequence")),
            },
            other => value.push(other),
        }
    }
    Err(TemplateError::new("unterminated quoted string"))
}
