// SPDX-License-Identifier: MIT
//! What every `NetworkDriver` must do.
//!
//! Each check gets a driver of its own and removes the networks it made. An implementation that changes the kernel is run in a
//! network namespace of its own.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, Sandbox, SandboxRequest,
};
use hyperbox_types::{ContainerId, ErrorKind};

use crate::{container_id, network_id};

/// Has room for five containers beside network, gateway and broadcast address.
const SMALL: &str = "198.18.0.0/29";
const ROOM: usize = 5;

/// Runs all checks, each on a driver that `fresh` makes.
///
/// # Panics
/// When the driver does not conform.
pub async fn check_all(fresh: impl Fn() -> Arc<dyn NetworkDriver>) {
    check_choices(&*fresh()).await;
    check_making_and_removing_twice(&*fresh()).await;
    check_addresses(&*fresh()).await;
    check_wishes(&*fresh()).await;
    check_release(&*fresh()).await;
    check_no_endpoint(&*fresh()).await;
    check_adoption(&fresh).await;
    check_resolver(&*fresh());
}

/// Networks are chosen apart, with names a link can have and the gateway in the subnet.
async fn check_choices(driver: &dyn NetworkDriver) {
    let mut subnets = BTreeSet::new();
    for _ in 0..3 {
        let id = network_id();
        let bridge = format!("ct{}", &id.short()[..10]);
        let network = driver.choose(&id, Some(&bridge), None).await.expect("choose");
        assert_eq!((&network.id, &network.bridge), (&id, &bridge));
        assert!(network.mtu >= 68);
        assert!(
            subnets.insert(network.subnet.clone()),
            "{} was chosen twice",
            network.subnet
        );
    }
    let network = driver.choose(&network_id(), None, Some(SMALL)).await.expect("choose");
    assert_eq!(network.subnet, SMALL);
    assert_eq!(network.gateway.to_string(), "198.18.0.1");
    assert!((1..=15).contains(&network.bridge.len()), "{}", network.bridge);
    for invalid in ["", "198.18.0.0", "198.18.0.0/33", "example"] {
        let refused = driver
            .choose(&network_id(), Some("ct0"), Some(invalid))
            .await
            .expect_err(invalid);
        assert_eq!(refused.kind, ErrorKind::InvalidArgument, "{invalid}: {refused}");
    }
}

/// Making what is there and removing what is not succeed.
async fn check_making_and_removing_twice(driver: &dyn NetworkDriver) {
    let network = driver.choose(&network_id(), None, Some(SMALL)).await.expect("choose");
    driver.ensure(&network).await.expect("ensure");
    driver.ensure(&network).await.expect("ensure");
    driver.remove(&network).await.expect("remove");
    driver.remove(&network).await.expect("remove");
}

/// Every address is given once, and the failure for want of one leaves nothing behind.
async fn check_addresses(driver: &dyn NetworkDriver) {
    let network = small(driver).await;
    let mut opened = Vec::new();
    for _ in 0..ROOM {
        opened.push(open(driver, &network).await);
    }
    let addresses: BTreeSet<IpAddr> = opened.iter().map(|(_, endpoint, _)| endpoint.address).collect();
    assert_eq!(addresses.len(), ROOM);
    assert!(!addresses.contains(&network.gateway));
    let links: BTreeSet<&String> = opened.iter().map(|(_, endpoint, _)| &endpoint.host_link).collect();
    assert_eq!(links.len(), ROOM);
    for (_, endpoint, _) in &opened {
        assert_eq!((&endpoint.network, endpoint.gateway), (&network.id, network.gateway));
        assert_eq!(endpoint.prefix_length, 29);
        assert!(endpoint.mac_address.starts_with("02:42:"), "{}", endpoint.mac_address);
        assert!((1..=15).contains(&endpoint.host_link.len()), "{}", endpoint.host_link);
    }
    let refused = driver.open(request(&network)).await.expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::ResourceExhausted, "{refused}");
    let (container, endpoint, sandbox) = opened.swap_remove(2);
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    let (_, again, _sandbox) = open(driver, &network).await;
    assert_eq!(again.address, endpoint.address);
    drop(opened);
    driver.remove(&network).await.expect("remove");
}

