// SPDX-License-Identifier: MIT
//! Address management: which addresses of a subnet are taken, and by whom. Pure.
//!
//! Free addresses are kept as runs, so that a /8 or a /64 costs no more than what is taken out of it, and every operation is
//! logarithmic in the number of holes. The lowest free address is given, also when it was just given back: Docker Engine 28 does so, and
//! people rely on a lone container coming back with the address it had.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyperbox_core::seam::AddressPool;
use ipnet::IpNet;

/// The addresses of one subnet; `Owner` is who holds one.
#[derive(Debug, Clone)]
pub(crate) struct Allocator<Owner> {
    pool: AddressPool,
    /// First and last address that are given without a wish.
    range: (u128, u128),
    /// Runs of free addresses of the whole subnet: first to last. No two runs touch.
    free: BTreeMap<u128, u128>,
    owners: BTreeMap<u128, Owner>,
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error("no available {family} addresses on this network's address pools")]
    Exhausted { family: &'static str },
    #[error("Address already in use")]
    InUse,
    #[error("no configured subnet or ip-range contain the IP address {address}")]
    Unusable { address: IpAddr },
}

impl<Owner: PartialEq> Allocator<Owner> {
    /// Makes an allocator in which all addresses are free but those nobody gets.
    pub(crate) fn new(pool: &AddressPool) -> Self {
        let (first, last) = bounds(pool.subnet);
        let range = pool.range.map_or((first, last), bounds);
        let mut allocator = Self {
            pool: pool.clone(),
            range: (range.0.max(first), range.1.min(last)),
            free: BTreeMap::from([(first, last)]),
            owners: BTreeMap::new(),
        };
        for address in never_given(pool) {
            allocator.occupy(number(address));
        }
        allocator
    }

    /// Returns what it was made of.
    pub(crate) fn pool(&self) -> &AddressPool {
        &self.pool
    }

    /// Returns whether nobody holds an address.
    pub(crate) fn is_unused(&self) -> bool {
        self.owners.is_empty()
    }

    /// Returns whether more than that many addresses are free to be given without a wish.
    pub(crate) fn has_room(&self, count: u128) -> bool {
        let (first, last) = self.range;
        let mut free: u128 = 0;
        for (begin, end) in self.free.range(..=last) {
            let (begin, end) = ((*begin).max(first), (*end).min(last));
            if begin <= end {
                free = free.saturating_add(end - begin).saturating_add(1);
            }
            if free > count {
                return true;
            }
        }
        false
    }

    /// Makes an address somebody else's, if that owner holds it.
    pub(crate) fn pass(&mut self, address: IpAddr, from: &Owner, to: Owner) {
        if let Some(owner) = self.owners.get_mut(&number(address)).filter(|owner| *owner == from) {
            *owner = to;
        }
    }

    /// Gives the lowest free address, or the wished one.
    pub(crate) fn take(&mut self, wished: Option<IpAddr>, owner: Owner) -> Result<IpAddr, NoAddress> {
        let address = match wished {
            Some(address) if !self.pool.subnet.contains(&address) => return Err(NoAddress::Unusable { address }),
            Some(address) => number(address),
            None => self
                .lowest_free()
                .ok_or(NoAddress::Exhausted { family: self.family() })?,
        };
        if !self.occupy(address) {
            return Err(NoAddress::InUse);
        }
        self.owners.insert(address, owner);
        Ok(self.address(address))
    }

    /// Takes an address back if that owner holds it; returns whether it did.
    pub(crate) fn give_back(&mut self, address: IpAddr, owner: &Owner) -> bool {
        let address = number(address);
        let held = self.owners.get(&address) == Some(owner);
        if held {
            self.owners.remove(&address);
            self.vacate(address);
        }
        held
    }

