// SPDX-License-Identifier: MIT
//! Tables of choices.

use std::collections::{BTreeMap, BTreeSet};

use hyperbox_types::NetworkId;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn address(link: u32, address: &str) -> Address {
    Address {
        link,
        address: net(address),
    }
}

fn route(link: u32, destination: &str) -> Route {
    Route {
        link: Some(link),
        destination: net(destination),
    }
}

fn pools() -> Vec<Pool> {
    let pool = |base, size| Pool { base: net(base), size };
    vec![
        pool("172.30.0.0/15", 16),
        pool("10.88.0.0/23", 24),
        pool("fd00::/63", 64),
    ]
}

fn wish(ipv4: bool, ipv6: bool, subnets: &[&str]) -> NetworkWish {
    let pool = |text: &&str| PoolWish {
        subnet: Some(net(text)),
        ..PoolWish::default()
    };
    NetworkWish {
        id: NetworkId::from_bytes([7; 32]),
        name: "front".to_owned(),
        predefined: false,
        options: BTreeMap::new(),
        pools: subnets.iter().map(pool).collect(),
        address_options: BTreeMap::new(),
        ipv4,
        ipv6,
        internal: false,
    }
}

fn subnets(chosen: Result<Vec<AddressPool>, NoSubnet>) -> Result<Vec<String>, NoSubnet> {
    chosen.map(|pools| {
        let show = |pool: &AddressPool| format!("{} {}", pool.subnet, pool.gateway.unwrap());
        pools.iter().map(show).collect()
    })
}

#[test]
fn the_first_free_subnet_of_the_pools() {
    let mut machine = Machine::default();
    machine.routes.push(route(2, "0.0.0.0/0"));
    machine.routes.push(route(2, "128.0.0.0/1"));
    let mut chosen = Vec::new();
    while let Ok(found) = machine.choose(&wish(true, false, &[]), &pools(), None) {
        machine.networks.push(found[0].subnet);
        chosen.extend(subnets(Ok(found)).unwrap());
    }
    assert_eq!(
        chosen,
        [
            "172.30.0.0/16 172.30.0.1",
            "172.31.0.0/16 172.31.0.1",
            "10.88.0.0/24 10.88.0.1",
            "10.88.1.0/24 10.88.1.1"
        ]
    );
    let both = machine.choose(&wish(false, true, &[]), &pools(), None);
    assert_eq!(subnets(both), Ok(vec!["fd00::/64 fd00::1".to_owned()]));
    assert_eq!(
        machine.choose(&wish(true, true, &[]), &pools(), None),
        Err(NoSubnet::Exhausted)
    );
}

#[test]
fn thousands_of_networks() {
    let mut machine = Machine::default();
    let mut all = BTreeSet::new();
    for _ in 0..4000 {
        let found = machine
            .choose(&wish(true, false, &[]), &crate::Config::standard_pools(), None)
            .unwrap();
        assert!(all.insert(found[0].subnet));
        machine.networks.push(found[0].subnet);
    }
}

#[test]
fn everything_the_machine_uses_is_avoided() {
    let machine = Machine {
        addresses: vec![address(2, "172.30.200.1/24"), address(2, "fd00::7/128")],
        routes: vec![route(3, "172.31.4.0/22")],
        resolvers: vec!["10.88.0.53".parse().unwrap()],
        ..Machine::default()
    };
    let chosen = subnets(machine.choose(&wish(true, true, &[]), &pools(), None));
    assert_eq!(
        chosen,
        Ok(vec![
            "10.88.1.0/24 10.88.1.1".to_owned(),
            "fd00:0:0:1::/64 fd00:0:0:1::1".to_owned()
        ])
    );
}

