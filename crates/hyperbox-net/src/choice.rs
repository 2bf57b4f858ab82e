// SPDX-License-Identifier: MIT
//! Chooses the subnets of a new network so that they collide with nothing on the machine. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyperbox_core::seam::{AddressPool, NetworkWish, PoolWish};
use hyperbox_types::ErrorKind;
use ipnet::{IpNet, Ipv6Net};

use crate::allocation::misplaced;
use crate::config::Pool;
use crate::pool_check::check;
use crate::route::{Address, Route};

/// What the machine already uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    /// Name servers: reachable by the default route now, and hidden by a bridge with their subnet.
    pub(crate) resolvers: Vec<IpAddr>,
    /// What other daemons are about to use.
    pub(crate) reserved: Vec<IpNet>,
    /// Subnets of the networks there are.
    pub(crate) networks: Vec<IpNet>,
}

/// Why there is no subnet; Docker's words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSubnet {
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Network,
    #[error("subnet {wished} overlaps with {used}, which this machine uses already")]
    Used { wished: IpNet, used: IpNet },
    #[error("subnet {wished} is not for hosts")]
    Special { wished: IpNet },
    #[error("all predefined address pools have been fully subnetted")]
    Exhausted,
    #[error("bridge driver doesn't support multiple subnets")]
    Several,
    #[error("invalid network config:\n{0}")]
    Malformed(String),
    #[error("{0}")]
    Misplaced(String),
}

impl NoSubnet {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Network | Self::Several => ErrorKind::PermissionDenied,
            Self::Used { .. } => ErrorKind::Conflict,
            Self::Special { .. } | Self::Malformed(_) => ErrorKind::InvalidArgument,
            // Docker answers 500.
            Self::Misplaced(_) => ErrorKind::Internal,
            Self::Exhausted => ErrorKind::ResourceExhausted,
        }
    }
}

impl Machine {
    /// Checks the pools of a wish and decides what was not wished. What belongs to the link `own` (the network's bridge, left from
    /// before) is no collision; without a wish its addresses are kept, so that containers on it go on.
    pub(crate) fn choose(
        &self,
        wish: &NetworkWish,
        defaults: &[Pool],
        own: Option<u32>,
    ) -> Result<Vec<AddressPool>, NoSubnet> {
        check(wish).map_err(NoSubnet::Malformed)?;
        let mut chosen = Vec::new();
        for (ipv6, wanted) in [(false, wish.ipv4), (true, wish.ipv6)] {
            let wished: Vec<_> = wish.pools.iter().filter(|pool| is_ipv6(pool) == Some(ipv6)).collect();
            if !wanted {
                continue;
            }
            chosen.push(match wished.as_slice() {
                [] => self.unwished(ipv6, defaults, own)?,
                [pool] => self.wished(pool, own)?,
                _ => return Err(NoSubnet::Several),
            });
        }
        Ok(chosen)
    }

    fn wished(&self, wish: &PoolWish, own: Option<u32>) -> Result<AddressPool, NoSubnet> {
        let Some(wished) = wish.subnet else {
            return Err(NoSubnet::Exhausted);
        };
        if is_special(wished) {
            return Err(NoSubnet::Special { wished });
        }
        if self.networks.iter().any(|used| overlap(*used, wished)) {
            return Err(NoSubnet::Network);
        }
        if let Some(used) = self.used(own).find(|used| overlap(*used, wished)) {
            return Err(NoSubnet::Used { wished, used });
        }
        let pool = AddressPool {
            subnet: wished,
            range: wish.range,
            gateway: wish.gateway.or_else(|| hosts(wished, wish).next()),
            reserved: wish.reserved.clone(),
        };
        misplaced(&pool).map_or(Ok(pool), |why| Err(NoSubnet::Misplaced(why)))
    }

    fn unwished(&self, ipv6: bool, defaults: &[Pool], own: Option<u32>) -> Result<AddressPool, NoSubnet> {
        let pool = |subnet, gateway| AddressPool {
            subnet,
            range: None,
            gateway,
            reserved: std::collections::BTreeMap::new(),
        };
        let is_own = |address: &&Address| {
            let ip = address.address;
            Some(address.link) == own && ip.addr().is_ipv6() == ipv6 && ip.prefix_len() > 1 && !is_special(ip)
        };
        if let Some(kept) = self.addresses.iter().find(is_own) {
            return Ok(pool(kept.address.trunc(), Some(kept.address.addr())));
        }
        let mut used: Vec<_> = self.used(own).chain(self.networks.iter().copied()).map(ends).collect();
        used.sort_unstable();
        let found = defaults
            .iter()
            .filter(|pool| pool.base.addr().is_ipv6() == ipv6)
            .find_map(|pool| first_free(pool, &used));
        let subnet = found.ok_or(NoSubnet::Exhausted)?;
        Ok(pool(
            subnet,
            subnet.hosts().next().filter(|_| !ipv6).or_else(|| second(subnet)),
        ))
    }

