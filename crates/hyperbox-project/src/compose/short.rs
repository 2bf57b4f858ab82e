// SPDX-License-Identifier: MIT
//! Short forms and what they stand for. Each takes a value and gives the long forms, or `None` when it is written long already.

use super::error::{Fault, KeyPath, Reason};
use super::port;
use super::shape::Expanded;
use super::tree::{At, Map, Node, Value};

/// Makes a map of a few members, all at one place.
pub(crate) fn map(at: At, members: impl IntoIterator<Item = (&'static str, Value)>) -> Node {
    let map: Map = members
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Node::new(value, at)))
        .collect();
    Node::new(Value::Map(map), at)
}

/// A text becomes a map with that one member.
fn member(node: &Node, key: &'static str) -> Expanded {
    Ok(node
        .as_text()
        .map(|text| vec![map(node.at, [(key, Value::Text(text.to_owned()))])]))
}

pub(crate) fn include(node: &Node, _key: &KeyPath) -> Expanded {
    member(node, "path")
}

pub(crate) fn build(node: &Node, _key: &KeyPath) -> Expanded {
    member(node, "context")
}

pub(crate) fn extends(node: &Node, _key: &KeyPath) -> Expanded {
    member(node, "service")
}

pub(crate) fn environment_file(node: &Node, _key: &KeyPath) -> Expanded {
    member(node, "path")
}

pub(crate) fn file_mount(node: &Node, _key: &KeyPath) -> Expanded {
    member(node, "source")
}

/// `all`: every device.
pub(crate) fn gpus(node: &Node, key: &KeyPath) -> Expanded {
    match node.as_text() {
        Some("all") => {
            let request = map(node.at, [("count", Value::Integer(-1))]);
            Ok(Some(vec![Node::new(Value::List(vec![request]), node.at)]))
        }
        Some(other) => Err(Fault::said(
            node.at,
            key,
            format!("must be all or a list of requests, not {other:?}"),
        )),
        None => Ok(None),
    }
}

/// `{name: x}`; what the name becomes is [`super::conform`]'s to do, which sees the resource around it.
pub(crate) fn external(node: &Node, _key: &KeyPath) -> Expanded {
    Ok(node.as_map().map(|_| vec![Node::new(Value::Boolean(true), node.at)]))
}

/// A number is both limits.
pub(crate) fn ulimit(node: &Node, key: &KeyPath) -> Expanded {
    let number = match &node.value {
        Value::Integer(number) => *number,
        Value::Text(text) => text.trim().parse().map_err(|_| {
            Fault::new(
                node.at,
                key,
                Reason::WrongKind {
                    expected: "a whole number, or soft and hard".to_owned(),
                    found: format!("{text:?}"),
                },
            )
        })?,
        _ => return Ok(None),
    };
    Ok(Some(vec![map(node.at, [("single", Value::Integer(number))])]))
}

/// `/dev/x`, `/dev/x:/dev/y`, `/dev/x:/dev/y:rwm`, or the name of a CDI device.
pub(crate) fn device(node: &Node, key: &KeyPath) -> Expanded {
    let Some(text) = node.as_text() else {
        return Ok(None);
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            return Err(Fault::said(
                node.at,
                key,
                format!("confusing device mapping, please use long syntax: {text}"),
            ));
        }
    };
    Ok(Some(vec![map(
        node.at,
        [
            ("source", Value::Text(source.to_owned())),
            ("target", Value::Text(target.to_owned())),
            ("permissions", Value::Text(permissions.to_owned())),
        ],
    )]))
}

/// `[[HOST:]PUBLISHED:]TARGET[/PROTOCOL]`, with ranges: one port for each target.
pub(crate) fn ports(node: &Node, key: &KeyPath) -> Expanded {
    let Some(text) = node.to_text() else {
        return Ok(None);
    };
    let ports = port::parse(&text).map_err(|reason| Fault::said(node.at, key, reason))?;
    Ok(Some(ports.into_iter().map(|port| port.node(node.at)).collect()))
}

/// `[SOURCE:]TARGET[:OPTIONS]`.
pub(crate) fn mount(node: &Node, key: &KeyPath) -> Expanded {
    let Some(text) = node.as_text() else {
        return Ok(None);
    };
    super::mount::parse(text, node.at)
        .map(|mount| Some(vec![mount]))
        .map_err(|reason| Fault::said(node.at, key, format!("invalid volume {text:?}: {reason}")))
}
