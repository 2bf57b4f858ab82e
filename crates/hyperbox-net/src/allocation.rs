// SPDX-License-Identifier: MIT
//! Address management: which addresses of a subnet are taken, and by whom. Pure.
//!
//! Addresses are given out in turn (next fit), so that one that was just given back is not used again at once: neighbours and
//! connection tracking still know its last owner. Network address, broadcast address and gateway are never given.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::subnet::Subnet;

/// Shortest prefix that is managed: its bitmap takes 2 MiB.
pub(crate) const SHORTEST_PREFIX: u8 = 8;
/// Longest prefix that leaves an address for a container beside network, broadcast and gateway.
pub(crate) const LONGEST_PREFIX: u8 = 29;

/// The addresses of one subnet; `Owner` is who holds one.
#[derive(Debug, Clone)]
pub(crate) struct Allocator<Owner> {
    subnet: Subnet,
    gateway: Ipv4Addr,
    /// One bit for each address, set when it is taken or reserved.
    taken: Vec<u64>,
    owners: BTreeMap<Ipv4Addr, Owner>,
    next: u32,
}

/// Why there is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAddress {
    #[error("no free address in {subnet}")]
    Exhausted { subnet: Subnet },
    #[error("address {address} is in use")]
    InUse { address: Ipv4Addr },
    #[error("address {address} is not one that a container can have in {subnet}")]
    Unusable { address: Ipv4Addr, subnet: Subnet },
}

impl<Owner: PartialEq> Allocator<Owner> {
    /// Makes an allocator in which all addresses are free.
    pub(crate) fn new(subnet: Subnet, gateway: Ipv4Addr) -> Self {
        let size = Self::size(subnet);
        let words = usize::try_from(size.div_ceil(64)).unwrap_or(usize::MAX);
        let mut allocator = Self {
            subnet,
            gateway,
            taken: vec![0; words],
            owners: BTreeMap::new(),
            next: 0,
        };
        for reserved in [subnet.network(), subnet.broadcast(), gateway] {
            allocator.set(reserved, true);
        }
        // Bits behind the end of a subnet that is smaller than a word.
        for index in size..size.next_multiple_of(64) {
            allocator.mark(index, true);
        }
        allocator
    }

    /// Returns the subnet.
    pub(crate) fn subnet(&self) -> Subnet {
        self.subnet
    }

    /// Returns whether nobody holds an address.
    pub(crate) fn is_unused(&self) -> bool {
        self.owners.is_empty()
    }

    /// Gives the next free address, or the wished one.
    pub(crate) fn take(&mut self, wished: Option<Ipv4Addr>, owner: Owner) -> Result<Ipv4Addr, NoAddress> {
        let address = match wished {
            Some(address) => self.check(address).map(|()| address)?,
            None => self.next_free().ok_or(NoAddress::Exhausted { subnet: self.subnet })?,
        };
        self.set(address, true);
        self.owners.insert(address, owner);
        self.next = u32::from(address).wrapping_sub(u32::from(self.subnet.network())) + 1;
        Ok(address)
    }

    /// Takes an address back if that owner holds it; returns whether it did.
    pub(crate) fn give_back(&mut self, address: Ipv4Addr, owner: &Owner) -> bool {
        let held = self.owners.get(&address) == Some(owner);
        if held {
            self.owners.remove(&address);
            self.set(address, false);
        }
        held
    }

    fn check(&self, address: Ipv4Addr) -> Result<(), NoAddress> {
        let reserved = [self.subnet.network(), self.subnet.broadcast(), self.gateway];
        if !self.subnet.contains(address) || reserved.contains(&address) {
            let subnet = self.subnet;
            return Err(NoAddress::Unusable { address, subnet });
        }
        if self.owners.contains_key(&address) {
            return Err(NoAddress::InUse { address });
        }
        Ok(())
    }

    /// Finds a clear bit, looking a word at a time, from `next` to the end and then from the start.
    fn next_free(&self) -> Option<Ipv4Addr> {
        let words = self.taken.len();
        let start = usize::try_from(self.next / 64).ok()?;
        let below_next = (1_u64 << (self.next % 64)) - 1;
        // The first word is looked at twice: above `next` at first, the whole of it at last.
        (0..=words).find_map(|step| {
            let index = (start + step) % words;
            let hidden = if step == 0 && start < words { below_next } else { 0 };
            let free = !(self.taken[index] | hidden);
            let bit = u64::from(free.trailing_zeros());
            let offset = u32::try_from(u64::try_from(index).ok()? * 64 + bit).ok()?;
            (free != 0).then(|| Ipv4Addr::from(u32::from(self.subnet.network()) + offset))
        })
    }