/// Wished addresses are given or refused, never replaced.
async fn check_wishes(driver: &dyn NetworkDriver) {
    let network = small(driver).await;
    let wished: IpAddr = "198.18.0.4".parse().expect("address");
    let mac = "02:42:00:00:00:09";
    let sandbox = open_wished(driver, &network, wished, Some(mac)).await.expect("open");
    let endpoint = sandbox.endpoint.as_ref().expect("endpoint");
    assert_eq!((endpoint.address, endpoint.mac_address.as_str()), (wished, mac));
    let refused = open_wished(driver, &network, wished, None)
        .await
        .expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    drop(sandbox);
    driver.remove(&network).await.expect("remove");
}

/// Release is idempotent, and nobody gives back what another one has.
async fn check_release(driver: &dyn NetworkDriver) {
    let network = small(driver).await;
    let (container, endpoint, sandbox) = open(driver, &network).await;
    driver.release(&container_id(), &endpoint).await.expect("release");
    let refused = open_wished(driver, &network, endpoint.address, None)
        .await
        .expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    drop(sandbox);
    driver.release(&container, &endpoint).await.expect("release");
    driver.release(&container, &endpoint).await.expect("release");
    let again = open_wished(driver, &network, endpoint.address, None)
        .await
        .expect("open");
    driver.release(&container, &endpoint).await.expect("release");
    let refused = open_wished(driver, &network, endpoint.address, None)
        .await
        .expect_err("must be refused");
    assert_eq!(
        refused.kind,
        ErrorKind::Conflict,
        "a late release must not free the next owner's address"
    );
    drop(again);
    driver.remove(&network).await.expect("remove");
}

async fn check_no_endpoint(driver: &dyn NetworkDriver) {
    let request = SandboxRequest {
        container: container_id(),
        endpoint: None,
    };
    assert!(driver.open(request).await.expect("open").endpoint.is_none());
}

/// After a restart the endpoints in use keep their addresses, and all others are free.
async fn check_adoption(fresh: &impl Fn() -> Arc<dyn NetworkDriver>) {
    let before = fresh();
    let network = small(&*before).await;
    let (container, living, _sandbox) = open(&*before, &network).await;
    let (_, lost, _) = open(&*before, &network).await;
    drop(before);
    let after = fresh();
    let endpoints = [(container.clone(), living.clone())];
    after
        .adopt(std::slice::from_ref(&network), &endpoints)
        .await
        .expect("adopt");
    after.ensure(&network).await.expect("ensure");
    let refused = open_wished(&*after, &network, living.address, None)
        .await
        .expect_err("must be refused");
    assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
    let _sandbox = open_wished(&*after, &network, lost.address, None).await.expect("open");
    after.release(&container, &living).await.expect("release");
    let _sandbox = open_wished(&*after, &network, living.address, None)
        .await
        .expect("open");
    after.remove(&network).await.expect("remove");
}

fn check_resolver(driver: &dyn NetworkDriver) {
    let text = driver.host_resolver_configuration();
    let mut servers = text.lines().filter_map(|line| line.strip_prefix("nameserver "));
    let usable = |server: &str| server.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback());
    assert!(servers.clone().count() > 0 && servers.all(usable), "{text}");
}

async fn small(driver: &dyn NetworkDriver) -> NetworkSettings {
    let network = driver.choose(&network_id(), None, Some(SMALL)).await.expect("choose");
    driver.ensure(&network).await.expect("ensure");
    network
}

fn request(network: &NetworkSettings) -> SandboxRequest {
    SandboxRequest {
        container: container_id(),
        endpoint: Some(EndpointRequest {
            network: network.clone(),
            address: None,
            mac_address: None,
        }),
    }
}

async fn open(driver: &dyn NetworkDriver, network: &NetworkSettings) -> (ContainerId, Endpoint, Sandbox) {
    let request = request(network);
    let container = request.container.clone();
    let sandbox = driver.open(request).await.expect("open");
    let endpoint = sandbox.endpoint.clone().expect("endpoint");
    (container, endpoint, sandbox)
}

async fn open_wished(
    driver: &dyn NetworkDriver,
    network: &NetworkSettings,
    address: IpAddr,
    mac_address: Option<&str>,
) -> Result<Sandbox, NetworkError> {
    let mut request = request(network);
    if let Some(endpoint) = &mut request.endpoint {
        endpoint.address = Some(address);
        endpoint.mac_address = mac_address.map(str::to_owned);
    }
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
}
