// SPDX-License-Identifier: MIT
//! Namespaces that stand in for those that are gone, so that plugins remove all that they made.
//!
//! The specification lets DEL run without a namespace (section 4, "DEL"). The reference plugins `bridge` and `ptp` then give back the
//! addresses and nothing else: which masquerading rules are theirs they read from the link in the namespace (`DelLinkByNameAddr` in
//! containernetworking/plugins). When a container and the daemon died together that link is gone, and its rules would stay for ever. So
//! these two are shown a new namespace with a link of the same name and the same addresses; every other plugin is told that there is
//! none, which is true.
//!
//! Addresses come from what the last plugin answered that succeeded. Did the daemon die before any had answered, the files of
//! `host-local` say which addresses the container has: their layout, a file for each address with the container's id in its first line,
//! is that of all its versions.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::Value;

use crate::endpoint;
use crate::invocation::Attachment;
use crate::list::{List, Plugin};
use crate::result::Success;

/// Where `host-local` keeps addresses unless its settings say otherwise.
const HOST_LOCAL: &str = "/var/lib/cni/networks";
/// More than an id and a link's name.
const LARGEST_NOTE: u64 = 4096;

/// Returns whether a plugin's DEL looks into the namespace for what to remove outside of it.
pub(crate) fn is_needed_by(plugin: &Plugin) -> bool {
    let masquerades = plugin.settings.get("ipMasq").and_then(Value::as_bool);
    matches!(plugin.kind.as_str(), "bridge" | "ptp") && masquerades == Some(true)
}

/// Returns the addresses that the link had. Blocks shortly: it may read files.
pub(crate) fn addresses(list: &List, attachment: &Attachment) -> Vec<IpNet> {
    // It was checked before it was kept; a record that is damaged gives none.
    match attachment.result.clone().map(Success::of) {
        Some(Ok(result)) => endpoint::addresses(attachment, &result)
            .map(|address| address.address)
            .collect(),
        _ => kept_addresses(list, attachment),
    }
}

fn kept_addresses(list: &List, attachment: &Attachment) -> Vec<IpNet> {
    let directories = list.plugins.iter().filter_map(|plugin| directory(list, plugin));
    let mut found: Vec<IpNet> = directories
        .flat_map(|directory| addresses_in(&directory, attachment))
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The directory in which `host-local` keeps the addresses of a list.
fn directory(list: &List, plugin: &Plugin) -> Option<PathBuf> {
    let settings = plugin.settings.get("ipam")?;
    if settings.get("type")?.as_str()? != "host-local" {
        return None;
    }
    let all = settings.get("dataDir").and_then(Value::as_str);
    Some(Path::new(all.unwrap_or(HOST_LOCAL)).join(&list.name))
}

fn addresses_in(directory: &Path, attachment: &Attachment) -> Vec<IpNet> {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    files
        .filter_map(|file| {
            let address: IpAddr = file.file_name().to_str()?.parse().ok()?;
            belongs_to(&file.path(), attachment).then(|| IpNet::from(address))
        })
        .collect()
}

/// The first line is the container, the second, which versions before 0.7 do not write, the link.
fn belongs_to(path: &Path, attachment: &Attachment) -> bool {
    let is_short = std::fs::metadata(path).is_ok_and(|status| status.is_file() && status.len() < LARGEST_NOTE);
    let text = if is_short {
        std::fs::read_to_string(path)
    } else {
        return false;
    };
    text.is_ok_and(|text| {
        let mut lines = text.lines().map(str::trim);
        lines.next() == Some(attachment.container.as_str()) && lines.next().is_none_or(|link| link == attachment.link)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use hyperbox_types::ContainerId;
    use serde_json::{Map, json};

    use super::*;
    use crate::namespace::Namespace;

    fn attachment(result: Option<Value>) -> Attachment {
        let namespace = Namespace::of(File::open("/proc/self/ns/net").unwrap()).unwrap();
        Attachment {
            container: ContainerId::from_bytes([2; 32]),
            link: "eth0".to_owned(),
            serial: "1".to_owned(),
            namespace: namespace.path(),
            identity: namespace.identity(),
            capabilities: Map::new(),
            arguments: String::new(),
            result: result.map(|value| value.as_object().unwrap().clone()),
        }
    }

    fn list(plugin: &Value) -> List {
        let text = json!({"cniVersion": "1.0.0", "name": "n", "plugins": [plugin]}).to_string();
        List::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_plugins_that_look_into_the_namespace_are_shown_one() {
        for (plugin, needs) in [
            (json!({"type": "bridge", "ipMasq": true}), true),
            (json!({"type": "ptp", "ipMasq": true}), true),
            (json!({"type": "bridge", "ipMasq": false}), false),
            (json!({"type": "bridge"}), false),
            (json!({"type": "host-device", "ipMasq": true}), false),
        ] {
            assert_eq!(is_needed_by(&list(&plugin).plugins[0]), needs, "{plugin}");
        }
    }

    #[test]
    fn addresses_are_those_of_the_answer() {
        let result = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/n"}],
            "ips": [{"address": "198.18.0.2/24", "interface": 1}, {"address": "fd00::2/64"}, {"address": "198.18.0.1/24", "interface": 0}],
        });
        let found = addresses(&list(&json!({"type": "bridge"})), &attachment(Some(result)));
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["198.18.0.2/24", "fd00::2/64"]);
    }

    #[test]
    fn addresses_are_looked_up_when_nothing_was_answered() {
        let directory = tempfile::tempdir().unwrap();
        let of_list = directory.path().join("n");
        std::fs::create_dir(&of_list).unwrap();
        let attachment = attachment(None);
        let container = attachment.container.as_str();
        for (name, text) in [
            ("198.18.0.2", format!("{container}\r\neth0")),
            ("198.18.0.3", format!("{container}\r\neth1")),
            ("198.18.0.4", "another\r\neth0".to_owned()),
            ("198.18.0.5", container.to_owned()),
            ("last_reserved_ip.0", format!("{container}\r\neth0")),
            ("198.18.0.6", "x".repeat(5000)),
        ] {
            std::fs::write(of_list.join(name), text).unwrap();
        }
        let plugin = json!({"type": "bridge", "ipam": {"type": "host-local", "dataDir": directory.path()}});
        let found = addresses(&list(&plugin), &attachment);
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["198.18.0.2/32", "198.18.0.5/32"]);
        let other = json!({"type": "bridge", "ipam": {"type": "static", "dataDir": directory.path()}});
        assert!(addresses(&list(&other), &attachment).is_empty());
    }
}
