// SPDX-License-Identifier: MIT
//! What every `PortPublisher` must do.
//!
//! Each check gets a publisher of its own and withdraws what it published. An implementation that binds ports is run in a network
//! namespace of its own; numbers are nevertheless found, not fixed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hyperbox_core::seam::{
    Endpoint, NetworkError, NetworkSettings, PortPublisher, PortRequest, PublishRequest, PublishedPort,
};
use hyperbox_types::ErrorKind;

use crate::{container_id, network_id, unique_name};

const EVERYWHERE4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const EVERYWHERE6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs all checks, each on a publisher that `fresh` makes.
///
/// # Panics
/// When the publisher does not conform.
pub async fn check_all(fresh: impl Fn() -> Arc<dyn PortPublisher>) {
    check_what_is_published(&*fresh()).await;
    check_free_numbers(&*fresh()).await;
    check_ranges(&*fresh()).await;
    check_conflicts(&*fresh()).await;
    check_all_or_none(&*fresh()).await;
    check_withdrawal(&*fresh()).await;
    check_adoption(&fresh).await;
}

/// A wish without an address is both families under one number; one with an address is that address. The answer is sorted.
async fn check_what_is_published(publisher: &dyn PortPublisher) {
    let number = free_number(publisher).await;
    let (container, request) = wish(vec![
        port("81/udp", Some(LOOPBACK), Some((number, number))),
        port("80/tcp", None, Some((number, number))),
    ]);
    let published = publisher.publish(request).await.expect("publish");
    let expected = [
        ("80/tcp", EVERYWHERE4, number),
        ("80/tcp", EVERYWHERE6, number),
        ("81/udp", LOOPBACK, number),
    ];
    assert_eq!(published, expected.map(published_port));
    publisher.withdraw(&container).await.expect("withdraw");
    let (_, nothing) = wish(Vec::new());
    assert_eq!(publisher.publish(nothing).await.expect("publish"), []);
}

/// Free numbers are found, each for one port only, and the same for both families.
async fn check_free_numbers(publisher: &dyn PortPublisher) {
    let ports = (1..=20).map(|number| port(&format!("{number}/tcp"), None, None));
    let (container, request) = wish(ports.collect());
    let published = publisher.publish(request).await.expect("publish");
    assert_eq!(published.len(), 40);
    let mut numbers: Vec<_> = published.iter().map(|port| port.host_port).collect();
    for pair in published.chunks(2) {
        assert_eq!(pair[0].container, pair[1].container);
        assert_eq!(pair[0].host_port, pair[1].host_port, "one number for both families");
    }
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((numbers.len(), numbers.contains(&0)), (20, false), "{numbers:?}");
    publisher.withdraw(&container).await.expect("withdraw");
}

/// The first free number of a range is taken, until there is none.
async fn check_ranges(publisher: &dyn PortPublisher) {
    let first = free_range(publisher, 3).await;
    let mut containers = Vec::new();
    for expected in first..first + 3 {
        let (container, request) = wish(vec![port("80/tcp", None, Some((first, first + 2)))]);
        let published = publisher.publish(request).await.expect("publish");
        assert_eq!(published[0].host_port, expected);
        containers.push(container);
    }
    let (_, request) = wish(vec![port("80/tcp", None, Some((first, first + 2)))]);
    let refused = publisher.publish(request).await.expect_err("the range is used up");
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    publisher.withdraw(&containers[1]).await.expect("withdraw");
    let (container, request) = wish(vec![port("80/tcp", None, Some((first, first + 2)))]);
    let published = publisher.publish(request).await.expect("one is free again");
    assert_eq!(published[0].host_port, first + 1);
    for container in containers.iter().chain([&container]) {
        publisher.withdraw(container).await.expect("withdraw");
    }
}

/// A port is one container's, whose name the refusal tells; other addresses and protocols are other ports.
async fn check_conflicts(publisher: &dyn PortPublisher) {
    let number = free_number(publisher).await;
    let exact = Some((number, number));
    let (container, request) = wish(vec![port("80/tcp", Some(LOOPBACK), exact)]);
    let name = request.name.clone();
    publisher.publish(request).await.expect("publish");
    for address in [Some(LOOPBACK), Some(EVERYWHERE4), None] {
        let (_, request) = wish(vec![port("80/tcp", address, exact)]);
        let refused = publisher.publish(request).await.expect_err("the port is in use");
        assert_conflict(&refused, &name);
    }
    let others = [
        port("80/udp", Some(LOOPBACK), exact),
        port("80/tcp", Some(Ipv4Addr::new(127, 0, 0, 2).into()), exact),
        port("80/tcp", Some(EVERYWHERE6), exact),
    ];
    let (other, request) = wish(others.to_vec());
    assert_eq!(publisher.publish(request).await.expect("other ports").len(), 3);
    let (_, twice) = wish(vec![port("80/tcp", None, None), port("80/tcp", None, exact)]);
    publisher.publish(twice).await.expect_err("one of them is in use");
    for container in [container, other] {
        publisher.withdraw(&container).await.expect("withdraw");
    }
}

