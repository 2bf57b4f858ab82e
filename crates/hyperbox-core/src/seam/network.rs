// SPDX-License-Identifier: MIT
//! The network driver: gives containers their network namespaces and endpoints.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use async_trait::async_trait;
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use serde::{Deserialize, Serialize};

/// What a network is made of; decided when it is created and kept in its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// Identifies the network.
    pub id: NetworkId,
    /// Name of the bridge link on the host (at most 15 bytes).
    pub bridge: String,
    /// IPv4 subnet in CIDR form, such as `172.30.0.0/16`.
    pub subnet: String,
    /// The bridge's own address in that subnet, the containers' default gateway.
    pub gateway: IpAddr,
    /// Maximum transmission unit of all links.
    pub mtu: u32,
    /// Whether packets that leave the machine get the machine's address.
    pub masquerade: bool,
}

/// An endpoint: a container's presence in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkId,
    /// Address of the container.
    pub address: IpAddr,
    /// Length of the subnet's prefix.
    pub prefix_length: u8,
    /// Default gateway.
    pub gateway: IpAddr,
    /// MAC address, `02:42:…`.
    pub mac_address: String,
    /// Name of the link on the host.
    pub host_link: String,
}

/// What is asked for a container.
#[derive(Debug, Clone)]
pub struct SandboxRequest {
    /// The container.
    pub container: ContainerId,
    /// The endpoint to make; `None` gives a namespace with nothing but the loopback link.
    pub endpoint: Option<EndpointRequest>,
}

/// An endpoint to be made.
#[derive(Debug, Clone)]
pub struct EndpointRequest {
    /// The network.
    pub network: NetworkSettings,
    /// A wished address; any free one otherwise.
    pub address: Option<IpAddr>,
    /// A wished MAC address; one made from the address otherwise.
    pub mac_address: Option<String>,
}

/// A network namespace that is ready for a container.
///
/// The namespace lives as long as this file descriptor or a process in it: there is nothing to clean up after a crash.
#[derive(Debug)]
pub struct Sandbox {
    /// The namespace, loopback up.
    pub namespace: OwnedFd,
    /// The endpoint in it, with address, route and link up.
    pub endpoint: Option<Endpoint>,
}

/// Makes networks and sandboxes.
///
/// # Life cycle
/// 1. [`NetworkDriver::choose`] decides bridge name, subnet and gateway for a new network so that it collides with nothing on the
///    machine; the caller records the result.
/// 2. [`NetworkDriver::ensure`] makes the bridge and the rules if they are missing. Idempotent; called before first use and at
///    start.
/// 3. [`NetworkDriver::open`] makes a namespace and an endpoint for one container. On failure nothing is left.
/// 4. [`NetworkDriver::release`] gives the address back and removes the host link if it is still there. Idempotent, never fails
///    for what is gone, and cheap: expensive teardown happens behind.
/// 5. [`NetworkDriver::adopt`] tells the driver at start which endpoints are in use; what it finds beyond them is removed.
/// 6. [`NetworkDriver::remove`] removes bridge and rules.
#[async_trait]
pub trait NetworkDriver: Send + Sync + std::fmt::Debug {
    /// Decides the settings of a new bridge network.
    async fn choose(
        &self,
        id: &NetworkId,
        wished_bridge: Option<&str>,
        wished_subnet: Option<&str>,
    ) -> Result<NetworkSettings, NetworkError>;

    /// Makes bridge and rules if they are missing.
    async fn ensure(&self, network: &NetworkSettings) -> Result<(), NetworkError>;

    /// Makes a namespace, with an endpoint if one is asked for.
    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError>;

    /// Gives an endpoint back.
    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError>;

    /// Takes over endpoints that live on from before a restart and removes leaked ones.
    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError>;

    /// Removes a network's bridge and rules; removing what is not there succeeds.
    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError>;

    /// Returns the host's resolver configuration as containers should see it: the text of a `resolv.conf` without loopback servers.
    fn host_resolver_configuration(&self) -> String;
}

/// Why a network driver failed.
#[derive(Debug, thiserror::Error)]
#[error("network {network}: {message}")]
pub struct NetworkError {
    /// Bridge name or id of the network.
    pub network: String,
    /// What failed, such as `no free address in 172.30.0.0/16`.
    pub message: String,
    /// The class.
    pub kind: ErrorKind,
    /// The cause below, if any.
    #[source]
    pub source: Option<std::io::Error>,
}
