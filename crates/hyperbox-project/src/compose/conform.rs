// SPDX-License-Identifier: MIT
//! Holds a tree against the schema: refuses what it does not know, and writes what it knows in its long form.
//!
//! Done once for each file, before files are merged, so that merging never has to ask in which form something was written.
//! What has to be there is asked when all files are merged ([`super::complete`]): each of them may say a part.

use super::error::{Fault, KeyPath, Reason};
use super::quantity;
use super::shape::{Absent, INCLUDE_NAME, Object, Shape};
use super::tree::{Map, Node, Value};

/// Gives the long form of a value.
///
/// # Errors
/// The first thing that the schema does not allow.
pub(crate) fn conform(node: Node, shape: &'static Shape, key: &KeyPath) -> Result<Node, Fault> {
    let mut items = conform_item(node, shape, key)?;
    match (items.pop(), items.is_empty()) {
        (Some(node), true) => Ok(node),
        (last, _) => {
            let at = last.map(|node| node.at).unwrap_or_default();
            Err(Fault::said(at, key, "takes one value here, not several"))
        }
    }
}

/// As [`conform`], for an item of a list, of which a short form may become several.
fn conform_item(node: Node, shape: &'static Shape, key: &KeyPath) -> Result<Vec<Node>, Fault> {
    let (at, directive) = (node.at, node.directive);
    let value = match shape {
        Shape::Maybe(shape) => {
            if node.is_null() {
                return Ok(vec![node]);
            }
            return conform_item(node, shape, key);
        }
        Shape::Short { long, expand } => {
            let Some(expanded) = expand(&node, key)? else {
                return conform_item(node, long, key);
            };
            let mut items = Vec::with_capacity(expanded.len());
            for mut item in expanded {
                item.directive = directive;
                items.extend(conform_item(item, long, key)?);
            }
            return Ok(items);
        }
        Shape::Object(object) => Value::Map(known(node, object, key)?),
        Shape::Named(shape) => Value::Map(named(node, shape, key)?),
        Shape::Names { value, listed } => Value::Map(names(node, value, listed, key)?),
        Shape::List { item, single, .. } => Value::List(list(node, item, *single, key)?),
        Shape::Pairs(absent) => Value::Map(pairs(node, *absent, key)?),
        Shape::Options => Value::Map(options(node, key)?),
        Shape::Hosts => Value::Map(super::hosts::conform(node, key)?),
        scalar => super::scalar::conform(&node, scalar, key)?,
    };
    let mut node = Node::new(value, at);
    node.directive = directive;
    Ok(vec![node])
}

pub(crate) fn wrong_kind(node: &Node, key: &KeyPath, expected: &str) -> Fault {
    let found = match &node.value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => node.to_text().unwrap_or_default(),
        other => other.kind().to_owned(),
    };
    Fault::new(
        node.at,
        key,
        Reason::WrongKind {
            expected: expected.to_owned(),
            found,
        },
    )
}

fn into_map(node: Node, key: &KeyPath, expected: &str) -> Result<Map, Fault> {
    match node.value {
        Value::Map(map) => Ok(map),
        _ => Err(wrong_kind(&node, key, expected)),
    }
}

/// A map with known keys, and extensions (`x-…`), which are kept as they are.
fn known(node: Node, object: &'static Object, key: &KeyPath) -> Result<Map, Fault> {
    let mut map = into_map(node, key, "a mapping")?;
    move_external_name(&mut map);
    if object.name == INCLUDE_NAME {
        map.retain(|name, _| object.field(name).is_some());
    }
    map.into_iter()
        .map(|(name, node)| {
            if name.starts_with("x-") {
                return Ok((name, node));
            }
            let key = key.key(&name);
            let Some(field) = object.field(&name) else {
                return Err(Fault::new(
                    node.at,
                    &key,
                    Reason::UnknownKey {
                        similar: similar(&name, object),
                        name,
                    },
                ));
            };
            Ok((name, conform(node, &field.shape, &key)?))
        })
        .collect()
}

/// `external: {name: x}`, the old form, says the resource's name.
fn move_external_name(map: &mut Map) {
    let name = map.get("external").and_then(|external| external.get("name")).cloned();
    if let Some(name) = name {
        map.entry("name".to_owned()).or_insert(name);
    }
}

