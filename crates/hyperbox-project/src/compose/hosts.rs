// SPDX-License-Identifier: MIT
//! `extra_hosts`: names with their addresses, as a map of lists.

use super::conform::wrong_kind;
use super::error::{Fault, KeyPath};
use super::tree::{Map, Node, Value};

/// `{host: address}`, `{host: [address]}`, or a list of `host=address` and `host:address`.
///
/// # Errors
/// A name that cannot be one, an item without an address, or another kind of value.
pub(crate) fn conform(node: Node, key: &KeyPath) -> Result<Map, Fault> {
    let mut hosts: Map = Map::new();
    match &node.value {
        Value::Map(map) => {
            for (host, value) in map {
                let key = key.key(host);
                let addresses = match &value.value {
                    Value::Text(address) => vec![address.clone()],
                    Value::List(list) => list.iter().filter_map(Node::to_text).collect(),
                    _ => return Err(wrong_kind(value, &key, "an address or a list of addresses")),
                };
                insert(&mut hosts, host, addresses, value, &key)?;
            }
        }
        Value::List(list) => {
            for (index, item) in list.iter().enumerate() {
                let key = key.index(index);
                let text = item
                    .as_text()
                    .ok_or_else(|| wrong_kind(item, &key, "a string such as host=address"))?;
                let Some((host, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
                    return Err(Fault::said(
                        item.at,
                        &key,
                        format!("invalid additional host, missing IP: {text}"),
                    ));
                };
                let addresses = addresses.split(',').map(str::to_owned).collect();
                insert(&mut hosts, host, addresses, item, &key)?;
            }
        }
        _ => return Err(wrong_kind(&node, key, "a mapping, or a list of host=address")),
    }
    Ok(hosts)
}

fn insert(hosts: &mut Map, host: &str, addresses: Vec<String>, node: &Node, key: &KeyPath) -> Result<(), Fault> {
    if host.is_empty() || host.contains([':', '=']) {
        return Err(Fault::said(node.at, key, format!("bad host name '{host}'")));
    }
    let entry = hosts
        .entry(host.to_owned())
        .or_insert_with(|| Node::new(Value::List(Vec::new()), node.at));
    if let Value::List(list) = &mut entry.value {
        list.extend(addresses.into_iter().map(|address| {
            let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            Node::text(bare.unwrap_or(&address), node.at)
        }));
    }
    Ok(())
}
