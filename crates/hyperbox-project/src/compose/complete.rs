// SPDX-License-Identifier: MIT
//! What no file says and everybody means, and what has to be said: defaults and required keys, once all files are merged.

use super::error::{Fault, KeyPath};
use super::schema::SECRET_MOUNT_NAME;
use super::shape::{Object, Shape};
use super::tree::{Node, Value};

/// Puts in defaults and asks for required keys.
///
/// # Errors
/// The first key that is missing.
pub(crate) fn complete(node: &mut Node, shape: &'static Shape, key: &KeyPath) -> Result<(), Fault> {
    match shape {
        Shape::Maybe(_) if node.is_null() => Ok(()),
        Shape::Maybe(inner) | Shape::Short { long: inner, .. } => complete(node, inner, key),
        Shape::Object(object) => complete_object(node, object, key),
        Shape::Named(inner) | Shape::Names { value: inner, .. } => match node.as_map_mut() {
            Some(map) => map
                .iter_mut()
                .filter(|(name, _)| !name.starts_with("x-"))
                .try_for_each(|(name, node)| complete(node, inner, &key.key(name))),
            None => Ok(()),
        },
        Shape::List { item, .. } => match &mut node.value {
            Value::List(list) => list
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, node)| complete(node, item, &key.index(index))),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

/// As [`complete`], for what an object describes.
pub(crate) fn complete_object(node: &mut Node, object: &'static Object, key: &KeyPath) -> Result<(), Fault> {
    let at = node.at;
    let Some(map) = node.as_map_mut() else {
        return Ok(());
    };
    for name in object.required {
        if !map.contains_key(*name) {
            return Err(Fault::said(at, key, format!("{} is missing a {name}", object.name)));
        }
    }
    if object.name == "device request" && map.contains_key("count") && map.contains_key("device_ids") {
        return Err(Fault::said(
            at,
            key,
            "\"count\" and \"device_ids\" attributes are exclusive",
        ));
    }
    if object.name == "device request" && !map.contains_key("count") && !map.contains_key("device_ids") {
        map.insert("count".to_owned(), Node::new(Value::Integer(-1), at));
    }
    if object.name == SECRET_MOUNT_NAME && !map.contains_key("target") {
        let source = map.get("source").and_then(Node::as_text).unwrap_or_default();
        let target = Node::text(format!("/run/secrets/{source}"), at);
        map.insert("target".to_owned(), target);
    }
    for field in object.fields {
        if let Some(default) = field.default {
            map.entry(field.key.to_owned()).or_insert_with(|| default.node(at));
        }
        if let Some(node) = map.get_mut(field.key) {
            complete(node, &field.shape, &key.key(field.key))?;
        }
    }
    Ok(())
}
