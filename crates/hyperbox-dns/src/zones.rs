// SPDX-License-Identifier: MIT
//! Who is called what in which network.
//!
//! One zone per network, made by its first announcement and gone with its last. What a container has announced is one shared value that
//! is listed under each of its names and addresses, so that a withdrawal removes exactly what the announcement added. All questions
//! are answered from memory in constant time; nobody holds the lock around this table across I/O.
//!
//! Keys are lower-case without the dot of the root. Names that DNS cannot carry are kept and simply never asked for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use hyperbox_core::seam::Announcement;
use hyperbox_types::{ContainerId, NetworkId};

/// The names of all networks.
#[derive(Debug, Default)]
pub(crate) struct Zones {
    zones: HashMap<NetworkId, Zone>,
}

/// The names of one network.
#[derive(Debug, Default)]
pub(crate) struct Zone {
    /// The network's own name, the last part of `web.front`; unknown until a container has announced a reverse name.
    name: Option<String>,
    containers: HashMap<ContainerId, Arc<Host>>,
    names: HashMap<String, Vec<Arc<Host>>>,
    addresses: HashMap<IpAddr, Vec<Arc<Host>>>,
}

/// A container in one network.
#[derive(Debug)]
struct Host {
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    reverse: String,
}

impl Zones {
    /// Makes names known; replaces what the container had announced in this network.
    pub(crate) fn announce(&mut self, announcement: Announcement) {
        let zone = self.zones.entry(announcement.network).or_default();
        zone.forget(&announcement.container);
        let host = Arc::new(Host {
            names: distinct(announcement.names.iter().map(|name| normal(name))),
            addresses: distinct(announcement.addresses.iter().map(IpAddr::to_canonical)),
            reverse: announcement.reverse,
        });
        if let Some(name) = network_name(&host) {
            zone.name = Some(name);
        }
        for name in &host.names {
            zone.names.entry(name.clone()).or_default().push(host.clone());
        }
        for address in &host.addresses {
            zone.addresses.entry(*address).or_default().push(host.clone());
        }
        zone.containers.insert(announcement.container, host);
    }

    /// Forgets the names of a container in a network.
    pub(crate) fn withdraw(&mut self, network: &NetworkId, container: &ContainerId) {
        let Some(zone) = self.zones.get_mut(network) else {
            return;
        };
        zone.forget(container);
        if zone.containers.is_empty() {
            self.zones.remove(network);
        }
    }

    /// Returns the names of one network, if anything is known there.
    pub(crate) fn zone(&self, network: &NetworkId) -> Option<&Zone> {
        self.zones.get(network)
    }
}

impl Zone {
    /// Tells whether `name`, in lower case, is the network's own name.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Returns the addresses of everybody with a name, each once; `None` when nobody has it.
    pub(crate) fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let hosts = self.names.get(name)?;
        let [host] = hosts.as_slice() else {
            return Some(distinct(hosts.iter().flat_map(|host| host.addresses.iter().copied())));
        };
        Some(host.addresses.clone())
    }

    /// Returns the name that an address is answered with.
    pub(crate) fn reverse(&self, address: IpAddr) -> Option<&str> {
        let hosts = self.addresses.get(&address)?;
        hosts
            .iter()
            .map(|host| host.reverse.as_str())
            .find(|name| !name.is_empty())
    }

    fn forget(&mut self, container: &ContainerId) {
        let Some(host) = self.containers.remove(container) else {
            return;
        };
        for name in &host.names {
            remove(&mut self.names, name, &host);
        }
        for address in &host.addresses {
            remove(&mut self.addresses, address, &host);
        }
    }
}

/// Returns a name as it is compared: in lower case, without the dot of the root.
pub(crate) fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn remove<K: std::hash::Hash + Eq>(table: &mut HashMap<K, Vec<Arc<Host>>>, key: &K, host: &Arc<Host>) {
    if let Some(hosts) = table.get_mut(key) {
        hosts.retain(|other| !Arc::ptr_eq(other, host));
        if hosts.is_empty() {
            table.remove(key);
        }
    }
}

