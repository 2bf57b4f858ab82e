// SPDX-License-Identifier: MIT
//! What a model implies: the default network, dependencies that follow from other keys, names of resources, values of the surroundings.

use super::environment::Environment;
use super::path;
use super::tree::{At, Map, Node, Value};

/// Where a build starts when nothing is said.
pub(crate) fn build_defaults(model: &mut Node) {
    for service in section(model, "services").into_iter().flat_map(Map::values_mut) {
        let Some(build) = service.as_map_mut().and_then(|map| map.get_mut("build")) else {
            continue;
        };
        let at = build.at;
        if let Some(build) = build.as_map_mut() {
            build.entry("context".to_owned()).or_insert_with(|| Node::text(".", at));
        }
    }
}

/// Makes explicit what is implied.
pub(crate) fn normalize(model: &mut Node, project: &str, environment: &Environment) {
    let mut uses_default = false;
    for service in section(model, "services").into_iter().flat_map(Map::values_mut) {
        let at = service.at;
        let Some(map) = service.as_map_mut() else { continue };
        uses_default |= join_default_network(map, at);
        normalize_service(map, at, environment);
    }
    let at = model.at;
    if uses_default && let Some(map) = model.as_map_mut() {
        let networks = map
            .entry("networks".to_owned())
            .or_insert_with(|| Node::new(Value::Map(Map::new()), at));
        if let Some(networks) = networks.as_map_mut() {
            networks
                .entry("default".to_owned())
                .or_insert_with(|| Node::new(Value::Null, at));
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        for (key, resource) in section(model, kind).into_iter().flatten() {
            name_resource(key, resource, project);
        }
    }
    for config in section(model, "configs").into_iter().flat_map(Map::values_mut) {
        // A config that is a variable is shown by the variable's name alone.
        if let Some(map) = config.as_map_mut()
            && map.contains_key("environment")
        {
            map.remove("content");
        }
    }
}

/// Removes resources that no service uses.
pub(crate) fn drop_unused(model: &mut Node) {
    let mut used: [std::collections::BTreeSet<String>; 4] = Default::default();
    for service in section(model, "services").into_iter().flat_map(Map::values_mut) {
        used[0].extend(keys(service.get("networks")));
        used[1].extend(
            sources(service.get("volumes"), "source")
                .filter(|(mount, _)| mount.get("type").and_then(Node::as_text) == Some("volume"))
                .map(|(_, source)| source),
        );
        used[2].extend(sources(service.get("configs"), "source").map(|(_, source)| source));
        used[3].extend(sources(service.get("secrets"), "source").map(|(_, source)| source));
        let build = service.get("build").and_then(|build| build.get("secrets"));
        used[3].extend(sources(build, "source").map(|(_, source)| source));
    }
    for (kind, used) in ["networks", "volumes", "configs", "secrets"].into_iter().zip(used) {
        if let Some(map) = section(model, kind) {
            map.retain(|key, _| used.contains(key));
        }
        if let Some(map) = model.as_map_mut()
            && map.get(kind).and_then(Node::as_map).is_some_and(Map::is_empty)
        {
            map.remove(kind);
        }
    }
}

fn section<'node>(model: &'node mut Node, name: &str) -> Option<&'node mut Map> {
    model.as_map_mut()?.get_mut(name)?.as_map_mut()
}

fn keys(map: Option<&Node>) -> impl Iterator<Item = String> {
    map.and_then(Node::as_map)
        .into_iter()
        .flat_map(|map| map.keys().cloned())
}

fn sources<'node>(list: Option<&'node Node>, key: &'static str) -> impl Iterator<Item = (&'node Node, String)> {
    list.and_then(Node::as_list)
        .unwrap_or_default()
        .iter()
        .filter_map(move |item| Some((item, item.get(key)?.as_text()?.to_owned())))
}

/// A service that says nothing of networks is in the default one; tells whether it is used.
fn join_default_network(service: &mut Map, at: At) -> bool {
    if service.contains_key("provider") || service.contains_key("network_mode") {
        return false;
    }
    let networks = service
        .entry("networks".to_owned())
        .or_insert_with(|| Node::new(Value::Map(Map::new()), at));
    let Some(networks) = networks.as_map_mut() else {
        return false;
    };
    if networks.is_empty() {
        networks.insert("default".to_owned(), Node::new(Value::Null, at));
    }
    networks.contains_key("default")
}

