// SPDX-License-Identifier: MIT
//! Who is in which network: decides whether a network may be removed, and keeps a join and a removal from overlapping.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_types::{ContainerId, NetworkId};

/// The containers in all networks. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Attached {
    networks: Arc<Mutex<HashMap<NetworkId, Members>>>,
}

#[derive(Debug, Default)]
struct Members {
    /// Containers, with the name each had when it joined.
    containers: BTreeMap<ContainerId, String>,
    /// A removal is under way.
    removing: bool,
}

/// Why a network cannot be joined or removed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Busy {
    /// It is being removed.
    Removing,
    /// The container is in it.
    Member,
    /// These containers are in it, by name.
    Used(Vec<(ContainerId, String)>),
}

/// The right to remove a network; when it is dropped without [`Removal::done`] the network may be joined again.
#[derive(Debug)]
pub(super) struct Removal {
    attached: Attached,
    network: NetworkId,
}

impl Attached {
    /// Enters a container. It counts as a member from here on, also while it is still being connected.
    pub(super) fn enter(&self, network: &NetworkId, container: &ContainerId, name: &str) -> Result<(), Busy> {
        let mut networks = self.lock();
        let members = networks.entry(network.clone()).or_default();
        if members.removing {
            return Err(Busy::Removing);
        }
        if members.containers.contains_key(container) {
            return Err(Busy::Member);
        }
        members.containers.insert(container.clone(), name.to_owned());
        Ok(())
    }

    /// Takes a container out.
    pub(super) fn leave(&self, network: &NetworkId, container: &ContainerId) {
        let mut networks = self.lock();
        if let Some(members) = networks.get_mut(network) {
            members.containers.remove(container);
            if members.containers.is_empty() && !members.removing {
                networks.remove(network);
            }
        }
    }

    /// Keeps everybody from joining a network that nobody is in.
    pub(super) fn begin_removal(&self, network: &NetworkId) -> Result<Removal, Busy> {
        let mut networks = self.lock();
        let members = networks.entry(network.clone()).or_default();
        if members.removing {
            return Err(Busy::Removing);
        }
        if !members.containers.is_empty() {
            let used = members.containers.iter();
            return Err(Busy::Used(used.map(|(id, name)| (id.clone(), name.clone())).collect()));
        }
        members.removing = true;
        Ok(Removal {
            attached: self.clone(),
            network: network.clone(),
        })
    }

    /// Tells whether anybody is in a network.
    pub(super) fn is_used(&self, network: &NetworkId) -> bool {
        let networks = self.lock();
        networks
            .get(network)
            .is_some_and(|members| !members.containers.is_empty())
    }

    /// Each change is whole before the lock is given back, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, HashMap<NetworkId, Members>> {
        self.networks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Removal {
    /// The network is gone.
    pub(super) fn done(self) {
        drop(self);
    }
}

impl Drop for Removal {
    fn drop(&mut self) {
        let mut networks = self.attached.lock();
        networks.remove(&self.network);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_joined_or_removed_but_not_both() {
        let attached = Attached::default();
        let network = NetworkId::from_bytes([1; 32]);
        let (one, other) = (ContainerId::from_bytes([2; 32]), ContainerId::from_bytes([3; 32]));
        assert_eq!(attached.enter(&network, &one, "one"), Ok(()));
        assert_eq!(attached.enter(&network, &one, "one"), Err(Busy::Member));
        let used = Busy::Used(vec![(one.clone(), "one".to_owned())]);
        assert_eq!(attached.begin_removal(&network).unwrap_err(), used);
        attached.leave(&network, &other);
        assert!(attached.is_used(&network));
        attached.leave(&network, &one);
        let removal = attached.begin_removal(&network).expect("nobody is in it");
        assert_eq!(attached.enter(&network, &one, "one"), Err(Busy::Removing));
        assert_eq!(attached.begin_removal(&network).unwrap_err(), Busy::Removing);
        drop(removal);
        assert_eq!(attached.enter(&network, &one, "one"), Ok(()));
    }
}
