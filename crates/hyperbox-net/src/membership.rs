// SPDX-License-Identifier: MIT
//! Who has which address in which network: the driver's memory.
//!
//! Everything is decided under one mutex, in memory, and nothing waits while it is held. After a crash the memory is made again from the
//! engine's records.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_core::seam::{Endpoint, EndpointRequest, NetworkError, NetworkSettings};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::allocation::{Allocator, NoAddress};
use crate::bridge::BridgeNetwork;
use crate::error::refused;

/// Who holds an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Container(ContainerId),
    /// An endpoint that was made ahead.
    Spare,
}

/// The addresses of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Addresses {
    pub(crate) ipv4: Option<Ipv4Net>,
    pub(crate) ipv6: Option<Ipv6Net>,
}

impl Addresses {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        Self {
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
        }
    }

    /// Returns them, IPv4 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IpNet> + use<> {
        let ipv4 = self.ipv4.map(IpNet::from);
        ipv4.into_iter().chain(self.ipv6.map(IpNet::from))
    }
}

/// Wished addresses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wished {
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
}

impl Wished {
    /// Returns those of a request.
    pub(crate) fn of(request: &EndpointRequest) -> Self {
        Self {
            ipv4: request.ipv4,
            ipv6: request.ipv6,
        }
    }

    /// Returns them, IPv4 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let ipv4 = self.ipv4.map(IpAddr::V4);
        ipv4.into_iter().chain(self.ipv6.map(IpAddr::V6))
    }
}

/// The networks of a driver and their addresses; a handle that is shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memberships {
    all: Arc<Mutex<BTreeMap<NetworkId, Membership>>>,
    ended: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Membership {
    network: BridgeNetwork,
    /// Host links of containers.
    links: BTreeSet<String>,
    allocators: Vec<Allocator<Owner>>,
}

impl Membership {
    fn new(network: &BridgeNetwork) -> Self {
        Self {
            network: network.clone(),
            links: BTreeSet::new(),
            allocators: network.settings.pools.iter().map(Allocator::new).collect(),
        }
    }

    /// Follows changed settings where nobody depends on the old ones.
    fn follow(&mut self, network: &BridgeNetwork) {
        let same = self.allocators.iter().map(Allocator::pool).eq(&network.settings.pools);
        if !same && self.allocators.iter().all(Allocator::is_unused) {
            *self = Self::new(network);
        }
        self.network = network.clone();
    }

    fn take(&mut self, ipv6: bool, wished: Option<IpAddr>, owner: &Owner) -> Result<Option<IpNet>, NoAddress> {
        let of_family = |allocator: &&mut Allocator<Owner>| allocator.pool().subnet.addr().is_ipv6() == ipv6;
        let mut failure = None;
        for allocator in self.allocators.iter_mut().filter(of_family) {
            match allocator.take(wished, owner.clone()) {
                Ok(address) => return Ok(IpNet::new(address, allocator.pool().subnet.prefix_len()).ok()),
                // Of several subnets the one that contains the address has the say.
                Err(NoAddress::Unusable { .. }) if failure.is_some() => {}
                Err(error) => failure = Some(error),
            }
        }
        match (failure, wished) {
            (Some(error), _) => Err(error),
            (None, Some(address)) => Err(NoAddress::Unusable { address }),
            (None, None) => Ok(None),
        }
    }

    fn give_back(&mut self, addresses: Addresses, owner: &Owner) -> bool {
        let mut held = false;
        for address in addresses.iter() {
            for allocator in &mut self.allocators {
                held |= allocator.give_back(address.addr(), owner);
            }
        }
        held
    }
}

impl Memberships {
    /// Replaces everything by what is known after a restart. A record that makes no sense is left out: its container runs, but its
    /// address is not protected.
    pub(crate) fn adopt(&self, networks: &[NetworkSettings], endpoints: &[(ContainerId, Endpoint)]) {
        let mut all = BTreeMap::new();
        for settings in networks {
            match BridgeNetwork::parse(settings) {
                Ok(network) => drop(all.insert(settings.id.clone(), Membership::new(&network))),
                Err(error) => tracing::warn!(network = %settings.id, %error, "cannot adopt a network"),
            }
        }
        for (container, endpoint) in endpoints {
            let owner = Owner::Container(container.clone());
            if let Some(membership) = all.get_mut(&endpoint.network) {
                membership.links.insert(endpoint.host_link.clone());
            }
            for address in Addresses::of(endpoint).iter() {
                let membership = all.get_mut(&endpoint.network);
                let taken = membership.map(|all| all.take(address.addr().is_ipv6(), Some(address.addr()), &owner));
                if !matches!(taken, Some(Ok(_))) {
                    tracing::warn!(%container, %address, "cannot adopt an endpoint's address");
                }
            }
        }
        *self.lock() = all;
    }

    /// Makes a network known.
    pub(crate) fn know(&self, network: &BridgeNetwork) {
        let mut all = self.lock();
        let entry = all.entry(network.settings.id.clone());
        entry.or_insert_with(|| Membership::new(network)).follow(network);
    }

    /// Forgets a network.
    pub(crate) fn forget(&self, network: &NetworkId) {
        self.lock().remove(network);
    }

