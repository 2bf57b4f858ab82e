// SPDX-License-Identifier: MIT
//! Reads the types of the wire from their source: names, documentation, fields, and what serde is told about them. It understands the plain
//! style of those files and refuses what it does not know.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The schemas of all types in some sources, by name.
pub(crate) fn schemas(sources: &[&str]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for source in sources {
        let mut lines = source.lines().map(str::trim);
        let mut noted = Noted::default();
        while let Some(line) = lines.next() {
            if line.starts_with("#[cfg(test)]") {
                break;
            }
            let item = |word: &str| line.strip_prefix(word)?.strip_suffix(" {").map(str::to_owned);
            if let Some(name) = item("pub struct ") {
                found.insert(name, structure(&noted.take(), &mut lines));
            } else if let Some(name) = item("pub enum ") {
                found.insert(name, enumeration(&noted.take(), &mut lines));
            } else if !noted.take_in(line) {
                noted = Noted::default();
            }
        }
    }
    found
}

/// What stands before an item or a field.
#[derive(Debug, Clone, Default)]
struct Noted {
    text: String,
    serde: String,
}

impl Noted {
    fn take_in(&mut self, line: &str) -> bool {
        if let Some(text) = line.strip_prefix("///") {
            let glue = if self.text.is_empty() { "" } else { " " };
            self.text = format!("{}{glue}{}", self.text, text.trim());
            return true;
        }
        if let Some(inner) = line.strip_prefix("#[serde(").and_then(|line| line.strip_suffix(")]")) {
            self.serde = format!("{},{inner}", self.serde);
            return true;
        }
        line.starts_with("#[") || line.is_empty()
    }

    fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    fn says(&self, word: &str) -> bool {
        self.serde.split(',').any(|part| part.trim() == word)
    }
}

fn structure<'a>(noted: &Noted, lines: &mut impl Iterator<Item = &'a str>) -> Value {
    let (mut schema, flattened) = object(noted.says("default"), lines);
    schema["description"] = json!(noted.text);
    if flattened.is_empty() {
        return schema;
    }
    let mut all: Vec<Value> = flattened.iter().map(|name| reference(name)).collect();
    all.push(schema);
    json!({ "allOf": all })
}

/// Reads fields up to the closing brace; returns an object, and the types that are flattened into it.
fn object<'a>(defaults: bool, lines: &mut impl Iterator<Item = &'a str>) -> (Value, Vec<String>) {
    let (mut properties, mut required, mut flattened) = (Map::new(), Vec::new(), Vec::new());
    let mut noted = Noted::default();
    for line in lines {
        if line.starts_with('}') {
            break;
        }
        if noted.take_in(line) {
            continue;
        }
        let field = line.strip_prefix("pub ").unwrap_or(line).trim_end_matches(',');
        let (name, kind) = field.split_once(": ").unwrap_or_else(|| panic!("a field: {line}"));
        let noted = noted.take();
        if noted.says("flatten") {
            flattened.push(kind.to_owned());
            continue;
        }
        let optional = kind.starts_with("Option<") || defaults || noted.says("default");
        if !optional {
            required.push(json!(name));
        }
        properties.insert(name.to_owned(), described(schema(kind), &noted.text));
    }
    let mut object = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    (object, flattened)
}

fn enumeration<'a>(noted: &Noted, lines: &mut impl Iterator<Item = &'a str>) -> Value {
    let kebab = noted.serde.contains("kebab-case");
    let tag = noted
        .serde
        .split("tag = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .map(str::to_owned);
    let (mut words, mut objects) = (Vec::new(), Vec::new());
    let mut before = Noted::default();
    while let Some(line) = lines.next() {
        if line.starts_with('}') {
            break;
        }
        if before.take_in(line) {
            continue;
        }
        let variant = before.take();
        let name = line.trim_end_matches([' ', '{', ',']);
        let word = spelled(name, kebab);
        match &tag {
            None => words.push(json!(word)),
            Some(tag) => {
                let (mut object, _) = object(false, lines);
                object["properties"][tag] = json!({ "const": word });
                let required = object["required"].as_array().cloned().unwrap_or_default();
                object["required"] = [vec![json!(tag)], required].concat().into();
                objects.push(described(object, &variant.text));
            }
        }
    }
    let schema = match tag {
        None => json!({ "type": "string", "enum": words }),
        Some(_) => json!({ "oneOf": objects }),
    };
    described(schema, &noted.text)
}

/// A variant's name as serde spells it.
fn spelled(name: &str, kebab: bool) -> String {
    let mut word = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push(if kebab { '-' } else { '_' });
        }
        word.extend(letter.to_lowercase());
    }
    word
}

fn described(mut schema: Value, text: &str) -> Value {
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(text);
    schema
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schema(kind: &str) -> Value {
    let inner = |word: &str| kind.strip_prefix(word)?.strip_suffix('>');
    if let Some(inner) = inner("Option<").or_else(|| inner("Box<")) {
        return schema(inner);
    }
    if let Some(inner) = inner("Vec<") {
        return json!({ "type": "array", "items": schema(inner) });
    }
    if let Some(inner) = inner("BTreeMap<String, ") {
        return json!({ "type": "object", "additionalProperties": schema(inner) });
    }
    match kind {
        "String" | "Hint" => json!({ "type": "string" }),
        "bool" => json!({ "type": "boolean" }),
        "f64" => json!({ "type": "number" }),
        "u16" | "u32" | "u64" | "usize" => json!({ "type": "integer", "minimum": 0 }),
        "i32" | "i64" => json!({ "type": "integer" }),
        "Value" => json!({ "type": "object" }),
        name if name.chars().all(char::is_alphanumeric) => reference(name),
        other => panic!("a type that is not known: {other}"),
    }
}
