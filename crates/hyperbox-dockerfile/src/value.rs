// SPDX-License-Identifier: MIT
//! Shapes of arguments: lists as JSON, names with values.

use crate::instruction::KeyValue;
use crate::word;

/// What is wrong with a list of something else; Docker finds that before it looks at instructions, and names no line.
pub(crate) const STRINGS_ONLY: &str = "when using JSON array syntax, arrays must be comprised of strings only";

/// Reads an exec form: a JSON array of strings.
///
/// `None` when it is none: then it is a shell form, also when it begins with a bracket and is malformed. Docker says so with a warning.
///
/// # Errors
/// The message for an array of something else.
pub(crate) fn json(text: &str) -> Result<Option<Vec<String>>, String> {
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(serde_json::Value::Array(values)) = serde_json::from_str(text) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(STRINGS_ONLY.to_owned()),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// Reads a list of words, or their JSON form.
pub(crate) fn list(text: &str) -> Result<Vec<String>, String> {
    Ok(json(text)?.unwrap_or_else(|| text.split_whitespace().map(str::to_owned).collect()))
}

/// Why there are no pairs, in Docker's words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PairsError {
    /// The words are no pairs; Docker finds that before it looks at instructions, and names no line.
    Shape(String),
    /// There are none, or one without a name.
    Names(String),
}

/// Reads `NAME=value …`, or `NAME rest of the line` of old.
pub(crate) fn pairs(keyword: &str, text: &str, escape: char) -> Result<Vec<KeyValue>, PairsError> {
    let words = word::split(text, escape);
    let Some(first) = words.first() else {
        return Err(PairsError::Names(format!("{keyword} requires at least one argument")));
    };
    if !first.contains('=') {
        let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let value = value.trim();
        if value.is_empty() {
            return Err(PairsError::Shape(format!("{keyword} must have two arguments")));
        }
        return Ok(vec![KeyValue {
            name: name.to_owned(),
            value: value.to_owned(),
        }]);
    }
    words
        .iter()
        .map(|word| match word.split_once('=') {
            Some(("", _)) => Err(PairsError::Names(format!("{keyword} names can not be blank"))),
            Some((name, value)) => Ok(KeyValue {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            None => Err(PairsError::Shape(format!(
                "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_forms() {
        assert_eq!(
            json("[\"a\", \"b c\"]"),
            Ok(Some(vec!["a".to_owned(), "b c".to_owned()]))
        );
        assert_eq!(json("[]"), Ok(Some(Vec::new())));
        assert_eq!(json("[ -f x ]"), Ok(None));
        assert_eq!(json("['a']"), Ok(None));
        assert_eq!(json("a [\"b\"]"), Ok(None));
        assert!(json("[\"a\", 1]").unwrap_err().contains("strings only"));
    }

    #[test]
    fn names_with_values() {
        let shown = |text| -> Result<Vec<(String, String)>, PairsError> {
            let pairs = pairs("ENV", text, '\\')?;
            Ok(pairs.into_iter().map(|pair| (pair.name, pair.value)).collect())
        };
        let one = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            shown("a=1 b=\"x y\" c="),
            Ok(vec![one("a", "1"), one("b", "\"x y\""), one("c", "")])
        );
        assert_eq!(shown("a  some words=here"), Ok(vec![one("a", "some words=here")]));
        let names = |message: &str| Err(PairsError::Names(message.to_owned()));
        let shape = |message: &str| Err(PairsError::Shape(message.to_owned()));
        assert_eq!(shown("a"), shape("ENV must have two arguments"));
        assert_eq!(shown(""), names("ENV requires at least one argument"));
        assert_eq!(shown("=a"), names("ENV names can not be blank"));
        assert_eq!(
            shown("a=1 b"),
            shape("Syntax error - can't find = in \"b\". Must be of the form: name=value")
        );
    }
}
