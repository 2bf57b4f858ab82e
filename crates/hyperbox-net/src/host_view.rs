// SPDX-License-Identifier: MIT
//! What the host's network uses already: implements the [`HostNetwork`] seam, by files of `/proc/net` (proc_pid_net(5)) in the network
//! namespace of the calling thread.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{BoundPort, HostNetwork};
use hyperbox_types::Protocol;
use ipnet::{IpNet, Ipv4Net};

use crate::config::Config;
use crate::link_name::LONGEST;
use crate::publish::{bound, free_numbers, holder};
use crate::reservation::Reservations;

const ROUTES: &str = "/proc/thread-self/net/route";
const LINKS: &str = "/proc/thread-self/net/dev";

/// The host's network, as its files tell.
#[derive(Debug, Clone)]
pub struct HostView {
    /// Where the daemons of the machine note what they are about to use.
    run_dir: PathBuf,
}

impl Default for HostView {
    fn default() -> Self {
        Self {
            run_dir: Config::default().run_dir,
        }
    }
}

impl HostNetwork for HostView {
    fn bound_ports(&self) -> Vec<BoundPort> {
        let protocols = [Protocol::Tcp, Protocol::Udp];
        let all = protocols.into_iter().flat_map(|protocol| {
            let rows = bound(protocol).into_iter();
            rows.map(move |host| BoundPort { protocol, host })
        });
        all.collect()
    }

    fn holder(&self, port: BoundPort) -> Option<(u32, String)> {
        let process = holder(port.protocol, port.host)?;
        Some((process.id, process.name))
    }

    fn passing_ports(&self) -> (u16, u16) {
        free_numbers()
    }

    fn routed_subnets(&self) -> Vec<Ipv4Net> {
        let text = std::fs::read_to_string(Path::new(ROUTES)).unwrap_or_default();
        let routes = text.lines().skip(1).filter_map(route);
        // Other daemons' new networks have no routes for a moment.
        let noted = Reservations::lock(&self.run_dir).map(|notes| notes.of_other_processes());
        let noted = noted.unwrap_or_default().into_iter().filter_map(|subnet| match subnet {
            IpNet::V4(subnet) => Some(subnet),
            IpNet::V6(_) => None,
        });
        routes.chain(noted).collect()
    }

    fn has_link(&self, name: &str) -> bool {
        let text = std::fs::read_to_string(Path::new(LINKS)).unwrap_or_default();
        let mut names = text.lines().filter_map(|line| line.split_once(':'));
        name.len() <= LONGEST && names.any(|(link, _)| link.trim() == name)
    }
}

/// Reads a row: `link destination gateway flags … mask …`, addresses as numbers of the machine's. A route without a prefix is none here, nor
/// are the halves that VPNs split the default route into.
fn route(line: &str) -> Option<Ipv4Net> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let word = |text: &str| {
        u32::from_str_radix(text, 16)
            .ok()
            .map(|word| Ipv4Addr::from(word.to_ne_bytes()))
    };
    let subnet = Ipv4Net::with_netmask(word(fields.get(1)?)?, word(fields.get(7)?)?).ok()?;
    (subnet.prefix_len() > 1).then(|| subnet.trunc())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn rows_of_routes() {
        if cfg!(target_endian = "little") {
            for (line, expected) in [
                (
                    "eth0\t0000590A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
                    Some("10.89.0.0/24"),
                ),
                ("eth0\t00000000\t0100590A\t0003\t0\t0\t0\t00000000\t0\t0\t0", None),
                ("tun0\t00000080\t0100590A\t0003\t0\t0\t0\t00000080\t0\t0\t0", None),
                ("", None),
            ] {
                assert_eq!(route(line), expected.map(|text| text.parse().unwrap()), "{line}");
            }
        }
    }

    #[test]
    fn sockets_and_links_are_seen() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let bound = HostView::default().bound_ports();
        for (protocol, host) in [
            (Protocol::Tcp, tcp.local_addr().unwrap()),
            (Protocol::Udp, udp.local_addr().unwrap()),
        ] {
            let port = BoundPort { protocol, host };
            assert!(bound.contains(&port), "{port:?}");
            assert_eq!(
                HostView::default().holder(port).map(|(id, _)| id),
                Some(std::process::id())
            );
        }
        let view = HostView::default();
        assert!(view.has_link("lo") && !view.has_link("lo0") && !view.has_link(""));
        let (first, last) = view.passing_ports();
        assert!(0 < first && first <= last);
    }

    proptest::proptest! {
        #[test]
        fn any_row_is_read_without_panic(line in "[ -~\t]{0,120}") {
            route(&line);
        }
    }
}
