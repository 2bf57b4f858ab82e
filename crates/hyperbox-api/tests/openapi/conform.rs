// SPDX-License-Identifier: MIT
//! Whether a value is one of a schema, as far as the document's schemas go. Fields that no schema knows are wrong.

use serde_json::Value;

/// Looks for what is wrong with a value.
pub(crate) fn complaints(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return complaints(document, &document["components"]["schemas"][name], value);
    }
    if let Some(all) = schema["allOf"].as_array() {
        return of_all(document, all, value);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| complaints(document, choice, value).is_empty();
        return match choices.iter().filter(fits).count() {
            1 => Vec::new(),
            count => vec![format!("{count} of the choices fit {value}")],
        };
    }
    if let Some(word) = schema.get("const") {
        return said(value == word, || format!("{value} is not {word}"));
    }
    match schema["type"].as_str() {
        Some("object") => of_object(document, schema, value, true),
        Some("array") => match value.as_array() {
            Some(list) => list
                .iter()
                .flat_map(|item| complaints(document, &schema["items"], item))
                .collect(),
            None => vec![format!("{value} is no list")],
        },
        Some("string") => {
            let listed = schema["enum"].as_array().is_none_or(|words| words.contains(value));
            said(value.is_string() && listed, || format!("{value} is no such text"))
        }
        Some("boolean") => said(value.is_boolean(), || format!("{value} is no boolean")),
        Some("integer") => said(value.is_i64() || value.is_u64(), || format!("{value} is no integer")),
        Some("number") => said(value.is_number(), || format!("{value} is no number")),
        other => vec![format!("a schema of type {other:?}")],
    }
}

fn said(good: bool, complaint: impl FnOnce() -> String) -> Vec<String> {
    if good { Vec::new() } else { vec![complaint()] }
}

/// All parts; what is unknown has to be unknown to each.
fn of_all(document: &Value, all: &[Value], value: &Value) -> Vec<String> {
    if let [single] = all {
        return complaints(document, single, value);
    }
    let resolved: Vec<&Value> = all
        .iter()
        .map(|part| match part["$ref"].as_str() {
            Some(name) => &document["components"]["schemas"][name.rsplit('/').next().unwrap_or_default()],
            None => part,
        })
        .collect();
    let mut found: Vec<String> = resolved
        .iter()
        .flat_map(|part| of_object(document, part, value, false))
        .collect();
    for key in value.as_object().into_iter().flat_map(|object| object.keys()) {
        if !resolved.iter().any(|part| part["properties"].get(key).is_some()) {
            found.push(format!("no schema knows {key}"));
        }
    }
    found
}

fn of_object(document: &Value, schema: &Value, value: &Value, strict: bool) -> Vec<String> {
    let Some(object) = value.as_object() else {
        return vec![format!("{value} is no object")];
    };
    let mut found = Vec::new();
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        found.extend(said(object.contains_key(name), || format!("{name} is missing")));
    }
    for (key, inner) in object {
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(known), _) | (None, Some(known)) => found.extend(complaints(document, known, inner)),
            (None, None) if strict && schema.get("properties").is_some() => {
                found.push(format!("no schema knows {key}"));
            }
            (None, None) => {}
        }
    }
    found
}
