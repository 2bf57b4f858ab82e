// SPDX-License-Identifier: MIT
//! A network as it is kept in the record store, and the wish it was made from.

use std::collections::BTreeMap;

use hyperbox_types::{NetworkId, NetworkName};
use serde::{Deserialize, Serialize};

use crate::seam::{NetworkSettings, NetworkWish, PoolWish};
use crate::time::Timestamp;

/// Name of the network that containers join when nothing else is wished.
pub const DEFAULT_NETWORK: &str = "bridge";

/// A network as a client wishes for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkSpec {
    /// Name of the driver; `bridge` when empty.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Whether containers get IPv4 addresses.
    pub ipv4: bool,
    /// Whether containers get IPv6 addresses.
    pub ipv6: bool,
    /// No way out of the network and none into it.
    pub internal: bool,
    /// Whether services of a cluster's containers may be attached by hand; kept for clients that ask.
    pub attachable: bool,
    /// Name of the address management; `default` when empty.
    pub address_driver: String,
    /// Its options.
    pub address_options: BTreeMap<String, String>,
    /// Whether the client sent any, even none: told to clients that ask.
    pub address_options_sent: bool,
    /// Wished subnets.
    pub pools: Vec<PoolWish>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Only a configuration that other networks are made from; nobody can join it.
    pub config_only: bool,
    /// Name of the network whose configuration this one has; empty for its own.
    pub config_from: String,
}

impl Default for NetworkSpec {
    fn default() -> Self {
        Self {
            driver: String::new(),
            options: BTreeMap::new(),
            ipv4: true,
            ipv6: false,
            internal: false,
            attachable: false,
            address_driver: String::new(),
            address_options: BTreeMap::new(),
            address_options_sent: false,
            pools: Vec::new(),
            labels: BTreeMap::new(),
            config_only: false,
            config_from: String::new(),
        }
    }
}

impl NetworkSpec {
    /// Takes over what a network for configuration holds.
    pub(super) fn configure_from(&mut self, configuration: &Self) {
        self.options.clone_from(&configuration.options);
        self.ipv4 = configuration.ipv4;
        self.ipv6 = configuration.ipv6;
        self.address_driver.clone_from(&configuration.address_driver);
        self.address_options.clone_from(&configuration.address_options);
        self.address_options_sent = configuration.address_options_sent;
        self.pools.clone_from(&configuration.pools);
        self.labels.clone_from(&configuration.labels);
    }

    /// Returns what the driver is asked for.
    pub(super) fn wish(&self, id: &NetworkId, name: &str) -> NetworkWish {
        NetworkWish {
            id: id.clone(),
            name: name.to_owned(),
            predefined: is_predefined(name),
            options: self.options.clone(),
            // A configuration takes no addresses until a network is made from it.
            pools: if self.config_only {
                Vec::new()
            } else {
                self.pools.clone()
            },
            address_options: self.address_options.clone(),
            ipv4: self.ipv4,
            ipv6: self.ipv6,
            internal: self.internal,
        }
    }
}

/// A network as it is kept in the record store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its id.
    pub id: NetworkId,
    /// Its name.
    pub name: NetworkName,
    /// When it was made.
    pub created_at: Timestamp,
    /// The wish, with the driver's name filled in.
    pub spec: NetworkSpec,
    /// What it is made of.
    pub settings: NetworkSettings,
}

impl NetworkRecord {
    /// Tells whether the engine made it for itself.
    pub fn is_predefined(&self) -> bool {
        is_predefined(self.name.as_str())
    }

    /// Tells whether it is the network that containers join when nothing else is wished.
    pub fn is_default(&self) -> bool {
        self.name.as_str() == DEFAULT_NETWORK
    }

    /// Tells whether its containers know each other by name, as in every network that a user made.
    pub fn has_names(&self) -> bool {
        !self.is_predefined() && !self.spec.config_only
    }
}

/// Tells whether a name is reserved for the engine's own networks.
pub fn is_predefined(name: &str) -> bool {
    matches!(name, DEFAULT_NETWORK | "host" | "none")
}
