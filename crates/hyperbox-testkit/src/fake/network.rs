// SPDX-License-Identifier: MIT
//! A network driver that hands out addresses and touches no kernel network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{Endpoint, NetworkDriver, NetworkError, NetworkSettings, Sandbox, SandboxRequest};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};

use super::fault::{Faults, lock};

/// A [`NetworkDriver`] whose sandboxes are this process's own namespace.
#[derive(Debug, Clone, Default)]
pub struct FakeNetwork {
    state: Arc<Mutex<State>>,
    faults: Faults<NetworkError>,
}

#[derive(Debug, Default)]
struct State {
    chosen: u8,
    networks: BTreeSet<NetworkId>,
    used: BTreeMap<(NetworkId, IpAddr), ContainerId>,
}

impl FakeNetwork {
    /// Makes a driver without networks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next [`NetworkDriver::open`] fail as if all addresses were taken.
    pub fn fail_next_open(&self) {
        self.faults
            .push(failure("any", "no free address", ErrorKind::ResourceExhausted));
    }

    /// Returns the endpoints in use: containers by address.
    pub fn endpoints(&self) -> Vec<(IpAddr, ContainerId)> {
        let state = lock(&self.state);
        let used = state.used.iter();
        used.map(|((_, address), container)| (*address, container.clone()))
            .collect()
    }

    /// Returns the networks whose bridges exist.
    pub fn bridges(&self) -> Vec<NetworkId> {
        lock(&self.state).networks.iter().cloned().collect()
    }
}

fn failure(network: &str, message: &str, kind: ErrorKind) -> NetworkError {
    NetworkError {
        network: network.to_owned(),
        message: message.to_owned(),
        kind,
        source: None,
    }
}

/// The addresses of a `/16` or smaller subnet that containers may have, the gateway (`.1`) left out.
fn candidates(network: &NetworkSettings) -> Result<Vec<Ipv4Addr>, NetworkError> {
    let invalid = || failure(&network.bridge, "invalid subnet", ErrorKind::InvalidArgument);
    let (base, length) = network.subnet.split_once('/').ok_or_else(invalid)?;
    let base: Ipv4Addr = base.parse().map_err(|_| invalid())?;
    let length: u32 = length.parse().map_err(|_| invalid())?;
    let count = 32_u32
        .checked_sub(length)
        .filter(|bits| *bits <= 16)
        .ok_or_else(invalid)?;
    let first = u32::from(base);
    Ok((2..(1_u32 << count).saturating_sub(1))
        .map(|host| Ipv4Addr::from(first + host))
        .collect())
}

#[async_trait]
impl NetworkDriver for FakeNetwork {
    async fn choose(
        &self,
        id: &NetworkId,
        wished_bridge: Option<&str>,
        wished_subnet: Option<&str>,
    ) -> Result<NetworkSettings, NetworkError> {
        tokio::task::yield_now().await;
        let mut state = lock(&self.state);
        state.chosen = state.chosen.wrapping_add(1);
        let subnet = wished_subnet.map_or_else(|| format!("172.30.{}.0/24", state.chosen), str::to_owned);
        let mut settings = NetworkSettings {
            id: id.clone(),
            bridge: wished_bridge.map_or_else(|| format!("br-{}", &id.as_str()[..12]), str::to_owned),
            subnet,
            gateway: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            mtu: 1500,
            masquerade: true,
        };
        let second = candidates(&settings)?.first().copied();
        let first = second.map_or(0, u32::from).saturating_sub(1);
        settings.gateway = IpAddr::V4(Ipv4Addr::from(first));
        Ok(settings)
    }

    async fn ensure(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        lock(&self.state).networks.insert(network.id.clone());
        Ok(())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        tokio::task::yield_now().await;
        self.faults.check()?;
        let open = || File::open("/proc/self/ns/net").or_else(|_| File::open("/dev/null"));
        let namespace = open().map_err(|source| NetworkError {
            source: Some(source),
            ..failure("none", "cannot open the namespace", ErrorKind::Internal)
        })?;
        let endpoint = match request.endpoint {
            None => None,
            Some(wish) => {
                let free = candidates(&wish.network)?;
                let mut state = lock(&self.state);
                let taken = |address: &IpAddr| state.used.contains_key(&(wish.network.id.clone(), *address));
                let address = match wish.address {
                    Some(address) if taken(&address) => {
                        return Err(failure(&wish.network.bridge, "address in use", ErrorKind::Conflict));
                    }
                    Some(address) => Some(address),
                    None => free.into_iter().map(IpAddr::V4).find(|address| !taken(address)),
                };
                let address = address
                    .ok_or_else(|| failure(&wish.network.bridge, "no free address", ErrorKind::ResourceExhausted))?;
                state
                    .used
                    .insert((wish.network.id.clone(), address), request.container.clone());
                Some(endpoint(&wish.network, address, wish.mac_address, &request.container))
            }
        };
        Ok(Sandbox {
            namespace: namespace.into(),
            endpoint,
        })
    }

    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        let key = (endpoint.network.clone(), endpoint.address);
        let mut state = lock(&self.state);
        if state.used.get(&key) == Some(container) {
            state.used.remove(&key);
        }
        Ok(())
    }

    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        let mut state = lock(&self.state);
        state.networks = networks.iter().map(|network| network.id.clone()).collect();
        let used = endpoints.iter();
        state.used = used
            .map(|(container, endpoint)| ((endpoint.network.clone(), endpoint.address), container.clone()))
            .collect();
        Ok(())
    }

    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        lock(&self.state).networks.remove(&network.id);
        Ok(())
    }

    fn host_resolver_configuration(&self) -> String {
        "nameserver 192.0.2.53\n".to_owned()
    }
}

fn endpoint(network: &NetworkSettings, address: IpAddr, mac: Option<String>, container: &ContainerId) -> Endpoint {
    let octets = match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    let [a, b, c, d] = octets;
    Endpoint {
        network: network.id.clone(),
        address,
        prefix_length: network
            .subnet
            .rsplit('/')
            .next()
            .and_then(|length| length.parse().ok())
            .unwrap_or(24),
        gateway: network.gateway,
        mac_address: mac.unwrap_or_else(|| format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")),
        host_link: format!("veth{}", &container.as_str()[..8]),
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_core::seam::EndpointRequest;

    use super::*;
    use crate::{container_id, network_id};

    #[tokio::test]
    async fn addresses_are_given_once_and_come_back() {
        let driver = FakeNetwork::new();
        let network = driver.choose(&network_id(), None, Some("10.0.0.0/30")).await.unwrap();
        assert_eq!(network.gateway.to_string(), "10.0.0.1");
        let request = |container: ContainerId| SandboxRequest {
            container,
            endpoint: Some(EndpointRequest {
                network: network.clone(),
                address: None,
                mac_address: None,
            }),
        };
        let one = container_id();
        let endpoint = driver.open(request(one.clone())).await.unwrap().endpoint.unwrap();
        assert_eq!(endpoint.address.to_string(), "10.0.0.2");
        assert!(driver.open(request(container_id())).await.is_err());
        driver.release(&container_id(), &endpoint).await.unwrap();
        assert_eq!(driver.endpoints().len(), 1);
        driver.release(&one, &endpoint).await.unwrap();
        driver.open(request(container_id())).await.unwrap();
    }
}
