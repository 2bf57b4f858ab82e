// SPDX-License-Identifier: MIT
//! What a measurement must say about the machine it was made on.

use serde_json::{Value, json};

/// Describes this machine; fields that it does not tell are empty.
pub fn describe() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    json!({
        "processor": field(&processors, "model name"),
        "processors": processors.lines().filter(|line| line.starts_with("processor")).count(),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "system": field(&read("/etc/os-release"), "PRETTY_NAME"),
        "load": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
    })
}

/// Returns the value of the first line `NAME: VALUE` or `NAME="VALUE"`.
fn field(text: &str, name: &str) -> String {
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let value = line.split([':', '=']).nth(1).unwrap_or_default();
    value.trim().trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_both_notations() {
        assert_eq!(field("a: 1\nMemTotal:  5 kB\n", "MemTotal"), "5 kB");
        assert_eq!(field("PRETTY_NAME=\"A B\"\n", "PRETTY_NAME"), "A B");
        assert_eq!(field("", "PRETTY_NAME"), "");
    }
}
