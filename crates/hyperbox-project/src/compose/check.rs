// SPDX-License-Identifier: MIT
//! What the parts of a model owe each other: names that exist, keys that exclude each other, no circles.

use std::collections::{BTreeMap, BTreeSet};

use super::error::{Fault, KeyPath};
use super::quantity::parse_bytes;
use super::tree::{Map, Node, Value};

type Checked = Result<(), Fault>;

/// What each resource owes itself; asked of each model before it is included anywhere.
pub(crate) fn objects(model: &Node) -> Checked {
    for (kind, ways) in [
        ("configs", &["file", "environment", "content"][..]),
        ("secrets", &["file", "environment"][..]),
    ] {
        for (name, object) in section(model, kind) {
            let key = KeyPath::of(&[kind, name]);
            let said = ways.iter().filter(|way| object.get(way).is_some()).count();
            if said > 1 {
                let sentence = format!("{} attributes are mutually exclusive", ways.join("|"));
                return Err(Fault::said(object.at, &key, sentence));
            }
            if said == 0 && object.get("driver").is_none() && object.get("external").is_none() {
                return Err(Fault::said(
                    object.at,
                    &key,
                    format!("one of {} must be set", ways.join("|")),
                ));
            }
        }
    }
    for kind in ["networks", "volumes", "configs", "secrets"] {
        section(model, kind).try_for_each(|(name, object)| external(kind, name, object))?;
    }
    for (name, service) in section(model, "services") {
        for (index, port) in list(service, "ports").iter().enumerate() {
            let host = port.get("host_ip").and_then(Node::as_text);
            if let Some(host) = host.filter(|host| host.parse::<std::net::IpAddr>().is_err()) {
                let key = KeyPath::of(&["services", name, "ports"]).index(index);
                return Err(Fault::said(port.at, &key, format!("invalid ip address: {host}")));
            }
        }
    }
    Ok(())
}

/// A resource of others has nothing to be made of.
fn external(kind: &str, name: &str, object: &Node) -> Checked {
    if object.get("external").map(|node| &node.value) != Some(&Value::Boolean(true)) {
        return Ok(());
    }
    let odd = object.as_map().into_iter().flatten().find(|(key, node)| {
        let allowed = matches!(key.as_str(), "external" | "name") || key.starts_with("x-");
        !(allowed || matches!(&node.value, Value::Map(map) if map.is_empty()))
    });
    match odd {
        Some((odd, node)) if kind == "volumes" => Err(Fault::said(
            node.at,
            &KeyPath::of(&[kind, name]),
            format!("conflicting parameters \"external\" and {odd:?} specified"),
        )),
        _ => Ok(()),
    }
}

/// What the services owe each other and the resources.
pub(crate) fn consistent(model: &Node, disabled: &BTreeSet<String>) -> Checked {
    for (name, service) in section(model, "services") {
        let checked = Service {
            name,
            service,
            model,
            disabled,
            key: KeyPath::of(&["services", name]),
        };
        checked.sources()?;
        checked.references()?;
        checked.dependencies()?;
        checked.scale()?;
        checked.limits()?;
        checked.targets()?;
        checked.watch()?;
    }
    circles(model)
}

fn section<'node>(model: &'node Node, name: &str) -> impl Iterator<Item = (&'node String, &'node Node)> {
    model.get(name).and_then(Node::as_map).into_iter().flatten()
}

fn list<'node>(node: &'node Node, key: &str) -> &'node [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

struct Service<'a> {
    name: &'a str,
    service: &'a Node,
    model: &'a Node,
    disabled: &'a BTreeSet<String>,
    key: KeyPath,
}

