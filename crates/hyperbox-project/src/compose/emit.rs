// SPDX-License-Identifier: MIT
//! A resolved model as YAML, for people and for other programs that read Compose files.
//!
//! Every text that could be read as something else is in quotes. A dollar sign is doubled, so that the text loads again as what it was.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a document.
pub fn to_yaml(document: &Value) -> String {
    let mut text = String::new();
    match document {
        Value::Object(map) if !map.is_empty() => members(&mut text, document, 0),
        Value::Array(list) if !list.is_empty() => members(&mut text, document, 0),
        scalar => {
            text.push_str(&self::scalar(scalar, 0));
            text.push('\n');
        }
    }
    text
}

/// Writes a document as JSON, indented, as `docker compose config --format json` does.
pub fn to_json(document: &Value) -> String {
    // A value always encodes.
    serde_json::to_string_pretty(&escaped(document)).unwrap_or_default()
}

/// The document with all dollar signs doubled.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('$', "$$")),
        Value::Array(list) => Value::Array(list.iter().map(escaped).collect()),
        Value::Object(map) => {
            let members = map.iter().map(|(key, value)| (key.replace('$', "$$"), escaped(value)));
            Value::Object(members.collect())
        }
        other => other.clone(),
    }
}

/// Writes the members of a map or the items of a list, each on lines of its own.
fn members(text: &mut String, value: &Value, depth: usize) {
    let indent = depth * 2;
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let _ = write!(text, "{:indent$}{}:", "", inline(key)); // writing to a string cannot fail
                member(text, value, depth);
            }
        }
        Value::Array(list) => {
            for item in list {
                let _ = write!(text, "{:indent$}-", ""); // writing to a string cannot fail
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        // The first key stands on the dash's line.
                        let mut inner = String::new();
                        members(&mut inner, item, depth + 1);
                        text.push(' ');
                        text.push_str(inner.trim_start_matches(' '));
                    }
                    item => member(text, item, depth),
                }
            }
        }
        _ => {}
    }
}

/// Writes what follows a key or a dash.
fn member(text: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if nested {
        text.push('\n');
        members(text, value, depth + 1);
    } else {
        text.push(' ');
        text.push_str(&scalar(value, depth + 1));
        text.push('\n');
    }
}

fn scalar(value: &Value, depth: usize) -> String {
    match value {
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::String(text) => block(text, depth).unwrap_or_else(|| inline(text)),
        other => other.to_string(),
    }
}

/// A text of several lines as a literal block (YAML 1.2, 8.1.2), where that is safe.
fn block(text: &str, depth: usize) -> Option<String> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let odd = |character: char| {
        (character.is_control() && character != '\n')
            || matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    let unsafe_lines =
        body.lines().any(|line| line.ends_with(' ')) || body.starts_with([' ', '\n']) || body.ends_with('\n');
    if !body.contains('\n') || body.contains(odd) || unsafe_lines {
        return None;
    }
    let chomping = if text.ends_with('\n') { "" } else { "-" };
    let indent = depth * 2;
    let mut block = format!("|{chomping}");
    for line in body.replace('$', "$$").split('\n') {
        if line.is_empty() {
            block.push('\n');
        } else {
            let _ = write!(block, "\n{:indent$}{line}", ""); // writing to a string cannot fail
        }
    }
    Some(block)
}

/// A text on one line: as it is where nothing else can be meant, in quotes otherwise. JSON's strings are YAML's.
fn inline(text: &str) -> String {
    const WORDS: [&str; 12] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "none",
    ];
    let begins = text.starts_with(|character: char| character.is_ascii_alphabetic() || character == '/');
    let good = |character: char| character.is_ascii_alphanumeric() || "._-/:@=+,".contains(character);
    let plain = begins
        && text.chars().all(good)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    Value::from(text.replace('$', "$$")).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::render::shows;
    use super::super::yaml::parse;
    use super::*;

    /// What the text says, dollar signs single again.
    fn read(text: &str) -> Value {
        let documents = parse(text, 0).unwrap_or_else(|_| panic!("{text}"));
        let value = shows(&documents[0]).to_string().replace("$$", "$");
        serde_json::from_str(&value).unwrap()
    }

    #[test]
    fn a_document() {
        let document = json!({
            "name": "shop",
            "services": { "web": {
                "command": null, "init": true, "scale": 2, "environment": { "A": "", "B": "no", "C": "$x" },
                "ports": [{ "target": 80, "mode": "ingress" }, {}], "tmpfs": [], "dns": ["1.1.1.1", ["x"]],
                "build": { "dockerfile_inline": "FROM a\n\nRUN b\n" }
            } },
            "volumes": {}
        });
        let text = to_yaml(&document);
        let expected = "name: shop\nservices:\n  web:\n    build:\n      dockerfile_inline: |\n        FROM a\n\n        RUN b\n    command: null\n    \
            dns:\n      - \"1.1.1.1\"\n      -\n        - x\n    environment:\n      A: \"\"\n      B: \"no\"\n      C: \"$$x\"\n    init: true\n    ports:\n      \
            - mode: ingress\n        target: 80\n      - {}\n    scale: 2\n    tmpfs: []\nvolumes: {}\n";
        assert_eq!(text, expected);
        assert_eq!(read(&text), document);
        assert!(to_json(&document).contains("\"C\": \"$$x\""));
    }

    proptest! {
        #[test]
        fn texts_stay_what_they_are(text in "[a-zA-Z0-9 :#'\"\\\\\\[\\]{},&*!|>%@`~.\t\n-]{0,20}", key in "[a-z: #0-9.]{1,6}") {
            let document = json!({ "list": [text.clone(), { key: text }], "k": { "x": text } });
            prop_assert_eq!(read(&to_yaml(&document)), document);
        }
    }
}
