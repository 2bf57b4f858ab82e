// SPDX-License-Identifier: MIT
//! What a plugin is called with: environment and standard input (specification, sections 2 and 3). Pure.

use std::path::{Path, PathBuf};

use hyperbox_core::seam::EndpointRequest;
use hyperbox_types::ContainerId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::list::{List, Plugin};
use crate::namespace::Identity;
use crate::ports;

/// What is asked of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Delete,
    Check,
    Status,
    CollectGarbage,
    Version,
}

impl Verb {
    /// Returns the value of `CNI_COMMAND`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Delete => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::CollectGarbage => "GC",
            Self::Version => "VERSION",
        }
    }
}

/// One container's presence in one network, as plugins see it: what DEL and CHECK need to know of ADD.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) container: ContainerId,
    /// Name of the link in the container.
    pub(crate) link: String,
    /// Tells this attachment from later ones of the same container and link.
    pub(crate) serial: String,
    /// Path of the namespace when ADD ran.
    pub(crate) namespace: String,
    /// The namespace itself.
    pub(crate) identity: Identity,
    /// Values of capabilities that the list announces.
    pub(crate) capabilities: Map<String, Value>,
    /// `CNI_ARGS`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) arguments: String,
    /// What the last plugin printed that succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Map<String, Value>>,
}

