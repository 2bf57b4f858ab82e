// SPDX-License-Identifier: MIT
//! A name service that keeps tables and answers nobody.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use hyperbox_core::seam::{Announcement, NameService, NameSockets, NetworkError, ResolverSettings};
use hyperbox_types::{ContainerId, NetworkId};

use super::fault::lock;

/// A [`NameService`].
#[derive(Debug, Clone, Default)]
pub struct FakeNames {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    served: BTreeMap<ContainerId, ResolverSettings>,
    announced: BTreeMap<(NetworkId, ContainerId), Announcement>,
}

impl FakeNames {
    /// Returns what a container would be answered for a name; nothing when it is not served.
    pub fn resolve(&self, container: &ContainerId, name: &str) -> Vec<IpAddr> {
        let state = lock(&self.state);
        let Some(settings) = state.served.get(container) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for network in &settings.networks {
            let mut links = settings.links.iter();
            let link = links.find(|(of, alias, _)| of == network && alias.eq_ignore_ascii_case(name));
            let wanted = link.map_or(name, |(_, _, target)| target.as_str());
            let announced = state.announced.iter();
            let in_network = announced.filter(|((of, _), _)| of == network);
            for (_, announcement) in in_network {
                if announcement
                    .names
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(wanted))
                {
                    found.extend(announcement.addresses.iter().copied());
                }
            }
        }
        found
    }

    /// Returns how questions of a container are answered, if they are.
    pub fn settings(&self, container: &ContainerId) -> Option<ResolverSettings> {
        lock(&self.state).served.get(container).cloned()
    }
}

impl NameService for FakeNames {
    fn serve(
        &self,
        container: &ContainerId,
        _sockets: NameSockets,
        _namespace: OwnedFd,
        settings: ResolverSettings,
    ) -> Result<(), NetworkError> {
        lock(&self.state).served.insert(container.clone(), settings);
        Ok(())
    }

    fn change(&self, container: &ContainerId, settings: ResolverSettings) {
        if let Some(served) = lock(&self.state).served.get_mut(container) {
            *served = settings;
        }
    }

    fn announce(&self, announcement: Announcement) {
        let key = (announcement.network.clone(), announcement.container.clone());
        lock(&self.state).announced.insert(key, announcement);
    }

    fn withdraw(&self, network: &NetworkId, container: &ContainerId) {
        lock(&self.state)
            .announced
            .remove(&(network.clone(), container.clone()));
    }

    fn stop(&self, container: &ContainerId) {
        lock(&self.state).served.remove(container);
    }
}
