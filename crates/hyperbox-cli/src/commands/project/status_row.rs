// SPDX-License-Identifier: MIT
//! How the status of a project looks. Pure.

use std::fmt::Write as _;

use hyperbox_types::project::{ContainerStatus, ProjectStatus, PublishedPortStatus, Quantity, ServiceStatus};

use crate::format::{List, decimal_size};
use crate::template::Value;

/// A row for each container.
pub(super) const LIST: List = List {
    row: "{{.Service}}\t{{.Name}}\t{{.State}}\t{{.Ports}}",
    quiet: "{{.ID}}",
    titles: &[
        ("Service", "SERVICE"),
        ("Name", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("State", "STATE"),
        ("Health", "HEALTH"),
        ("ExitCode", "EXIT CODE"),
        ("Ports", "ADDRESSES"),
        ("Started", "STARTED"),
    ],
};

/// What stands above the rows.
pub(super) fn head(status: &ProjectStatus, state: &str, gone: bool) -> String {
    let summary = &status.summary;
    let mark = if gone { " (gone)" } else { "" };
    let mut text = format!(
        "Project:   {}  {}{mark}\nState:     {state}",
        summary.name, summary.directory
    );
    if status.busy {
        text.push_str(", being changed");
    }
    if let Some(range) = summary.ports {
        let _ = write!(text, "\nPorts:     {}-{}", range.first, range.last); // writing to a string cannot fail
    }
    let networks: Vec<String> = status
        .networks
        .iter()
        .map(|network| {
            format!("{} {}", network.name, network.subnets.join(", "))
                .trim_end()
                .to_owned()
        })
        .collect();
    if !networks.is_empty() {
        let _ = write!(text, "\nNetworks:  {}", networks.join("; "));
    }
    if let Some(usage) = &status.usage {
        let _ = write!(
            text,
            "\nUses:      {} CPUs, {} memory, {} processes",
            amount(usage.cpus, |number| format!("{number:.2}")),
            amount(usage.memory, bytes),
            amount(usage.pids, |number| format!("{number:.0}")),
        );
        if usage.memory_kills > 0 {
            let _ = write!(
                text,
                "\nMemory:    the limit has ended processes {} times",
                usage.memory_kills
            );
        }
    }
    text.push('\n');
    text
}

fn amount(quantity: Quantity, show: impl Fn(f64) -> String) -> String {
    match quantity.limit {
        Some(limit) => format!("{} of {}", show(quantity.used), show(limit)),
        None => show(quantity.used),
    }
}

fn bytes(number: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bytes of memory fit; what does not is cut off, as it is only shown"
    )]
    let whole = number as i64;
    decimal_size(whole)
}

/// A row for each container, and one for each service without.
pub(super) fn rows(status: &ProjectStatus) -> Vec<Value> {
    let mut rows = Vec::new();
    for service in &status.services {
        if service.containers.is_empty() {
            rows.push(row(service, None));
        }
        rows.extend(service.containers.iter().map(|container| row(service, Some(container))));
    }
    rows
}

fn row(service: &ServiceStatus, container: Option<&ContainerStatus>) -> Value {
    let text = |value: Option<&str>| Value::from(value.unwrap_or_default());
    let name = if service.orphan {
        format!("{} (orphan)", service.name)
    } else {
        service.name.clone()
    };
    let code = container.and_then(|container| container.exit_code);
    let ports = container.map_or_else(Vec::new, |container| addresses(&container.ports));
    Value::map([
        (
            "ExitCode",
            code.map_or_else(String::new, |code| code.to_string()).into(),
        ),
        (
            "Health",
            text(container.and_then(|container| container.health.as_deref())),
        ),
        ("ID", text(container.map(|container| container.id.as_str()))),
        ("Image", service.image.as_str().into()),
        ("Name", text(container.map(|container| container.name.as_str()))),
        ("Ports", ports.join(", ").into()),
        ("Service", name.into()),
        (
            "Started",
            text(container.and_then(|container| container.started_at.as_deref())),
        ),
        ("State", state(service, container).into()),
    ])
}

