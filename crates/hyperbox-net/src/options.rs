// SPDX-License-Identifier: MIT
//! Options of bridge networks in Docker's terms. Pure.
//!
//! Labels that mean nothing to the bridge driver are ignored, as Docker does. Values that make no sense are refused.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::ErrorKind;

use crate::error::refused;

/// How packets between the world and the containers of a network are translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum GatewayMode {
    /// Addresses are translated; only published ports are reachable.
    #[default]
    Nat,
    /// Addresses are translated; whoever has a route reaches every port.
    NatUnprotected,
    /// Addresses stay; only published ports are reachable.
    Routed,
    /// The machine has no address in the network.
    Isolated,
}

/// The options that the bridge driver knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BridgeOptions {
    /// Wished name of the bridge.
    pub(crate) name: Option<String>,
    /// Containers may speak to each other.
    pub(crate) icc: bool,
    pub(crate) masquerade: bool,
    pub(crate) mode_ipv4: GatewayMode,
    pub(crate) mode_ipv6: GatewayMode,
    /// The bridge gets no IPv4 address: somebody else is the gateway.
    pub(crate) inhibit_ipv4: bool,
    pub(crate) mtu: Option<u32>,
    /// What links in containers are called instead of `eth`.
    pub(crate) link_prefix: Option<String>,
    /// Address that packets of containers leave with, instead of that of the link they leave by.
    pub(crate) host_ipv4: Option<IpAddr>,
    pub(crate) host_ipv6: Option<IpAddr>,
    /// Default host address of published ports.
    pub(crate) binding_ipv4: Option<IpAddr>,
    pub(crate) binding_ipv6: Option<IpAddr>,
    /// Links of the machine whose packets reach unpublished ports.
    pub(crate) trusted: Vec<String>,
}

impl BridgeOptions {
    /// Reads the options of a network.
    pub(crate) fn parse(network: &str, options: &BTreeMap<String, String>) -> Result<Self, NetworkError> {
        let read = Reader { network, options };
        let parsed = Self {
            name: read
                .text("com.docker.network.bridge.name")
                .filter(|name| !name.is_empty()),
            icc: read.flag("com.docker.network.bridge.enable_icc")?.unwrap_or(true),
            masquerade: read
                .flag("com.docker.network.bridge.enable_ip_masquerade")?
                .unwrap_or(true),
            mode_ipv4: read.mode("com.docker.network.bridge.gateway_mode_ipv4")?,
            mode_ipv6: read.mode("com.docker.network.bridge.gateway_mode_ipv6")?,
            inhibit_ipv4: read.flag("com.docker.network.bridge.inhibit_ipv4")?.unwrap_or(false),
            mtu: read.mtu("com.docker.network.driver.mtu")?,
            link_prefix: read.text("com.docker.network.container_iface_prefix"),
            host_ipv4: read.address("com.docker.network.host_ipv4", false)?,
            host_ipv6: read.address("com.docker.network.host_ipv6", true)?,
            binding_ipv4: read.binding("com.docker.network.bridge.host_binding_ipv4", false)?,
            binding_ipv6: read.binding("com.docker.network.bridge.host_binding_ipv6", true)?,
            trusted: read
                .text("com.docker.network.bridge.trusted_host_interfaces")
                .map(|list| {
                    list.split(':')
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
        };
        Ok(parsed)
    }
}

struct Reader<'a> {
    network: &'a str,
    options: &'a BTreeMap<String, String>,
}

impl Reader<'_> {
    fn text(&self, key: &str) -> Option<String> {
        self.options.get(key).cloned()
    }

    fn invalid(&self, message: String) -> NetworkError {
        refused(self.network, ErrorKind::InvalidArgument, message)
    }

