// SPDX-License-Identifier: MIT
//! Networks: the line of a list, and the bodies of creation, connection and disconnection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::create::Endpoint;
use super::nullable;

/// A network.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSummary {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Driver.
    pub driver: String,
    /// `local`, `swarm`.
    pub scope: String,
    /// When it was made, RFC 3339.
    pub created: String,
    /// IPv6 is enabled.
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    /// IPv4 is enabled.
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    /// No way outside.
    pub internal: bool,
    /// Labels.
    #[serde(deserialize_with = "nullable")]
    pub labels: BTreeMap<String, String>,
}

/// A network to create.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNetwork {
    /// Name.
    pub name: String,
    /// Driver; the daemon's default when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// `local`, `swarm`; the driver's when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// IPv4; the daemon decides when absent.
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    pub enable_ipv4: Option<bool>,
    /// IPv6; the daemon decides when absent.
    #[serde(rename = "EnableIPv6", skip_serializing_if = "Option::is_none")]
    pub enable_ipv6: Option<bool>,
    /// Where addresses come from.
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    /// No way outside.
    pub internal: bool,
    /// Single containers may join a network of a swarm.
    pub attachable: bool,
    /// The routing mesh of a swarm.
    pub ingress: bool,
    /// Nothing but a configuration that other networks copy.
    pub config_only: bool,
    /// The network whose configuration is copied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_from: Option<ConfigReference>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A network whose configuration is copied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigReference {
    /// Its name.
    pub network: String,
}

/// Where the addresses of a network come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ipam {
    /// Driver.
    pub driver: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// Subnets; the daemon chooses when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub config: Vec<AddressPool>,
}

/// One subnet of a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddressPool {
    /// In CIDR notation.
    pub subnet: String,
    /// The part from which containers get addresses.
    #[serde(rename = "IPRange", skip_serializing_if = "String::is_empty")]
    pub ip_range: String,
    /// Address of the gateway.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Addresses that are taken, by name.
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary_addresses: BTreeMap<String, String>,
}

/// The answer to a creation.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreatedNetwork {
    /// Full id.
    pub id: String,
    /// What the user should know.
    #[serde(deserialize_with = "nullable")]
    pub warning: String,
}

/// A connection to make.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConnectNetwork {
    /// Name or id of the container.
    pub container: String,
    /// The container's place in the network.
    pub endpoint_config: Endpoint,
}

/// A connection to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DisconnectNetwork {
    /// Name or id of the container.
    pub container: String,
    /// Also when the container does not exist any more.
    pub force: bool,
}
