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
mod tests;