    /// Go's `strconv.ParseBool`.
    fn flag(&self, key: &str) -> Result<Option<bool>, NetworkError> {
        let Some(value) = self.options.get(key) else {
            return Ok(None);
        };
        match value.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Some(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Some(false)),
            _ => Err(self.invalid(format!(
                "failed to parse {key} value: {value} (strconv.ParseBool: parsing {value:?}: invalid syntax)"
            ))),
        }
    }

    /// Zero is none.
    fn mtu(&self, key: &str) -> Result<Option<u32>, NetworkError> {
        let Some(value) = self.options.get(key) else {
            return Ok(None);
        };
        let number: i64 = value.parse().map_err(|_| {
            self.invalid(format!(
                "failed to parse {key} value: {value} (strconv.Atoi: parsing {value:?}: invalid syntax)"
            ))
        })?;
        match u32::try_from(number) {
            Ok(0) => Ok(None),
            // RFC 791 asks for 68 bytes; a bridge takes no more than 65535.
            Ok(mtu) if (68..=65535).contains(&mtu) => Ok(Some(mtu)),
            Ok(_) => Err(refused(self.network, ErrorKind::Internal, "invalid argument")),
            Err(_) => Err(self.invalid(format!("invalid MTU number: {number}"))),
        }
    }

    fn mode(&self, key: &str) -> Result<GatewayMode, NetworkError> {
        match self.options.get(key).map_or("", String::as_str) {
            "" | "nat" => Ok(GatewayMode::Nat),
            "nat-unprotected" => Ok(GatewayMode::NatUnprotected),
            "routed" => Ok(GatewayMode::Routed),
            "isolated" => Ok(GatewayMode::Isolated),
            value => Err(self.invalid(format!(
                "failed to parse {key} value: {value} (unknown gateway mode {value})"
            ))),
        }
    }

    fn address(&self, key: &str, ipv6: bool) -> Result<Option<IpAddr>, NetworkError> {
        let Some(value) = self.options.get(key) else {
            return Ok(None);
        };
        let address = value.parse::<IpAddr>().ok().filter(|address| address.is_ipv6() == ipv6);
        address
            .map(Some)
            .ok_or_else(|| self.invalid(format!("failed to parse {key} value: {value} (nil ip)")))
    }

    fn binding(&self, key: &str, ipv6: bool) -> Result<Option<IpAddr>, NetworkError> {
        if self.options.get(key).is_some_and(String::is_empty) {
            return Ok(None);
        }
        self.address(key, ipv6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<BridgeOptions, String> {
        let options = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        BridgeOptions::parse("front", &options).map_err(|error| error.message)
    }

    /// The texts are Docker Engine's.
    #[test]
    fn values_that_make_no_sense() {
        for (key, value, expected) in [
            (
                "com.docker.network.bridge.enable_icc",
                "maybe",
                "failed to parse com.docker.network.bridge.enable_icc value: maybe (strconv.ParseBool: parsing \"maybe\": invalid syntax)",
            ),
            (
                "com.docker.network.driver.mtu",
                "x",
                "failed to parse com.docker.network.driver.mtu value: x (strconv.Atoi: parsing \"x\": invalid syntax)",
            ),
            ("com.docker.network.driver.mtu", "-3", "invalid MTU number: -3"),
            ("com.docker.network.driver.mtu", "70000", "invalid argument"),
            (
                "com.docker.network.bridge.gateway_mode_ipv4",
                "strange",
                "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: strange (unknown gateway mode strange)",
            ),
            (
                "com.docker.network.host_ipv4",
                "zz",
                "failed to parse com.docker.network.host_ipv4 value: zz (nil ip)",
            ),
        ] {
            assert_eq!(parse(key, value).unwrap_err(), expected);
        }
    }

    #[test]
    fn what_is_known_is_read_and_the_rest_ignored() {
        assert!(parse("foo", "bar").unwrap().icc);
        assert!(!parse("com.docker.network.bridge.enable_icc", "F").unwrap().icc);
        assert_eq!(parse("com.docker.network.driver.mtu", "1400").unwrap().mtu, Some(1400));
        assert_eq!(parse("com.docker.network.driver.mtu", "0").unwrap().mtu, None);
        let trusted = parse("com.docker.network.bridge.trusted_host_interfaces", "eth0::eth1")
            .unwrap()
            .trusted;
        assert_eq!(trusted, ["eth0", "eth1"]);
        let mode = parse("com.docker.network.bridge.gateway_mode_ipv6", "nat-unprotected")
            .unwrap()
            .mode_ipv6;
        assert_eq!(mode, GatewayMode::NatUnprotected);
    }
}
