// SPDX-License-Identifier: MIT
//! Subnets of projects' networks.
//!
//! `10.89.0.0/24` to `10.89.255.0/24`, then those of `10.88` down to `10.64`: 6,656 in all, beside what Docker and Podman use unless told
//! otherwise. Where the machine's own routes cover all of them (a VPN of `10.0.0.0/8`, for one) there is none, and the engine chooses as
//! for any other network.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

const HIGHEST: u8 = 89;
const LOWEST: u8 = 64;
const PREFIX: u8 = 24;

/// Chooses the first subnet that has no address in common with any of `taken`.
///
/// `None` when there is no such one.
pub fn subnet(taken: &[Ipv4Net]) -> Option<Ipv4Net> {
    let all = (LOWEST..=HIGHEST)
        .rev()
        .flat_map(|second| (0..=u8::MAX).map(move |third| (second, third)));
    all.filter_map(|(second, third)| Ipv4Net::new(Ipv4Addr::new(10, second, third, 0), PREFIX).ok())
        .find(|candidate| !taken.iter().any(|other| overlap(*other, *candidate)))
}

/// Tells whether two subnets have an address in common.
pub fn overlap(one: Ipv4Net, other: Ipv4Net) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_free_one() {
        for (taken, expected) in [
            (vec![], Some("10.89.0.0/24")),
            (vec!["10.89.0.0/24", "10.89.2.0/24"], Some("10.89.1.0/24")),
            (vec!["10.89.0.128/25"], Some("10.89.1.0/24")),
            (vec!["10.89.0.0/16"], Some("10.88.0.0/24")),
            (vec!["10.88.0.0/15"], Some("10.87.0.0/24")),
            (vec!["10.0.0.0/8"], None),
            (vec!["192.168.0.0/16"], Some("10.89.0.0/24")),
        ] {
            let nets: Vec<Ipv4Net> = taken.iter().map(|text| net(text)).collect();
            assert_eq!(subnet(&nets), expected.map(net), "{taken:?}");
        }
    }

    #[test]
    fn the_last_ones() {
        let mut taken: Vec<Ipv4Net> = (65..=89).map(|second| net(&format!("10.{second}.0.0/16"))).collect();
        taken.extend((0..254).map(|third| net(&format!("10.64.{third}.0/24"))));
        for expected in ["10.64.254.0/24", "10.64.255.0/24"] {
            let last = subnet(&taken);
            assert_eq!(last, Some(net(expected)));
            taken.extend(last);
        }
        assert_eq!(subnet(&taken), None);
    }
}
