// SPDX-License-Identifier: MIT
//! What every `NameService` must do.
//!
//! A service answers at sockets, which here stand on the loopback link of whoever runs the suite; the fake answers only when it is
//! asked itself. A [`Subject`] therefore says how a container's questions reach its service.

use std::collections::BTreeSet;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use async_trait::async_trait;
use hickory_proto::rr::RecordType;
use hyperbox_core::seam::{Announcement, NameService, NameSockets, ResolverSettings};
use hyperbox_types::{ContainerId, NetworkId};

use crate::name_client::{addresses, ask, question};
use crate::{container_id, network_id, wait_for_async};

/// How questions reach a service.
#[async_trait]
pub trait Questions: Send + Sync {
    /// Returns the addresses that a container is answered for a name, or nothing when it is not answered. `server` is where the
    /// container's datagrams go.
    async fn resolve(&self, container: &ContainerId, server: SocketAddr, name: &str) -> Vec<IpAddr>;
}

/// A service and the way to it.
#[expect(missing_debug_implementations, reason = "the way to a service is anything")]
pub struct Subject {
    /// The service.
    pub names: Arc<dyn NameService>,
    /// The way to it.
    pub questions: Box<dyn Questions>,
}

/// The way by the sockets.
#[derive(Debug)]
pub struct BySockets;

#[async_trait]
impl Questions for BySockets {
    async fn resolve(&self, _container: &ContainerId, server: SocketAddr, name: &str) -> Vec<IpAddr> {
        let mut found = Vec::new();
        for record_type in [RecordType::A, RecordType::AAAA] {
            let answer = ask(server, &question(name, record_type)).await;
            found.extend(answer.iter().flat_map(addresses));
        }
        found
    }
}

/// Runs all checks, each on a service that `fresh` makes. Needs a runtime with I/O and time.
///
/// # Panics
/// When the service does not conform.
pub async fn check_all(fresh: impl Fn() -> Subject) {
    check_names(&fresh()).await;
    check_shared_names(&fresh()).await;
    check_networks(&fresh()).await;
    check_links(&fresh()).await;
    check_replacement(&fresh()).await;
    check_end(&fresh()).await;
}

/// A container that is served.
struct Client<'a> {
    subject: &'a Subject,
    container: ContainerId,
    server: SocketAddr,
}

impl<'a> Client<'a> {
    fn serve(subject: &'a Subject, settings: ResolverSettings) -> Self {
        Self::serve_again(subject, container_id(), settings)
    }

    fn serve_again(subject: &'a Subject, container: ContainerId, settings: ResolverSettings) -> Self {
        let (sockets, server) = sockets();
        let served = subject.names.serve(&container, sockets, own_namespace(), settings);
        served.expect("serve");
        Self {
            subject,
            container,
            server,
        }
    }

    async fn resolve(&self, name: &str) -> BTreeSet<String> {
        let found = self.subject.questions.resolve(&self.container, self.server, name).await;
        found.iter().map(ToString::to_string).collect()
    }

    async fn expect(&self, name: &str, expected: &[&str]) {
        let expected: BTreeSet<String> = expected.iter().map(|address| (*address).to_owned()).collect();
        assert_eq!(self.resolve(name).await, expected, "{name}");
    }
}

/// Makes sockets at ports of the kernel's choice and returns where datagrams are read.
///
/// # Panics
/// When the loopback link is down.
pub fn sockets() -> (NameSockets, SocketAddr) {
    let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let connections = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    let server = datagrams.local_addr().expect("an address");
    let sockets = NameSockets { datagrams, connections };
    (sockets, server)
}

/// Returns the network namespace of the calling thread.
///
/// # Panics
/// When /proc is not there.
pub fn own_namespace() -> OwnedFd {
    File::open("/proc/thread-self/ns/net")
        .expect("a network namespace")
        .into()
}

fn seeing(networks: &[&NetworkId]) -> ResolverSettings {
    ResolverSettings {
        networks: networks.iter().map(|network| (*network).clone()).collect(),
        ..ResolverSettings::default()
    }
}

