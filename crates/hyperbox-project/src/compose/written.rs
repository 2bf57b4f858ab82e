// SPDX-License-Identifier: MIT
//! Parts of a document as Docker Compose writes them when it makes a hash of them: JSON without spaces, members in the order of its own types
//! and not of the alphabet. Pure.
//!
//! The order is that of `docker compose config --format json`; whatever the lists below do not name comes behind, by the alphabet.

use serde_json::{Map, Value};

use super::schema::{FILE, SECRET_MOUNT_NAME, SERVICE};
use super::shape::{Field, Object, Shape};

/// What says how many containers there are, when and of what they are made, but not what they are.
const NOT_COUNTED: [&str; 5] = ["build", "pull_policy", "scale", "depends_on", "profiles"];

/// The members of objects in their order, by the object's name in the schema.
const ORDER: [(&str, &[&str]); 22] = [
    ("provider", &["type", "options"]),
    ("blkio_config", &["weight", "weight_device"]),
    (
        "service",
        &[
            "annotations",
            "attach",
            "develop",
            "blkio_config",
            "cap_add",
            "cap_drop",
            "cgroup_parent",
            "cgroup",
            "cpu_count",
            "cpu_percent",
            "cpu_period",
            "cpu_quota",
            "cpu_rt_period",
            "cpu_rt_runtime",
            "cpus",
            "cpuset",
            "cpu_shares",
            "command",
            "configs",
            "container_name",
            "credential_spec",
            "deploy",
            "device_cgroup_rules",
            "devices",
            "dns",
            "dns_opt",
            "dns_search",
            "domainname",
            "entrypoint",
            "provider",
            "environment",
            "env_file",
            "expose",
            "extends",
            "external_links",
            "extra_hosts",
            "group_add",
            "gpus",
            "hostname",
            "healthcheck",
            "image",
            "init",
            "ipc",
            "isolation",
            "labels",
            "label_file",
            "links",
            "logging",
            "mem_limit",
            "mem_reservation",
            "memswap_limit",
            "mem_swappiness",
            "mac_address",
            "models",
            "network_mode",
            "networks",
            "oom_kill_disable",
            "oom_score_adj",
            "pid",
            "pids_limit",
            "platform",
            "ports",
            "privileged",
            "read_only",
            "restart",
            "runtime",
            "secrets",
            "security_opt",
            "shm_size",
            "stdin_open",
            "stop_grace_period",
            "stop_signal",
            "storage_opt",
            "sysctls",
            "tmpfs",
            "tty",
            "ulimits",
            "use_api_socket",
            "user",
            "userns_mode",
            "uts",
            "volumes",
            "volumes_from",
            "working_dir",
            "pre_start",
            "post_start",
            "pre_stop",
        ],
    ),
    (
        "watch rule",
        &["path", "action", "target", "exec", "include", "ignore", "initial_sync"],
    ),
    ("hook", &["command", "user", "privileged", "working_dir", "environment"]),
    (
        "deploy",
        &[
            "mode",
            "labels",
            "update_config",
            "rollback_config",
            "resources",
            "restart_policy",
            "placement",
            "endpoint_mode",
        ],
    ),
    (
        "update_config",
        &[
            "parallelism",
            "delay",
            "failure_action",
            "monitor",
            "max_failure_ratio",
            "order",
        ],
    ),
    ("limits", &["cpus", "memory", "pids", "devices", "generic_resources"]),
    (
        "reservations",
        &["cpus", "memory", "pids", "devices", "generic_resources"],
    ),
    (
        "device request",
        &["capabilities", "driver", "count", "device_ids", "options"],
    ),
    ("placement", &["constraints", "preferences", "max_replicas_per_node"]),
    ("device", &["source", "target", "permissions"]),
    (
        "healthcheck",
        &[
            "test",
            "timeout",
            "interval",
            "retries",
            "start_period",
            "start_interval",
            "disable",
        ],
    ),
    (
        "port",
        &[
            "name",
            "mode",
            "host_ip",
            "target",
            "published",
            "protocol",
            "app_protocol",
        ],
    ),
    ("reference", &["source", "target", "uid", "gid", "mode"]),
    (SECRET_MOUNT_NAME, &["source", "target", "uid", "gid", "mode"]),
    ("ulimit", &["single", "soft", "hard"]),
    // A mount, what is said of its volume, and the volume itself.
    (
        "volume",
        &[
            "name",
            "driver",
            "driver_opts",
            "external",
            "labels",
            "nocopy",
            "subpath",
            "type",
            "source",
            "target",
            "read_only",
            "consistency",
            "bind",
            "volume",
            "tmpfs",
            "image",
        ],
    ),
    ("bind", &["selinux", "propagation", "create_host_path", "recursive"]),
    ("tmpfs", &["size", "mode"]),
    (
        "network",
        &[
            "name",
            "driver",
            "driver_opts",
            "ipam",
            "external",
            "internal",
            "attachable",
            "labels",
            "enable_ipv4",
            "enable_ipv6",
        ],
    ),
    (
        "ipam",
        &["driver", "config", "subnet", "gateway", "ip_range", "aux_addresses"],
    ),
];

