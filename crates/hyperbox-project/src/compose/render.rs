// SPDX-License-Identifier: MIT
//! A resolved model as JSON, in the shape in which `docker compose config --format json` shows it.

use serde_json::{Map as Json, Value as JsonValue};

use super::schema::FILE;
use super::shape::{Object, Shape};
use super::tree::{Node, Value};

/// Renders a whole model.
pub(crate) fn render(model: &Node) -> JsonValue {
    JsonValue::Object(render_object(model, &FILE))
}

/// What a part of a model says, whatever its place.
pub(crate) fn shows(node: &Node) -> JsonValue {
    free(node)
}

fn render_object(node: &Node, object: &'static Object) -> Json<String, JsonValue> {
    let mut json = Json::new();
    for (key, node) in node.as_map().into_iter().flatten() {
        let Some(field) = object.field(key) else {
            // Extensions are shown at the top only.
            if object.name == FILE.name {
                json.insert(key.clone(), free(node));
            }
            continue;
        };
        if field.hidden {
            continue;
        }
        let value = match (object.name, field.key) {
            ("build", "ssh") => agents(node),
            _ => render_shape(node, &field.shape),
        };
        if field.shown_when_empty || !says_nothing(&value, &field.shape) {
            json.insert(field.shown_as().to_owned(), value);
        }
    }
    json
}

/// `ID` and `ID=PATH`.
fn agents(node: &Node) -> JsonValue {
    let agents = node.as_map().into_iter().flatten();
    JsonValue::Array(
        agents
            .map(|(id, path)| match path.as_text() {
                Some(path) if !path.is_empty() => JsonValue::String(format!("{id}={path}")),
                _ => JsonValue::String(id.clone()),
            })
            .collect(),
    )
}

fn says_nothing(value: &JsonValue, shape: &Shape) -> bool {
    match value {
        JsonValue::Null => true,
        JsonValue::Bool(value) => !value,
        JsonValue::Number(number) => number.as_f64() == Some(0.0),
        JsonValue::String(text) => match shape {
            Shape::Bytes => text == "0",
            Shape::Duration => text == "0s",
            _ => text.is_empty(),
        },
        JsonValue::Array(list) => list.is_empty(),
        JsonValue::Object(map) => map.is_empty(),
    }
}

fn render_shape(node: &Node, shape: &'static Shape) -> JsonValue {
    match shape {
        Shape::Maybe(inner) => {
            if node.is_null() {
                JsonValue::Null
            } else {
                render_shape(node, inner)
            }
        }
        Shape::Short { long, .. } => render_shape(node, long),
        Shape::Object(object) if object.name == "ulimit" && node.get("single").is_some() => {
            node.get("single").map_or(JsonValue::Null, free)
        }
        Shape::Object(object) => JsonValue::Object(render_object(node, object)),
        Shape::Named(inner) | Shape::Names { value: inner, .. } => JsonValue::Object(
            node.as_map()
                .into_iter()
                .flatten()
                .map(|(key, node)| (key.clone(), render_shape(node, inner)))
                .collect(),
        ),
        Shape::List { item, .. } => JsonValue::Array(
            node.as_list()
                .unwrap_or_default()
                .iter()
                .map(|node| render_shape(node, item))
                .collect(),
        ),
        Shape::Hosts => JsonValue::Array(hosts(node)),
        Shape::Float => node.to_text().map_or(JsonValue::Null, |text| number(&text)),
        _ => free(node),
    }
}

/// `host=address`, sorted.
fn hosts(node: &Node) -> Vec<JsonValue> {
    let mut list: Vec<String> = node
        .as_map()
        .into_iter()
        .flatten()
        .flat_map(|(host, addresses)| {
            addresses
                .as_list()
                .unwrap_or_default()
                .iter()
                .filter_map(Node::as_text)
                .map(move |address| format!("{host}={address}"))
        })
        .collect();
    list.sort();
    list.into_iter().map(JsonValue::String).collect()
}

/// A number without a needless fraction.
fn number(text: &str) -> JsonValue {
    if let Ok(number) = text.parse::<i64>() {
        return JsonValue::from(number);
    }
    text.parse::<f64>().map_or(JsonValue::Null, JsonValue::from)
}

fn free(node: &Node) -> JsonValue {
    match &node.value {
        Value::Null => JsonValue::Null,
        Value::Boolean(value) => JsonValue::Bool(*value),
        Value::Integer(number) => JsonValue::from(*number),
        Value::Float(_) => node.to_text().map_or(JsonValue::Null, |text| number(&text)),
        Value::Text(text) => JsonValue::String(text.clone()),
        Value::List(list) => JsonValue::Array(list.iter().map(free).collect()),
        Value::Map(map) => JsonValue::Object(map.iter().map(|(key, node)| (key.clone(), free(node))).collect()),
    }
}
