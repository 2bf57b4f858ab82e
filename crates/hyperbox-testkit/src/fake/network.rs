// SPDX-License-Identifier: MIT
//! A network driver that hands out addresses and touches no kernel network.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{
    AddressPool, Endpoint, EndpointRequest, NameSockets, NetworkDriver, NetworkError, NetworkSettings, NetworkWish,
    PoolWish, Sandbox, SandboxRequest,
};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::fault::{Faults, lock};

/// A [`NetworkDriver`] whose sandboxes are this process's own namespace.
#[derive(Debug, Clone)]
pub struct FakeNetwork {
    name: &'static str,
    state: Arc<Mutex<State>>,
    faults: Faults<NetworkError>,
}

#[derive(Debug, Default)]
struct State {
    chosen: u8,
    networks: BTreeSet<NetworkId>,
    used: BTreeMap<(NetworkId, IpAddr), ContainerId>,
    links: BTreeSet<(NetworkId, ContainerId)>,
}

impl Default for FakeNetwork {
    fn default() -> Self {
        Self::named("bridge")
    }
}

impl FakeNetwork {
    /// Makes a driver `bridge` without networks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a driver of that name. Those named `host` and `null` give no addresses.
    pub fn named(name: &'static str) -> Self {
        Self {
            name,
            state: Arc::default(),
            faults: Faults::default(),
        }
    }

    /// Makes the next endpoint fail as if all addresses were taken.
    pub fn fail_next_open(&self) {
        self.faults
            .push(failure("any", "no free address", ErrorKind::ResourceExhausted));
    }

    /// Returns the addresses in use, with their containers.
    pub fn endpoints(&self) -> Vec<(IpAddr, ContainerId)> {
        let state = lock(&self.state);
        let used = state.used.iter();
        used.map(|((_, address), container)| (*address, container.clone()))
            .collect()
    }

    /// Returns the networks whose links exist.
    pub fn bridges(&self) -> Vec<NetworkId> {
        lock(&self.state).networks.iter().cloned().collect()
    }

    /// Returns which containers have a link in which network.
    pub fn links(&self) -> Vec<(NetworkId, ContainerId)> {
        lock(&self.state).links.iter().cloned().collect()
    }

    fn has_addresses(&self) -> bool {
        !matches!(self.name, "host" | "null")
    }

    fn connect(&self, container: &ContainerId, wish: &EndpointRequest) -> Result<Endpoint, NetworkError> {
        self.faults.check()?;
        let network = &wish.network;
        let mut state = lock(&self.state);
        let wished = [wish.ipv4.map(IpAddr::V4), wish.ipv6.map(IpAddr::V6)];
        let mut taken = Vec::new();
        for pool in &network.pools {
            let wish = wished.iter().flatten().find(|address| pool.subnet.contains(*address));
            let address = free(&state, network, pool, wish.copied())?;
            taken.push((address, pool));
        }
        for (address, _) in &taken {
            let key = (network.id.clone(), *address);
            state.used.insert(key, container.clone());
        }
        state.links.insert((network.id.clone(), container.clone()));
        Ok(endpoint(wish, &taken, container))
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

fn free(
    state: &State,
    network: &NetworkSettings,
    pool: &AddressPool,
    wish: Option<IpAddr>,
) -> Result<IpAddr, NetworkError> {
    let taken = |address: &IpAddr| {
        let key = (network.id.clone(), *address);
        Some(*address) == pool.gateway
            || pool.reserved.values().any(|reserved| reserved == address)
            || state.used.contains_key(&key)
    };
    match wish {
        Some(address) if taken(&address) => Err(failure(&network.name, "Address already in use", ErrorKind::Conflict)),
        Some(address) => Ok(address),
        None => {
            let hosts = pool.range.unwrap_or(pool.subnet).hosts();
            let mut usable = hosts.filter(|address| !is_network_address(&pool.subnet, *address));
            let found = usable.find(|address| !taken(address));
            found.ok_or_else(|| failure(&network.name, "no free address", ErrorKind::ResourceExhausted))
        }
    }
}

/// Subnets of both families begin with an address that no container gets.
fn is_network_address(subnet: &IpNet, address: IpAddr) -> bool {
    subnet.network() == address
}

fn pool(wish: &PoolWish, default: &str) -> Result<AddressPool, NetworkError> {
    let invalid = |_| failure("any", "invalid subnet", ErrorKind::InvalidArgument);
    let subnet = wish.subnet.map_or_else(|| default.parse().map_err(invalid), Ok)?;
    let mut hosts = subnet.hosts().filter(|address| !is_network_address(&subnet, *address));
    Ok(AddressPool {
        subnet,
        range: wish.range,
        gateway: wish.gateway.or_else(|| hosts.next()),
        reserved: wish.reserved.clone(),
    })
}

#[async_trait]
impl NetworkDriver for FakeNetwork {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        tokio::task::yield_now().await;
        let mut state = lock(&self.state);
        state.chosen = state.chosen.wrapping_add(1);
        let mut pools = Vec::new();
        if self.has_addresses() {
            let of_family = |ipv6: bool| {
                let mut wishes = wish.pools.iter();
                let of = |pool: &PoolWish| pool.subnet.map(|subnet| matches!(subnet, IpNet::V6(_)));
                wishes.find(|pool| of(pool).unwrap_or(false) == ipv6).cloned()
            };
            if wish.ipv4 {
                let default = format!("172.30.{}.0/24", state.chosen);
                pools.push(pool(&of_family(false).unwrap_or_default(), &default)?);
            }
            if wish.ipv6 {
                let default = format!("fd00:{:x}::/64", state.chosen);
                pools.push(pool(&of_family(true).unwrap_or_default(), &default)?);
            }
        }
        let mut theirs = others.iter().flat_map(|network| &network.pools);
        let overlaps = |one: &IpNet, other: &IpNet| one.contains(other) || other.contains(one);
        if theirs.any(|their| pools.iter().any(|own| overlaps(&own.subnet, &their.subnet))) {
            let message = "invalid pool request: Pool overlaps with other one on this address space";
            return Err(failure(&wish.name, message, ErrorKind::PermissionDenied));
        }
        let link = wish.options.get("com.docker.network.bridge.name");
        Ok(NetworkSettings {
            link: link.map_or_else(|| format!("br-{}", &wish.id.as_str()[..12]), Clone::clone),
            id: wish.id,
            name: wish.name,
            pools,
            mtu: 1500,
            internal: wish.internal,
            options: wish.options,
        })
    }

    async fn ensure(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        lock(&self.state).networks.insert(network.id.clone());
        Ok(())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        tokio::task::yield_now().await;
        let namespace = own_namespace()?;
        let names = request.names.then(name_sockets).transpose()?;
        Ok(Sandbox {
            namespace,
            endpoint: self.connect(&request.container, &request.endpoint)?,
            names,
        })
    }

    async fn attach(
        &self,
        _namespace: BorrowedFd<'_>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        tokio::task::yield_now().await;
        self.connect(container, &request)
    }

    async fn detach(
        &self,
        _namespace: BorrowedFd<'_>,
        container: &ContainerId,
        endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        let link = (endpoint.network.clone(), container.clone());
        lock(&self.state).links.remove(&link);
        Ok(())
    }

    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        let mut state = lock(&self.state);
        state.links.remove(&(endpoint.network.clone(), container.clone()));
        for address in endpoint.addresses() {
            let key = (endpoint.network.clone(), address);
            if state.used.get(&key) == Some(container) {
                state.used.remove(&key);
            }
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
        let links = endpoints.iter();
        state.links = links
            .map(|(container, endpoint)| (endpoint.network.clone(), container.clone()))
            .collect();
        state.used.clear();
        for (container, endpoint) in endpoints {
            for address in endpoint.addresses() {
                let key = (endpoint.network.clone(), address);
                state.used.insert(key, container.clone());
            }
        }
        Ok(())
    }

    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        lock(&self.state).networks.remove(&network.id);
        Ok(())
    }
}

