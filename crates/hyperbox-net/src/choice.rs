// SPDX-License-Identifier: MIT
//! Chooses the subnet of a new network so that it collides with nothing on the machine. Pure.

use std::net::Ipv4Addr;

use crate::allocation::{LONGEST_PREFIX, SHORTEST_PREFIX};
use crate::config::Pool;
use crate::route::{Address, Route};
use crate::subnet::Subnet;

/// What the machine already uses.
#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) addresses: Vec<Address>,
    pub(crate) routes: Vec<Route>,
    /// Name servers: reachable by the default route now, and hidden by a bridge with their subnet.
    pub(crate) resolvers: Vec<Ipv4Addr>,
    /// What other daemons are about to use.
    pub(crate) reserved: Vec<Subnet>,
}

/// Why there is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSubnet {
    #[error("subnet {wished} overlaps with {used}, which this machine uses already")]
    Used { wished: Subnet, used: Subnet },
    #[error(
        "subnet {wished} has an unsupported size: the prefix length must be from {SHORTEST_PREFIX} to {LONGEST_PREFIX}"
    )]
    Size { wished: Subnet },
    #[error("subnet {wished} is not for hosts")]
    Special { wished: Subnet },
    #[error("no free subnet in the address pools")]
    Exhausted,
}

impl Machine {
    /// Chooses the wished subnet or the first free one. What belongs to the link `own` (the network's bridge, left from before) is
    /// no collision; without a wish its address is kept, so that containers on it go on.
    ///
    /// Returns the subnet and the gateway.
    pub(crate) fn choose(
        &self,
        pools: &[Pool],
        wished: Option<Subnet>,
        own: Option<u32>,
    ) -> Result<(Subnet, Ipv4Addr), NoSubnet> {
        let used = self.used(own);
        if let Some(wished) = wished {
            check(wished)?;
            return match used.iter().find(|used| used.overlaps(wished)) {
                Some(used) => Err(NoSubnet::Used { wished, used: *used }),
                None => Ok((wished, wished.first_host())),
            };
        }
        let is_own = |address: &&Address| Some(address.link) == own && check(address.subnet()).is_ok();
        if let Some(kept) = self.addresses.iter().find(is_own) {
            return Ok((kept.subnet(), kept.address));
        }
        let candidates = pools.iter().flat_map(|pool| pool.base.split(pool.size));
        candidates
            .filter(|candidate| check(*candidate).is_ok())
            .find(|candidate| !used.iter().any(|used| used.overlaps(*candidate)))
            .map(|subnet| (subnet, subnet.first_host()))
            .ok_or(NoSubnet::Exhausted)
    }

    fn used(&self, own: Option<u32>) -> Vec<Subnet> {
        let addresses = self.addresses.iter().filter(|address| Some(address.link) != own);
        let routes = self.routes.iter().filter(|route| own.is_none() || route.link != own);
        let resolvers = self.resolvers.iter().map(|address| Subnet::containing(*address, 32));
        addresses
            .map(Address::subnet)
            // The default route covers everything and says nothing; so do the halves that VPNs split it into.
            .chain(
                routes
                    .map(|route| route.destination)
                    .filter(|subnet| subnet.prefix_length() > 1),
            )
            .chain(resolvers)
            .chain(self.reserved.iter().copied())
            .collect()
    }
}

/// Refuses what cannot be a network of containers.
pub(crate) fn check(wished: Subnet) -> Result<(), NoSubnet> {
    if !(SHORTEST_PREFIX..=LONGEST_PREFIX).contains(&wished.prefix_length()) {
        return Err(NoSubnet::Size { wished });
    }
    let special = [
        Subnet::containing([0, 0, 0, 0].into(), 8),
        Subnet::containing([127, 0, 0, 0].into(), 8),
        Subnet::containing([224, 0, 0, 0].into(), 3),
    ];
    if special.iter().any(|special| special.overlaps(wished)) {
        return Err(NoSubnet::Special { wished });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    fn address(link: u32, address: [u8; 4], prefix_length: u8) -> Address {
        Address {
            link,
            address: address.into(),
            prefix_length,
        }
    }

    fn route(link: u32, destination: &str) -> Route {
        Route {
            link: Some(link),
            destination: subnet(destination),
        }
    }

    fn pools() -> Vec<Pool> {
        let pool = |base, size| Pool {
            base: subnet(base),
            size,
        };
        vec![pool("172.30.0.0/15", 16), pool("10.88.0.0/23", 24)]
    }

    #[test]
    fn the_first_free_subnet_of_the_pools() {
        let mut machine = Machine::default();
        machine.routes.push(route(2, "0.0.0.0/0"));
        machine.routes.push(route(2, "128.0.0.0/1"));
        let mut chosen = Vec::new();
        while let Ok((subnet, gateway)) = machine.choose(&pools(), None, None) {
            assert_eq!(gateway, subnet.first_host());
            chosen.push(subnet.to_string());
            machine.reserved.push(subnet);
        }
        assert_eq!(
            chosen,
            ["172.30.0.0/16", "172.31.0.0/16", "10.88.0.0/24", "10.88.1.0/24"]
        );
        assert_eq!(machine.choose(&pools(), None, None), Err(NoSubnet::Exhausted));
    }

    #[test]
    fn everything_the_machine_uses_is_avoided() {
        let machine = Machine {
            addresses: vec![address(2, [172, 30, 200, 1], 24)],
            routes: vec![route(3, "172.31.4.0/22")],
            resolvers: vec![[10, 88, 0, 53].into()],
            reserved: Vec::new(),
        };
        let chosen = machine
            .choose(&pools(), None, None)
            .map(|(subnet, _)| subnet.to_string());
        assert_eq!(chosen, Ok("10.88.1.0/24".to_owned()));
    }

    #[test]
    fn wishes_are_checked() {
        let machine = Machine {
            addresses: vec![address(7, [192, 0, 2, 2], 24)],
            routes: vec![route(7, "192.0.2.0/24")],
            ..Machine::default()
        };
        let choose = |wished, own| {
            machine
                .choose(&pools(), Some(subnet(wished)), own)
                .map(|(_, gateway)| gateway.to_string())
        };
        assert_eq!(choose("198.51.100.0/24", None), Ok("198.51.100.1".to_owned()));
        assert_eq!(
            choose("192.0.2.128/25", None).unwrap_err().to_string(),
            "subnet 192.0.2.128/25 overlaps with 192.0.2.0/24, which this machine uses already"
        );
        assert!(
            choose("192.0.2.0/24", Some(7)).is_ok(),
            "one's own bridge is no collision"
        );
        for refused in ["10.0.0.0/30", "0.0.0.0/0", "127.1.0.0/16", "239.0.0.0/8"] {
            assert!(choose(refused, None).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_bridge_left_from_before_keeps_its_subnet() {
        let machine = Machine {
            addresses: vec![address(7, [172, 31, 0, 9], 16)],
            routes: vec![route(7, "172.31.0.0/16")],
            ..Machine::default()
        };
        let kept = machine.choose(&pools(), None, Some(7));
        assert_eq!(kept, Ok((subnet("172.31.0.0/16"), [172, 31, 0, 9].into())));
    }
}