fn state(service: &ServiceStatus, container: Option<&ContainerStatus>) -> String {
    let Some(container) = container else {
        return if service.wanted == 0 {
            "not wanted"
        } else {
            "not created"
        }
        .to_owned();
    };
    match (&container.health, container.exit_code) {
        (Some(health), _) if container.state == "running" => format!("running ({health})"),
        (_, Some(_)) if container.out_of_memory => format!("{} (out of memory)", container.state),
        (_, Some(code)) if container.state != "running" => format!("{} ({code})", container.state),
        _ => container.state.clone(),
    }
}

/// Where ports are found. One that is published for both families is said once.
fn addresses(ports: &[PublishedPortStatus]) -> Vec<String> {
    let is_twin = |port: &PublishedPortStatus| {
        let mut others = ports.iter().filter(|other| other.host_ip == "0.0.0.0");
        port.host_ip == "::"
            && others.any(|other| other.host_port == port.host_port && other.container_port == port.container_port)
    };
    ports.iter().filter(|port| !is_twin(port)).map(address).collect()
}

fn address(port: &PublishedPortStatus) -> String {
    let (to, protocol) = (port.container_port, &port.protocol);
    match &port.url {
        Some(url) => format!("{url} -> {to}"),
        None if port.host_ip.contains(':') => format!("[{}]:{} -> {to}/{protocol}", port.host_ip, port.host_port),
        None => format!("{}:{} -> {to}/{protocol}", port.host_ip, port.host_port),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> ProjectStatus {
        serde_json::from_value(json!({
            "name": "shop", "directory": "/w/shop", "files": [], "opened": true, "state": "partial", "running": 1, "containers": 2,
            "ports": { "first": 10000, "last": 10999 },
            "services": [
                { "name": "web", "image": "w", "wanted": 1, "containers": [{
                    "id": "i1", "name": "shop-web-1", "number": 1, "state": "running", "health": "healthy",
                    "ports": [
                        { "host_ip": "0.0.0.0", "host_port": 10000, "container_port": 80, "protocol": "tcp", "url": "http://localhost:10000" },
                        { "host_ip": "::", "host_port": 10000, "container_port": 80, "protocol": "tcp" },
                        { "host_ip": "127.0.0.1", "host_port": 53, "container_port": 53, "protocol": "udp" }
                    ]
                }] },
                { "name": "job", "image": "j", "wanted": 1, "containers": [
                    { "id": "i2", "name": "shop-job-1", "number": 1, "state": "exited", "exit_code": 3 }
                ] },
                { "name": "new", "image": "n", "wanted": 1, "containers": [] },
                { "name": "old", "image": "o", "wanted": 0, "orphan": true, "containers": [] },
            ],
            "networks": [{ "key": "default", "name": "shop_default", "subnets": ["10.89.0.0/24"] }],
            "volumes": [],
            "usage": {
                "cpus": { "used": 0.1, "limit": 2.0 }, "memory": { "used": 12_000_000.0 }, "pids": { "used": 5.0, "limit": 100.0 },
                "read_bytes": 0, "write_bytes": 0, "memory_kills": 0
            }
        }))
        .unwrap()
    }

    #[test]
    fn a_status() {
        let status = status();
        assert_eq!(
            head(&status, "partly running (1 of 2)", false),
            "Project:   shop  /w/shop\nState:     partly running (1 of 2)\nPorts:     10000-10999\n\
             Networks:  shop_default 10.89.0.0/24\nUses:      0.10 of 2.00 CPUs, 12MB memory, 5 of 100 processes\n"
        );
        assert_eq!(
            LIST.render(None, false, &rows(&status)).unwrap(),
            "SERVICE        CONTAINER    STATE               ADDRESSES\n\
             web            shop-web-1   running (healthy)   http://localhost:10000 -> 80, 127.0.0.1:53 -> 53/udp\n\
             job            shop-job-1   exited (3)          \n\
             new                         not created         \n\
             old (orphan)                not wanted          \n"
        );
    }
}