impl Service<'_> {
    fn wrong(&self, key: &str, sentence: impl Into<String>) -> Checked {
        let at = self.service.get(key).map_or(self.service.at, |node| node.at);
        let path = if key.is_empty() {
            self.key.clone()
        } else {
            self.key.key(key)
        };
        Err(Fault::said(at, &path, sentence))
    }

    fn has(&self, section: &str, name: &str) -> bool {
        self.model
            .get(section)
            .is_some_and(|section| section.get(name).is_some())
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.service.get(key).and_then(Node::as_text)
    }

    /// Where the image comes from.
    fn sources(&self) -> Checked {
        let Some(build) = self.service.get("build") else {
            if self.text("image").is_none_or(str::is_empty) && self.service.get("provider").is_none() {
                return self.wrong(
                    "",
                    format!(
                        "service {:?} has neither an image nor a build context specified",
                        self.name
                    ),
                );
            }
            return Ok(());
        };
        if build.get("dockerfile_inline").is_some() && build.get("dockerfile").is_some() {
            return self.wrong("build", "declares mutually exclusive dockerfile and dockerfile_inline");
        }
        if let Some(platform) = self.text("platform")
            && !list(build, "platforms").is_empty()
            && !list(build, "platforms")
                .iter()
                .any(|known| known.as_text() == Some(platform))
        {
            return self.wrong(
                "build",
                format!("service.build.platforms MUST include service.platform {platform:?}"),
            );
        }
        for (context, node) in section(build, "additional_contexts") {
            if let Some(target) = node.as_text().and_then(|text| text.strip_prefix("service:"))
                && !self.has("services", target)
            {
                let sentence = format!("declares unknown service {target:?} as additional contexts {context}");
                return self.wrong("build", sentence);
            }
        }
        Ok(())
    }

    /// Resources that are named.
    fn references(&self) -> Checked {
        let networks = self.service.get("networks").and_then(Node::as_map);
        if self.text("network_mode").is_some() && networks.is_some_and(|map| !map.is_empty()) {
            return self.wrong("networks", "declares mutually exclusive `network_mode` and `networks`");
        }
        for network in networks.into_iter().flat_map(Map::keys) {
            if !self.has("networks", network) {
                return self.wrong("networks", format!("refers to undefined network {network}"));
            }
        }
        for mount in list(self.service, "volumes") {
            let source = mount.get("source").and_then(Node::as_text).unwrap_or_default();
            let is_volume = mount.get("type").and_then(Node::as_text) == Some("volume");
            if source.is_empty() && mount.get("type").and_then(Node::as_text) == Some("bind") {
                let sentence = "invalid mount config for type \"bind\": field Source must not be empty";
                return Err(Fault::said(mount.at, &self.key.key("volumes"), sentence));
            }
            if is_volume && !source.is_empty() && !self.has("volumes", source) {
                return self.wrong("volumes", format!("refers to undefined volume {source}"));
            }
        }
        let build_secrets = self
            .service
            .get("build")
            .map_or(&[][..], |build| list(build, "secrets"));
        for (section, key, items) in [
            ("configs", "configs", list(self.service, "configs")),
            ("secrets", "secrets", list(self.service, "secrets")),
            ("secrets", "build", build_secrets),
        ] {
            for item in items {
                let source = item.get("source").and_then(Node::as_text).unwrap_or_default();
                if !self.has(section, source) {
                    let kind = section.trim_end_matches('s');
                    return self.wrong(key, format!("refers to undefined {kind} {source}"));
                }
            }
        }
        for model in self
            .service
            .get("models")
            .and_then(Node::as_map)
            .into_iter()
            .flat_map(Map::keys)
        {
            if !self.has("models", model) {
                return self.wrong("models", format!("refers to undefined model {model}"));
            }
        }
        Ok(())
    }

    fn dependencies(&self) -> Checked {
        if let Some(target) = self.text("network_mode").and_then(|mode| mode.strip_prefix("service:"))
            && !self.has("services", target)
        {
            return self.wrong("network_mode", format!("service {target:?} not found"));
        }
        let dependencies = self.service.get("depends_on").and_then(Node::as_map);
        for (name, dependency) in dependencies.into_iter().flatten() {
            let required = dependency
                .get("required")
                .is_none_or(|node| node.value != Value::Boolean(false));
            if !self.has("services", name) && (required || !self.disabled.contains(name)) {
                return self.wrong(self.named_by(name), format!("depends on undefined service {name:?}"));
            }
        }
        Ok(())
    }

    /// The key that says that another service is needed: `depends_on`, or what implies it.
    fn named_by(&self, name: &str) -> &'static str {
        let mode = |key: &&&str| self.text(key).and_then(|mode| mode.strip_prefix("service:")) == Some(name);
        let item = |key: &&&str| {
            let first = |item: &Node| item.as_text().and_then(|text| text.split(':').next()) == Some(name);
            list(self.service, key).iter().any(first)
        };
        let modes = ["ipc", "pid", "uts", "cgroup", "network_mode"];
        let found = modes.iter().find(mode);
        found
            .or_else(|| ["volumes_from", "links"].iter().find(item))
            .map_or("depends_on", |key| key)
    }

    fn scale(&self) -> Checked {
        let number = |node: Option<&Node>| match node.map(|node| &node.value) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        };
        let scale = number(self.service.get("scale"));
        let replicas = number(self.service.get("deploy").and_then(|deploy| deploy.get("replicas")));
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && scale != replicas
        {
            return self.wrong("scale", "can't set distinct values on 'scale' and 'deploy.replicas'");
        }
        let count = scale.or(replicas).unwrap_or(1);
        if count < 0 {
            return self.wrong("scale", "must be greater than or equal to 0");
        }
        if count > 1 && self.text("container_name").is_some() {
            return self.wrong(
                "container_name",
                "can't set container_name and scale as container name must be unique",
            );
        }
        Ok(())
    }

    /// Limits that can be said twice have to be the same.
    fn limits(&self) -> Checked {
        let resources = self.service.get("deploy").and_then(|deploy| deploy.get("resources"));
        let part = |part: &str| resources.and_then(|resources| resources.get(part));
        for (key, group, member) in [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("pids_limit", "limits", "pids"),
            ("mem_reservation", "reservations", "memory"),
        ] {
            let Some(said) = self.service.get(key).and_then(Node::to_text) else {
                continue;
            };
            let Some(group_node) = part(group) else { continue };
            let other = group_node
                .get(member)
                .and_then(Node::to_text)
                .unwrap_or_else(|| "0".to_owned());
            let same = said == other || parse_bytes(&said).is_some_and(|said| Some(said) == parse_bytes(&other));
            if !same && said != "0" {
                return self.wrong(
                    key,
                    format!("can't set distinct values on '{key}' and 'deploy.resources.{group}.{member}'"),
                );
            }
        }
        Ok(())
    }

    /// Nothing is mounted over something else of the same service.
    fn targets(&self) -> Checked {
        let mut taken: BTreeMap<String, String> = BTreeMap::new();
        let tmpfs = list(self.service, "tmpfs")
            .iter()
            .filter_map(Node::as_text)
            .map(|text| text.split(':').next().unwrap_or_default().to_owned());
        let mounts = list(self.service, "volumes")
            .iter()
            .filter_map(|mount| mount.get("target")?.as_text().map(str::to_owned));
        for (kind, target) in tmpfs
            .map(|target| ("tmpfs", target))
            .chain(mounts.map(|target| ("volumes", target)))
        {
            if let Some(other) = taken.insert(target.clone(), kind.to_owned()) {
                return self.wrong(kind, format!("target {target} already mounted as {other}"));
            }
        }
        Ok(())
    }

    fn watch(&self) -> Checked {
        let develop = self.service.get("develop");
        for rule in develop.map_or(&[][..], |develop| list(develop, "watch")) {
            let action = rule.get("action").and_then(Node::as_text).unwrap_or_default();
            let target = rule.get("target").and_then(Node::as_text).unwrap_or_default();
            if target.is_empty() && !matches!(action, "rebuild" | "restart") {
                return self.wrong("develop", "target is required for non-rebuild actions");
            }
        }
        Ok(())
    }
}

