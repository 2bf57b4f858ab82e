// SPDX-License-Identifier: MIT
//! What services share: networks, volumes, secrets and configs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// What Docker Compose would have on its label, when somebody found out ([`crate::plan::note_hashes`]).
    #[serde(skip)]
    pub compose_hash: Option<String>,
    /// Its name in the engine.
    pub name: String,
    /// The driver; the engine's default otherwise.
    pub driver: Option<String>,
    /// What the driver is told.
    pub driver_opts: BTreeMap<String, String>,
    /// Its addresses.
    pub ipam: Ipam,
    /// Whether somebody else made it.
    pub external: bool,
    /// Whether it leads nowhere else.
    pub internal: bool,
    /// Whether others may attach to it.
    pub attachable: bool,
    /// Whether it has IPv4 addresses.
    pub enable_ipv4: Option<bool>,
    /// Whether it has IPv6 addresses.
    pub enable_ipv6: Option<bool>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// The addresses of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ipam {
    /// Who gives them out.
    pub driver: Option<String>,
    /// From which subnets.
    pub config: Vec<Pool>,
    /// What the driver is told.
    pub options: BTreeMap<String, String>,
}

/// A subnet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pool {
    /// The subnet, such as `10.1.0.0/24`.
    pub subnet: Option<String>,
    /// The part of it that is given out.
    pub ip_range: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
    /// Addresses that others have.
    pub aux_addresses: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// What Docker Compose would have on its label, when somebody found out ([`crate::plan::note_hashes`]).
    #[serde(skip)]
    pub compose_hash: Option<String>,
    /// Its name in the engine.
    pub name: String,
    /// The driver; the engine's default otherwise.
    pub driver: Option<String>,
    /// What the driver is told.
    pub driver_opts: BTreeMap<String, String>,
    /// Whether somebody else made it.
    pub external: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A secret or a config: one of a file, a variable, or a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileObject {
    /// Its name in the engine.
    pub name: String,
    /// The file, absolute.
    pub file: Option<String>,
    /// The variable of the surroundings.
    pub environment: Option<String>,
    /// The text.
    pub content: Option<String>,
    /// Whether somebody else made it.
    pub external: bool,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}
