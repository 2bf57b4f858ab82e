// SPDX-License-Identifier: MIT
//! The bridge driver: core's `NetworkDriver` by netlink.
//!
//! # Concurrency
//! Addresses are decided under a mutex, in memory; everything in the kernel happens on the worker's thread, one job at a time. All
//! threads live in the network namespace of the thread that called [`BridgeDriver::open`], and so do bridges, rules and sysctls.
//!
//! # Cancellation
//! A job whose caller went away is finished, and its result undone where it has one: an endpoint's address is given back and its
//! namespace closed, which makes the kernel destroy the links.
//!
//! # Crashes
//! Namespaces and their links die with the process unless a container holds them; bridges and rules are found again by
//! [`NetworkDriver::ensure`], addresses and leaked links by [`NetworkDriver::adopt`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, Sandbox, SandboxRequest,
};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};

use crate::allocation::{Allocator, NoAddress};
use crate::bridge::{self, BridgeNetwork, Rules, ipv4};
use crate::choice::{Machine, NoSubnet};
use crate::config::{Config, Pool};
use crate::error::{failed, refused};
use crate::firewall::{Bridge, Table};
use crate::link_name;
use crate::mac_address::MacAddress;
use crate::reservation::Reservations;
use crate::resolver;
use crate::route;
use crate::subnet::Subnet;
use crate::teardown::Teardown;
use crate::worker::{Kernel, Worker};

/// Bridge networks of one daemon.
#[derive(Debug)]
pub struct BridgeDriver {
    config: Config,
    table: Table,
    worker: Worker,
    teardown: Teardown,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Bridges whose rules are to be there.
    bridges: BTreeMap<NetworkId, Bridge>,
    addresses: BTreeMap<NetworkId, Allocator<ContainerId>>,
}

impl BridgeDriver {
    /// Starts the driver's threads in the network namespace of the calling thread. Needs no runtime; blocks for less than a millisecond.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration that cannot work, else what the kernel says (`PermissionDenied` shows only when the
    /// first network is made).
    pub fn open(config: Config) -> Result<Self, NetworkError> {
        check(&config)?;
        let start = |operation: &'static str| {
            let instance = config.instance.clone();
            move |source| failed(&instance, operation, source)
        };
        let kernel = Kernel::open().map_err(start("open netlink sockets"))?;
        Ok(Self {
            worker: Worker::start(kernel).map_err(start("start the network thread"))?,
            teardown: Teardown::start().map_err(start("start the teardown thread"))?,
            table: Table::new(link_name::table(&config.instance)),
            state: Arc::default(),
            config,
        })
    }

    fn rules(&self) -> Rules {
        Rules {
            table: self.table.clone(),
            bridges: lock(&self.state).bridges.values().cloned().collect(),
        }
    }

    async fn open_endpoint(&self, container: ContainerId, wish: EndpointRequest) -> Result<Sandbox, NetworkError> {
        let network = BridgeNetwork::parse(&wish.network)?;
        let name = network.bridge.name.clone();
        let mac = wish.mac_address.as_deref().map(str::parse).transpose();
        let mac: Option<MacAddress> =
            mac.map_err(|error| refused(&name, ErrorKind::InvalidArgument, format!("{error}")))?;
        let wished = wish.address.map(|address| ipv4(&name, address)).transpose()?;
        let held = HeldAddress::take(&self.state, &wish.network.id, &network, wished, &container)?;
        let mac = mac.unwrap_or_else(|| MacAddress::of(held.address));
        let rules = self.rules();
        let opened = self.worker.run(&name, move |kernel| {
            let taken = kernel.namespaces.take();
            let mut prepared =
                taken.map_err(|source| failed(&network.bridge.name, "make a network namespace", source))?;
            let host_link = network.attach(kernel, &mut prepared, &container, (held.address, mac), &rules)?;
            let endpoint = Endpoint {
                network: wish.network.id,
                address: held.address.into(),
                prefix_length: network.subnet.prefix_length(),
                gateway: network.gateway.into(),
                mac_address: mac.to_string(),
                host_link,
            };
            let sandbox = Sandbox {
                namespace: prepared.namespace,
                endpoint: Some(endpoint),
            };
            Ok((sandbox, held))
        });
        let (sandbox, held) = opened.await?;
        held.keep();
        Ok(sandbox)
    }
}