fn normalize_service(service: &mut Map, at: At, environment: &Environment) {
    if let Some(policy) = service.get_mut("pull_policy")
        && policy.as_text() == Some("if_not_present")
    {
        policy.value = Value::Text("missing".to_owned());
    }
    if let Some(build) = service.get_mut("build").and_then(Node::as_map_mut) {
        if !build.contains_key("dockerfile") && !build.contains_key("dockerfile_inline") {
            build.insert("dockerfile".to_owned(), Node::text("Dockerfile", at));
        }
        if let Some(arguments) = build.get_mut("args").and_then(Node::as_map_mut) {
            take_over(arguments, environment);
            arguments.retain(|_, value| !value.is_null());
        }
    }
    if let Some(variables) = service.get_mut("environment").and_then(Node::as_map_mut) {
        take_over(variables, environment);
    }
    for (dependency, restart) in implied_dependencies(service) {
        depend(service, at, dependency, restart);
    }
    for mount in service
        .get_mut("volumes")
        .into_iter()
        .filter_map(|node| match &mut node.value {
            Value::List(list) => Some(list),
            _ => None,
        })
        .flatten()
    {
        if let Some(target) = mount.as_map_mut().and_then(|map| map.get_mut("target"))
            && let Value::Text(text) = &mut target.value
        {
            *text = path::clean(text);
        }
    }
    let image = service.get("image").cloned();
    if let Some(Node {
        value: Value::List(hooks),
        ..
    }) = service.get_mut("pre_start")
        && let Some(image) = image
    {
        for hook in hooks.iter_mut().filter_map(Node::as_map_mut) {
            hook.entry("image".to_owned()).or_insert_with(|| image.clone());
        }
    }
}

/// Variables without a value are taken from the surroundings, if they are there.
fn take_over(variables: &mut Map, environment: &Environment) {
    for (name, value) in variables {
        if value.is_null()
            && let Some(found) = environment.value(name)
        {
            value.value = Value::Text(found);
        }
    }
}

/// Services that others of the service's keys name, and whether it restarts with them.
fn implied_dependencies(service: &Map) -> Vec<(String, bool)> {
    let texts = |key: &str| -> Vec<String> {
        service
            .get(key)
            .and_then(Node::as_list)
            .unwrap_or_default()
            .iter()
            .filter_map(Node::to_text)
            .collect()
    };
    let mut found = Vec::new();
    for link in texts("links") {
        let name = match link.split(':').collect::<Vec<_>>()[..] {
            [name, _] => name.to_owned(),
            _ => link,
        };
        found.push((name, true));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let shared = service
            .get(key)
            .and_then(Node::as_text)
            .and_then(|text| text.strip_prefix("service:"));
        found.extend(shared.map(|name| (name.to_owned(), true)));
    }
    for source in texts("volumes_from") {
        if !source.starts_with("container:") {
            let name = source.split(':').next().unwrap_or_default();
            found.push((name.to_owned(), false));
        }
    }
    found
}

fn depend(service: &mut Map, at: At, name: String, restart: bool) {
    let dependencies = service
        .entry("depends_on".to_owned())
        .or_insert_with(|| Node::new(Value::Map(Map::new()), at));
    let Some(dependencies) = dependencies.as_map_mut() else {
        return;
    };
    dependencies.entry(name).or_insert_with(|| {
        super::short::map(
            at,
            [
                ("condition", Value::Text("service_started".to_owned())),
                ("restart", Value::Boolean(restart)),
                ("required", Value::Boolean(true)),
            ],
        )
    });
}

fn name_resource(key: &str, resource: &mut Node, project: &str) {
    if resource.is_null() {
        resource.value = Value::Map(Map::new());
    }
    let at = resource.at;
    let external = resource
        .get("external")
        .is_some_and(|node| node.value == Value::Boolean(true));
    if let Some(map) = resource.as_map_mut() {
        map.entry("name".to_owned()).or_insert_with(|| {
            let name = if external {
                key.to_owned()
            } else {
                format!("{project}_{key}")
            };
            Node::text(name, at)
        });
    }
}
