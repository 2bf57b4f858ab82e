// SPDX-License-Identifier: MIT
//! A later file's values over an earlier one's, both in their long form.
//!
//! Source: <https://docs.docker.com/reference/compose-file/merge/>.

use super::shape::{Field, Merge, Object, Same, Shape};
use super::tree::{Map, Node, Value};

/// Merges what `object` describes.
pub(crate) fn merge_objects(earlier: Map, later: Map, object: &'static Object) -> Map {
    merge_maps(earlier, later, |key, earlier, later| match object.field(key) {
        Some(field) => merge_field(earlier, later, field),
        None => merge_free(earlier, later),
    })
}

/// Removes items of lists that are said again later.
pub(crate) fn unique(node: &mut Node, shape: &'static Shape) {
    match shape {
        Shape::Maybe(inner) => unique(node, inner),
        Shape::Short { long, .. } => unique(node, long),
        Shape::Object(object) => {
            let Some(map) = node.as_map_mut() else { return };
            for (key, node) in map {
                if let Some(field) = object.field(key) {
                    unique(node, &field.shape);
                }
            }
        }
        Shape::Named(inner) | Shape::Names { value: inner, .. } => {
            for node in node.as_map_mut().into_iter().flat_map(Map::values_mut) {
                unique(node, inner);
            }
        }
        Shape::List { same, .. } if *same != Same::Never => {
            if let Value::List(list) = &mut node.value {
                *list = without_repeated(std::mem::take(list), *same);
            }
        }
        _ => {}
    }
}

fn merge_maps(mut earlier: Map, later: Map, merge: impl Fn(&str, Node, Node) -> Node) -> Map {
    for (key, later) in later {
        let merged = match earlier.remove(&key) {
            Some(earlier) => merge(&key, earlier, later),
            None => later,
        };
        earlier.insert(key, merged);
    }
    earlier
}

fn merge_field(earlier: Node, later: Node, field: &'static Field) -> Node {
    match field.merge {
        Merge::Replace => later,
        Merge::ByShape => merge_nodes(earlier, later, &field.shape),
        Merge::Logging => {
            let driver = |node: &Node| node.get("driver").and_then(Node::as_text).map(str::to_owned);
            match (driver(&earlier), driver(&later)) {
                (Some(before), Some(after)) if before != after => later,
                _ => merge_nodes(earlier, later, &field.shape),
            }
        }
        Merge::Pools => merge_pools(earlier, later, &field.shape),
    }
}

fn merge_nodes(earlier: Node, later: Node, shape: &'static Shape) -> Node {
    // A later null says nothing.
    if later.is_null() {
        return earlier;
    }
    let at = later.at;
    match (earlier.value, later.value, shape) {
        (earlier, later, Shape::Maybe(inner) | Shape::Short { long: inner, .. }) => {
            merge_nodes(Node::new(earlier, at), Node::new(later, at), inner)
        }
        (Value::Map(earlier), Value::Map(later), Shape::Object(object)) if object.name == "ulimit" => {
            drop(earlier);
            Node::new(Value::Map(later), at)
        }
        (Value::Map(earlier), Value::Map(later), Shape::Object(object)) => {
            Node::new(Value::Map(merge_objects(earlier, later, object)), at)
        }
        (Value::Map(earlier), Value::Map(later), Shape::Named(inner) | Shape::Names { value: inner, .. }) => Node::new(
            Value::Map(merge_maps(earlier, later, |_, earlier, later| {
                merge_nodes(earlier, later, inner)
            })),
            at,
        ),
        (Value::Map(earlier), Value::Map(later), Shape::Hosts) => Node::new(
            Value::Map(merge_maps(earlier, later, |_, earlier, later| added(earlier, later))),
            at,
        ),
        (Value::Map(earlier), Value::Map(later), Shape::Pairs(_) | Shape::Options) => {
            Node::new(Value::Map(merge_maps(earlier, later, |_, _, later| later)), at)
        }
        (Value::List(mut earlier), Value::List(later), Shape::List { .. }) => {
            earlier.extend(later);
            Node::new(Value::List(earlier), at)
        }
        (_, later, _) => Node::new(later, at),
    }
}

/// Extensions and anything that has no shape: by kind.
fn merge_free(earlier: Node, later: Node) -> Node {
    let at = later.at;
    match (earlier.value, later.value) {
        (earlier, Value::Null) => Node::new(earlier, at),
        (Value::Map(earlier), Value::Map(later)) => Node::new(
            Value::Map(merge_maps(earlier, later, |_, earlier, later| {
                merge_free(earlier, later)
            })),
            at,
        ),
        (Value::List(mut earlier), Value::List(later)) => {
            earlier.extend(later);
            Node::new(Value::List(earlier), at)
        }
        (_, later) => Node::new(later, at),
    }
}

/// Addresses that are not there yet.
fn added(earlier: Node, later: Node) -> Node {
    let at = later.at;
    match (earlier.value, later.value) {
        (Value::List(mut earlier), Value::List(later)) => {
            for address in later {
                if !earlier.iter().any(|known| known.value == address.value) {
                    earlier.push(address);
                }
            }
            Node::new(Value::List(earlier), at)
        }
        (_, later) => Node::new(later, at),
    }
}

/// Pools of the same subnet by key, others behind.
fn merge_pools(earlier: Node, later: Node, shape: &'static Shape) -> Node {
    let Shape::List { item, .. } = shape else {
        return later;
    };
    let at = later.at;
    let (Value::List(mut pools), Value::List(later)) = (earlier.value, later.value) else {
        return Node::new(Value::List(Vec::new()), at);
    };
    let subnet = |node: &Node| node.get("subnet").and_then(Node::as_text).map(str::to_owned);
    for pool in later {
        match pools.iter().position(|known| subnet(known) == subnet(&pool)) {
            Some(position) => {
                let known = pools.remove(position);
                pools.insert(position, merge_nodes(known, pool, item));
            }
            None => pools.push(pool),
        }
    }
    Node::new(Value::List(pools), at)
}

fn without_repeated(list: Vec<Node>, same: Same) -> Vec<Node> {
    let mut places = std::collections::HashMap::new();
    let mut result: Vec<Node> = Vec::with_capacity(list.len());
    for node in list {
        let Some(identity) = identity(&node, same) else {
            result.push(node);
            continue;
        };
        match places.get(&identity) {
            Some(&place) => result[place] = node,
            None => {
                places.insert(identity, result.len());
                result.push(node);
            }
        }
    }
    result
}

/// What makes an item of a list the same as another.
fn identity(node: &Node, same: Same) -> Option<String> {
    let part = |key: &str| node.get(key).and_then(Node::to_text);
    match same {
        Same::Never => None,
        Same::Key => node
            .as_text()
            .map(|text| text.split_once('=').map_or(text, |(key, _)| key).to_owned()),
        Same::Target => part("target"),
        Same::Path => part("path"),
        Same::Mount(directory) => part("target").or_else(|| Some(format!("{directory}/{}", part("source")?))),
        Same::Port => Some(format!(
            "{}:{}:{}/{}",
            part("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
            part("published").unwrap_or_default(),
            part("target")?,
            part("protocol").unwrap_or_else(|| "tcp".to_owned()),
        )),
    }
}
