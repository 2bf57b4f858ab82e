// SPDX-License-Identifier: MIT
//! Network configuration lists: read, checked, and what can be told from them without running a plugin. Pure.
//!
//! A list is foreign input: from a file that an administrator wrote, or from a request. It is checked when a network is created and again
//! whenever it is read back from a record; what is unknown in it is kept, because it belongs to the plugins.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hyperbox_core::seam::AddressPool;
use ipnet::IpNet;
use serde_json::{Map, Value};

use crate::version::Version;

/// Largest list that is read, in bytes.
pub(crate) const LARGEST: usize = 128 * 1024;
const MOST_PLUGINS: usize = 32;
const LONGEST_NAME: usize = 128;

/// A checked list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) version: Version,
    /// Names the network towards the plugins: what they keep is kept under it.
    pub(crate) name: String,
    /// The administrator does not want CHECK.
    pub(crate) disable_check: bool,
    /// The administrator does not want GC.
    pub(crate) disable_gc: bool,
    pub(crate) plugins: Vec<Plugin>,
}

/// One plugin of a list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plugin {
    /// Name of the program.
    pub(crate) kind: String,
    /// What of `runtimeConfig` it wants.
    pub(crate) capabilities: BTreeSet<String>,
    /// Everything the list says about it, unchanged.
    pub(crate) settings: Map<String, Value>,
}

/// Why a text is not a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidList {
    #[error("it is larger than {LARGEST} bytes")]
    Size,
    #[error("it is not JSON: {0}")]
    Json(String),
    #[error("{field} is missing or is not {expected}")]
    Field {
        field: &'static str,
        expected: &'static str,
    },
    #[error("version {0:?} is not one of those understood: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0")]
    Version(String),
    #[error("{0:?} is not a valid name of a network: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    Name(String),
    #[error("{0:?} is not a valid name of a plugin")]
    PluginName(String),
    #[error("it has {0} plugins: from 1 to {MOST_PLUGINS} are allowed")]
    PluginCount(usize),
}

impl List {
    /// Reads a list, or the configuration of a single plugin, which is a list of one.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, InvalidList> {
        if text.len() > LARGEST {
            return Err(InvalidList::Size);
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| InvalidList::Json(error.to_string()))?;
        let Value::Object(fields) = value else {
            return Err(field("the list", "an object"));
        };
        let name = fields.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| field("\"name\"", "a text"))?;
        if !is_identifier(name) {
            return Err(InvalidList::Name(shortened(name)));
        }
        Ok(Self {
            version: version(&fields)?,
            name: name.to_owned(),
            disable_check: flag(&fields, "disableCheck", "\"disableCheck\"")?,
            disable_gc: flag(&fields, "disableGC", "\"disableGC\"")?,
            plugins: plugins(fields)?,
        })
    }

    /// Returns the text of the list, as it is kept.
    pub(crate) fn to_text(&self) -> String {
        let plugins: Vec<Value> = self
            .plugins
            .iter()
            .map(|plugin| Value::Object(plugin.settings.clone()))
            .collect();
        serde_json::json!({
            "cniVersion": self.version.as_str(),
            "name": self.name,
            "disableCheck": self.disable_check,
            "disableGC": self.disable_gc,
            "plugins": plugins,
        })
        .to_string()
    }

    /// Returns whether any plugin wants a capability.
    pub(crate) fn wants(&self, capability: &str) -> bool {
        self.plugins
            .iter()
            .any(|plugin| plugin.capabilities.contains(capability))
    }

    /// Returns the programs that the list needs, those for addresses included.
    pub(crate) fn programs(&self) -> BTreeSet<&str> {
        let kinds = self.plugins.iter().map(|plugin| plugin.kind.as_str());
        kinds
            .chain(self.plugins.iter().filter_map(Plugin::address_program))
            .collect()
    }

    /// Returns the subnets that the list shows, IPv4 first: those of the reference plugins `host-local` and `static`.
    pub(crate) fn pools(&self) -> Vec<AddressPool> {
        let mut pools: Vec<AddressPool> = Vec::new();
        for pool in self.plugins.iter().flat_map(Plugin::pools) {
            if !pools.iter().any(|known| known.subnet == pool.subnet) {
                pools.push(pool);
            }
        }
        pools.sort_by_key(|pool| matches!(pool.subnet, IpNet::V6(_)));
        pools
    }

    /// Returns the bridge that the list uses, if it says so and a link can have the name.
    pub(crate) fn bridge(&self) -> Option<&str> {
        let mut names = self.plugins.iter().filter(|plugin| plugin.kind == "bridge");
        let name = names
            .next_back()?
            .settings
            .get("bridge")
            .map_or("cni0", |name| name.as_str().unwrap_or_default());
        ((1..=15).contains(&name.len()) && is_identifier(name)).then_some(name)
    }

    /// Returns the maximum transmission unit that the list asks for.
    pub(crate) fn mtu(&self) -> Option<u32> {
        let mut wishes = self
            .plugins
            .iter()
            .filter_map(|plugin| plugin.settings.get("mtu")?.as_u64());
        wishes.find_map(|mtu| u32::try_from(mtu).ok().filter(|mtu| (68..=65535).contains(mtu)))
    }
}