fn announcement(network: &NetworkId, names: &[&str], addresses: &[&str]) -> Announcement {
    Announcement {
        network: network.clone(),
        container: container_id(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        addresses: addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect(),
        reverse: format!("{}.front", names.first().expect("a name")),
    }
}

/// All names of a container are answered, in any case, with the addresses of both families.
async fn check_names(subject: &Subject) {
    let network = network_id();
    let client = Client::serve(subject, seeing(&[&network]));
    client.expect("web", &[]).await;
    let names = ["web", "Alias", "with.dots", "under_score", "0123456789ab"];
    subject
        .names
        .announce(announcement(&network, &names, &["10.0.0.2", "fd00::2"]));
    for name in [
        "web",
        "WEB",
        "alias",
        "with.dots",
        "With.Dots",
        "under_score",
        "0123456789ab",
    ] {
        client.expect(name, &["10.0.0.2", "fd00::2"]).await;
    }
    for unknown in ["we", "webb", "dots", "with"] {
        client.expect(unknown, &[]).await;
    }
}

/// A name of several containers stands for all of them, and only for those that are still there.
async fn check_shared_names(subject: &Subject) {
    let network = network_id();
    let client = Client::serve(subject, seeing(&[&network]));
    let first = announcement(&network, &["one", "all"], &["10.0.0.2"]);
    let second = announcement(&network, &["two", "all"], &["10.0.0.3"]);
    subject.names.announce(first.clone());
    subject.names.announce(second.clone());
    client.expect("all", &["10.0.0.2", "10.0.0.3"]).await;
    subject.names.withdraw(&network, &first.container);
    subject.names.withdraw(&network, &first.container);
    client.expect("all", &["10.0.0.3"]).await;
    client.expect("one", &[]).await;
    subject.names.withdraw(&network, &second.container);
    client.expect("all", &[]).await;
}

/// Containers see the names of their own networks, from before and after they are served, and what `change` says.
async fn check_networks(subject: &Subject) {
    let (front, back) = (network_id(), network_id());
    subject.names.announce(announcement(&front, &["web"], &["10.0.0.2"]));
    let client = Client::serve(subject, seeing(&[&front]));
    subject.names.announce(announcement(&back, &["db"], &["10.1.0.2"]));
    client.expect("web", &["10.0.0.2"]).await;
    client.expect("db", &[]).await;
    subject.names.change(&client.container, seeing(&[&back]));
    client.expect("web", &[]).await;
    client.expect("db", &["10.1.0.2"]).await;
    subject.names.change(&container_id(), seeing(&[&front]));
}

/// A link is known to one container, follows its target, and hides a name.
async fn check_links(subject: &Subject) {
    let network = network_id();
    let link = |alias: &str, target: &str| (network.clone(), alias.to_owned(), target.to_owned());
    let linked = ResolverSettings {
        links: vec![link("store", "db"), link("web", "db")],
        ..seeing(&[&network])
    };
    let client = Client::serve(subject, linked);
    let other = Client::serve(subject, seeing(&[&network]));
    subject.names.announce(announcement(&network, &["web"], &["10.0.0.2"]));
    client.expect("store", &[]).await;
    let mut target = announcement(&network, &["db"], &["10.0.0.3"]);
    subject.names.announce(target.clone());
    client.expect("store", &["10.0.0.3"]).await;
    client.expect("web", &["10.0.0.3"]).await;
    other.expect("store", &[]).await;
    other.expect("web", &["10.0.0.2"]).await;
    target.addresses = vec![[10, 0, 0, 4].into()];
    subject.names.announce(target);
    client.expect("STORE", &["10.0.0.4"]).await;
}

/// What is said again replaces what was said before: announcements and sockets.
async fn check_replacement(subject: &Subject) {
    let network = network_id();
    let client = Client::serve(subject, seeing(&[&network]));
    let mut web = announcement(&network, &["web", "old"], &["10.0.0.2"]);
    subject.names.announce(web.clone());
    web.names = vec!["web".to_owned(), "new".to_owned()];
    web.addresses = vec![[10, 0, 0, 3].into()];
    subject.names.announce(web);
    client.expect("old", &[]).await;
    client.expect("web", &["10.0.0.3"]).await;
    client.expect("new", &["10.0.0.3"]).await;
    let again = Client::serve_again(subject, client.container.clone(), seeing(&[&network]));
    again.expect("web", &["10.0.0.3"]).await;
}

/// Who is not served any more is not answered; the others are.
async fn check_end(subject: &Subject) {
    let network = network_id();
    subject.names.announce(announcement(&network, &["web"], &["10.0.0.2"]));
    let client = Client::serve(subject, seeing(&[&network]));
    let other = Client::serve(subject, seeing(&[&network]));
    subject.names.stop(&client.container);
    subject.names.stop(&client.container);
    // The last question may still be answered while the sockets are being closed.
    wait_for_async("the sockets to be closed", || async {
        match client.resolve("web").await {
            found if found.is_empty() => Ok(()),
            found => Err(format!("{found:?} is answered")),
        }
    })
    .await;
    other.expect("web", &["10.0.0.2"]).await;
}