/// Wishes as the plugins of a list take them: values of capabilities, and `CNI_ARGS` where a wish has no announced capability.
///
/// The arguments are those that the reference plugins read; `IgnoreUnknown` keeps the others from failing over them.
pub(crate) fn wishes(list: &List, request: &EndpointRequest) -> Result<(Map<String, Value>, String), String> {
    let mut capabilities = Map::new();
    let mut arguments = Vec::new();
    let addresses: Vec<String> = [
        request.ipv4.map(|address| address.to_string()),
        request.ipv6.map(|address| address.to_string()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if list.wants("ips") && !addresses.is_empty() {
        capabilities.insert("ips".to_owned(), addresses.into());
    } else if let Some(first) = addresses.first() {
        if addresses.len() > 1 {
            return Err("two wished addresses need a plugin with the capability \"ips\"".to_owned());
        }
        arguments.push(format!("IP={first}"));
    }
    if let Some(mac) = &request.mac_address {
        if !is_mac_address(mac) {
            return Err(format!("invalid MAC address: {}", mac.escape_debug()));
        }
        if list.wants("mac") {
            capabilities.insert("mac".to_owned(), mac.as_str().into());
        } else {
            arguments.push(format!("MAC={mac}"));
        }
    }
    if let Some(text) = request.options.get(ports::PORT_MAPPINGS)
        && list.wants("portMappings")
    {
        capabilities.insert("portMappings".to_owned(), ports::mappings(text)?);
    }
    if !arguments.is_empty() {
        arguments.insert(0, "IgnoreUnknown=1".to_owned());
    }
    Ok((capabilities, arguments.join(";")))
}

/// Six pairs of hexadecimal digits: nothing that could end an argument and begin another.
fn is_mac_address(text: &str) -> bool {
    let mut pairs = text.split(':');
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.len() == 17 && pairs.all(is_pair)
}

/// Makes the environment of a call. `namespace` is where the namespace is found now; nothing when it is gone.
pub(crate) fn environment(
    verb: Verb,
    attachment: Option<&Attachment>,
    namespace: Option<&str>,
    plugin_dirs: &[PathBuf],
    search_path: &str,
) -> Vec<(&'static str, String)> {
    let mut all = vec![
        ("PATH", search_path.to_owned()),
        ("CNI_COMMAND", verb.as_str().to_owned()),
        ("CNI_PATH", joined(plugin_dirs)),
    ];
    if let Some(attachment) = attachment {
        all.push(("CNI_CONTAINERID", attachment.container.to_string()));
        all.push(("CNI_IFNAME", attachment.link.clone()));
        all.push(("CNI_NETNS", namespace.unwrap_or_default().to_owned()));
        all.push(("CNI_ARGS", attachment.arguments.clone()));
    }
    all
}

fn joined(directories: &[PathBuf]) -> String {
    let texts: Vec<_> = directories
        .iter()
        .map(|directory| directory.to_string_lossy())
        .collect();
    texts.join(":")
}

/// Makes the standard input of a call: the plugin's part of the list, with what the specification puts in.
pub(crate) fn input(
    list: &List,
    plugin: &Plugin,
    capabilities: Option<&Map<String, Value>>,
    previous: Option<Value>,
) -> Map<String, Value> {
    let mut fields = plugin.settings.clone();
    fields.remove("capabilities");
    fields.remove("prevResult");
    fields.insert("cniVersion".to_owned(), list.version.as_str().into());
    fields.insert("name".to_owned(), list.name.as_str().into());
    if let Some(given) = capabilities {
        let announced = given.iter().filter(|(name, _)| plugin.capabilities.contains(*name));
        let values: Map<_, _> = announced.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !values.is_empty() {
            fields.insert("runtimeConfig".to_owned(), Value::Object(values));
        }
    }
    if let Some(previous) = previous {
        fields.insert("prevResult".to_owned(), previous);
    }
    fields
}

/// Adds to an input of GC which attachments live.
pub(crate) fn with_valid_attachments(
    mut fields: Map<String, Value>,
    valid: &[(ContainerId, String)],
) -> Map<String, Value> {
    let valid: Vec<Value> = valid
        .iter()
        .map(|(container, link)| json!({"containerID": container.as_str(), "ifname": link}))
        .collect();
    fields.insert("cni.dev/valid-attachments".to_owned(), valid.into());
    fields
}

/// Finds a program in the plugin directories.
pub(crate) fn find(kind: &str, plugin_dirs: &[PathBuf]) -> Option<PathBuf> {
    let candidates = plugin_dirs.iter().map(|directory: &PathBuf| directory.join(kind));
    candidates.into_iter().find(|path: &PathBuf| Path::is_file(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyperbox_core::seam::{DefaultRoutes, NetworkSettings};
    use hyperbox_types::NetworkId;

    use super::*;

    fn list(capabilities: &str) -> List {
        let text = format!(
            r#"{{"cniVersion": "1.0.0", "name": "n", "plugins": [
                {{"type": "a", "key": 1, "prevResult": 2, "capabilities": {capabilities}}}, {{"type": "b"}}]}}"#
        );
        List::parse(text.as_bytes()).unwrap()
    }

    fn request() -> EndpointRequest {
        EndpointRequest {
            network: NetworkSettings {
                id: NetworkId::from_bytes([1; 32]),
                name: "n".to_owned(),
                link: String::new(),
                pools: Vec::new(),
                mtu: 1500,
                internal: false,
                options: BTreeMap::new(),
            },
            ipv4: Some([10, 0, 0, 9].into()),
            ipv6: None,
            link_local: Vec::new(),
            mac_address: Some("02:00:00:00:00:09".to_owned()),
            link: "eth0".to_owned(),
            default_routes: DefaultRoutes::default(),
            options: BTreeMap::new(),
        }
    }

    #[test]
    fn wishes_go_where_they_are_announced() {
        let (capabilities, arguments) = wishes(&list(r#"{"ips": true, "mac": true}"#), &request()).unwrap();
        assert_eq!(
            Value::Object(capabilities),
            json!({"ips": ["10.0.0.9"], "mac": "02:00:00:00:00:09"})
        );
        assert_eq!(arguments, "");
        let (capabilities, arguments) = wishes(&list("{}"), &request()).unwrap();
        assert!(capabilities.is_empty());
        assert_eq!(arguments, "IgnoreUnknown=1;IP=10.0.0.9;MAC=02:00:00:00:00:09");
    }

    #[test]
    fn wishes_that_cannot_be_passed_on() {
        let both = EndpointRequest {
            ipv6: Some("fd00::9".parse().unwrap()),
            ..request()
        };
        assert!(wishes(&list("{}"), &both).unwrap_err().contains("\"ips\""));
        assert!(wishes(&list(r#"{"ips": true}"#), &both).is_ok());
        let smuggled = EndpointRequest {
            mac_address: Some("02:00:00:00:00:0;X=1".to_owned()),
            ..request()
        };
        assert!(
            wishes(&list("{}"), &smuggled)
                .unwrap_err()
                .contains("invalid MAC address")
        );
    }

    #[test]
    fn each_plugin_gets_its_own_part() {
        let list = list(r#"{"ips": true}"#);
        let given = Map::from_iter([("ips".to_owned(), json!(["x"])), ("mac".to_owned(), json!("y"))]);
        let first = input(&list, &list.plugins[0], Some(&given), None);
        let expected =
            json!({"cniVersion": "1.0.0", "name": "n", "type": "a", "key": 1, "runtimeConfig": {"ips": ["x"]}});
        assert_eq!(Value::Object(first), expected);
        let second = input(&list, &list.plugins[1], Some(&given), Some(json!({"ips": []})));
        let expected = json!({"cniVersion": "1.0.0", "name": "n", "type": "b", "prevResult": {"ips": []}});
        assert_eq!(Value::Object(second), expected);
    }
}