    /// Notes that the driver has ended: its networks are nobody's to restore, and nothing is made for them any more. Addresses stay taken, as
    /// containers go on to have them.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Returns whether the driver has ended.
    pub(crate) fn have_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Returns whether more than that many addresses of each family are free.
    pub(crate) fn has_room(&self, network: &BridgeNetwork, count: u128) -> bool {
        self.know(network);
        let all = self.lock();
        let membership = all.get(&network.settings.id);
        membership.is_some_and(|membership| membership.allocators.iter().all(|allocator| allocator.has_room(count)))
    }

    /// Notes the host link of a container.
    pub(crate) fn note_link(&self, network: &NetworkId, link: &str) {
        if let Some(membership) = self.lock().get_mut(network) {
            membership.links.insert(link.to_owned());
        }
    }

    /// Returns the networks whose bridge has that name (all of them without a name), and the host links of their containers; none once
    /// the driver has ended.
    pub(crate) fn of_bridge(&self, bridge: Option<&str>) -> Vec<(BridgeNetwork, Vec<String>)> {
        let all = self.lock();
        let concerned = all
            .values()
            .filter(|_| !self.have_ended())
            .filter(|membership| bridge.is_none_or(|name| membership.network.link() == name));
        let found =
            concerned.map(|membership| (membership.network.clone(), membership.links.iter().cloned().collect()));
        found.collect()
    }

    /// Returns the bridges that are to have an address themselves; none once the driver has ended.
    pub(crate) fn bridges_with(&self, address: IpNet) -> Vec<String> {
        let all = self.lock();
        let networks = all.values().filter(|_| !self.have_ended());
        let networks = networks.map(|membership| &membership.network);
        let concerned = networks.filter(|network| network.addresses().contains(&address));
        concerned.map(|network| network.link().to_owned()).collect()
    }

    /// Takes an address of each family that the network has, or none at all.
    pub(crate) fn take(&self, network: &BridgeNetwork, wished: Wished, owner: Owner) -> Result<Held, NetworkError> {
        self.know(network);
        let id = &network.settings.id;
        let mut held = Held {
            memberships: self.clone(),
            network: id.clone(),
            owner,
            addresses: Addresses::default(),
            kept: false,
        };
        let refuse = |error: NoAddress| {
            let name = &network.settings.name;
            let (kind, message) = match error {
                NoAddress::Exhausted { .. } => (ErrorKind::ResourceExhausted, format!("{error}: {name} ({id})")),
                // Docker forbids it.
                NoAddress::InUse => (ErrorKind::PermissionDenied, error.to_string()),
                NoAddress::Unusable { .. } => {
                    let context = format!("invalid config for network {name}: invalid endpoint settings:");
                    (ErrorKind::InvalidArgument, format!("{context}\n{error}"))
                }
            };
            refused(name, kind, message)
        };
        // The guard must be gone before `held` is dropped on failure.
        let taken = {
            let mut all = self.lock();
            let membership = all.entry(id.clone()).or_insert_with(|| Membership::new(network));
            let ipv4 = membership.take(false, wished.ipv4.map(IpAddr::V4), &held.owner);
            ipv4.and_then(|ipv4| {
                if let Some(IpNet::V4(net)) = ipv4 {
                    held.addresses.ipv4 = Some(net);
                }
                membership.take(true, wished.ipv6.map(IpAddr::V6), &held.owner)
            })
        };
        if let Some(IpNet::V6(net)) = taken.map_err(refuse)? {
            held.addresses.ipv6 = Some(net);
        }
        Ok(held)
    }

    /// Takes addresses back that a container holds; returns whether it held one.
    pub(crate) fn give_back(&self, network: &NetworkId, addresses: Addresses, owner: &Owner) -> bool {
        let mut all = self.lock();
        all.get_mut(network)
            .is_some_and(|membership| membership.give_back(addresses, owner))
    }

    /// Takes an endpoint back that a container holds; returns whether it held it.
    pub(crate) fn release(&self, endpoint: &Endpoint, owner: &Owner) -> bool {
        let mut all = self.lock();
        let Some(membership) = all.get_mut(&endpoint.network) else {
            return false;
        };
        let held = membership.give_back(Addresses::of(endpoint), owner);
        if held {
            membership.links.remove(&endpoint.host_link);
        }
        held
    }

    /// No code panics while it holds the lock; if it did, each entry is still whole.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<NetworkId, Membership>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses that go back unless they are kept.
#[derive(Debug)]
pub(crate) struct Held {
    memberships: Memberships,
    network: NetworkId,
    owner: Owner,
    pub(crate) addresses: Addresses,
    kept: bool,
}

impl Held {
    /// The addresses stay taken until they are given back.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }

    /// The addresses are somebody else's from now on.
    pub(crate) fn pass_to(mut self, owner: &Owner) {
        self.kept = true;
        // The handle first: the guard borrows it, and `self` is dropped after the guard.
        let memberships = self.memberships.clone();
        let mut all = memberships.lock();
        if let Some(membership) = all.get_mut(&self.network) {
            for address in self.addresses.iter() {
                for allocator in &mut membership.allocators {
                    allocator.pass(address.addr(), &self.owner, owner.clone());
                }
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.kept {
            self.memberships.give_back(&self.network, self.addresses, &self.owner);
        }
    }
}