/// A request of which one port is refused publishes nothing.
async fn check_all_or_none(publisher: &dyn PortPublisher) {
    let first = free_range(publisher, 2).await;
    let (holder, request) = wish(vec![port("80/tcp", None, Some((first, first)))]);
    publisher.publish(request).await.expect("publish");
    let (_, request) = wish(vec![
        port("81/tcp", None, Some((first + 1, first + 1))),
        port("80/tcp", None, Some((first, first))),
    ]);
    publisher.publish(request).await.expect_err("one of them is in use");
    let (container, request) = wish(vec![port("81/tcp", None, Some((first + 1, first + 1)))]);
    publisher.publish(request).await.expect("the other one is free");
    for container in [holder, container] {
        publisher.withdraw(&container).await.expect("withdraw");
    }
}

/// What was withdrawn is free at once; withdrawing what is not there succeeds.
async fn check_withdrawal(publisher: &dyn PortPublisher) {
    let number = free_number(publisher).await;
    for _ in 0..3 {
        let (container, request) = wish(vec![
            port("80/tcp", None, Some((number, number))),
            port("80/udp", None, Some((number, number))),
        ]);
        publisher.publish(request).await.expect("publish");
        publisher.withdraw(&container).await.expect("withdraw");
        publisher.withdraw(&container).await.expect("withdraw again");
    }
    publisher.withdraw(&container_id()).await.expect("withdraw nothing");
}

/// What lives on is known to the next publisher, and nothing else.
async fn check_adoption(fresh: &impl Fn() -> Arc<dyn PortPublisher>) {
    let before = fresh();
    let (container, request) = wish(vec![port("80/tcp", None, None)]);
    let published = before.publish(request.clone()).await.expect("publish");
    let number = published[0].host_port;
    drop(before);
    let publisher = fresh();
    let exact = published.iter().map(|port| PortRequest {
        container: port.container,
        host_address: Some(port.host_address),
        host_ports: Some((port.host_port, port.host_port)),
    });
    let living = PublishRequest {
        ports: exact.collect(),
        ..request
    };
    publisher.adopt(vec![living.clone()]).await.expect("adopt");
    let (_, other) = wish(vec![port("80/tcp", None, Some((number, number)))]);
    let refused = publisher.publish(other.clone()).await.expect_err("the port is in use");
    assert_conflict(&refused, &living.name);
    publisher.adopt(Vec::new()).await.expect("adopt nothing");
    publisher.publish(other.clone()).await.expect("the port is free");
    // Somebody else has it now: left out, and no failure.
    publisher.withdraw(&other.container).await.expect("withdraw");
    let rival = PublishRequest {
        container: container_id(),
        ..living.clone()
    };
    publisher.adopt(vec![living, rival.clone()]).await.expect("adopt");
    publisher.withdraw(&rival.container).await.expect("withdraw");
    publisher
        .publish(other.clone())
        .await
        .expect_err("it is the first one's");
    publisher.withdraw(&container).await.expect("withdraw");
    publisher.publish(other.clone()).await.expect("the port is free");
    publisher.withdraw(&other.container).await.expect("withdraw");
}

fn assert_conflict(refused: &NetworkError, holder: &str) {
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    assert!(refused.message.contains(holder), "{refused} does not name {holder}");
}

fn published_port((container, host_address, host_port): (&str, IpAddr, u16)) -> PublishedPort {
    PublishedPort {
        container: container.parse().expect("a port"),
        host_address,
        host_port,
    }
}

fn port(container: &str, host_address: Option<IpAddr>, host_ports: Option<(u16, u16)>) -> PortRequest {
    PortRequest {
        container: container.parse().expect("a port"),
        host_address,
        host_ports,
    }
}

/// Makes a request of a new container that has an address of each family.
fn wish(ports: Vec<PortRequest>) -> (hyperbox_types::ContainerId, PublishRequest) {
    let container = container_id();
    let network = network_id();
    let request = PublishRequest {
        container: container.clone(),
        name: unique_name("web"),
        network: NetworkSettings {
            id: network.clone(),
            name: "conformance".to_owned(),
            link: format!("ct{}", &network.short()[..10]),
            pools: Vec::new(),
            mtu: 1500,
            internal: false,
            options: std::collections::BTreeMap::new(),
        },
        endpoint: Endpoint {
            network,
            ipv4: Some("198.18.0.2/24".parse().expect("an address")),
            ipv6: Some("fd00:198::2/64".parse().expect("an address")),
            gateway_ipv4: None,
            gateway_ipv6: None,
            mac_address: String::new(),
            link: "eth0".to_owned(),
            host_link: String::new(),
            driver_state: String::new(),
        },
        ports,
    };
    (container, request)
}

/// Finds a number that is free for both protocols and families.
async fn free_number(publisher: &dyn PortPublisher) -> u16 {
    free_range(publisher, 1).await
}

/// Finds the first of some numbers that are free one behind the other.
async fn free_range(publisher: &dyn PortPublisher, count: u16) -> u16 {
    for _ in 0..100 {
        let (container, request) = wish(vec![port("80/tcp", None, None)]);
        let published = publisher.publish(request).await.expect("publish");
        publisher.withdraw(&container).await.expect("withdraw");
        let first = published[0].host_port;
        let Some(last) = first.checked_add(count - 1) else {
            continue;
        };
        let ports = (first..=last)
            .flat_map(|number| ["80/tcp", "80/udp"].map(|container| port(container, None, Some((number, number)))));
        let (container, request) = wish(ports.collect());
        let free = publisher.publish(request).await.is_ok();
        publisher.withdraw(&container).await.expect("withdraw");
        if free {
            return first;
        }
    }
    panic!("there are no {count} free numbers");
}