/// Returns the network's name: what follows a name of the host in its reverse name. Both may contain dots, so the text alone does not
/// say where one ends; of several names that fit the longest is the one that the reverse name was made from.
fn network_name(host: &Host) -> Option<String> {
    let reverse = normal(&host.reverse);
    let rest = |name: &String| reverse.strip_prefix(name.as_str())?.strip_prefix('.');
    let shortest = host.names.iter().filter_map(rest).min_by_key(|network| network.len())?;
    (!shortest.is_empty()).then(|| shortest.to_owned())
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for one in all {
        if !kept.contains(&one) {
            kept.push(one);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use hyperbox_testkit::{container_id, network_id};

    use super::*;

    fn announcement(network: &NetworkId, names: &[&str], addresses: &[&str], reverse: &str) -> Announcement {
        Announcement {
            network: network.clone(),
            container: container_id(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            reverse: reverse.to_owned(),
        }
    }

    fn addresses(zones: &Zones, network: &NetworkId, name: &str) -> Option<Vec<String>> {
        let found = zones.zone(network)?.addresses(name)?;
        Some(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_name_of_several_containers_has_all_their_addresses() {
        let network = network_id();
        let mut zones = Zones::default();
        let first = announcement(&network, &["one", "Same"], &["10.0.0.2", "fd00::2"], "one.front");
        let second = announcement(&network, &["two", "same."], &["10.0.0.3", "10.0.0.2"], "two.front");
        zones.announce(first.clone());
        zones.announce(second.clone());
        let both = ["10.0.0.2", "fd00::2", "10.0.0.3"].map(str::to_owned).to_vec();
        assert_eq!(addresses(&zones, &network, "same"), Some(both));
        zones.withdraw(&network, &first.container);
        let left = ["10.0.0.3", "10.0.0.2"].map(str::to_owned).to_vec();
        assert_eq!(addresses(&zones, &network, "same"), Some(left));
        assert_eq!(addresses(&zones, &network, "one"), None);
        let zone = zones.zone(&network).unwrap();
        assert_eq!(zone.reverse("10.0.0.2".parse().unwrap()), Some("two.front"));
        assert_eq!(zone.reverse("fd00::2".parse().unwrap()), None);
        zones.withdraw(&network, &second.container);
        assert!(zones.zone(&network).is_none());
        zones.withdraw(&network, &second.container);
    }

    #[test]
    fn announcing_again_replaces() {
        let network = network_id();
        let mut zones = Zones::default();
        let mut web = announcement(&network, &["web", "old"], &["10.0.0.2"], "web.front");
        zones.announce(web.clone());
        web.names = vec!["site".to_owned()];
        web.reverse = "site.front".to_owned();
        zones.announce(web);
        assert_eq!(addresses(&zones, &network, "web"), None);
        assert_eq!(addresses(&zones, &network, "old"), None);
        assert_eq!(addresses(&zones, &network, "site"), Some(vec!["10.0.0.2".to_owned()]));
        let zone = zones.zone(&network).unwrap();
        assert_eq!(zone.reverse("10.0.0.2".parse().unwrap()), Some("site.front"));
    }

    #[test]
    fn the_name_of_the_network_is_found_behind_that_of_the_container() {
        for (names, reverse, network) in [
            (&["web"][..], "web.front", Some("front")),
            (&["web"], "Web.Front.", Some("front")),
            (&["web", "web.blue"], "web.blue.a.b", Some("a.b")),
            (&["abc", "web"], "web.a.b", Some("a.b")),
            (&["web"], "other.front", None),
            (&["web"], "web", None),
            (&["web"], "web.", None),
            (&["web"], "", None),
        ] {
            let host = Host {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                addresses: Vec::new(),
                reverse: reverse.to_owned(),
            };
            assert_eq!(network_name(&host).as_deref(), network, "{reverse}");
        }
    }
}