/// Writes what makes a service's containers what they are.
pub(crate) fn service(document: &Value) -> String {
    let mut counted = document.clone();
    if let Value::Object(map) = &mut counted {
        map.retain(|key, _| !NOT_COUNTED.contains(&key.as_str()));
        if let Some(Value::Object(deploy)) = map.get_mut("deploy") {
            deploy.remove("replicas");
        }
    }
    let mut text = String::new();
    object(&counted, &SERVICE, &mut text);
    text
}

/// Writes a network.
pub(crate) fn network(document: &Value) -> String {
    section(document, "networks")
}

/// Writes a volume, with the driver that it has when none is said.
pub(crate) fn volume(document: &Value) -> String {
    let mut counted = document.clone();
    if let Value::Object(map) = &mut counted {
        map.entry("driver").or_insert_with(|| Value::String("local".to_owned()));
    }
    section(&counted, "volumes")
}

fn section(document: &Value, name: &str) -> String {
    let mut text = String::new();
    match FILE.field(name).map(|field| &field.shape) {
        Some(Shape::Named(shape)) => write(document, shape, &mut text),
        _ => plain(document, &mut text),
    }
    text
}

fn write(value: &Value, shape: &'static Shape, text: &mut String) {
    match (shape, value) {
        (Shape::Maybe(inner) | Shape::Short { long: inner, .. }, _) => write(value, inner, text),
        (Shape::Object(known), Value::Object(_)) => object(value, known, text),
        (Shape::Named(inner) | Shape::Names { value: inner, .. }, Value::Object(map)) => {
            members(text, map.iter(), |text, value| write(value, inner, text));
        }
        (Shape::List { item, .. }, Value::Array(list)) => {
            items(text, list, |text, value| write(value, item, text));
        }
        _ => plain(value, text),
    }
}

fn object(value: &Value, known: &'static Object, text: &mut String) {
    let Value::Object(map) = value else {
        return plain(value, text);
    };
    // Limits of block devices have capitals there, and options of address management are not written.
    let list: Vec<(String, &Value, Option<&'static Field>)> = ordered(map, known.name)
        .into_iter()
        .filter(|(key, _)| known.name != "ipam" || *key != "options")
        .map(|(key, value)| match known.name {
            "limit" | "weight" => (capital(key), value, known.field(key)),
            _ => (key.clone(), value, known.field(key)),
        })
        .collect();
    let members_of = list.iter().map(|(key, value, field)| (key, (*value, *field)));
    members(text, members_of, |text, (value, field)| match field {
        Some(field) => write(value, &field.shape, text),
        None => plain(value, text),
    });
}

fn capital(key: &str) -> String {
    let mut rest = key.chars();
    rest.next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// The members in their order. Maps are sorted, and so is what is not named.
fn ordered<'a>(map: &'a Map<String, Value>, name: &str) -> Vec<(&'a String, &'a Value)> {
    let order = ORDER.iter().find(|(known, _)| *known == name).map(|(_, order)| *order);
    let order = order.unwrap_or_default();
    let place = |key: &str| order.iter().position(|known| *known == key).unwrap_or(order.len());
    let mut list: Vec<_> = map.iter().collect();
    list.sort_by_key(|(key, _)| place(key));
    list
}

fn plain(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => members(text, map.iter(), |text, value| plain(value, text)),
        Value::Array(list) => items(text, list, |text, value| plain(value, text)),
        Value::String(string) => quoted(string, text),
        other => text.push_str(&other.to_string()),
    }
}

fn members<'a, T>(text: &mut String, list: impl Iterator<Item = (&'a String, T)>, each: impl Fn(&mut String, T)) {
    text.push('{');
    for (index, (key, value)) in list.enumerate() {
        if index > 0 {
            text.push(',');
        }
        quoted(key, text);
        text.push(':');
        each(text, value);
    }
    text.push('}');
}

fn items(text: &mut String, list: &[Value], each: impl Fn(&mut String, &Value)) {
    text.push('[');
    for (index, value) in list.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        each(text, value);
    }
    text.push(']');
}

/// Go escapes what HTML and JavaScript could take for something else (`encoding/json`).
fn quoted(string: &str, text: &mut String) {
    for character in Value::from(string).to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => text.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn order_and_what_does_not_count() {
        let document = json!({
            "scale": 3, "image": "a", "command": null, "x": 1, "deploy": { "replicas": 2, "mode": "replicated" },
            "environment": { "b": "<&>", "a": null }, "ports": [{ "protocol": "tcp", "target": 80, "mode": "ingress" }],
        });
        let expected = "{\"command\":null,\"deploy\":{\"mode\":\"replicated\"},\"environment\":{\"a\":null,\
            \"b\":\"\\u003c\\u0026\\u003e\"},\"image\":\"a\",\"ports\":[{\"mode\":\"ingress\",\"target\":80,\
            \"protocol\":\"tcp\"}],\"x\":1}";
        assert_eq!(service(&document), expected);
        let slow = json!({ "blkio_config": { "device_read_bps": [{ "Path": "/dev/a", "Rate": "1" }] } });
        let expected = "{\"blkio_config\":{\"device_read_bps\":[{\"Path\":\"/dev/a\",\"Rate\":\"1\"}]}}";
        assert_eq!(service(&slow), expected);
        assert_eq!(volume(&json!({ "name": "v" })), "{\"name\":\"v\",\"driver\":\"local\"}");
        assert_eq!(
            network(&json!({ "ipam": {}, "name": "n" })),
            "{\"name\":\"n\",\"ipam\":{}}"
        );
    }
}