#[test]
fn wishes_are_checked() {
    let machine = Machine {
        addresses: vec![address(7, "192.0.2.2/24")],
        routes: vec![route(7, "192.0.2.0/24")],
        networks: vec![net("198.51.100.0/24")],
        ..Machine::default()
    };
    let choose = |wished: &str, own| subnets(machine.choose(&wish(true, false, &[wished]), &pools(), own));
    assert_eq!(
        choose("203.0.113.0/24", None),
        Ok(vec!["203.0.113.0/24 203.0.113.1".to_owned()])
    );
    assert_eq!(choose("198.51.100.128/25", None), Err(NoSubnet::Network));
    assert_eq!(
        choose("192.0.2.128/25", None).unwrap_err().to_string(),
        "subnet 192.0.2.128/25 overlaps with 192.0.2.0/24, which this machine uses already"
    );
    assert!(
        choose("192.0.2.0/24", Some(7)).is_ok(),
        "one's own bridge is no collision"
    );
    for refused in ["0.0.0.0/0", "127.1.0.0/16", "239.0.0.0/8"] {
        assert!(choose(refused, None).is_err(), "{refused}");
    }
}

#[test]
fn a_gateway_is_the_first_address() {
    let machine = Machine::default();
    for (subnet, range, reserved, expected) in [
        ("10.0.0.0/24", None, None, "10.0.0.1"),
        ("10.0.0.0/24", None, Some("10.0.0.2"), "10.0.0.1"),
        (
            "10.0.0.0/24",
            None,
            Some("10.0.0.1"),
            "failed to allocate secondary ip address (a:10.0.0.1): Address already in use",
        ),
        ("10.0.0.0/24", Some("10.0.0.128/25"), None, "10.0.0.128"),
        ("fd00::/64", None, None, "fd00::1"),
        ("10.0.0.0/24", Some("10.0.0.0/25"), None, "10.0.0.1"),
    ] {
        let wish = PoolWish {
            subnet: Some(net(subnet)),
            range: range.map(net),
            gateway: None,
            reserved: reserved
                .map(|text: &str| ("a".to_owned(), text.parse().unwrap()))
                .into_iter()
                .collect(),
        };
        let chosen = match machine.wished(&wish, None) {
            Ok(pool) => pool.gateway.unwrap().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(chosen, expected, "{subnet} {range:?}");
    }
}

#[test]
fn a_bridge_left_from_before_keeps_its_subnet() {
    let machine = Machine {
        addresses: vec![address(7, "172.31.0.9/16")],
        routes: vec![route(7, "172.31.0.0/16")],
        ..Machine::default()
    };
    let kept = machine.choose(&wish(true, false, &[]), &pools(), Some(7));
    assert_eq!(subnets(kept), Ok(vec!["172.31.0.0/16 172.31.0.9".to_owned()]));
}

#[test]
fn machines_have_ranges_of_their_own() {
    let one = unique_local_pool("one");
    assert_eq!(one, unique_local_pool("one"));
    assert_ne!(one, unique_local_pool("two"));
    assert!(one.base.to_string().starts_with("fd") && one.base.prefix_len() == 48);
}

proptest::proptest! {
    /// Against trying one subnet after the other.
    #[test]
    fn leaping_finds_what_stepping_finds(
        size in 16_u8..=26,
        used in proptest::collection::vec((0_u32..0x0004_0000, 16_u8..=32), 0..40),
    ) {
        let base: IpNet = net("10.88.0.0/14");
        let pool = Pool { base, size };
        let used: Vec<IpNet> = used
            .iter()
            .map(|(offset, length)| IpNet::new(IpAddr::from(Ipv4Addr::from(0x0a58_0000 + offset)), *length).unwrap().trunc())
            .collect();
        let stepped = base.subnets(size).unwrap().find(|subnet| !used.iter().any(|used| overlap(*used, *subnet)));
        let mut sorted: Vec<_> = used.iter().copied().map(ends).collect();
        sorted.sort_unstable();
        proptest::prop_assert_eq!(first_free(&pool, &sorted), stepped);
    }
}