#[async_trait]
impl NetworkDriver for BridgeDriver {
    /// Without a wish the bridge is the instance's default one; other networks must wish for a name of their own.
    async fn choose(
        &self,
        id: &NetworkId,
        wished_bridge: Option<&str>,
        wished_subnet: Option<&str>,
    ) -> Result<NetworkSettings, NetworkError> {
        let default = link_name::default_bridge(&self.config.instance);
        let bridge = wished_bridge.unwrap_or(&default).to_owned();
        let invalid = |message: String| refused(&bridge, ErrorKind::InvalidArgument, message);
        if !link_name::is_bridge(&bridge) {
            return Err(invalid("the bridge's name is not valid for a link".to_owned()));
        }
        let subnet = wished_subnet.map(str::parse::<Subnet>).transpose();
        let subnet = subnet.map_err(|error| invalid(error.to_string()))?;
        let may_exist = bridge == default;
        let (pools, run_dir, name) = (
            self.config.default_pools.clone(),
            self.config.run_dir.clone(),
            bridge.clone(),
        );
        let chosen = self.worker.run(&bridge, move |kernel| {
            choose(kernel, &run_dir, &pools, (&name, may_exist), subnet)
        });
        let (subnet, gateway) = chosen.await?;
        Ok(NetworkSettings {
            id: id.clone(),
            bridge,
            subnet: subnet.to_string(),
            gateway: gateway.into(),
            mtu: self.config.mtu,
            masquerade: true,
        })
    }

    async fn ensure(&self, settings: &NetworkSettings) -> Result<(), NetworkError> {
        let network = BridgeNetwork::parse(settings)?;
        lock(&self.state)
            .bridges
            .insert(settings.id.clone(), network.bridge.clone());
        let rules = self.rules();
        let ensured = self
            .worker
            .run(&settings.bridge, move |kernel| network.ensure(kernel, &rules));
        ensured.await.map(|_| ())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        if let Some(wish) = request.endpoint {
            return self.open_endpoint(request.container, wish).await;
        }
        let taken = self.worker.run("none", |kernel| {
            let prepared = kernel.namespaces.take();
            prepared.map_err(|source| failed("none", "make a network namespace", source))
        });
        Ok(Sandbox {
            namespace: taken.await?.namespace,
            endpoint: None,
        })
    }

    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        let held = match (endpoint.address, lock(&self.state).addresses.get_mut(&endpoint.network)) {
            (IpAddr::V4(address), Some(addresses)) => addresses.give_back(address, container),
            _ => false,
        };
        // The name comes from a record: only what can be ours is removed.
        if held && link_name::is_host_link(&endpoint.host_link) {
            self.teardown.remove_later(endpoint.host_link.clone());
        }
        Ok(())
    }

    /// Must be called before the first endpoint is opened: it would take one that is not listed for a leak.
    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        *lock(&self.state) = adopted(networks, endpoints);
        let bridges = networks.iter().map(|network| network.bridge.clone()).collect();
        let in_use = endpoints
            .iter()
            .map(|(_, endpoint)| endpoint.host_link.clone())
            .collect();
        let removed = self
            .worker
            .run("all", move |kernel| bridge::remove_leaks(kernel, &bridges, &in_use));
        removed.await
    }

    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        {
            let mut state = lock(&self.state);
            state.bridges.remove(&network.id);
            state.addresses.remove(&network.id);
        }
        let (name, table) = (network.bridge.clone(), self.table.clone());
        let removed = self
            .worker
            .run(&network.bridge, move |kernel| bridge::remove(kernel, &name, &table));
        removed.await
    }

    fn host_resolver_configuration(&self) -> String {
        resolver::for_containers()
    }
}

/// An address that goes back unless it is kept.
#[derive(Debug)]
struct HeldAddress {
    state: Arc<Mutex<State>>,
    network: NetworkId,
    container: ContainerId,
    address: Ipv4Addr,
    kept: bool,
}