    fn set(&mut self, address: Ipv4Addr, taken: bool) {
        let offset = u32::from(address).wrapping_sub(u32::from(self.subnet.network()));
        self.mark(u64::from(offset), taken);
    }

    fn mark(&mut self, index: u64, taken: bool) {
        let word = usize::try_from(index / 64)
            .ok()
            .and_then(|word| self.taken.get_mut(word));
        if let Some(word) = word {
            let bit = 1 << (index % 64);
            *word = if taken { *word | bit } else { *word & !bit };
        }
    }

    fn size(subnet: Subnet) -> u64 {
        1 << (32 - u32::from(subnet.prefix_length()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    use super::*;

    fn allocator(subnet: &str) -> Allocator<u8> {
        let subnet: Subnet = subnet.parse().unwrap();
        Allocator::new(subnet, subnet.first_host())
    }

    #[test]
    fn addresses_go_round_before_they_come_back() {
        let mut small = allocator("192.0.2.8/29");
        let take = |small: &mut Allocator<u8>| small.take(None, 1).map(|address| address.octets()[3]);
        assert_eq!(take(&mut small), Ok(10));
        assert!(small.give_back([192, 0, 2, 10].into(), &1));
        let rest: Vec<_> = (0..5).map(|_| take(&mut small).unwrap()).collect();
        assert_eq!(rest, [11, 12, 13, 14, 10]);
        let subnet = small.subnet();
        assert_eq!(
            take(&mut small),
            Err(format!("no free address in {subnet}")).map_err(|_| NoAddress::Exhausted { subnet })
        );
    }

    #[test]
    fn wishes() {
        let mut wide = allocator("10.0.0.0/16");
        let wished = Ipv4Addr::new(10, 0, 3, 4);
        assert_eq!(wide.take(Some(wished), 1), Ok(wished));
        assert_eq!(wide.take(Some(wished), 2), Err(NoAddress::InUse { address: wished }));
        assert_eq!(wide.take(None, 1), Ok([10, 0, 3, 5].into()));
        for unusable in ["10.0.0.0", "10.0.0.1", "10.0.255.255", "10.1.0.1", "9.255.255.255"] {
            let refused = wide.take(Some(unusable.parse().unwrap()), 1);
            assert!(matches!(refused, Err(NoAddress::Unusable { .. })), "{unusable}");
        }
    }

    #[test]
    fn only_the_owner_gives_back() {
        let mut wide = allocator("10.0.0.0/24");
        let address = wide.take(None, 1).unwrap();
        assert!(!wide.give_back(address, &2));
        assert!(!wide.is_unused());
        assert!(wide.give_back(address, &1));
        assert!(!wide.give_back(address, &1));
        assert!(!wide.give_back([10, 0, 0, 1].into(), &1), "the gateway is nobody's");
        assert!(wide.is_unused());
    }

    #[test]
    fn a_wide_subnet_is_used_up_to_its_end() {
        let mut wide = allocator("10.0.0.0/20");
        let all: BTreeSet<_> = (0..4093).map(|_| wide.take(None, 1).unwrap()).collect();
        assert_eq!(all.len(), 4093);
        assert!(wide.take(None, 1).is_err());
        let middle = [10, 0, 7, 7].into();
        assert!(wide.give_back(middle, &1));
        assert_eq!(wide.take(None, 1), Ok(middle));
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
        fn agrees_with_a_set(length in 24_u8..=29, steps in prop::collection::vec(step(), 0..600)) {
            let subnet = Subnet::containing([10, 9, 8, 0].into(), length);
            let mut allocator = Allocator::new(subnet, subnet.first_host());
            let usable = (1_usize << (32 - length)) - 3;
            let mut held = BTreeSet::new();
            for step in steps {
                match step {
                    Step::Take => match allocator.take(None, 1) {
                        Ok(address) => {
                            prop_assert!(subnet.contains(address) && address > subnet.first_host());
                            prop_assert!(address < subnet.broadcast() && held.insert(address));
                        }
                        Err(_) => prop_assert_eq!(held.len(), usable),
                    },
                    Step::Wish(last) => {
                        let address = Ipv4Addr::new(10, 9, 8, last);
                        let free = subnet.contains(address) && address > subnet.first_host()
                            && address < subnet.broadcast() && !held.contains(&address);
                        prop_assert_eq!(allocator.take(Some(address), 1).is_ok(), free);
                        held.extend(free.then_some(address));
                    }
                    Step::GiveBack(last) => {
                        let address = Ipv4Addr::new(10, 9, 8, last);
                        prop_assert_eq!(allocator.give_back(address, &1), held.remove(&address));
                    }
                }
            }
        }
    }
}
