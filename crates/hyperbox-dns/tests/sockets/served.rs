// SPDX-License-Identifier: MIT
//! A container that is served at loopback sockets.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hyperbox_core::seam::{Announcement, NameServer, NameService as _, ResolverSettings};
use hyperbox_dns::{Configuration, Names};
use hyperbox_testkit::conformance::names::{own_namespace, sockets};
use hyperbox_testkit::name_client::{ask, question};
use hyperbox_testkit::{container_id, network_id};
use hyperbox_types::{ContainerId, NetworkId};
use tokio::runtime::Handle;

/// Makes a service with Docker's limits.
pub(crate) fn service() -> Names {
    Names::new(Handle::current(), Configuration::default())
}

/// A service with one network and one container.
pub(crate) struct Served {
    pub(crate) names: Names,
    pub(crate) network: NetworkId,
    pub(crate) container: ContainerId,
    /// Where datagrams are answered.
    pub(crate) datagrams: SocketAddr,
    /// Where connections are answered.
    pub(crate) connections: SocketAddr,
}

impl Served {
    /// Serves a container that sees one network.
    pub(crate) fn new() -> Self {
        Self::with(Configuration::default(), &[])
    }

    /// Serves a container whose other questions go to `servers`, from the host.
    pub(crate) fn with(configuration: Configuration, servers: &[IpAddr]) -> Self {
        let names = Names::new(Handle::current(), configuration);
        let (network, container) = (network_id(), container_id());
        let (sockets, datagrams) = sockets();
        let connections = sockets.connections.local_addr().unwrap();
        let servers = servers.iter().map(|address| NameServer {
            address: *address,
            from_container: false,
        });
        let settings = ResolverSettings {
            networks: vec![network.clone()],
            servers: servers.collect(),
            forward: true,
            ..ResolverSettings::default()
        };
        names.serve(&container, sockets, own_namespace(), settings).unwrap();
        Self {
            names,
            network,
            container,
            datagrams,
            connections,
        }
    }

    /// Makes a container known.
    pub(crate) fn announce(&self, names: &[&str], addresses: &[IpAddr]) {
        self.names.announce(Announcement {
            network: self.network.clone(),
            container: container_id(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.to_vec(),
            reverse: format!("{}.front", names[0]),
        });
    }

    /// Asks by a datagram.
    pub(crate) async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        self.send(&question(name, record_type)).await
    }

    /// Sends a question as it is.
    pub(crate) async fn send(&self, message: &Message) -> Message {
        ask(self.datagrams, message).await.expect("an answer")
    }
}

/// Limits for tests that wait for a server to be given up.
pub(crate) fn impatient(server_port: u16) -> Configuration {
    Configuration {
        server_port,
        patience: Duration::from_millis(400),
        ..Configuration::default()
    }
}

/// Docker's limits, with servers at another port.
pub(crate) fn patient(server_port: u16) -> Configuration {
    Configuration {
        server_port,
        ..Configuration::default()
    }
}
