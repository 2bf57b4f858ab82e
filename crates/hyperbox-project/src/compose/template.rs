// SPDX-License-Identifier: MIT
//! `$NAME`, `${NAME}`, `${NAME:-default}` and their relatives in texts.
//!
//! `$$` is a dollar sign; a `$` that begins no expression stays as it is; `${` that begins none is an error. Defaults and messages may hold
//! expressions themselves. Whether a variable without a default is set is not an error: it becomes nothing, and a warning.
//!
//! Source: <https://docs.docker.com/reference/compose-file/interpolation/>; in doubt what `docker compose config` answers.

use super::error::Reason;

/// How deep expressions may nest in each other's defaults.
const MAX_DEPTH: usize = 32;

/// Where variables come from.
pub(crate) trait Variables {
    /// The value of a variable, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// Replaces expressions. `missing` collects the names that were not set and had no default.
///
/// # Errors
/// [`Reason::Interpolation`] with the whole text, or [`Reason::Required`].
pub(crate) fn substitute(text: &str, variables: &dyn Variables, missing: &mut Vec<String>) -> Result<String, Reason> {
    expand(text, variables, missing, 0).map_err(|error| match error {
        Wrong::Form => Reason::Interpolation(text.to_owned()),
        Wrong::Required(reason) => reason,
    })
}

enum Wrong {
    Form,
    Required(Reason),
}

fn expand(text: &str, variables: &dyn Variables, missing: &mut Vec<String>, depth: usize) -> Result<String, Wrong> {
    if depth > MAX_DEPTH {
        return Err(Wrong::Form);
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        result.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            result.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = closing_brace(inside).ok_or(Wrong::Form)?;
            result.push_str(&braced(&inside[..end], variables, missing, depth)?);
            rest = &inside[end + 1..];
        } else {
            let length = name_length(rest);
            if length == 0 {
                result.push('$');
                continue;
            }
            result.push_str(&plain(&rest[..length], variables, missing));
            rest = &rest[length..];
        }
    }
    result.push_str(rest);
    Ok(result)
}

fn plain(name: &str, variables: &dyn Variables, missing: &mut Vec<String>) -> String {
    variables.get(name).unwrap_or_else(|| {
        missing.push(name.to_owned());
        String::new()
    })
}

/// What stands between braces: a name, perhaps an operator with its operand.
fn braced(inside: &str, variables: &dyn Variables, missing: &mut Vec<String>, depth: usize) -> Result<String, Wrong> {
    let (name, operation) = inside.split_at(name_length(inside));
    if name.is_empty() {
        return Err(Wrong::Form);
    }
    if operation.is_empty() {
        return Ok(plain(name, variables, missing));
    }
    let (counts_empty, operation) = match operation.strip_prefix(':') {
        Some(operation) => (true, operation),
        None => (false, operation),
    };
    let value = variables.get(name);
    let present = value.as_ref().is_some_and(|value| !(counts_empty && value.is_empty()));
    let mut operand = |operand: &str| expand(operand, variables, missing, depth + 1);
    match operation.split_at_checked(1) {
        Some(("-", _)) if present => Ok(value.unwrap_or_default()),
        Some(("-", default)) => operand(default),
        Some(("+", replacement)) if present => operand(replacement),
        Some(("+", _)) => Ok(value.unwrap_or_default()),
        Some(("?", _)) if present => Ok(value.unwrap_or_default()),
        Some(("?", message)) => Err(Wrong::Required(Reason::Required {
            name: name.to_owned(),
            message: operand(message)?,
        })),
        _ => Err(Wrong::Form),
    }
}

/// How many bytes of a text are a name: letters, digits and underscores, no digit first.
fn name_length(text: &str) -> usize {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(first) if first.is_ascii_alphabetic() || first == b'_' => {
            1 + bytes
                .take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                .count()
        }
        _ => 0,
    }
}

/// Where the brace closes that was opened just before the text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1_usize;
    let mut previous = 0;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'{' if previous == b'$' => open += 1,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(position);
                }
            }
            _ => {}
        }
        previous = byte;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Some2;
    impl Variables for Some2 {
        fn get(&self, name: &str) -> Option<String> {
            match name {
                "A" => Some("a".to_owned()),
                "EMPTY" => Some(String::new()),
                _ => None,
            }
        }
    }

    #[test]
    fn every_form() {
        for (text, expected) in [
            ("plain", "plain"),
            ("$A-$A.b", "a-a.b"),
            ("${A}x", "ax"),
            ("$$A", "$A"),
            ("$$$A", "$a"),
            ("$1 $( $", "$1 $( $"),
            ("${NO}", ""),
            ("${NO-x}${EMPTY-x}${A-x}", "xa"),
            ("${NO:-x}${EMPTY:-x}${A:-x}", "xxa"),
            ("${NO+x}${EMPTY+x}${A+x}", "xx"),
            ("${NO:+x}${EMPTY:+x}${A:+x}", "x"),
            ("${A?no}${A:?no}${EMPTY?no}", "aa"),
            ("${NO:-${A}}", "a"),
            ("${NO:-${NO2:-$A}}/${A}", "a/a"),
            ("${NO:-a:-b}", "a:-b"),
            ("${NO:-}", ""),
            ("${NO:-{x}", "{x"),
            ("${NO:-x$$y}", "x$y"),
        ] {
            assert_eq!(
                substitute(text, &Some2, &mut Vec::new()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_missing_is_told() {
        let mut missing = Vec::new();
        substitute("$NO ${NO2} ${NO3:-x} $A", &Some2, &mut missing).unwrap();
        assert_eq!(missing, ["NO", "NO2"]);
    }

    #[test]
    fn what_is_wrong() {
        for text in ["${", "${}", "${A", "${1}", "${A!x}", "${A:x}", "${ A}", "${A:}"] {
            assert_eq!(
                substitute(text, &Some2, &mut Vec::new()),
                Err(Reason::Interpolation(text.to_owned())),
                "{text}"
            );
        }
        for (text, message) in [("${NO?}", ""), ("${EMPTY:?say $A}", "say a")] {
            let Err(Reason::Required { message: found, .. }) = substitute(text, &Some2, &mut Vec::new()) else {
                panic!("{text} is not required");
            };
            assert_eq!(found, message);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[$A{}:?+\\-x é]{0,24}") {
            let _outcome = substitute(&text, &Some2, &mut Vec::new());
        }

        #[test]
        fn doubled_dollars_come_back(text in "[a-z$ {}]{0,24}") {
            let escaped = text.replace('$', "$$");
            prop_assert_eq!(substitute(&escaped, &Some2, &mut Vec::new()).unwrap(), text);
        }
    }
}
