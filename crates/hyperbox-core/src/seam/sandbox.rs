// SPDX-License-Identifier: MIT
//! Network namespaces without regard to any network.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use ipnet::IpNet;

use super::NetworkError;

/// Sockets that stand in a container's namespace and answer there at 127.0.0.11, port 53 of both transports.
///
/// They are bound to ports of the kernel's choice, and rules in the namespace lead port 53 to them: the container itself may bind port
/// 53 of every address.
#[derive(Debug)]
pub struct NameSockets {
    /// Datagrams.
    pub datagrams: UdpSocket,
    /// Connections.
    pub connections: TcpListener,
}

/// Where packets go for which there is no other route: gateway and link of each family; `None` removes the route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routes {
    /// IPv4.
    pub ipv4: Option<(Ipv4Addr, String)>,
    /// IPv6.
    pub ipv6: Option<(Ipv6Addr, String)>,
}

/// Makes and changes network namespaces. All calls are idempotent, and cancelling them leaves the namespace usable.
#[async_trait]
pub trait Sandboxes: Send + Sync + std::fmt::Debug {
    /// Makes a namespace with nothing but the loopback link, up.
    async fn open(&self) -> Result<OwnedFd, NetworkError>;

    /// Replaces the default routes.
    async fn set_routes(&self, namespace: BorrowedFd<'_>, routes: Routes) -> Result<(), NetworkError>;

    /// Makes a link of that name with these addresses and no way out: for those who must look up in a namespace that is gone what they
    /// have made for it elsewhere.
    async fn add_stand_in(
        &self,
        namespace: BorrowedFd<'_>,
        link: &str,
        addresses: &[IpNet],
    ) -> Result<(), NetworkError>;

    /// Opens sockets for the name service, and (again) the rules that lead to them: for a namespace that was made without them, or
    /// whose sockets died with an earlier daemon.
    async fn open_names(&self, namespace: BorrowedFd<'_>) -> Result<NameSockets, NetworkError>;

    /// Returns the host's resolver configuration as containers should see it: the text of a `resolv.conf` without loopback servers.
    fn host_resolver_configuration(&self) -> String;

    /// Returns the servers that the host itself asks, loopback ones included, in order.
    fn host_servers(&self) -> Vec<std::net::IpAddr>;
}