    fn family(&self) -> &'static str {
        if self.pool.subnet.addr().is_ipv4() {
            "IPv4"
        } else {
            "IPv6"
        }
    }

    fn address(&self, number: u128) -> IpAddr {
        match self.pool.subnet {
            IpNet::V4(_) => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
            IpNet::V6(_) => Ipv6Addr::from(number).into(),
        }
    }

    /// Finds the lowest free address of the range.
    fn lowest_free(&self) -> Option<u128> {
        let (first, last) = self.range;
        let around = self.free.range(..=first).next_back();
        let inside = around.filter(|(_, end)| **end >= first).map(|_| first);
        let after = || self.free.range(first..).next().map(|(begin, _)| *begin);
        inside.or_else(after).filter(|found| *found <= last)
    }

    /// Takes an address out of the free runs; returns whether it was in one.
    fn occupy(&mut self, address: u128) -> bool {
        let around = self
            .free
            .range(..=address)
            .next_back()
            .map(|(begin, end)| (*begin, *end));
        let Some((begin, end)) = around.filter(|(_, end)| *end >= address) else {
            return false;
        };
        self.free.remove(&begin);
        if begin < address {
            self.free.insert(begin, address - 1);
        }
        if address < end {
            self.free.insert(address + 1, end);
        }
        true
    }

    /// Puts an address back and joins it with the runs it touches.
    fn vacate(&mut self, address: u128) {
        let before = self
            .free
            .range(..address)
            .next_back()
            .map(|(begin, end)| (*begin, *end));
        let begin = before
            .filter(|(_, end)| end.wrapping_add(1) == address)
            .map_or(address, |(begin, _)| begin);
        let after = address.checked_add(1).and_then(|next| self.free.remove(&next));
        self.free.insert(begin, after.unwrap_or(address));
    }
}

/// The network's own address, IPv4's broadcast address, the gateway, and what the user reserved. A subnet of one or two addresses has
/// neither of the first (RFC 3021, RFC 6164).
fn never_given(pool: &AddressPool) -> impl Iterator<Item = IpAddr> {
    let wide = pool.subnet.max_prefix_len() - pool.subnet.prefix_len() > 1;
    let broadcast = match pool.subnet {
        IpNet::V4(net) => Some(net.broadcast().into()),
        IpNet::V6(_) => None,
    };
    let fixed = [
        Some(pool.subnet.network()).filter(|_| wide),
        broadcast.filter(|_| wide),
        pool.gateway,
    ];
    fixed.into_iter().flatten().chain(pool.reserved.values().copied())
}

/// Returns why a gateway or an address that nobody gets cannot be what it is wished to be; Docker's words.
pub(crate) fn misplaced(pool: &AddressPool) -> Option<String> {
    let bare = AddressPool {
        gateway: None,
        reserved: BTreeMap::new(),
        ..pool.clone()
    };
    let mut allocator = Allocator::new(&bare);
    let gateway = pool
        .gateway
        .map(|gateway| (format!("failed to allocate gateway ({gateway})"), gateway));
    let reserved = pool.reserved.iter().map(|(name, address)| {
        let what = format!("failed to allocate secondary ip address ({name}:{address})");
        (what, *address)
    });
    let mut wished = gateway.into_iter().chain(reserved);
    wished.find_map(|(what, address)| {
        let refused = allocator.take(Some(address), ()).err()?;
        Some(format!("{what}: {refused}"))
    })
}

