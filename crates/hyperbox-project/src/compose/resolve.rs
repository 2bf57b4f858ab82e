// SPDX-License-Identifier: MIT
//! Relative paths of a model made absolute, each from the folder of the file that says it.

use std::path::Path;

use super::path;
use super::tree::{Map, Node, Value};

/// Resolves the paths of a whole model. What is absolute stays.
pub(crate) fn resolve(model: &mut Node, directory: &Path, home: Option<&str>) {
    let Some(map) = model.as_map_mut() else { return };
    for service in section(map, "services") {
        resolve_service(service, directory, home);
    }
    for kind in ["configs", "secrets"] {
        for object in section(map, kind) {
            make_absolute(object, "file", directory, home);
        }
    }
    for volume in section(map, "volumes") {
        let is_bind = volume.get("driver").and_then(Node::as_text) == Some("local")
            && volume
                .get("driver_opts")
                .and_then(|options| options.get("o"))
                .and_then(Node::as_text)
                == Some("bind");
        if let Some(options) = volume.as_map_mut().and_then(|map| map.get_mut("driver_opts"))
            && is_bind
        {
            make_absolute(options, "device", directory, home);
        }
    }
}

fn section<'map>(map: &'map mut Map, name: &str) -> impl Iterator<Item = &'map mut Node> {
    map.get_mut(name)
        .and_then(Node::as_map_mut)
        .into_iter()
        .flat_map(Map::values_mut)
}

/// Resolves the paths of a service in its long form.
pub(crate) fn resolve_service(service: &mut Node, directory: &Path, home: Option<&str>) {
    let Some(map) = service.as_map_mut() else { return };
    if let Some(build) = map.get_mut("build") {
        resolve_build(build, directory, home);
    }
    for entry in items(map.get_mut("env_file")) {
        make_absolute(entry, "path", directory, home);
    }
    for file in items(map.get_mut("label_file")) {
        absolute_text(file, directory, home);
    }
    if let Some(extends) = map.get_mut("extends") {
        make_absolute(extends, "file", directory, home);
    }
    for mount in items(map.get_mut("volumes")) {
        if mount.get("type").and_then(Node::as_text) == Some("bind") {
            make_absolute(mount, "source", directory, home);
        }
    }
    let watch = map
        .get_mut("develop")
        .and_then(Node::as_map_mut)
        .and_then(|develop| develop.get_mut("watch"));
    for rule in items(watch) {
        make_absolute(rule, "path", directory, home);
    }
}

fn resolve_build(build: &mut Node, directory: &Path, home: Option<&str>) {
    let Some(map) = build.as_map_mut() else { return };
    let contexts = |node: &mut Node| {
        if !node.as_text().is_some_and(path::is_remote_context) {
            absolute_text(node, directory, home);
        }
    };
    if let Some(context) = map.get_mut("context") {
        contexts(context);
    }
    for context in section(map, "additional_contexts") {
        contexts(context);
    }
    for key in section(map, "ssh") {
        absolute_text(key, directory, home);
    }
}

fn items(list: Option<&mut Node>) -> impl Iterator<Item = &mut Node> {
    list.and_then(|node| match &mut node.value {
        Value::List(list) => Some(list),
        _ => None,
    })
    .into_iter()
    .flatten()
}

fn make_absolute(node: &mut Node, key: &str, directory: &Path, home: Option<&str>) {
    if let Some(member) = node.as_map_mut().and_then(|map| map.get_mut(key)) {
        absolute_text(member, directory, home);
    }
}

fn absolute_text(node: &mut Node, directory: &Path, home: Option<&str>) {
    if let Value::Text(text) = &mut node.value
        && !text.is_empty()
    {
        *text = path::absolute(text, directory, home);
    }
}
