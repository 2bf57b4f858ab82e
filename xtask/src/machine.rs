// SPDX-License-Identifier: MIT
//! What a measurement must say about the machine it was made on.

use serde_json::{Value, json};

use crate::process::{capture, command};

/// Describes this machine.
pub(crate) fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> String {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split([':', '='])
            .nth(1)
            .unwrap_or_default()
            .trim()
            .trim_matches('"')
            .to_owned()
    };
    let cpu = read("/proc/cpuinfo");
    json!({
        "processor": field(&cpu, "model name"),
        "processors": cpu.lines().filter(|line| line.starts_with("processor")).count(),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "system": field(&read("/etc/os-release"), "PRETTY_NAME"),
        "load": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        "date": capture(&mut command(&["date", "--utc", "--iso-8601=seconds"])).unwrap_or_default(),
        "commit": capture(&mut command(&["git", "rev-parse", "--short", "HEAD"])).unwrap_or_default(),
    })
}
