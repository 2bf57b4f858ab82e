// SPDX-License-Identifier: MIT
//! Whether wished subnets, ranges, gateways and reserved addresses fit each other, in Docker's words. Pure.

use std::net::IpAddr;

use hyperbox_core::seam::{NetworkWish, PoolWish};
use ipnet::IpNet;

/// Checks all pools of a wish; returns everything that is wrong. IPv6 subnets of a network without IPv6 are not looked at.
pub(crate) fn check(wish: &NetworkWish) -> Result<(), String> {
    let mut faults = Vec::new();
    for pool in &wish.pools {
        match pool.subnet {
            Some(subnet) if subnet.addr().is_ipv6() && !wish.ipv6 => {}
            Some(subnet) => check_pool(pool, subnet, &mut faults),
            None if is_empty(pool) => {}
            None => faults.push("invalid subnet : invalid CIDR block notation".to_owned()),
        }
    }
    match faults.as_slice() {
        [] => Ok(()),
        [fault] => Err(fault.clone()),
        faults => {
            let lines: Vec<_> = faults.iter().map(|fault| format!("* {fault}")).collect();
            Err(lines.join("\n"))
        }
    }
}

fn is_empty(pool: &PoolWish) -> bool {
    pool.range.is_none() && pool.gateway.is_none() && pool.reserved.is_empty()
}

fn check_pool(pool: &PoolWish, subnet: IpNet, faults: &mut Vec<String>) {
    if subnet != subnet.trunc() {
        faults.push(format!("invalid subnet {subnet}: it should be {}", subnet.trunc()));
    }
    if let Some(range) = pool.range {
        check_range(range, subnet, faults);
    }
    if let Some(fault) = pool
        .gateway
        .and_then(|gateway| outside(gateway, subnet).map(|why| (gateway, why)))
    {
        faults.push(format!("invalid gateway {}: {}", fault.0, fault.1));
    }
    for (name, address) in &pool.reserved {
        if let Some(why) = outside(*address, subnet) {
            faults.push(format!("invalid auxiliary address {name}: {why}"));
        }
    }
}

fn check_range(range: IpNet, subnet: IpNet, faults: &mut Vec<String>) {
    if range.addr().is_ipv6() != subnet.addr().is_ipv6() {
        faults.push(format!(
            "invalid ip-range {range}: parent subnet is an {} block",
            family(subnet)
        ));
        return;
    }
    if range.prefix_len() < subnet.prefix_len() {
        faults.push(format!(
            "invalid ip-range {range}: CIDR block is bigger than its parent subnet {subnet}"
        ));
    }
    if range != range.trunc() {
        faults.push(format!("invalid ip-range {range}: it should be {}", range.trunc()));
    }
    if !crate::choice::overlap(subnet, range) {
        faults.push(format!(
            "invalid ip-range {range}: parent subnet {subnet} doesn't contain ip-range"
        ));
    }
}

fn outside(address: IpAddr, subnet: IpNet) -> Option<String> {
    if address.is_ipv6() != subnet.addr().is_ipv6() {
        return Some(format!("parent subnet is an {} block", family(subnet)));
    }
    (!subnet.contains(&address)).then(|| format!("parent subnet {subnet} doesn't contain this address"))
}

fn family(subnet: IpNet) -> &'static str {
    if subnet.addr().is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyperbox_types::NetworkId;

    use super::*;

    fn wish(subnet: &str, range: &str, gateway: &str, reserved: &str) -> NetworkWish {
        let pool = PoolWish {
            subnet: subnet.parse().ok(),
            range: range.parse().ok(),
            gateway: gateway.parse().ok(),
            reserved: reserved
                .parse()
                .map(|address| ("a".to_owned(), address))
                .into_iter()
                .collect(),
        };
        NetworkWish {
            id: NetworkId::from_bytes([7; 32]),
            name: "front".to_owned(),
            predefined: false,
            options: BTreeMap::new(),
            pools: vec![pool],
            address_options: BTreeMap::new(),
            ipv4: true,
            ipv6: false,
            internal: false,
        }
    }

    /// Each answer was Docker Engine's, after "invalid network config:".
    #[test]
    fn faults() {
        for (subnet, range, gateway, reserved, expected) in [
            ("10.2.0.0/24", "10.2.0.128/25", "10.2.0.9", "10.2.0.7", ""),
            ("", "", "", "", ""),
            ("fd00::1/64", "10.9.9.0/24", "", "", ""),
            (
                "10.2.0.0/24",
                "",
                "10.9.9.9",
                "",
                "invalid gateway 10.9.9.9: parent subnet 10.2.0.0/24 doesn't contain this address",
            ),
            (
                "10.2.0.0/24",
                "10.9.9.0/24",
                "",
                "",
                "invalid ip-range 10.9.9.0/24: parent subnet 10.2.0.0/24 doesn't contain ip-range",
            ),
            (
                "10.2.0.7/24",
                "",
                "",
                "",
                "invalid subnet 10.2.0.7/24: it should be 10.2.0.0/24",
            ),
            ("", "", "10.9.9.9", "", "invalid subnet : invalid CIDR block notation"),
            (
                "10.2.0.0/24",
                "10.2.0.0/16",
                "1.2.3.4",
                "9.9.9.9",
                "* invalid ip-range 10.2.0.0/16: CIDR block is bigger than its parent subnet 10.2.0.0/24\n\
                 * invalid gateway 1.2.3.4: parent subnet 10.2.0.0/24 doesn't contain this address\n\
                 * invalid auxiliary address a: parent subnet 10.2.0.0/24 doesn't contain this address",
            ),
            (
                "10.2.0.0/24",
                "",
                "fd00::1",
                "",
                "invalid gateway fd00::1: parent subnet is an IPv4 block",
            ),
        ] {
            let checked = check(&wish(subnet, range, gateway, reserved)).err().unwrap_or_default();
            assert_eq!(checked, expected, "{subnet} {range} {gateway}");
        }
    }
}
