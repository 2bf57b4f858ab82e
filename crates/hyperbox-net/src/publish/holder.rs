// SPDX-License-Identifier: MIT
//! Finds the process that has a port of the host, for an error's text: by `/proc/net`, then by everybody's descriptors (proc(5)).
//!
//! Slow (it looks at every descriptor of the machine), and only done when a port is refused. What cannot be found is not named.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use hyperbox_types::Protocol;

use super::book::collide;

/// A process of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Its short name (`comm`).
    pub(crate) name: String,
}

/// State of a listening TCP socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Returns the process whose socket keeps `host` from being bound, in the network namespace of the calling thread.
pub(crate) fn find(protocol: Protocol, host: SocketAddr) -> Option<Process> {
    let inodes: Vec<_> = [false, true]
        .into_iter()
        .flat_map(|ipv6| inodes(protocol, host, ipv6))
        .collect();
    let links: Vec<_> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    if links.is_empty() {
        return None;
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let id = ids.find(|id| has_one(&Path::new("/proc").join(id.to_string()).join("fd"), &links))?;
    let name = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
    Some(Process {
        id,
        name: name.trim_end().to_owned(),
    })
}

fn has_one(descriptors: &Path, links: &[String]) -> bool {
    let entries = std::fs::read_dir(descriptors).into_iter().flatten().flatten();
    let mut targets = entries.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.any(|target| {
        target
            .to_str()
            .is_some_and(|target| links.iter().any(|link| link == target))
    })
}

/// Returns all that sockets of a protocol receive on, in the network namespace of the calling thread.
pub(crate) fn bound(protocol: Protocol) -> Vec<SocketAddr> {
    let rows = [false, true].into_iter().flat_map(|ipv6| rows(protocol, ipv6));
    rows.map(|(host, _)| host).collect()
}

fn rows(protocol: Protocol, ipv6: bool) -> Vec<(SocketAddr, u64)> {
    let name = match (protocol, ipv6) {
        (Protocol::Tcp, false) => "tcp",
        (Protocol::Tcp, true) => "tcp6",
        (Protocol::Udp, false) => "udp",
        (Protocol::Udp, true) => "udp6",
        (Protocol::Sctp, _) => return Vec::new(),
    };
    let table = std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    table.lines().skip(1).filter_map(|line| row(line, protocol)).collect()
}

fn inodes(protocol: Protocol, host: SocketAddr, ipv6: bool) -> Vec<u64> {
    let rows = rows(protocol, ipv6).into_iter();
    // An IPv6 socket for all addresses usually takes IPv4 too.
    let hides = |address: IpAddr| collide(address, host.ip()) || (address.is_ipv6() && address.is_unspecified());
    rows.filter(|(address, _)| address.port() == host.port() && hides(address.ip()))
        .map(|(_, inode)| inode)
        .collect()
}

/// Reads a row: the local address, and the number of the socket. TCP sockets that only are connections are passed over.
fn row(line: &str, protocol: Protocol) -> Option<(SocketAddr, u64)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    if protocol == Protocol::Tcp && *fields.get(3)? != LISTENING {
        return None;
    }
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(address)?)),
        32 => {
            let mut octets = [0; 16];
            for (index, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(address.get(index * 8..index * 8 + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(address, port), fields.get(9)?.parse().ok()?))
}

/// The kernel writes four bytes of an address as one number of the machine's.
fn word(text: &str) -> Option<[u8; 4]> {
    u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_kernel() {
        let tcp = "   0: 0100007F:13BF 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        let six =
            "  0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 12 1 0";
        let connection = tcp.replace(" 0A ", " 01 ");
        if cfg!(target_endian = "little") {
            assert_eq!(row(tcp, Protocol::Tcp), Some(("127.0.0.1:5055".parse().unwrap(), 4711)));
            assert_eq!(row(six, Protocol::Tcp), Some(("[::1]:80".parse().unwrap(), 12)));
        }
        assert_eq!(row(&connection, Protocol::Tcp), None);
        assert!(row(&connection, Protocol::Udp).is_some());
    }

    proptest::proptest! {
        #[test]
        fn any_row_is_read_without_panic(line in "[ -~]{0,120}", address in "[0-9A-F:]{0,40}") {
            row(&line, Protocol::Tcp);
            row(&format!("0: {address} 0 0A 0 0 0 0 0 7"), Protocol::Tcp);
        }
    }
}
