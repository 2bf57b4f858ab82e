// SPDX-License-Identifier: MIT
//! What every `NetworkDriver` must do.
//!
//! Each check gets a driver of its own and removes the networks it made. An implementation that changes the kernel is run in a
//! network namespace of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use hyperbox_core::seam::{
    DefaultRoutes, Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, PoolWish,
    Sandbox, SandboxRequest,
};
use hyperbox_types::{ContainerId, ErrorKind};

use crate::{container_id, network_id};

/// Has room for five containers beside network, gateway and broadcast address.
pub const SMALL: &str = "198.18.0.0/29";
const ROOM: usize = 5;

/// What a driver is known to do, where drivers differ.
#[derive(Debug, Clone, Default)]
pub struct Traits {
    /// Gives addresses out of the wished subnets itself.
    pub manages_addresses: bool,
    /// Refuses a wish for a subnet; its options lead it to [`SMALL`].
    pub chooses_subnets: bool,
    /// Its links have no neighbours: endpoints have no gateways.
    pub is_routed: bool,
    /// Names the link on the host after a wish, and puts a link of its own there for each container.
    pub makes_host_links: bool,
    /// Options that every network of this driver needs.
    pub options: BTreeMap<String, String>,
}

impl Traits {
    /// A bridge.
    pub fn bridge() -> Self {
        Self {
            manages_addresses: true,
            chooses_subnets: false,
            is_routed: false,
            makes_host_links: true,
            options: BTreeMap::new(),
        }
    }
}

/// Runs all checks of a bridge, each on a driver that `fresh` makes.
///
/// # Panics
/// When the driver does not conform.
pub async fn check_all(fresh: impl Fn() -> Arc<dyn NetworkDriver>) {
    check_with(fresh, &Traits::bridge()).await;
}

/// Runs all checks that make sense for a driver with these traits, each on a driver that `fresh` makes.
///
/// # Panics
/// When the driver does not conform.
pub async fn check_with(fresh: impl Fn() -> Arc<dyn NetworkDriver>, traits: &Traits) {
    check_making_and_removing_twice(&*fresh(), traits).await;
    check_attaching(&*fresh(), traits).await;
    check_adopting_nothing(&*fresh(), traits).await;
    if traits.manages_addresses {
        check_addresses(&*fresh(), traits).await;
        check_wishes(&*fresh(), traits).await;
        check_release(&*fresh(), traits).await;
        check_adoption(&fresh, traits).await;
    }
    if traits.makes_host_links {
        check_choices(&*fresh(), traits).await;
        check_ipv6(&*fresh(), traits).await;
    }
}

fn wish(traits: &Traits, subnet: Option<&str>) -> NetworkWish {
    let id = network_id();
    let pools = subnet.filter(|_| !traits.chooses_subnets).map(|subnet| PoolWish {
        subnet: Some(subnet.parse().expect(subnet)),
        ..PoolWish::default()
    });
    NetworkWish {
        name: format!("net{}", id.short()),
        id,
        predefined: false,
        options: traits.options.clone(),
        pools: pools.into_iter().collect(),
        address_options: BTreeMap::new(),
        ipv4: true,
        ipv6: false,
        internal: false,
    }
}

