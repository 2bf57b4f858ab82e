// SPDX-License-Identifier: MIT
//! The functions of templates: Go's own and Docker's.

use std::cmp::Ordering;

use super::value::Shape;
use super::{TemplateError, Value, printf};

pub(super) fn call(name: &str, arguments: &[Value]) -> Result<Value, TemplateError> {
    match (name, arguments) {
        ("json", [value]) => Ok(value.to_json().into()),
        ("lower", [value]) => Ok(text(name, value)?.to_lowercase().into()),
        ("upper", [value]) => Ok(text(name, value)?.to_uppercase().into()),
        ("title", [value]) => Ok(title(text(name, value)?).into()),
        ("split", [value, separator]) => Ok(split(text(name, value)?, text(name, separator)?)),
        ("join", [list, separator]) => join(list, text(name, separator)?),
        ("pad", [value, before, after]) => {
            let (before, after) = (count(name, before)?, count(name, after)?);
            let value = text(name, value)?;
            Ok(if value.is_empty() {
                "".into()
            } else {
                format!("{}{value}{}", " ".repeat(before), " ".repeat(after)).into()
            })
        }
        ("truncate", [value, length]) => Ok(text(name, value)?
            .chars()
            .take(count(name, length)?)
            .collect::<String>()
            .into()),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => index(value, keys),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("not", [value]) => Ok((!value.is_true()).into()),
        ("print", values) => Ok(print(values).into()),
        ("println", values) => {
            let words: Vec<String> = values.iter().map(ToString::to_string).collect();
            Ok(format!("{}\n", words.join(" ")).into())
        }
        ("printf", [format, values @ ..]) => Ok(printf::format(text(name, format)?, values).into()),
        ("html", values) => Ok(escape_html(&print(values)).into()),
        ("eq", [first, others @ ..]) if !others.is_empty() => Ok(others.iter().any(|other| equal(first, other)).into()),
        ("ne", [left, right]) => Ok((!equal(left, right)).into()),
        ("lt", [left, right]) => Ok((compare(left, right)? == Ordering::Less).into()),
        ("le", [left, right]) => Ok((compare(left, right)? != Ordering::Greater).into()),
        ("gt", [left, right]) => Ok((compare(left, right)? == Ordering::Greater).into()),
        ("ge", [left, right]) => Ok((compare(left, right)? != Ordering::Less).into()),
        _ if KNOWN.contains(&name) => Err(TemplateError::new(format!(
            "wrong number of args for {name}: {}",
            arguments.len()
        ))),
        _ => Err(TemplateError::new(format!("function {name:?} not defined"))),
    }
}

const KNOWN: &[&str] = &[
    "json", "lower", "upper", "title", "split", "join", "pad", "truncate", "len", "index", "slice", "not", "printf",
    "eq", "ne", "lt", "le", "gt", "ge",
];

fn text<'a>(function: &str, value: &'a Value) -> Result<&'a str, TemplateError> {
    value
        .as_str()
        .ok_or_else(|| TemplateError::new(format!("error calling {function}: expected string; got {value}")))
}

fn count(function: &str, value: &Value) -> Result<usize, TemplateError> {
    match value {
        Value::Number(digits) => digits
            .parse()
            .map_err(|_| TemplateError::new(format!("{function}: bad number {digits}"))),
        other => Err(TemplateError::new(format!(
            "error calling {function}: expected integer; got {other}"
        ))),
    }
}

fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let mapped = if start { c.to_ascii_uppercase() } else { c };
            start = c.is_whitespace();
            mapped
        })
        .collect()
}

fn split(text: &str, separator: &str) -> Value {
    if separator.is_empty() {
        return Value::List(text.chars().map(|c| Value::from(c.to_string())).collect());
    }
    Value::List(text.split(separator).map(Value::from).collect())
}

fn join(list: &Value, separator: &str) -> Result<Value, TemplateError> {
    match list {
        Value::List(items) => {
            let words: Vec<String> = items.iter().map(ToString::to_string).collect();
            Ok(words.join(separator).into())
        }
        Value::Null(_) => Ok("".into()),
        other => Err(TemplateError::new(format!(
            "error calling join: expected list; got {other}"
        ))),
    }
}

fn length(value: &Value) -> Result<Value, TemplateError> {
    Ok(match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(fields) => fields.len(),
        Value::Null(Shape::List | Shape::Map) => 0,
        other => return Err(TemplateError::new(format!("error calling len: len of type {other}"))),
    }
    .into())
}

fn index(value: &Value, keys: &[Value]) -> Result<Value, TemplateError> {
    let mut value = value;
    for key in keys {
        value = match (value, key) {
            (Value::Map(fields), Value::String(name)) => match value.field(name) {
                Some(field) => field,
                // Go gives the zero value of the map's element type.
                None if fields.iter().all(|(_, value)| matches!(value, Value::String(_))) => return Ok("".into()),
                None => return Ok(Value::Null(Shape::Nothing)),
            },
            (Value::List(items), Value::Number(_)) => {
                let position = count("index", key)?;
                items
                    .get(position)
                    .ok_or_else(|| TemplateError::new(format!("error calling index: index out of range: {position}")))?
            }
            (Value::Null(Shape::Map), Value::String(_)) => return Ok("".into()),
            (Value::Null(_), _) => return Err(TemplateError::new("error calling index: index of untyped nil")),
            (_, key) => {
                return Err(TemplateError::new(format!(
                    "error calling index: cannot index with {key}"
                )));
            }
        };
    }
    Ok(value.clone())
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, TemplateError> {
    let out_of_range = || TemplateError::new("error calling slice: index out of range");
    let bound =
        |position: usize, default: usize| bounds.get(position).map_or(Ok(default), |value| count("slice", value));
    match value {
        Value::String(text) => {
            let (from, to) = (bound(0, 0)?, bound(1, text.len())?);
            text.get(from..to).map(Value::from).ok_or_else(out_of_range)
        }
        Value::List(items) => {
            let (from, to) = (bound(0, 0)?, bound(1, items.len())?);
            items
                .get(from..to)
                .map(|items| Value::List(items.to_vec()))
                .ok_or_else(out_of_range)
        }
        other => Err(TemplateError::new(format!("error calling slice: can't slice {other}"))),
    }
}

/// Joins as Go's `fmt.Sprint`: a space only between two operands that are both no strings.
fn print(values: &[Value]) -> String {
    let mut output = String::new();
    for (position, value) in values.iter().enumerate() {
        let before = position.checked_sub(1).and_then(|before| values.get(before));
        if before.is_some_and(|before| before.as_str().is_none() && value.as_str().is_none()) {
            output.push(' ');
        }
        output.push_str(&value.to_string());
    }
    output
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left.as_number(), right.as_number()) {
        (Some(left), Some(right)) => left.total_cmp(&right) == Ordering::Equal,
        _ => left == right,
    }
}

fn compare(left: &Value, right: &Value) -> Result<Ordering, TemplateError> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        _ => match (left.as_number(), right.as_number()) {
            (Some(left), Some(right)) => Ok(left.total_cmp(&right)),
            _ => Err(TemplateError::new("incompatible types for comparison")),
        },
    }
}