/// Opens the namespace of this process.
pub(super) fn own_namespace() -> Result<OwnedFd, NetworkError> {
    let open = || File::open("/proc/self/ns/net").or_else(|_| File::open("/dev/null"));
    open().map(OwnedFd::from).map_err(|source| NetworkError {
        source: Some(source),
        ..failure("none", "cannot open the namespace", ErrorKind::Internal)
    })
}

/// Opens sockets on ports of the kernel's choice.
pub(super) fn name_sockets() -> Result<NameSockets, NetworkError> {
    let failed = |source| NetworkError {
        source: Some(source),
        ..failure("none", "cannot open sockets", ErrorKind::Internal)
    };
    let address = (Ipv4Addr::LOCALHOST, 0);
    Ok(NameSockets {
        datagrams: UdpSocket::bind(address).map_err(failed)?,
        connections: TcpListener::bind(address).map_err(failed)?,
    })
}

fn endpoint(wish: &EndpointRequest, taken: &[(IpAddr, &AddressPool)], container: &ContainerId) -> Endpoint {
    let network = &wish.network;
    let mut made = Endpoint {
        network: network.id.clone(),
        ipv4: None,
        ipv6: None,
        gateway_ipv4: None,
        gateway_ipv6: None,
        mac_address: wish.mac_address.clone().unwrap_or_default(),
        link: wish.link.clone(),
        host_link: String::new(),
        driver_state: String::new(),
    };
    for (address, pool) in taken {
        let gateway = pool.gateway.filter(|_| !network.internal);
        match (address, gateway) {
            (IpAddr::V4(address), gateway) => {
                made.ipv4 = Ipv4Net::new(*address, pool.subnet.prefix_len()).ok();
                made.gateway_ipv4 = gateway.and_then(|gateway| match gateway {
                    IpAddr::V4(gateway) => Some(gateway),
                    IpAddr::V6(_) => None,
                });
                let [a, b, c, d] = address.octets();
                if made.mac_address.is_empty() {
                    made.mac_address = format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
                }
            }
            (IpAddr::V6(address), gateway) => {
                made.ipv6 = Ipv6Net::new(*address, pool.subnet.prefix_len()).ok();
                made.gateway_ipv6 = gateway.and_then(|gateway| match gateway {
                    IpAddr::V6(gateway) => Some(gateway),
                    IpAddr::V4(_) => None,
                });
            }
        }
    }
    if !taken.is_empty() {
        made.host_link = format!("veth{}{}", &container.as_str()[..5], &network.id.as_str()[..5]);
    }
    made
}