/// Networks are chosen apart, with names a link can have and the gateway in the subnet.
async fn check_choices(driver: &dyn NetworkDriver, traits: &Traits) {
    let mut chosen = Vec::new();
    for _ in 0..3 {
        let mut wish = wish(traits, None);
        let link = format!("ct{}", &wish.id.short()[..10]);
        let option = "com.docker.network.bridge.name".to_owned();
        wish.options.insert(option, link.clone());
        let id = wish.id.clone();
        let network = driver.choose(wish, &chosen).await.expect("choose");
        assert_eq!((&network.id, &network.link), (&id, &link));
        assert!(network.mtu >= 68);
        chosen.push(network);
    }
    let subnets: BTreeSet<_> = chosen
        .iter()
        .flat_map(|network| &network.pools)
        .map(|pool| pool.subnet)
        .collect();
    assert_eq!(subnets.len(), 3, "{subnets:?}");
    let network = driver.choose(wish(traits, Some(SMALL)), &chosen).await.expect("choose");
    assert_eq!(network.pools[0].subnet.to_string(), SMALL);
    assert_eq!(network.pools[0].gateway, "198.18.0.1".parse().ok());
    assert!((1..=15).contains(&network.link.len()), "{}", network.link);
    let overlapping = driver.choose(wish(traits, Some("198.18.0.0/24")), &[network]).await;
    let refused = overlapping.expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::PermissionDenied, "{refused}");
}

/// Making what is there and removing what is not succeed.
async fn check_making_and_removing_twice(driver: &dyn NetworkDriver, traits: &Traits) {
    let network = driver.choose(wish(traits, Some(SMALL)), &[]).await.expect("choose");
    driver.ensure(&network).await.expect("ensure");
    driver.ensure(&network).await.expect("ensure");
    driver.remove(&network).await.expect("remove");
    driver.remove(&network).await.expect("remove");
}

/// A second network is joined in the namespace of the first, and left again, twice.
async fn check_attaching(driver: &dyn NetworkDriver, traits: &Traits) {
    let network = small(driver, traits).await;
    let (container, endpoint, sandbox) = open(driver, &network).await;
    let mut other = request(&network).endpoint;
    other.link = "eth1".to_owned();
    let second = container_id();
    let attached = driver
        .attach(sandbox.namespace.as_fd(), &second, other.clone())
        .await
        .expect("attach");
    assert_eq!(attached.link.is_empty(), endpoint.link.is_empty());
    for _ in 0..2 {
        driver
            .detach(sandbox.namespace.as_fd(), &second, &attached)
            .await
            .expect("detach");
        driver.release(&second, &attached).await.expect("release");
    }
    let again = driver
        .attach(sandbox.namespace.as_fd(), &second, other)
        .await
        .expect("attach");
    driver
        .detach(sandbox.namespace.as_fd(), &second, &again)
        .await
        .expect("detach");
    driver.release(&second, &again).await.expect("release");
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    driver.remove(&network).await.expect("remove");
}

/// A driver that finds nothing from before works as a new one.
async fn check_adopting_nothing(driver: &dyn NetworkDriver, traits: &Traits) {
    driver.adopt(&[], &[]).await.expect("adopt");
    let network = small(driver, traits).await;
    let (container, endpoint, sandbox) = open(driver, &network).await;
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    driver.remove(&network).await.expect("remove");
}

/// Every address is given once, and the failure for want of one leaves nothing behind.
async fn check_addresses(driver: &dyn NetworkDriver, traits: &Traits) {
    let network = small(driver, traits).await;
    let mut opened = Vec::new();
    for _ in 0..ROOM {
        opened.push(open(driver, &network).await);
    }
    let addresses: BTreeSet<IpAddr> = opened.iter().map(|(_, endpoint, _)| ipv4(endpoint)).collect();
    assert_eq!(addresses.len(), ROOM);
    assert!(
        !addresses
            .iter()
            .any(|address| Some(*address) == network.pools[0].gateway)
    );
    if traits.makes_host_links {
        let links: BTreeSet<&String> = opened.iter().map(|(_, endpoint, _)| &endpoint.host_link).collect();
        assert_eq!(links.len(), ROOM);
        assert!(links.iter().all(|link| (1..=15).contains(&link.len())), "{links:?}");
    }
    for (_, endpoint, _) in &opened {
        assert_eq!(endpoint.network, network.id);
        let gateway = network.pools[0].gateway.filter(|_| !traits.is_routed);
        assert_eq!(endpoint.gateway_ipv4.map(IpAddr::V4), gateway);
        assert_eq!(endpoint.ipv4.map(|net| net.prefix_len()), Some(29));
    }
    let refused = driver.open(request(&network)).await.expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::ResourceExhausted, "{refused}");
    let (container, endpoint, sandbox) = opened.swap_remove(2);
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    let (_, again, _sandbox) = open(driver, &network).await;
    assert_eq!(ipv4(&again), ipv4(&endpoint));
    drop(opened);
    driver.remove(&network).await.expect("remove");
}