    fn used(&self, own: Option<u32>) -> impl Iterator<Item = IpNet> {
        let addresses = self.addresses.iter().filter(move |address| Some(address.link) != own);
        let routes = self
            .routes
            .iter()
            .filter(move |route| own.is_none() || route.link != own);
        // The default route covers everything and says nothing; so do the halves that VPNs split it into.
        let routes = routes
            .map(|route| route.destination)
            .filter(|subnet| subnet.prefix_len() > 1);
        addresses
            .map(|address| address.address.trunc())
            .chain(routes)
            .chain(self.resolvers.iter().map(|address| IpNet::from(*address)))
            .chain(self.reserved.iter().copied())
    }
}

/// Returns the family of a wish: that of the first thing in it that has one.
pub(crate) fn is_ipv6(wish: &PoolWish) -> Option<bool> {
    let subnet = wish.subnet.or(wish.range).map(|net| net.addr());
    subnet.or(wish.gateway).map(|address| address.is_ipv6())
}

/// Returns whether two subnets have an address in common.
pub(crate) fn overlap(one: IpNet, other: IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

/// Returns the first address that is neither the network's own nor one that nobody gets.
pub(crate) fn unreserved_host(subnet: IpNet, wish: &PoolWish) -> Option<IpAddr> {
    let is_reserved = |address: &IpAddr| wish.reserved.values().any(|reserved| reserved == address);
    hosts(subnet, wish).find(|address| !is_reserved(address))
}

/// Returns the addresses that are the user's to give: those after the network's own, from the range if there is one. As in Docker the
/// gateway that nobody wished is the first of them, and one that nobody gets must be another.
fn hosts(subnet: IpNet, wish: &PoolWish) -> impl Iterator<Item = IpAddr> {
    let range = wish.range.unwrap_or(subnet);
    let narrow = subnet.max_prefix_len() - subnet.prefix_len() < 2;
    let start = if range.network() == subnet.network() && !narrow {
        second(subnet)
    } else {
        Some(range.network())
    };
    std::iter::successors(start, |address| next(*address))
}

fn second(subnet: IpNet) -> Option<IpAddr> {
    next(subnet.network()).filter(|address| subnet.contains(address))
}

fn next(address: IpAddr) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => Ipv4Addr::from(u32::from(address).checked_add(1)?).into(),
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address).checked_add(1)?).into(),
    })
}

/// Finds the first subnet of a pool that none of `used` (sorted) touches. What is used is leapt over, so that a pool of millions of
/// subnets costs no more than what is used of it.
fn first_free(pool: &Pool, used: &[(bool, u128, u128)]) -> Option<IpNet> {
    let (ipv6, first, last) = ends(pool.base.trunc());
    let width = if ipv6 { 128 } else { 32 };
    let fits = (pool.base.prefix_len()..=width).contains(&pool.size);
    let size = 1_u128.checked_shl(u32::from(width - pool.size.min(width)));
    let (true, Some(size)) = (fits, size) else {
        return None;
    };
    let mut candidate = first;
    for (_, begin, end) in used.iter().filter(|(family, ..)| *family == ipv6) {
        if *begin > candidate + (size - 1) {
            break;
        }
        if *end >= candidate {
            // The next multiple of the size behind it; there may be none.
            candidate = (end / size).checked_add(1)?.checked_mul(size)?;
        }
    }
    let fits = candidate.checked_add(size - 1).is_some_and(|end| end <= last);
    let address = if ipv6 {
        IpAddr::from(Ipv6Addr::from(candidate))
    } else {
        Ipv4Addr::from(u32::try_from(candidate).ok()?).into()
    };
    let subnet = IpNet::new(address, pool.size).ok()?;
    (fits && !is_special(subnet)).then_some(subnet)
}

fn ends(net: IpNet) -> (bool, u128, u128) {
    match net {
        IpNet::V4(net) => (
            false,
            u32::from(net.network()).into(),
            u32::from(net.broadcast()).into(),
        ),
        IpNet::V6(net) => (true, net.network().into(), net.broadcast().into()),
    }
}

/// Returns whether a subnet cannot be one of containers: loopback, multicast and what has no meaning on a link.
fn is_special(subnet: IpNet) -> bool {
    let special = |text: &str| text.parse::<IpNet>().is_ok_and(|special| overlap(special, subnet));
    ["127.0.0.0/8", "224.0.0.0/3", "::1/128", "ff00::/8"]
        .into_iter()
        .any(special)
        || (subnet.addr().is_ipv4() && IpAddr::from(Ipv4Addr::UNSPECIFIED) == subnet.network())
}

/// Makes the unique local /48 of a machine (RFC 4193): the same for the same seed, different from everybody else's.
pub(crate) fn unique_local_pool(seed: &str) -> Pool {
    // 64-bit FNV-1a: stable across versions, which the standard library's hashes are not.
    let hash = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let [a, b, c, d, e, ..] = (hash ^ (hash >> 24)).to_le_bytes();
    let mut octets = [0; 16];
    octets[..6].copy_from_slice(&[0xfd, a, b, c, d, e]);
    Pool {
        base: Ipv6Net::new_assert(octets.into(), 48).into(),
        size: 64,
    }
}

#[cfg(test)]
mod tests;
