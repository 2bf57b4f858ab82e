// SPDX-License-Identifier: MIT
//! What one container sees: its networks, its links, and the servers that are asked on its behalf.
//!
//! Made once from [`ResolverSettings`] and replaced as a whole. Decisions are pure and follow Docker Engine 28: a name is sought as it
//! is in every network, then with its last parts taken as the name of a network, longest name first; the first network that
//! knows it answers, also when it has no address of the family that was asked for; a link hides a container of the same name.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use hyperbox_core::seam::{NameServer, ResolverSettings};
use hyperbox_types::NetworkId;

use crate::zones::{Zone, Zones, normal};

/// Where containers find us. A server there that is asked from the container's namespace is ourselves.
const OURSELVES: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// As many as resolv.conf(5) and Docker use; more would only spend the time that the client waits.
const MAX_SERVERS: usize = 3;

/// How questions of one container are answered.
#[derive(Debug, Default)]
pub(crate) struct View {
    networks: Vec<(NetworkId, HashMap<String, String>)>,
    servers: Vec<NameServer>,
    keeps_single_labels: bool,
}

impl View {
    /// Prepares settings for answering.
    pub(crate) fn new(settings: &ResolverSettings) -> Self {
        let links_in = |network: &NetworkId| {
            let links = settings.links.iter().filter(|(of, ..)| of == network);
            links.map(|(_, alias, name)| (normal(alias), normal(name))).collect()
        };
        let networks = settings.networks.iter();
        Self {
            networks: networks.map(|network| (network.clone(), links_in(network))).collect(),
            servers: servers(settings),
            keeps_single_labels: settings.keep_single_labels,
        }
    }

    /// Returns whether nobody else is asked for the addresses of `name`, which none of the networks knows.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        self.keeps_single_labels && !name.contains('.')
    }

    /// Returns who is asked about names that are not ours, in order.
    pub(crate) fn servers(&self) -> &[NameServer] {
        &self.servers
    }

    /// Returns the addresses that `name`, in lower case, stands for; `None` when it is not a name of ours.
    pub(crate) fn addresses(&self, zones: &Zones, name: &str) -> Option<Vec<IpAddr>> {
        let here = self.in_networks(zones, name, None);
        here.or_else(|| {
            let dots = name.rmatch_indices('.').map(|(dot, _)| dot);
            dots.filter_map(|dot| Some((name.get(..dot)?, name.get(dot + 1..)?)))
                .find_map(|(name, network)| self.in_networks(zones, name, Some(network)))
        })
    }

    /// Returns the name of a container that has `address` in one of the networks.
    pub(crate) fn reverse<'a>(&self, zones: &'a Zones, address: IpAddr) -> Option<&'a str> {
        let zones = self.networks.iter().filter_map(|(network, _)| zones.zone(network));
        zones.filter_map(|zone| zone.reverse(address)).next()
    }

    fn in_networks(&self, zones: &Zones, name: &str, network: Option<&str>) -> Option<Vec<IpAddr>> {
        let wanted = |zone: &Zone| network.is_none_or(|network| zone.is_called(network));
        let known = self
            .networks
            .iter()
            .filter_map(|(id, links)| Some((zones.zone(id)?, links)));
        let known = known.filter(|(zone, _)| wanted(zone));
        let linked = known.clone().find_map(|(zone, links)| zone.addresses(links.get(name)?));
        linked.or_else(|| {
            let mut unlinked = known.filter(|(_, links)| !links.contains_key(name));
            unlinked.find_map(|(zone, _)| zone.addresses(name))
        })
    }
}