/// Depth first through the dependencies; the stack is the path from where it began.
fn circles(model: &Node) -> Checked {
    let mut done = BTreeSet::new();
    for (name, _) in section(model, "services") {
        visit(model, name, &mut Vec::new(), &mut done)?;
    }
    Ok(())
}

fn visit<'node>(
    model: &'node Node,
    name: &'node str,
    path: &mut Vec<&'node str>,
    done: &mut BTreeSet<&'node str>,
) -> Checked {
    if done.contains(name) {
        return Ok(());
    }
    let Some(service) = model.get("services").and_then(|services| services.get(name)) else {
        return Ok(());
    };
    if let Some(start) = path.iter().position(|known| *known == name) {
        let circle = [&path[start..], &[name]].concat().join(" -> ");
        let at = service.get("depends_on").map_or(service.at, |node| node.at);
        return Err(Fault::said(
            at,
            &KeyPath::of(&["services", name, "depends_on"]),
            format!("dependency cycle detected: {circle}"),
        ));
    }
    path.push(name);
    let dependencies = service.get("depends_on").and_then(Node::as_map);
    for dependency in dependencies.into_iter().flat_map(Map::keys) {
        visit(model, dependency, path, done)?;
    }
    path.pop();
    done.insert(name);
    Ok(())
}
