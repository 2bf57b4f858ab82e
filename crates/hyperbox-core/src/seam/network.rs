// SPDX-License-Identifier: MIT
//! The network driver: makes networks, and gives containers their presence in them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::NameSockets;

/// A network as somebody wishes for it; what is not wished the driver decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkWish {
    /// Identifies the network.
    pub id: NetworkId,
    /// Its name; for messages and for drivers that show it elsewhere.
    pub name: String,
    /// Whether this is the engine's own default network, whose link may be left from an earlier daemon.
    pub predefined: bool,
    /// Options of the driver in Docker's terms, such as `com.docker.network.bridge.name` or `parent`.
    pub options: BTreeMap<String, String>,
    /// Wished subnets; at most one of each family is used by Docker's clients, more are allowed.
    pub pools: Vec<PoolWish>,
    /// Options of the address management.
    pub address_options: BTreeMap<String, String>,
    /// Whether containers get IPv4 addresses.
    pub ipv4: bool,
    /// Whether containers get IPv6 addresses.
    pub ipv6: bool,
    /// No way out of the network and none into it.
    pub internal: bool,
}

/// A wished subnet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolWish {
    /// The subnet; one of the default pools when unset.
    pub subnet: Option<IpNet>,
    /// Where in it addresses are given from; everywhere when unset.
    pub range: Option<IpNet>,
    /// The gateway; the first address when unset.
    pub gateway: Option<IpAddr>,
    /// Addresses that nobody gets, by a name of the user's.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// What a network is made of; decided when it is created and kept in its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// Identifies the network.
    pub id: NetworkId,
    /// Its name.
    pub name: String,
    /// Name of the link on the host (at most 15 bytes): the bridge, or the parent of macvlan links; empty where there is none.
    pub link: String,
    /// Its subnets, IPv4 before IPv6.
    pub pools: Vec<AddressPool>,
    /// Maximum transmission unit of all links.
    pub mtu: u32,
    /// No way out of the network and none into it.
    pub internal: bool,
    /// Options of the driver, checked when they were chosen.
    pub options: BTreeMap<String, String>,
}

impl NetworkSettings {
    /// Returns the first subnet of a family (`true` for IPv6).
    pub fn pool(&self, ipv6: bool) -> Option<&AddressPool> {
        self.pools
            .iter()
            .find(|pool| matches!(pool.subnet, IpNet::V6(_)) == ipv6)
    }
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressPool {
    /// The subnet.
    pub subnet: IpNet,
    /// Where in it addresses are given from.
    pub range: Option<IpNet>,
    /// The gateway; none in an internal network without one.
    pub gateway: Option<IpAddr>,
    /// Addresses that nobody gets, by a name of the user's.
    #[serde(default)]
    pub reserved: BTreeMap<String, IpAddr>,
}

/// An endpoint: a container's presence in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkId,
    /// Address of the container, with its subnet's prefix length.
    pub ipv4: Option<Ipv4Net>,
    /// IPv6 address of the container, with its subnet's prefix length.
    pub ipv6: Option<Ipv6Net>,
    /// Where packets that leave the subnet go.
    pub gateway_ipv4: Option<Ipv4Addr>,
    /// Where IPv6 packets that leave the subnet go.
    pub gateway_ipv6: Option<Ipv6Addr>,
    /// MAC address, such as `02:42:…`; empty where the link has none.
    pub mac_address: String,
    /// Name of the link in the container, such as `eth0`.
    pub link: String,
    /// Name of the link on the host; empty where there is none.
    pub host_link: String,
    /// What the driver wants to remember, opaque to everybody else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub driver_state: String,
}

impl Endpoint {
    /// Returns the addresses of the container, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let ipv4 = self.ipv4.map(|net| IpAddr::V4(net.addr()));
        ipv4.into_iter().chain(self.ipv6.map(|net| IpAddr::V6(net.addr())))
    }
}