/// Returns the servers that can be asked. A container without a way out has only what it reaches itself: its namespace decides that,
/// while a question from the host's would carry names, and whatever is hidden in them, past the walls of the network.
fn servers(settings: &ResolverSettings) -> Vec<NameServer> {
    let mut kept: Vec<NameServer> = Vec::new();
    for server in settings.servers.iter().take(MAX_SERVERS) {
        let server = NameServer {
            address: server.address.to_canonical(),
            ..*server
        };
        // The kernel takes the unspecified address for loopback; that and broadcasts are mistakes in a configuration.
        let is_host = !(server.address.is_unspecified()
            || server.address.is_multicast()
            || server.address == IpAddr::V4(Ipv4Addr::BROADCAST));
        let is_other = !(server.from_container && server.address == OURSELVES);
        let is_allowed = settings.forward || server.from_container;
        if is_host && is_other && is_allowed && !kept.contains(&server) {
            kept.push(server);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use hyperbox_core::seam::Announcement;
    use hyperbox_testkit::{container_id, network_id};

    use super::*;

    struct World {
        zones: Zones,
        front: NetworkId,
        dotted: NetworkId,
        view: View,
    }

    fn announce(zones: &mut Zones, network: &NetworkId, name: &str, address: &str, network_name: &str) {
        zones.announce(Announcement {
            network: network.clone(),
            container: container_id(),
            names: vec![name.to_owned()],
            addresses: vec![address.parse().unwrap()],
            reverse: format!("{name}.{network_name}"),
        });
    }

    fn world() -> World {
        let (front, dotted, hidden) = (network_id(), network_id(), network_id());
        let mut zones = Zones::default();
        announce(&mut zones, &front, "web", "10.0.0.2", "front");
        announce(&mut zones, &front, "a.b", "10.0.0.3", "front");
        announce(&mut zones, &front, "db", "10.0.0.4", "front");
        announce(&mut zones, &dotted, "web", "10.1.0.2", "c.front");
        announce(&mut zones, &dotted, "only", "10.1.0.3", "c.front");
        announce(&mut zones, &hidden, "secret", "10.2.0.2", "hidden");
        let link = |network: &NetworkId, alias: &str, name: &str| (network.clone(), alias.to_owned(), name.to_owned());
        let view = View::new(&ResolverSettings {
            networks: vec![front.clone(), dotted.clone()],
            links: vec![
                link(&front, "Link", "web"),
                link(&front, "db", "a.b"),
                link(&front, "lost", "gone"),
                link(&front, "only", "gone"),
            ],
            ..ResolverSettings::default()
        });
        World {
            zones,
            front,
            dotted,
            view,
        }
    }

    #[test]
    fn names_are_found_as_docker_finds_them() {
        let world = world();
        for (name, address) in [
            ("web", Some("10.0.0.2")),
            ("web.front", Some("10.0.0.2")),
            ("web.c.front", Some("10.1.0.2")),
            ("web.c", None),
            ("a.b", Some("10.0.0.3")),
            ("a.b.front", Some("10.0.0.3")),
            ("a.b.c.front", None),
            ("link", Some("10.0.0.2")),
            ("link.front", Some("10.0.0.2")),
            ("link.c.front", None),
            ("db", Some("10.0.0.3")),
            ("lost", None),
            // The link hides the name in its own network only.
            ("only", Some("10.1.0.3")),
            ("secret", None),
            ("secret.hidden", None),
            ("front", None),
            (".front", None),
            ("web.", None),
            ("", None),
            (".", None),
            ("..", None),
        ] {
            let found = world.view.addresses(&world.zones, name);
            let expected = address.map(|address| vec![address.parse::<IpAddr>().unwrap()]);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn addresses_of_the_containers_networks_have_names() {
        let world = world();
        let reverse = |address: &str| world.view.reverse(&world.zones, address.parse().unwrap());
        assert_eq!(reverse("10.1.0.2"), Some("web.c.front"));
        assert_eq!(reverse("10.2.0.2"), None);
        assert_ne!(world.front, world.dotted);
    }

    #[test]
    fn servers_that_cannot_or_must_not_be_asked_are_left_out() {
        let server = |address: &str, from_container| NameServer {
            address: address.parse().unwrap(),
            from_container,
        };
        let kept = |servers: &[NameServer], forward| {
            let view = View::new(&ResolverSettings {
                servers: servers.to_vec(),
                forward,
                ..ResolverSettings::default()
            });
            view.servers().to_vec()
        };
        let (host, own) = (server("192.0.2.1", false), server("192.0.2.1", true));
        assert_eq!(kept(&[host, own, host], true), [host, own]);
        assert_eq!(kept(&[host, own], false), [own]);
        let inner = server("127.0.0.11", false);
        assert_eq!(kept(&[inner, server("127.0.0.11", true)], true), [inner]);
        assert_eq!(kept(&[server("::ffff:127.0.0.11", true)], true), []);
        assert_eq!(
            kept(
                &[server("0.0.0.0", true), server("::", false), server("224.0.0.1", false)],
                true
            ),
            []
        );
        let many: Vec<NameServer> = (1..=5).map(|last| server(&format!("192.0.2.{last}"), false)).collect();
        assert_eq!(kept(&many, true), many[..MAX_SERVERS]);
    }
}
