// SPDX-License-Identifier: MIT
//! Scalars held against the schema: cast from strings, as variables give them, and brought into one form.

use super::conform::{command, wrong_kind};
use super::error::{Fault, KeyPath};
use super::quantity;
use super::shape::Shape;
use super::tree::{Node, Value};

/// Gives the value in its one form.
///
/// # Errors
/// When it is of another kind than the shape, or out of its bounds.
pub(crate) fn conform(node: &Node, shape: &Shape, key: &KeyPath) -> Result<Value, Fault> {
    let wrong = |expected: &str| wrong_kind(node, key, expected);
    match shape {
        Shape::Text => match &node.value {
            Value::Text(text) => Ok(Value::Text(text.clone())),
            _ => Err(wrong("a string")),
        },
        Shape::Choice(words) => match node.as_text() {
            Some(text) if words.contains(&text) => Ok(Value::Text(text.to_owned())),
            _ => Err(wrong(&format!("one of {}", words.join(", ")))),
        },
        Shape::Matching(right, expected) => match node.as_text() {
            Some(text) if right(text) => Ok(Value::Text(text.to_owned())),
            _ => Err(wrong(expected)),
        },
        Shape::Boolean => boolean(node).map(Value::Boolean).ok_or_else(|| wrong("true or false")),
        Shape::Integer(least, most) => integer(node)
            .filter(|number| (least..=most).contains(&number))
            .map(Value::Integer)
            .ok_or_else(|| wrong(&whole_number(*least, *most))),
        Shape::Float => float(node).map(Value::Float).ok_or_else(|| wrong("a number")),
        Shape::Bytes => node
            .to_text()
            .and_then(|text| quantity::parse_bytes(&text))
            .map(|bytes| Value::Text(bytes.to_string()))
            .ok_or_else(|| wrong("a number of bytes such as 512m")),
        Shape::Duration => node
            .to_text()
            .and_then(|text| quantity::parse_duration(&text))
            .map(|nanoseconds| Value::Text(quantity::format_duration(nanoseconds)))
            .ok_or_else(|| wrong("a duration such as 1m30s")),
        Shape::Scalar => node
            .to_text()
            .map(Value::Text)
            .ok_or_else(|| wrong("a string or a number")),
        Shape::FileMode => file_mode(node).ok_or_else(|| wrong("permissions such as 0440")),
        Shape::DeviceCount => match node.as_text() {
            Some("all") => Ok(Value::Integer(-1)),
            _ => integer(node)
                .map(Value::Integer)
                .ok_or_else(|| wrong("all or a whole number")),
        },
        Shape::Command => command(node, key),
        Shape::HealthTest => health_test(node, key),
        other => Err(Fault::said(node.at, key, format!("{other:?} is not a scalar"))),
    }
}

fn whole_number(least: i64, most: i64) -> String {
    match (least, most) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (least, i64::MAX) => format!("a whole number from {least} on"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

fn boolean(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Boolean(value) => Some(*value),
        Value::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Integer(number) => Some(*number),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "numbers with a fraction or beyond 2^53 are refused"
        )]
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn float(node: &Node) -> Option<f64> {
    let number = match &node.value {
        #[expect(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// A number is taken as it is (YAML has read `0440` as octal already), a string is octal.
fn file_mode(node: &Node) -> Option<Value> {
    let mode = match &node.value {
        Value::Integer(mode) => *mode,
        Value::Text(text) => i64::from_str_radix(text, 8).ok()?,
        _ => return None,
    };
    (0..=0o7777).contains(&mode).then(|| Value::Text(format!("0{mode:o}")))
}

fn health_test(node: &Node, key: &KeyPath) -> Result<Value, Fault> {
    if let Some(text) = node.as_text() {
        let words = ["CMD-SHELL", text];
        return Ok(Value::List(words.map(|word| Node::text(word, node.at)).into()));
    }
    let test = command(node, key)?;
    let first = match &test {
        Value::List(list) => list.first().and_then(Node::as_text),
        _ => return Err(wrong_kind(node, key, "a string or a list of strings")),
    };
    match first {
        None | Some("CMD" | "CMD-SHELL" | "NONE") => Ok(test),
        Some(_) => Err(Fault::said(
            node.at,
            key,
            "must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"",
        )),
    }
}