/// What is asked for a container.
#[derive(Debug, Clone)]
pub struct SandboxRequest {
    /// The container.
    pub container: ContainerId,
    /// The endpoint to make.
    pub endpoint: EndpointRequest,
    /// Whether sockets for the engine's name service are wanted in the namespace.
    pub names: bool,
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct EndpointRequest {
    /// The network.
    pub network: NetworkSettings,
    /// A wished address; any free one otherwise.
    pub ipv4: Option<Ipv4Addr>,
    /// A wished IPv6 address; any free one otherwise.
    pub ipv6: Option<Ipv6Addr>,
    /// Further addresses on the link, of link-local scope.
    pub link_local: Vec<IpAddr>,
    /// A wished MAC address; one made from the address otherwise.
    pub mac_address: Option<String>,
    /// Name of the link in the container.
    pub link: String,
    /// Which default routes go through this endpoint's gateways.
    pub default_routes: DefaultRoutes,
    /// Options of the endpoint in Docker's terms, such as `com.docker.network.endpoint.sysctls`.
    pub options: BTreeMap<String, String>,
}

/// For which families an endpoint's gateway is the way to everywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultRoutes {
    /// IPv4.
    pub ipv4: bool,
    /// IPv6.
    pub ipv6: bool,
}

/// A network namespace that is ready for a container.
///
/// The namespace lives as long as this file descriptor or a process in it: there is nothing to clean up after a crash.
#[derive(Debug)]
pub struct Sandbox {
    /// The namespace, loopback up.
    pub namespace: OwnedFd,
    /// The endpoint in it, with address, route and link up.
    pub endpoint: Endpoint,
    /// Sockets for the name service, if they were asked for.
    pub names: Option<NameSockets>,
}

/// Makes networks of one kind, and endpoints in them.
///
/// # Life cycle
/// 1. [`NetworkDriver::choose`] checks a wish and decides what was not wished (link name, subnets, gateways) so that it collides
///    with nothing on the machine and with no other network; the caller records the result. Changes nothing.
/// 2. [`NetworkDriver::ensure`] makes the link and the rules if they are missing. Idempotent; called when a network is created, and
///    before its first use after a start of the daemon.
/// 3. [`NetworkDriver::open`] makes a namespace and an endpoint in it for one container: the hot path, so a driver may keep prepared
///    ones. [`NetworkDriver::attach`] makes an endpoint in a namespace that exists. When either fails nothing is left.
/// 4. [`NetworkDriver::detach`] takes an endpoint out of a namespace that lives on. It is followed by `release`.
/// 5. [`NetworkDriver::release`] gives addresses back and removes the host link if it is still there. Idempotent, never fails
///    for what is gone, and cheap: expensive teardown happens behind. An endpoint is released for the container that holds it only;
///    a late release does not harm the next holder of its address.
/// 6. [`NetworkDriver::adopt`] tells the driver at start which networks of its kind there are and which endpoints are in use; what it
///    finds beyond them is removed.
/// 7. [`NetworkDriver::remove`] removes link and rules; removing what is not there succeeds.
///
/// Cancelling any of these leaves nothing half-made.
#[async_trait]
pub trait NetworkDriver: Send + Sync + std::fmt::Debug {
    /// Returns the name that users give to ask for this driver, such as `bridge`.
    fn name(&self) -> &'static str;

    /// Checks a wish and decides the settings of a new network. `others` are all networks that exist, of every driver.
    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError>;

    /// Makes link and rules if they are missing.
    async fn ensure(&self, network: &NetworkSettings) -> Result<(), NetworkError>;

    /// Makes a namespace with an endpoint.
    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError>;

    /// Makes an endpoint in a namespace.
    async fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError>;

    /// Takes an endpoint out of a namespace that lives on; taking out what is not there succeeds.
    async fn detach(
        &self,
        namespace: BorrowedFd<'_>,
        container: &ContainerId,
        endpoint: &Endpoint,
    ) -> Result<(), NetworkError>;

    /// Gives an endpoint back.
    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError>;

    /// Takes over endpoints that live on from before a restart and removes leaked ones.
    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError>;

    /// Removes a network's link and rules.
    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError>;
}

/// Why a network driver failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct NetworkError {
    /// Name of the network or link; for logs.
    pub network: String,
    /// What failed, in Docker's words where Docker has some, such as `no available IPv4 addresses on this network's address pools`.
    pub message: String,
    /// The class.
    pub kind: ErrorKind,
    /// The cause below, if any.
    #[source]
    pub source: Option<std::io::Error>,
}