/// Wished addresses are given or refused, never replaced.
async fn check_wishes(driver: &dyn NetworkDriver, traits: &Traits) {
    let network = small(driver, traits).await;
    let wished = Ipv4Addr::new(198, 18, 0, 4);
    let mac = "02:42:00:00:00:09";
    let sandbox = open_wished(driver, &network, wished, Some(mac)).await.expect("open");
    assert_eq!(ipv4(&sandbox.endpoint), IpAddr::V4(wished));
    assert!(sandbox.endpoint.mac_address == mac || sandbox.endpoint.mac_address.is_empty());
    let refused = open_wished(driver, &network, wished, None)
        .await
        .expect_err("must be refused");
    assert!(is_taken(&refused), "{refused}");
    drop(sandbox);
    driver.remove(&network).await.expect("remove");
}

/// Docker forbids what is taken.
fn is_taken(refused: &NetworkError) -> bool {
    matches!(refused.kind, ErrorKind::Conflict | ErrorKind::PermissionDenied)
}

/// Release is idempotent, and nobody gives back what another one has.
async fn check_release(driver: &dyn NetworkDriver, traits: &Traits) {
    let network = small(driver, traits).await;
    let (container, endpoint, sandbox) = open(driver, &network).await;
    let address = endpoint.ipv4.expect("address").addr();
    driver.release(&container_id(), &endpoint).await.expect("release");
    let refused = open_wished(driver, &network, address, None)
        .await
        .expect_err("must be refused");
    assert!(is_taken(&refused), "{refused}");
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    driver.release(&container, &endpoint).await.expect("release");
    let again = open_wished(driver, &network, address, None).await.expect("open");
    driver.release(&container, &endpoint).await.expect("release");
    let refused = open_wished(driver, &network, address, None)
        .await
        .expect_err("must be refused");
    assert!(
        is_taken(&refused),
        "a late release must not free the next owner's address: {refused}"
    );
    drop(again);
    driver.remove(&network).await.expect("remove");
}

/// A network has the families that were wished for, and wishes are kept in each.
async fn check_ipv6(driver: &dyn NetworkDriver, traits: &Traits) {
    let mut both = wish(traits, Some(SMALL));
    both.ipv6 = true;
    both.pools.push(PoolWish {
        subnet: "fd00:198:18::/64".parse().ok(),
        ..PoolWish::default()
    });
    let network = driver.choose(both, &[]).await.expect("choose");
    let families: Vec<_> = network.pools.iter().map(|pool| pool.subnet.addr().is_ipv6()).collect();
    assert_eq!(families, [false, true]);
    driver.ensure(&network).await.expect("ensure");
    let (_, one, _one) = open(driver, &network).await;
    let mut wished = request(&network);
    wished.endpoint.ipv6 = "fd00:198:18::77".parse().ok();
    let container = wished.container.clone();
    let two = driver.open(wished.clone()).await.expect("open");
    assert_eq!(two.endpoint.ipv6, "fd00:198:18::77/64".parse().ok());
    assert!(two.endpoint.ipv4.is_some() && two.endpoint.ipv4 != one.ipv4);
    assert_eq!(one.ipv6.map(|net| net.prefix_len()), Some(64));
    assert_eq!(one.gateway_ipv6.map(IpAddr::V6), network.pools[1].gateway);
    wished.container = container_id();
    let refused = driver.open(wished.clone()).await.expect_err("must be refused");
    assert!(is_taken(&refused), "{refused}");
    let endpoint = two.endpoint.clone();
    drop(two);
    driver.release(&container, &endpoint).await.expect("release");
    let _two = driver.open(wished).await.expect("open");
    let mut alone = wish(traits, None);
    (alone.ipv4, alone.ipv6) = (false, true);
    let only = driver
        .choose(alone, std::slice::from_ref(&network))
        .await
        .expect("choose");
    driver.ensure(&only).await.expect("ensure");
    let (_, third, _third) = open(driver, &only).await;
    assert!(third.ipv4.is_none() && third.ipv6.is_some(), "{third:?}");
    driver.remove(&only).await.expect("remove");
    driver.remove(&network).await.expect("remove");
}