impl HeldAddress {
    fn take(
        state: &Arc<Mutex<State>>,
        id: &NetworkId,
        network: &BridgeNetwork,
        wished: Option<Ipv4Addr>,
        container: &ContainerId,
    ) -> Result<Self, NetworkError> {
        let mut guard = lock(state);
        guard
            .bridges
            .entry(id.clone())
            .or_insert_with(|| network.bridge.clone());
        let new = || Allocator::new(network.subnet, network.gateway);
        let addresses = guard.addresses.entry(id.clone()).or_insert_with(new);
        if addresses.subnet() != network.subnet && addresses.is_unused() {
            *addresses = new();
        }
        let taken = addresses.take(wished, container.clone());
        let address = taken.map_err(|error| {
            let kind = match error {
                NoAddress::Exhausted { .. } => ErrorKind::ResourceExhausted,
                NoAddress::InUse { .. } => ErrorKind::Conflict,
                NoAddress::Unusable { .. } => ErrorKind::InvalidArgument,
            };
            refused(&network.bridge.name, kind, error.to_string())
        })?;
        Ok(Self {
            state: Arc::clone(state),
            network: id.clone(),
            container: container.clone(),
            address,
            kept: false,
        })
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for HeldAddress {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Some(addresses) = lock(&self.state).addresses.get_mut(&self.network) {
            addresses.give_back(self.address, &self.container);
        }
    }
}

fn check(config: &Config) -> Result<(), NetworkError> {
    let invalid = |message: &str| Err(refused(&config.instance, ErrorKind::InvalidArgument, message));
    if !link_name::is_instance(&config.instance) {
        return invalid("the instance's name must be lower-case letters, digits and dashes");
    }
    // RFC 791 asks for 68 bytes; veth takes no more than 65535.
    if !(68..=65535).contains(&config.mtu) {
        return invalid("the MTU must be from 68 to 65535");
    }
    Ok(())
}

fn choose(
    kernel: &mut Kernel,
    run_dir: &Path,
    pools: &[Pool],
    (bridge, may_exist): (&str, bool),
    wished: Option<Subnet>,
) -> Result<(Subnet, Ipv4Addr), NetworkError> {
    let error = |operation: &'static str| move |source| failed(bridge, operation, source);
    let own = route::find(&mut kernel.route, bridge).map_err(error("look for the bridge"))?;
    if own.as_ref().is_some_and(|link| !may_exist || !link.is_bridge()) {
        return Err(refused(
            bridge,
            ErrorKind::Conflict,
            "a link of that name exists already",
        ));
    }
    let note = "note the choice in the run directory";
    let reservations = Reservations::lock(run_dir).map_err(error(note))?;
    let machine = Machine {
        addresses: route::addresses(&mut kernel.route).map_err(error("list the addresses"))?,
        routes: route::routes(&mut kernel.route).map_err(error("list the routes"))?,
        resolvers: resolver::host_servers(),
        reserved: reservations.of_others(bridge),
    };
    let chosen = machine.choose(pools, wished, own.map(|link| link.index));
    let (subnet, gateway) = chosen.map_err(|error| {
        let kind = match error {
            NoSubnet::Used { .. } => ErrorKind::Conflict,
            NoSubnet::Size { .. } | NoSubnet::Special { .. } => ErrorKind::InvalidArgument,
            NoSubnet::Exhausted => ErrorKind::ResourceExhausted,
        };
        refused(bridge, kind, error.to_string())
    })?;
    reservations.note(bridge, subnet).map_err(error(note))?;
    Ok((subnet, gateway))
}

/// The state after a restart. A record that makes no sense is left out: its container runs, but its address is not protected.
fn adopted(networks: &[NetworkSettings], endpoints: &[(ContainerId, Endpoint)]) -> State {
    let mut state = State::default();
    for settings in networks {
        match BridgeNetwork::parse(settings) {
            Ok(network) => {
                let addresses = Allocator::new(network.subnet, network.gateway);
                state.addresses.insert(settings.id.clone(), addresses);
                state.bridges.insert(settings.id.clone(), network.bridge);
            }
            Err(error) => tracing::warn!(network = %settings.id, %error, "cannot adopt a network"),
        }
    }
    for (container, endpoint) in endpoints {
        let addresses = state.addresses.get_mut(&endpoint.network);
        let taken = ipv4(&endpoint.host_link, endpoint.address)
            .ok()
            .zip(addresses)
            .map(|(address, addresses)| addresses.take(Some(address), container.clone()));
        if !matches!(taken, Some(Ok(_))) {
            tracing::warn!(%container, address = %endpoint.address, "cannot adopt an endpoint's address");
        }
    }
    state
}

/// No code panics while it holds the lock; if it did, each entry is still whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
