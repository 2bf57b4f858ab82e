// SPDX-License-Identifier: MIT
//! The name service: answers containers who is who in their networks, and asks others about the rest of the world.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use hyperbox_types::{ContainerId, NetworkId};

use super::{NameSockets, NetworkError};

/// How questions of one container are answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResolverSettings {
    /// The networks whose names it sees, the first one first.
    pub networks: Vec<NetworkId>,
    /// Names that only this container knows (`--link TARGET:ALIAS`): network, alias, and the name that it stands for there.
    pub links: Vec<(NetworkId, String, String)>,
    /// Who is asked about everything else, in order.
    pub servers: Vec<NameServer>,
    /// Whether questions leave the engine at all; not from a container whose networks are all internal.
    pub forward: bool,
    /// Whether addresses of a name without a dot that none of its networks knows are denied at once, and nobody is asked: the client then
    /// tries it with its search domains. So it is where `ndots` is set, as in Docker.
    pub keep_single_labels: bool,
}

/// A server that is asked about names of the rest of the world, on port 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it is asked from the container's namespace (the user chose it for the container) or from the host's.
    pub from_container: bool,
}

/// The names of a container in one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The network.
    pub network: NetworkId,
    /// The container.
    pub container: ContainerId,
    /// All names: of the container, aliases, short id, host name. Several containers may have the same name: all their addresses are
    /// answered.
    pub names: Vec<String>,
    /// Its addresses there.
    pub addresses: Vec<IpAddr>,
    /// The name that a question for an address is answered with, such as `web.front`.
    pub reverse: String,
}

/// Answers names.
///
/// All calls return at once. What is announced is seen by every question that arrives after the call has returned. Names are matched
/// without regard to case. Serving a container again replaces what was there before; everything is forgotten with the process, and the
/// engine announces again after a restart.
pub trait NameService: Send + Sync + std::fmt::Debug {
    /// Begins to answer at these sockets. `namespace` is where servers are asked that only the container can reach.
    fn serve(
        &self,
        container: &ContainerId,
        sockets: NameSockets,
        namespace: OwnedFd,
        settings: ResolverSettings,
    ) -> Result<(), NetworkError>;

    /// Changes how questions of a container that is served are answered; one that is not served is left alone.
    fn change(&self, container: &ContainerId, settings: ResolverSettings);

    /// Makes names known; replaces what was announced for this container in this network.
    fn announce(&self, announcement: Announcement);

    /// Forgets the names of a container in a network; forgetting what is not known succeeds.
    fn withdraw(&self, network: &NetworkId, container: &ContainerId);

    /// Ends answering a container.
    fn stop(&self, container: &ContainerId);
}