/// The key that was probably meant: one edit away, or two in a long word.
fn similar(name: &str, object: &'static Object) -> Option<&'static str> {
    let name: Vec<char> = name.replace('-', "_").to_lowercase().chars().collect();
    object
        .fields
        .iter()
        .map(|field| (distance(&name, &field.key.chars().collect::<Vec<_>>()), field.key))
        .filter(|(distance, key)| *distance <= if key.len() > 6 { 2 } else { 1 })
        .min()
        .map(|(_, key)| key)
}

/// How many letters have to be changed, added or removed (Levenshtein).
fn distance(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

fn checked_name(name: &str, node: &Node, key: &KeyPath) -> Result<(), Fault> {
    let right = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if right {
        return Ok(());
    }
    Err(Fault::said(
        node.at,
        key,
        format!("{name:?} is not a name; letters, digits, '.', '_' and '-' are allowed"),
    ))
}

fn named(node: Node, shape: &'static Shape, key: &KeyPath) -> Result<Map, Fault> {
    into_map(node, key, "a mapping")?
        .into_iter()
        .map(|(name, node)| {
            if key.is_root() || !name.starts_with("x-") {
                checked_name(&name, &node, &key.key(&name))?;
            }
            let key = key.key(&name);
            Ok((name, conform(node, shape, &key)?))
        })
        .collect()
}

fn names(
    node: Node,
    shape: &'static Shape,
    listed: &[(&'static str, super::shape::Constant)],
    key: &KeyPath,
) -> Result<Map, Fault> {
    let Value::List(list) = node.value else {
        return named(node, shape, key);
    };
    let mut map = Map::new();
    for (index, item) in list.into_iter().enumerate() {
        let key = key.index(index);
        let name = item
            .as_text()
            .ok_or_else(|| wrong_kind(&item, &key, "a name"))?
            .to_owned();
        checked_name(&name, &item, &key)?;
        let value = if listed.is_empty() {
            Value::Null
        } else {
            Value::Map(
                listed
                    .iter()
                    .map(|(member, constant)| ((*member).to_owned(), constant.node(item.at)))
                    .collect(),
            )
        };
        if map.insert(name.clone(), Node::new(value, item.at)).is_some() {
            return Err(Fault::said(item.at, &key, format!("{name} is listed twice")));
        }
    }
    Ok(map)
}

fn list(node: Node, item: &'static Shape, single: bool, key: &KeyPath) -> Result<Vec<Node>, Fault> {
    match node.value {
        Value::List(list) => {
            let mut items = Vec::with_capacity(list.len());
            for (index, node) in list.into_iter().enumerate() {
                items.extend(conform_item(node, item, &key.index(index))?);
            }
            Ok(items)
        }
        Value::Null => Err(wrong_kind(&node, key, "a list")),
        _ if single => conform_item(node, item, key),
        _ => Err(wrong_kind(&node, key, "a list")),
    }
}

fn pairs(node: Node, absent: Absent, key: &KeyPath) -> Result<Map, Fault> {
    let nothing = |node: &Node| match absent {
        Absent::Kept => Node::new(Value::Null, node.at),
        Absent::Empty => Node::text("", node.at),
    };
    match node.value {
        Value::Map(map) => map
            .into_iter()
            .map(|(name, node)| {
                let key = key.key(&name);
                let mut value = match (&node.value, node.to_text()) {
                    (Value::Null, _) => nothing(&node),
                    (_, Some(text)) => Node::text(text, node.at),
                    (_, None) => return Err(wrong_kind(&node, &key, "a string, a number or a boolean")),
                };
                value.directive = node.directive;
                Ok((name, value))
            })
            .collect(),
        Value::List(list) => list
            .iter()
            .enumerate()
            .map(|(index, node)| {
                let key = key.index(index);
                let text = node
                    .as_text()
                    .ok_or_else(|| wrong_kind(node, &key, "a string such as KEY=value"))?;
                let (name, value) = match text.split_once('=') {
                    Some((name, value)) => (name, Node::text(value, node.at)),
                    None => (text, nothing(node)),
                };
                if name.ends_with(char::is_whitespace) {
                    return Err(Fault::said(
                        node.at,
                        &key,
                        format!("variable {name:?} is declared with a trailing space"),
                    ));
                }
                Ok((name.to_owned(), value))
            })
            .collect(),
        _ => Err(wrong_kind(&node, key, "a mapping, or a list of KEY=value")),
    }
}

/// What drivers are told.
fn options(node: Node, key: &KeyPath) -> Result<Map, Fault> {
    into_map(node, key, "a mapping")?
        .into_iter()
        .map(|(name, node)| {
            let key = key.key(&name);
            let text = match &node.value {
                Value::Text(_) | Value::Integer(_) | Value::Float(_) => node.to_text(),
                _ => None,
            };
            let text = text.ok_or_else(|| wrong_kind(&node, &key, "a string or a number"))?;
            let directive = node.directive;
            let mut value = Node::text(text, node.at);
            value.directive = directive;
            Ok((name, value))
        })
        .collect()
}

/// Splits a command where it is a string.
///
/// # Errors
/// When it is neither a string nor a list of strings, or a quote is not closed.
pub(crate) fn command(node: &Node, key: &KeyPath) -> Result<Value, Fault> {
    let words = match &node.value {
        Value::Null => return Ok(Value::Null),
        Value::Text(text) => {
            quantity::split_command(text).map_err(|reason| Fault::said(node.at, key, format!("{text:?}: {reason}")))?
        }
        Value::List(list) => list
            .iter()
            .enumerate()
            .map(|(index, item)| {
                item.as_text()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong_kind(item, &key.index(index), "a string"))
            })
            .collect::<Result<_, _>>()?,
        _ => return Err(wrong_kind(node, key, "a string or a list of strings")),
    };
    Ok(Value::List(
        words.into_iter().map(|word| Node::text(word, node.at)).collect(),
    ))
}