impl Plugin {
    fn parse(value: Value) -> Result<Self, InvalidList> {
        let Value::Object(settings) = value else {
            return Err(field("an entry of \"plugins\"", "an object"));
        };
        let kind = settings.get("type").and_then(Value::as_str);
        let kind = program(kind.ok_or_else(|| field("\"type\"", "a text"))?)?;
        if let Some(address) = settings.get("ipam").and_then(|ipam| ipam.get("type")) {
            program(address.as_str().ok_or_else(|| field("\"ipam.type\"", "a text"))?)?;
        }
        let capabilities = match settings.get("capabilities") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(Value::Object(all)) => {
                let wanted = all.iter().filter(|(_, wanted)| **wanted == Value::Bool(true));
                wanted.map(|(name, _)| name.clone()).collect()
            }
            Some(_) => return Err(field("\"capabilities\"", "an object")),
        };
        Ok(Self {
            kind,
            capabilities,
            settings,
        })
    }

    /// An empty `ipam` is how a list says that there are no addresses.
    fn address_program(&self) -> Option<&str> {
        let kind = self.settings.get("ipam")?.get("type")?.as_str()?;
        (!kind.is_empty()).then_some(kind)
    }

    fn pools(&self) -> Vec<AddressPool> {
        let Some(ipam) = self.settings.get("ipam") else {
            return Vec::new();
        };
        match self.address_program() {
            Some("host-local") => {
                let ranges = ipam.get("ranges").and_then(Value::as_array);
                let ranges = ranges.into_iter().flatten().filter_map(Value::as_array).flatten();
                std::iter::once(ipam).chain(ranges).filter_map(range).collect()
            }
            Some("static") => {
                let addresses = ipam.get("addresses").and_then(Value::as_array);
                addresses.into_iter().flatten().filter_map(fixed).collect()
            }
            _ => Vec::new(),
        }
    }
}

fn plugins(mut fields: Map<String, Value>) -> Result<Vec<Plugin>, InvalidList> {
    let all = match fields.remove("plugins") {
        Some(Value::Array(all)) => all,
        // What a single plugin's configuration shares with a list is put in anew for each call.
        None if fields.contains_key("type") => {
            for key in ["name", "cniVersion", "disableCheck", "disableGC"] {
                fields.remove(key);
            }
            vec![Value::Object(fields)]
        }
        _ => return Err(field("\"plugins\"", "an array")),
    };
    if !(1..=MOST_PLUGINS).contains(&all.len()) {
        return Err(InvalidList::PluginCount(all.len()));
    }
    all.into_iter().map(Plugin::parse).collect()
}

/// The newest understood one of those the list is written for: `cniVersions` (since 1.1.0) and `cniVersion`.
fn version(fields: &Map<String, Value>) -> Result<Version, InvalidList> {
    let named = fields
        .get("cniVersion")
        .map(|version| version.as_str().unwrap_or_default());
    let further = fields.get("cniVersions").and_then(Value::as_array);
    let further = further.into_iter().flatten().filter_map(Value::as_str);
    let newest = further.chain(named).filter_map(Version::parse).max();
    newest.ok_or_else(|| match named {
        Some(named) => InvalidList::Version(shortened(named)),
        None => field("\"cniVersion\"", "a text"),
    })
}

/// The reference library takes the texts, too.
fn flag(fields: &Map<String, Value>, key: &str, shown: &'static str) -> Result<bool, InvalidList> {
    match fields.get(key) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(field(shown, "true or false")),
    }
}

/// A range of `host-local`, whose gateway is the first address unless it says otherwise.
fn range(value: &Value) -> Option<AddressPool> {
    let subnet: IpNet = value.get("subnet")?.as_str()?.parse().ok()?;
    let subnet = subnet.trunc();
    let gateway = value
        .get("gateway")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok());
    Some(AddressPool {
        subnet,
        range: None,
        gateway: gateway.or_else(|| first_host(subnet)),
        reserved: std::collections::BTreeMap::new(),
    })
}

/// An address of `static`.
fn fixed(value: &Value) -> Option<AddressPool> {
    let address: IpNet = value.get("address")?.as_str()?.parse().ok()?;
    Some(AddressPool {
        subnet: address.trunc(),
        range: None,
        gateway: value
            .get("gateway")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok()),
        reserved: std::collections::BTreeMap::new(),
    })
}

fn first_host(subnet: IpNet) -> Option<IpAddr> {
    match subnet {
        IpNet::V4(subnet) => u32::from(subnet.network())
            .checked_add(1)
            .map(|first| IpAddr::V4(first.into())),
        IpNet::V6(subnet) => u128::from(subnet.network())
            .checked_add(1)
            .map(|first| IpAddr::V6(first.into())),
    }
}

/// What the specification allows for names of networks and identifiers of containers.
fn is_identifier(text: &str) -> bool {
    text.len() <= LONGEST_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// The name is joined to a directory: it must not lead out of it.
fn program(name: &str) -> Result<String, InvalidList> {
    if name.len() > LONGEST_NAME || !is_identifier(name) {
        return Err(InvalidList::PluginName(shortened(name)));
    }
    Ok(name.to_owned())
}

fn field(field: &'static str, expected: &'static str) -> InvalidList {
    InvalidList::Field { field, expected }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
