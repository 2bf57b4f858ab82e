// SPDX-License-Identifier: MIT
//! `--subnet`, `--ip-range`, `--gateway`, `--aux-address` of a new network: each belongs to the subnet that contains it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hyperbox_client::model::AddressPool;

/// The options as they were typed, one entry per value.
#[derive(Debug, Default)]
pub(crate) struct AddressOptions {
    pub(crate) subnets: Vec<String>,
    pub(crate) ranges: Vec<String>,
    pub(crate) gateways: Vec<String>,
    pub(crate) auxiliary: BTreeMap<String, String>,
}

/// Sorts ranges, gateways and taken addresses to their subnets; the texts are Docker's.
pub(crate) fn pools(options: &AddressOptions) -> Result<Vec<AddressPool>, String> {
    if options.subnets.len() < options.ranges.len() || options.subnets.len() < options.gateways.len() {
        return Err("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut pools: Vec<AddressPool> = Vec::new();
    for subnet in &options.subnets {
        for known in &pools {
            if contains(subnet, &known.subnet)? || contains(&known.subnet, subnet)? {
                return Err("multiple overlapping subnet configuration is not supported".to_owned());
            }
        }
        pools.push(AddressPool {
            subnet: subnet.clone(),
            ..AddressPool::default()
        });
    }
    for range in &options.ranges {
        Network::parse(range)?;
        let pool = find(&mut pools, range)?.ok_or_else(|| format!("no matching subnet for range {range}"))?;
        if !pool.ip_range.is_empty() {
            return Err(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                pool.ip_range, pool.subnet
            ));
        }
        range.clone_into(&mut pool.ip_range);
    }
    for gateway in &options.gateways {
        let pool = find(&mut pools, gateway)?.ok_or_else(|| format!("no matching subnet for gateway {gateway}"))?;
        if !pool.gateway.is_empty() {
            return Err(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                pool.gateway, pool.subnet
            ));
        }
        gateway.clone_into(&mut pool.gateway);
    }
    for (name, address) in &options.auxiliary {
        let pool = find(&mut pools, address)?.ok_or_else(|| format!("no matching subnet for aux-address {address}"))?;
        pool.auxiliary_addresses.insert(name.clone(), address.clone());
    }
    Ok(pools)
}

fn find<'a>(pools: &'a mut [AddressPool], text: &str) -> Result<Option<&'a mut AddressPool>, String> {
    for pool in pools {
        if contains(&pool.subnet, text)? {
            return Ok(Some(pool));
        }
    }
    Ok(None)
}

/// Tells whether an address, or the address of a network in CIDR notation, is in a subnet.
fn contains(subnet: &str, text: &str) -> Result<bool, String> {
    let network = Network::parse(subnet).map_err(|reason| format!("invalid subnet: {reason}"))?;
    let address = if text.contains('/') {
        Some(Network::parse(text)?.address)
    } else {
        text.parse::<IpAddr>().ok()
    };
    Ok(address.is_some_and(|address| network.has(address)))
}

