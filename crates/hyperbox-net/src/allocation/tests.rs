// SPDX-License-Identifier: MIT
//! Tables of allocations, and allocations against a plain set.

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
