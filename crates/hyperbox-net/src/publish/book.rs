// SPDX-License-Identifier: MIT
//! Who has which port, among the containers of this instance. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use hyperbox_types::{ContainerId, Protocol};

/// The ports in use, and where the search for a free one goes on.
#[derive(Debug)]
pub(super) struct Book {
    /// Few containers have the same number, at different addresses.
    entries: BTreeMap<(Protocol, u16), Vec<Entry>>,
    names: BTreeMap<ContainerId, String>,
    /// The free numbers that may be chosen, first and last.
    free: (u16, u16),
    next: u16,
}

#[derive(Debug, Clone)]
struct Entry {
    address: IpAddr,
    /// Whether only the forwarder leads there.
    forwarded: bool,
    container: ContainerId,
}

/// Who has a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder<'a> {
    /// The address that Docker names: all addresses where one of them is for all.
    pub(super) host: SocketAddr,
    pub(super) name: &'a str,
    forwarded: bool,
}

impl Holder<'_> {
    /// Which of several Docker meets first: IPv6 before IPv4, and last what its proxy serves, for which it allocates nothing.
    pub(super) fn rank(&self) -> u8 {
        match (self.host.is_ipv6(), self.forwarded) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        }
    }
}

impl Book {
    /// Makes an empty book.
    pub(super) fn new(free: (u16, u16)) -> Self {
        Self {
            entries: BTreeMap::new(),
            names: BTreeMap::new(),
            free,
            next: free.0,
        }
    }

    /// Notes a port; `forwarded` says that only the forwarder leads there.
    pub(super) fn insert(
        &mut self,
        protocol: Protocol,
        (host, forwarded): (SocketAddr, bool),
        container: &ContainerId,
        name: &str,
    ) {
        self.entries.entry((protocol, host.port())).or_default().push(Entry {
            address: host.ip(),
            forwarded,
            container: container.clone(),
        });
        self.names.insert(container.clone(), name.to_owned());
    }

    /// Forgets a container.
    pub(super) fn remove(&mut self, container: &ContainerId) {
        if self.names.remove(container).is_none() {
            return;
        }
        self.entries.retain(|_, entries| {
            entries.retain(|entry| entry.container != *container);
            !entries.is_empty()
        });
    }

    /// Returns the container that has a port already, or has it for all addresses, or for one of all.
    pub(super) fn holder(&self, protocol: Protocol, host: SocketAddr) -> Option<Holder<'_>> {
        let entries = self.entries.get(&(protocol, host.port()))?;
        let entry = entries.iter().find(|entry| collide(entry.address, host.ip()))?;
        let widest = if entry.address.is_unspecified() {
            entry.address
        } else {
            host.ip()
        };
        let name = self.names.get(&entry.container)?;
        Some(Holder {
            host: SocketAddr::new(widest, host.port()),
            name,
            forwarded: entry.forwarded,
        })
    }

    /// Returns the numbers to be tried, in order: those wished for, or all free ones, beginning behind the one chosen last.
    pub(super) fn candidates(&self, wished: Option<(u16, u16)>) -> impl Iterator<Item = u16> + use<> {
        let (head, tail) = match wished {
            Some((first, last)) => (first..=last, None),
            None => (
                self.next..=self.free.1,
                (self.next > self.free.0).then(|| self.free.0..=self.next - 1),
            ),
        };
        head.chain(tail.into_iter().flatten())
    }

    /// Notes that a number was chosen that nobody wished for.
    pub(super) fn chose(&mut self, number: u16) {
        self.next = if number >= self.free.1 { self.free.0 } else { number + 1 };
    }
}

/// Returns whether two addresses hide each other: the same, or one of them all of its family.
pub(super) fn collide(one: IpAddr, other: IpAddr) -> bool {
    one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

#[cfg(test)]
mod tests {
    use hyperbox_testkit::container_id;

    use super::*;

    fn host(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_hide_each_other() {
        let mut book = Book::new((32768, 60999));
        let (one, other) = (container_id(), container_id());
        book.insert(Protocol::Tcp, (host("127.0.0.1:80"), false), &one, "one");
        book.insert(Protocol::Tcp, (host("[::]:80"), true), &other, "other");
        for (protocol, address, expected) in [
            (Protocol::Tcp, "127.0.0.1:80", Some("one")),
            (Protocol::Tcp, "0.0.0.0:80", Some("one")),
            (Protocol::Tcp, "127.0.0.2:80", None),
            (Protocol::Tcp, "[::1]:80", Some("other")),
            (Protocol::Udp, "127.0.0.1:80", None),
            (Protocol::Tcp, "127.0.0.1:81", None),
        ] {
            let holder = book.holder(protocol, host(address));
            assert_eq!(holder.map(|holder| holder.name), expected, "{protocol} {address}");
        }
        book.remove(&one);
        assert_eq!(book.holder(Protocol::Tcp, host("0.0.0.0:80")), None);
        let of_all = book.holder(Protocol::Tcp, host("[::1]:80")).unwrap();
        assert_eq!((of_all.host, of_all.rank()), (host("[::]:80"), 2));
    }

    #[test]
    fn free_numbers_go_round() {
        let mut book = Book::new((10, 12));
        assert_eq!(book.candidates(None).collect::<Vec<_>>(), [10, 11, 12]);
        book.chose(10);
        assert_eq!(book.candidates(None).collect::<Vec<_>>(), [11, 12, 10]);
        book.chose(12);
        assert_eq!(book.candidates(None).collect::<Vec<_>>(), [10, 11, 12]);
        assert_eq!(book.candidates(Some((7, 8))).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(book.candidates(Some((u16::MAX, u16::MAX))).count(), 1);
    }
}