/// After a restart the endpoints in use keep their addresses, and all others are free.
async fn check_adoption(fresh: &impl Fn() -> Arc<dyn NetworkDriver>, traits: &Traits) {
    let before = fresh();
    let network = small(&*before, traits).await;
    let (container, living, sandbox) = open(&*before, &network).await;
    let (_, lost, _) = open(&*before, &network).await;
    drop(before);
    let after = fresh();
    let endpoints = [(container.clone(), living.clone())];
    after
        .adopt(std::slice::from_ref(&network), &endpoints)
        .await
        .expect("adopt");
    after.ensure(&network).await.expect("ensure");
    let address = |endpoint: &Endpoint| endpoint.ipv4.expect("address").addr();
    let refused = open_wished(&*after, &network, address(&living), None)
        .await
        .expect_err("must be refused");
    assert!(is_taken(&refused), "{refused}");
    let _sandbox = open_wished(&*after, &network, address(&lost), None)
        .await
        .expect("open");
    // An address is given back when nobody has it any more: the link of some drivers lives as long as the namespace.
    drop(sandbox);
    after.release(&container, &living).await.expect("release");
    let _sandbox = open_wished(&*after, &network, address(&living), None)
        .await
        .expect("open");
    after.remove(&network).await.expect("remove");
}

fn ipv4(endpoint: &Endpoint) -> IpAddr {
    endpoint.ipv4.expect("an IPv4 address").addr().into()
}

async fn small(driver: &dyn NetworkDriver, traits: &Traits) -> NetworkSettings {
    let network = driver.choose(wish(traits, Some(SMALL)), &[]).await.expect("choose");
    driver.ensure(&network).await.expect("ensure");
    network
}

fn request(network: &NetworkSettings) -> SandboxRequest {
    SandboxRequest {
        container: container_id(),
        names: false,
        endpoint: EndpointRequest {
            network: network.clone(),
            ipv4: None,
            ipv6: None,
            link_local: Vec::new(),
            mac_address: None,
            link: "eth0".to_owned(),
            default_routes: DefaultRoutes { ipv4: true, ipv6: true },
            options: BTreeMap::new(),
        },
    }
}

async fn open(driver: &dyn NetworkDriver, network: &NetworkSettings) -> (ContainerId, Endpoint, Sandbox) {
    let request = request(network);
    let container = request.container.clone();
    let sandbox = driver.open(request).await.expect("open");
    (container, sandbox.endpoint.clone(), sandbox)
}

async fn open_wished(
    driver: &dyn NetworkDriver,
    network: &NetworkSettings,
    address: Ipv4Addr,
    mac_address: Option<&str>,
) -> Result<Sandbox, NetworkError> {
    let mut request = request(network);
    request.endpoint.ipv4 = Some(address);
    request.endpoint.mac_address = mac_address.map(str::to_owned);
    driver.open(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeNetwork;

    #[tokio::test]
    async fn the_fake_conforms() {
        check_all(|| Arc::new(FakeNetwork::new())).await;
    }

    #[tokio::test]
    async fn the_fake_without_addresses_conforms() {
        check_with(|| Arc::new(FakeNetwork::named("null")), &Traits::default()).await;
    }
}
