// SPDX-License-Identifier: MIT
//! Publishing: ports of the host that lead to ports of containers.

use std::net::IpAddr;

use async_trait::async_trait;
use hyperbox_types::{ContainerId, ContainerPort};
use serde::{Deserialize, Serialize};

use super::{Endpoint, NetworkError, NetworkSettings};

/// A wish to publish a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortRequest {
    /// The container's port.
    pub container: ContainerPort,
    /// The host's address; every address of both families when unset.
    pub host_address: Option<IpAddr>,
    /// First and last port of the host that may be used; any free one when unset.
    pub host_ports: Option<(u16, u16)>,
}

/// A published port, for one address family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PublishedPort {
    /// The container's port.
    pub container: ContainerPort,
    /// The host's address; the unspecified one means all of its family.
    pub host_address: IpAddr,
    /// The host's port.
    pub host_port: u16,
}

/// The ports of a container to be published.
#[derive(Debug, Clone)]
pub struct PublishRequest {
    /// The container.
    pub container: ContainerId,
    /// Its name: who wants the same port later is told it.
    pub name: String,
    /// The network of the endpoint, whose options decide the default host address and the kind of translation.
    pub network: NetworkSettings,
    /// Where the packets go.
    pub endpoint: Endpoint,
    /// What is wished.
    pub ports: Vec<PortRequest>,
}

/// Publishes ports.
///
/// # Life cycle
/// 1. [`PortPublisher::publish`] reserves all ports of a container or none, and makes them work: when it returns, a connection to a
///    published port reaches the container's address as soon as somebody listens there. A port in use is refused with `Conflict` and a
///    text that names who holds it. A wish without a port gets a free one; a wish without an address is published for IPv4 and for IPv6
///    under the same port number.
/// 2. [`PortPublisher::withdraw`] gives all ports of a container back. Idempotent.
/// 3. [`PortPublisher::adopt`] takes over what is published from before a restart and removes the rules of what is not.
#[async_trait]
pub trait PortPublisher: Send + Sync + std::fmt::Debug {
    /// Publishes the ports of a container; sorted by container port, then address.
    async fn publish(&self, request: PublishRequest) -> Result<Vec<PublishedPort>, NetworkError>;

    /// Gives the ports of a container back.
    async fn withdraw(&self, container: &ContainerId) -> Result<(), NetworkError>;

    /// Takes over the ports of containers that live on. The requests name the exact host ports. A port that somebody else has taken
    /// meanwhile is left out with a warning in the log.
    async fn adopt(&self, living: Vec<PublishRequest>) -> Result<(), NetworkError>;
}