fn bounds(net: IpNet) -> (u128, u128) {
    match net {
        IpNet::V4(net) => (u32::from(net.network()).into(), u32::from(net.broadcast()).into()),
        IpNet::V6(net) => (net.network().into(), net.broadcast().into()),
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, any, prop, proptest};
    use proptest::{prop_assert, prop_assert_eq, prop_oneof};

    use super::*;

    fn pool(subnet: &str) -> AddressPool {
        let subnet: IpNet = subnet.parse().unwrap();
        AddressPool {
            subnet,
            range: None,
            gateway: subnet.hosts().find(|host| *host != subnet.network()),
            reserved: BTreeMap::new(),
        }
    }

    fn allocator(subnet: &str) -> Allocator<u8> {
        Allocator::new(&pool(subnet))
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_free_one() {
        let mut small = allocator("192.0.2.0/29");
        let taken: Vec<_> = (0..5).map(|_| small.take(None, 1).unwrap().to_string()).collect();
        assert_eq!(taken, ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
        assert_eq!(small.take(None, 1), Err(NoAddress::Exhausted { family: "IPv4" }));
        assert!(small.give_back(address("192.0.2.5"), &1) && small.give_back(address("192.0.2.3"), &1));
        assert_eq!(small.take(None, 1), Ok(address("192.0.2.3")));
        assert!(small.give_back(address("192.0.2.3"), &1));
        assert_eq!(small.take(None, 1), Ok(address("192.0.2.3")), "as Docker does");
    }

    #[test]
    fn room_is_what_is_left_of_the_range() {
        let mut pool = pool("10.0.0.0/24");
        pool.range = Some("10.0.0.128/29".parse().unwrap());
        let mut ranged = Allocator::new(&pool);
        assert!(ranged.has_room(7) && !ranged.has_room(8));
        let taken = ranged.take(None, 1).unwrap();
        assert!(ranged.has_room(6) && !ranged.has_room(7));
        ranged.pass(taken, &2, 3);
        assert!(ranged.give_back(taken, &1), "nobody else's to pass on");
        assert!(allocator("::/0").has_room(u128::MAX / 2));
    }

    #[test]
    fn the_smallest_subnets() {
        for (subnet, gateway, expected) in [
            ("192.0.2.0/31", "192.0.2.0", vec!["192.0.2.1"]),
            ("192.0.2.7/32", "192.0.2.7", vec![]),
            ("192.0.2.4/30", "192.0.2.5", vec!["192.0.2.6"]),
            ("fd00::/127", "fd00::", vec!["fd00::1"]),
            ("fd00::/126", "fd00::1", vec!["fd00::2", "fd00::3"]),
        ] {
            let mut pool = pool(subnet);
            pool.gateway = Some(address(gateway));
            let mut allocator = Allocator::new(&pool);
            let given: Vec<_> = std::iter::from_fn(|| allocator.take(None, 1).ok())
                .map(|ip| ip.to_string())
                .collect();
            assert_eq!(given, expected, "{subnet}");
            assert_eq!(misplaced(&pool), None, "{subnet}");
        }
    }

    #[test]
    fn misplaced_addresses() {
        let mut wrong = pool("10.0.0.0/24");
        wrong.gateway = Some(address("10.0.0.0"));
        assert_eq!(
            misplaced(&wrong).unwrap(),
            "failed to allocate gateway (10.0.0.0): Address already in use"
        );
        wrong.gateway = Some(address("10.0.0.5"));
        wrong.reserved.insert("a".to_owned(), address("10.0.0.5"));
        assert_eq!(
            misplaced(&wrong).unwrap(),
            "failed to allocate secondary ip address (a:10.0.0.5): Address already in use"
        );
    }

    #[test]
    fn wishes() {
        let mut wide = allocator("10.0.0.0/16");
        let wished = address("10.0.3.4");
        assert_eq!(wide.take(Some(wished), 1), Ok(wished));
        assert_eq!(wide.take(Some(wished), 2), Err(NoAddress::InUse));
        assert_eq!(wide.take(None, 1), Ok(address("10.0.0.2")));
        for taken in ["10.0.0.0", "10.0.0.1", "10.0.255.255"] {
            assert_eq!(wide.take(Some(address(taken)), 1), Err(NoAddress::InUse), "{taken}");
        }
        for foreign in ["10.1.0.1", "9.255.255.255", "fd00::1"] {
            let refused = wide.take(Some(address(foreign)), 1);
            assert!(matches!(refused, Err(NoAddress::Unusable { .. })), "{foreign}");
        }
    }

    #[test]
    fn a_range_limits_what_is_given_but_not_what_is_wished() {
        let mut pool = pool("10.0.0.0/24");
        pool.range = Some("10.0.0.64/30".parse().unwrap());
        pool.reserved.insert("printer".to_owned(), address("10.0.0.65"));
        let mut ranged = Allocator::new(&pool);
        let given: Vec<_> = (0..3).map(|_| ranged.take(None, 1).unwrap().to_string()).collect();
        assert_eq!(given, ["10.0.0.64", "10.0.0.66", "10.0.0.67"]);
        assert!(ranged.take(None, 1).is_err());
        assert!(ranged.take(Some(address("10.0.0.9")), 1).is_ok());
        assert_eq!(ranged.take(Some(address("10.0.0.65")), 1), Err(NoAddress::InUse));
    }

    #[test]
    fn only_the_owner_gives_back() {
        let mut wide = allocator("10.0.0.0/24");
        let taken = wide.take(None, 1).unwrap();
        assert!(!wide.give_back(taken, &2));
        assert!(!wide.is_unused());
        assert!(wide.give_back(taken, &1));
        assert!(!wide.give_back(taken, &1));
        assert!(!wide.give_back(address("10.0.0.1"), &1), "the gateway is nobody's");
        assert!(wide.is_unused());
    }

    #[test]
    fn wide_subnets_cost_what_is_taken() {
        for (subnet, first) in [
            ("10.0.0.0/8", "10.0.0.2"),
            ("fd00:1::/64", "fd00:1::2"),
            ("::/0", "::2"),
        ] {
            let mut wide = allocator(subnet);
            assert_eq!(wide.take(None, 1), Ok(address(first)));
            let all: BTreeSet<_> = (0..5000).map(|_| wide.take(None, 1).unwrap()).collect();
            assert_eq!(all.len(), 5000);
            assert_eq!(wide.free.len(), 1, "{subnet}");
        }
        let mut highest = allocator("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126");
        let given: Vec<_> = std::iter::from_fn(|| highest.take(None, 1).ok()).collect();
        assert_eq!(given.len(), 2);
        assert!(highest.give_back(given[1], &1));
        assert_eq!(highest.take(None, 1), Ok(given[1]));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take,
        Wish(u8),
        GiveBack(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => any::<()>().prop_map(|()| Step::Take),
            1 => any::<u8>().prop_map(Step::Wish),
            2 => any::<u8>().prop_map(Step::GiveBack),
        ]
    }

    proptest! {
        /// Against a plain set: no address twice, none reserved, refused only when the set says so.
        #[test]
        fn agrees_with_a_set(length in 24_u8..=30, ipv6: bool, steps in prop::collection::vec(step(), 0..600)) {
            let subnet = if ipv6 { format!("fd00::/{}", length + 96) } else { format!("10.9.8.0/{length}") };
            let pool = pool(&subnet);
            let nth = |last: u8| match pool.subnet.network() {
                IpAddr::V4(base) => IpAddr::from(Ipv4Addr::from(u32::from(base) + u32::from(last))),
                IpAddr::V6(base) => IpAddr::from(Ipv6Addr::from(u128::from(base) + u128::from(last))),
            };
            let never: BTreeSet<_> = never_given(&pool).collect();
            let mut allocator = Allocator::new(&pool);
            let usable = (1_usize << (32 - length)) - never.len();
            let mut held = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Take => match allocator.take(None, 1) {
                        Ok(address) => {
                            prop_assert!(pool.subnet.contains(&address) && !never.contains(&address));
                            prop_assert!(held.insert(address));
                        }
                        Err(_) => prop_assert_eq!(held.len(), usable),
                    },
                    Step::Wish(last) => {
                        let address = nth(last);
                        let free = pool.subnet.contains(&address) && !never.contains(&address) && !held.contains(&address);
                        prop_assert_eq!(allocator.take(Some(address), 1).is_ok(), free);
                        held.extend(free.then_some(address));
                    }
                    Step::GiveBack(last) => {
                        let address = nth(last);
                        prop_assert_eq!(allocator.give_back(address, &1), held.remove(&address));
                    }
                }
                let free: u128 = allocator.free.iter().map(|(begin, end)| end - begin + 1).sum();
                prop_assert_eq!(usize::try_from(free).unwrap(), usable - held.len());
            }
        }
    }
}