/// A network in CIDR notation; bits of the host may be set.
#[derive(Debug, Clone, Copy)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, String> {
        let invalid = || format!("invalid CIDR address: {text}");
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let digits = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
        match prefix.parse() {
            Ok(prefix) if digits && prefix <= longest => Ok(Self { address, prefix }),
            _ => Err(invalid()),
        }
    }

    fn has(self, address: IpAddr) -> bool {
        // Shifting out all bits is no shift for the processor: a prefix of zero has everything.
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                self.prefix == 0 || (own.to_bits() ^ other.to_bits()) >> (32 - self.prefix) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                self.prefix == 0 || (own.to_bits() ^ other.to_bits()) >> (128 - self.prefix) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(
        subnets: &[&str],
        ranges: &[&str],
        gateways: &[&str],
        auxiliary: &[(&str, &str)],
    ) -> Result<String, String> {
        let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let pools = pools(&AddressOptions {
            subnets: own(subnets),
            ranges: own(ranges),
            gateways: own(gateways),
            auxiliary: auxiliary
                .iter()
                .map(|(name, address)| ((*name).to_owned(), (*address).to_owned()))
                .collect(),
        })?;
        let lines: Vec<String> = pools
            .iter()
            .map(|pool| {
                format!(
                    "{}|{}|{}|{:?}",
                    pool.subnet, pool.ip_range, pool.gateway, pool.auxiliary_addresses
                )
            })
            .collect();
        Ok(lines.join(" "))
    }

    #[test]
    fn accepted() {
        assert_eq!(show(&[], &[], &[], &[]).as_deref(), Ok(""));
        assert_eq!(
            show(
                &["10.0.0.0/24"],
                &["10.0.0.128/25"],
                &["10.0.0.1"],
                &[("b", "10.0.0.3"), ("a", "10.0.0.2")]
            )
            .as_deref(),
            Ok(r#"10.0.0.0/24|10.0.0.128/25|10.0.0.1|{"a": "10.0.0.2", "b": "10.0.0.3"}"#)
        );
        assert_eq!(
            show(
                &["10.0.0.0/24", "fd00::/64"],
                &["FD00::/80"],
                &["fd00::1", "10.0.0.1"],
                &[("x", "fd00::5")]
            )
            .as_deref(),
            Ok(r#"10.0.0.0/24||10.0.0.1|{} fd00::/64|FD00::/80|fd00::1|{"x": "fd00::5"}"#)
        );
        // A single subnet is compared with nothing: the daemon judges it.
        assert_eq!(show(&["x"], &[], &[], &[]).as_deref(), Ok("x|||{}"));
        // Only where a range begins counts.
        assert_eq!(
            show(&["10.0.0.0/24"], &["10.0.0.0/23"], &[], &[]).as_deref(),
            Ok("10.0.0.0/24|10.0.0.0/23||{}")
        );
        assert_eq!(
            show(&["0.0.0.0/0", "::/0"], &[], &["::1"], &[]).as_deref(),
            Ok("0.0.0.0/0|||{} ::/0||::1|{}")
        );
    }

    #[test]
    fn refused() {
        let net = &["10.0.0.0/24"][..];
        let uncovered = "every ip-range or gateway must have a corresponding subnet";
        let overlap = "multiple overlapping subnet configuration is not supported";
        for (result, reason) in [
            (show(&[], &[], &["10.0.0.1"], &[]), uncovered),
            (show(&[], &["10.0.0.0/24"], &[], &[]), uncovered),
            (show(net, &[], &["10.0.0.1", "10.0.0.2"], &[]), uncovered),
            (show(&["10.0.0.0/24", "10.0.0.0/25"], &[], &[], &[]), overlap),
            (show(&["10.0.0.0/25", "10.0.0.0/24"], &[], &[], &[]), overlap),
            (
                show(&["x", "10.0.0.0/24"], &[], &[], &[]),
                "invalid subnet: invalid CIDR address: x",
            ),
            (show(net, &[], &["x"], &[]), "no matching subnet for gateway x"),
            (
                show(net, &[], &["10.1.0.1"], &[]),
                "no matching subnet for gateway 10.1.0.1",
            ),
            (
                show(&["x"], &[], &["10.1.0.1"], &[]),
                "invalid subnet: invalid CIDR address: x",
            ),
            (
                show(net, &["10.1.0.0/25"], &[], &[]),
                "no matching subnet for range 10.1.0.0/25",
            ),
            (
                show(net, &["fd00::/80"], &[], &[]),
                "no matching subnet for range fd00::/80",
            ),
            (show(net, &["x"], &[], &[]), "invalid CIDR address: x"),
            (
                show(net, &["10.0.0.0/33"], &[], &[]),
                "invalid CIDR address: 10.0.0.0/33",
            ),
            (
                show(&["10.0.0.0/24", "fd00::/64"], &[], &["10.0.0.1", "10.0.0.2"], &[]),
                "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
            ),
            (
                show(
                    &["10.0.0.0/24", "fd00::/64"],
                    &["10.0.0.0/25", "10.0.0.128/25"],
                    &[],
                    &[],
                ),
                "cannot configure multiple ranges (10.0.0.128/25, 10.0.0.0/25) on the same subnet (10.0.0.0/24)",
            ),
            (
                show(&[], &[], &[], &[("a", "10.0.0.2")]),
                "no matching subnet for aux-address 10.0.0.2",
            ),
            (show(net, &[], &[], &[("a", "")]), "no matching subnet for aux-address "),
        ] {
            assert_eq!(result, Err(reason.to_owned()));
        }
    }
}
