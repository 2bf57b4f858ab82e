// SPDX-License-Identifier: MIT
//! The host's `resolv.conf(5)` as containers should see it.
//!
//! A loopback name server of the host is somebody else, or nobody, inside a container's namespace. systemd-resolved listens on
//! 127.0.0.53 and writes the servers behind it to a file of its own; when none is left at all, Docker's public defaults stand in.
//! IPv6 servers are kept: a container whose networks carry IPv4 only asks them through the name service.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

const HOST: &str = "/etc/resolv.conf";
const BEHIND_SYSTEMD: &str = "/run/systemd/resolve/resolv.conf";
const PUBLIC: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(8, 8, 8, 8)),
    IpAddr::V4(Ipv4Addr::new(8, 8, 4, 4)),
];
/// More than any resolver configuration needs.
const LONGEST_FILE: usize = 64 * 1024;

/// Reads the host's configuration and returns it for containers.
pub(crate) fn for_containers() -> String {
    translate(&read(HOST), || read(BEHIND_SYSTEMD))
}

/// Returns the servers that the host itself asks, loopback ones included, in order.
pub(crate) fn host_servers() -> Vec<IpAddr> {
    all_servers(&read(HOST))
}

/// Returns the servers that must stay reachable by their routes: those the host asks, and those behind systemd-resolved.
pub(crate) fn remote_servers() -> Vec<IpAddr> {
    let mut servers = servers(&read(HOST));
    servers.extend(self::servers(&read(BEHIND_SYSTEMD)));
    servers
}

/// A file that cannot be read is like one that is empty: the resolver itself treats it so.
fn read(path: &str) -> String {
    let bytes = std::fs::read(Path::new(path)).unwrap_or_default();
    String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_FILE)]).into_owned()
}

fn translate(host: &str, behind: impl FnOnce() -> String) -> String {
    let mut source = host.to_owned();
    let mut usable = servers(host);
    if usable.is_empty() {
        let behind = behind();
        usable = servers(&behind);
        if !usable.is_empty() {
            source = behind;
        }
    }
    if usable.is_empty() {
        usable.extend(PUBLIC);
    }
    let mut text: String = usable.iter().map(|server| format!("nameserver {server}\n")).collect();
    for line in source.lines().map(str::trim) {
        let keyword = line.split_ascii_whitespace().next().unwrap_or_default();
        if matches!(keyword, "search" | "domain" | "options" | "sortlist") {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn servers(text: &str) -> Vec<IpAddr> {
    let mut servers = all_servers(text);
    servers.retain(|address| !address.is_loopback());
    servers
}

fn all_servers(text: &str) -> Vec<IpAddr> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let keyword = words.next()?;
        // A scope (`fe80::1%eth0`) means something on the host alone.
        let address: IpAddr = words.next()?.parse().ok()?;
        (keyword == "nameserver" && !address.is_unspecified()).then_some(address)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        let public = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";
        for (host, behind, expected) in [
            (
                "nameserver 192.0.2.53\n",
                "nameserver 198.51.100.1\n",
                "nameserver 192.0.2.53\n".to_owned(),
            ),
            (
                "# text\n; text\nnameserver\t192.0.2.53 # why\nsearch a.example b.example\noptions ndots:2\n",
                "",
                "nameserver 192.0.2.53\nsearch a.example b.example\noptions ndots:2\n".to_owned(),
            ),
            (
                "nameserver 127.0.0.1\nnameserver 192.0.2.53\n",
                "",
                "nameserver 192.0.2.53\n".to_owned(),
            ),
            (
                "nameserver 127.0.0.53\noptions edns0\n",
                "nameserver 192.0.2.1\nsearch lan\n",
                "nameserver 192.0.2.1\nsearch lan\n".to_owned(),
            ),
            (
                "nameserver 127.0.0.53\nsearch lan\n",
                "",
                format!("{public}search lan\n"),
            ),
            ("", "", public.to_owned()),
            (
                "nameserver ::1\nnameserver 0.0.0.0\nnameserver x\nnameserver\n",
                "",
                public.to_owned(),
            ),
            (
                "nameserver fd00::53\nnameserver 192.0.2.1\n",
                "",
                "nameserver fd00::53\nnameserver 192.0.2.1\n".to_owned(),
            ),
        ] {
            assert_eq!(translate(host, || behind.to_owned()), expected, "{host}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_gives_at_least_one_server(text in "(?s).{0,300}") {
            let translated = translate(&text, String::new);
            proptest::prop_assert!(translated.starts_with("nameserver "));
            proptest::prop_assert!(!servers(&translated).is_empty());
        }
    }
}
