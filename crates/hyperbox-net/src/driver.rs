// SPDX-License-Identifier: MIT
//! The bridge driver: core's `NetworkDriver` by netlink.
//!
//! # Concurrency
//! Addresses are decided under a mutex, in memory; everything in the kernel happens on the worker's thread, one job at a time. All
//! threads live in the network namespace of the thread that called [`BridgeDriver::open`], and so do bridges, rules and sysctls.
//!
//! # Cancellation
//! A job whose caller went away is finished, and its result undone where it has one: an endpoint's addresses are given back and its
//! namespace closed, which makes the kernel destroy the links.
//!
//! # Crashes
//! Namespaces and their links die with the process unless a container holds them; bridges and rules are found again by
//! [`NetworkDriver::ensure`], addresses and leaked links by [`NetworkDriver::adopt`].

use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox, SandboxRequest,
};
use hyperbox_types::{ContainerId, ErrorKind};

use crate::bridge::{self, BridgeNetwork};
use crate::config::Config;
use crate::endpoint::{self, Place};
use crate::error::{failed, refused};
use crate::firewall::{Firewall, NetworkRules};
use crate::link_name;
use crate::membership::{Held, Memberships, Owner, Wished};
use crate::netlink::{Family, Socket};
use crate::open_sandbox::{self, OpenSandbox};
use crate::request::EndpointWish;
use crate::route;
use crate::sandboxes::owned;
use crate::selection;
use crate::spares::{self, Kind, Spares};
use crate::teardown::Teardown;
use crate::watch::{Restorer, Watch};
use crate::worker::{Kernel, Worker};

/// Bridge networks of one daemon.
#[derive(Debug)]
pub struct BridgeDriver {
    config: Arc<Config>,
    firewall: Arc<Firewall>,
    worker: Worker,
    teardown: Teardown,
    memberships: Memberships,
    spares: Spares,
    _watch: Watch,
}

impl BridgeDriver {
    /// Starts the driver's threads in the network namespace of the calling thread. Needs no runtime; blocks for less than a millisecond.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration that cannot work, else what the kernel says (`PermissionDenied` shows only when the
    /// first network is made).
    pub fn open(config: Config) -> Result<Self, NetworkError> {
        check(&config)?;
        let worker = start_worker(&config)?;
        let firewall = Firewall::open(&config.instance, config.system_bus.clone());
        let firewall = firewall.map_err(|source| failed(&config.instance, "open the firewall", source))?;
        Self::with(config, worker, firewall)
    }

    /// [`BridgeDriver::open`] with what others use, too.
    pub(crate) fn with(config: Config, worker: Worker, firewall: Arc<Firewall>) -> Result<Self, NetworkError> {
        let start = |operation: &'static str| {
            let instance = config.instance.clone();
            move |source| failed(&instance, operation, source)
        };
        let memberships = Memberships::default();
        let spares = Spares::new(memberships.clone(), Arc::clone(&firewall), &config);
        let restorer = Restorer {
            worker: worker.clone(),
            memberships: memberships.clone(),
            spares: spares.clone(),
            firewall: Arc::clone(&firewall),
        };
        Ok(Self {
            worker,
            teardown: Teardown::start().map_err(start("start the teardown thread"))?,
            _watch: Watch::start(restorer).map_err(start("watch the links"))?,
            spares,
            firewall,
            memberships,
            config: Arc::new(config),
        })
    }

    /// Takes the addresses of a request; spares that are in its way are destroyed.
    ///
    /// The second attempt is on the worker's thread: spares are made there, so each is on its shelf or somebody's, and none is made
    /// with the addresses that the last one gave back.
    async fn hold(
        &self,
        network: &BridgeNetwork,
        container: &ContainerId,
        wished: Wished,
    ) -> Result<Held, NetworkError> {
        let owner = Owner::Container(container.clone());
        let refused = match self.memberships.take(network, wished, owner.clone()) {
            Ok(held) => return Ok(held),
            Err(refused) => refused,
        };
        let can_be_in_the_way = matches!(refused.kind, ErrorKind::ResourceExhausted | ErrorKind::PermissionDenied);
        if !can_be_in_the_way || !self.spares.are_made(&network.settings.id) {
            return Err(refused);
        }
        let (spares, memberships, network) = (self.spares.clone(), self.memberships.clone(), network.clone());
        let name = network.settings.name.clone();
        let job = move |kernel: &mut Kernel| {
            loop {
                let refused = match memberships.take(&network, wished, owner.clone()) {
                    Ok(held) => return Ok(held),
                    Err(refused) => refused,
                };
                let in_the_way = spares.in_the_way(&network.settings.id, &wished, refused.kind);
                if in_the_way.is_empty() {
                    return Err(refused);
                }
                spares::destroy(kernel, in_the_way)?;
            }
        };
        self.worker.run(&name, job).await
    }
}

impl Drop for BridgeDriver {
    /// Whoever removes a bridge from here on means it: the thread that watches may be a moment behind, and must find nothing to restore.
    fn drop(&mut self) {
        self.memberships.end();
    }
}

#[async_trait]
impl NetworkDriver for BridgeDriver {
    fn name(&self) -> &'static str {
        "bridge"
    }

    /// Without a wish the bridge of the predefined network is the instance's default one, others are named after their network.
    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        let (config, others) = (Arc::clone(&self.config), others.to_vec());
        let name = wish.name.clone();
        let chosen = self
            .worker
            .run(&name, move |kernel| selection::choose(kernel, &config, wish, &others));
        chosen.await
    }

    async fn ensure(&self, settings: &NetworkSettings) -> Result<(), NetworkError> {
        let network = BridgeNetwork::parse(settings)?;
        self.memberships.know(&network);
        let (firewall, config) = (Arc::clone(&self.firewall), Arc::clone(&self.config));
        let ensured = self.worker.run(&settings.name, move |kernel| {
            network.ensure(kernel, &firewall)?;
            selection::settled(&config, network.link());
            Ok(())
        });
        ensured.await
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        let network = BridgeNetwork::parse(&request.endpoint.network)?;
        let wish = EndpointWish::parse(&network, &request.endpoint)?;
        let (container, names) = (request.container, request.names);
        let wished = Wished::of(&request.endpoint);
        if wish.is_usual(&request.endpoint) {
            let kind = Kind {
                network: request.endpoint.network,
                names,
                default_routes: wish.default_routes(),
            };
            if let Some(spare) = self.spares.take(&kind) {
                self.memberships.note_link(&kind.network.id, spare.host_link());
                let sandbox = spare.give_to(&Owner::Container(container));
                self.spares.refill(&kind.network.id, &self.worker);
                return Ok(sandbox);
            }
        }
        let held = self.hold(&network, &container, wished).await?;
        let firewall = Arc::clone(&self.firewall);
        let memberships = self.memberships.clone();
        let name = network.settings.name.clone();
        let opened = self.worker.run(&name, move |kernel| {
            let plan = wish.plan(&network, held.addresses);
            let open = OpenSandbox {
                network: &network,
                plan: &plan,
                given: held.addresses,
                names,
            };
            let sandbox = open_sandbox::open(kernel, &firewall, &open)?;
            memberships.note_link(&network.settings.id, &sandbox.endpoint.host_link);
            Ok((sandbox, held))
        });
        let (sandbox, held) = opened.await?;
        held.keep();
        self.spares.refill(&sandbox.endpoint.network, &self.worker);
        Ok(sandbox)
    }

    async fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let namespace = owned(namespace)?;
        let network = BridgeNetwork::parse(&request.network)?;
        let wish = EndpointWish::parse(&network, &request)?;
        let held = self.hold(&network, container, Wished::of(&request)).await?;
        let firewall = Arc::clone(&self.firewall);
        let name = network.settings.name.clone();
        let (memberships, teardown) = (self.memberships.clone(), self.teardown.clone());
        let attached = self.worker.run(&name, move |kernel| {
            let mut socket = kernel.routes_of(namespace.as_fd(), &network.settings.name)?;
            let plan = wish.plan(&network, held.addresses);
            let mut place = Place {
                namespace: namespace.as_fd(),
                route: &mut socket,
            };
            let host_link = endpoint::connect(kernel, &mut place, &network, &firewall, &plan)?;
            memberships.note_link(&network.settings.id, &host_link);
            let made = Made {
                teardown,
                link: Some(host_link.clone()),
            };
            Ok((plan.endpoint(&network, held.addresses, host_link), made, held))
        });
        let (endpoint, made, held) = attached.await?;
        made.keep();
        held.keep();
        Ok(endpoint)
    }

    async fn detach(
        &self,
        namespace: BorrowedFd<'_>,
        _container: &ContainerId,
        endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        let (namespace, link) = (owned(namespace)?, endpoint.link.clone());
        let (name, mac) = (endpoint.host_link.clone(), endpoint.mac_address.clone());
        let detached = self.worker.run(&endpoint.host_link, move |kernel| {
            let socket = kernel.inside(namespace.as_fd(), || Socket::open(Family::Route));
            let removed = socket.and_then(|mut socket| route::remove_if(&mut socket, &link, &mac));
            removed.map_err(|source| failed(&name, "remove the container's link", source))
        });
        detached.await
    }

    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        let owner = Owner::Container(container.clone());
        let held = self.memberships.release(endpoint, &owner);
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
        self.memberships.adopt(networks, endpoints);
        let rules = networks
            .iter()
            .filter_map(|network| NetworkRules::of(network).ok())
            .collect();
        let firewall = Arc::clone(&self.firewall);
        let bridges = networks.iter().map(|network| network.link.clone()).collect();
        let in_use = endpoints
            .iter()
            .map(|(_, endpoint)| endpoint.host_link.clone())
            .collect();
        let adopted = self.worker.run("all", move |kernel| {
            let adopted = firewall.adopt(rules);
            adopted.map_err(|source| failed("all", "set the nftables rules", source))?;
            bridge::remove_leaks(kernel, &bridges, &in_use)
        });
        adopted.await
    }

    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        self.memberships.forget(&network.id);
        let spares = self.spares.drain(&network.id);
        let (link, firewall) = (network.link.clone(), Arc::clone(&self.firewall));
        let removed = self.worker.run(&network.name, move |kernel| {
            // Their links go with their namespaces.
            drop(spares);
            bridge::remove(kernel, &link, &firewall)
        });
        removed.await
    }
}

/// A host link that goes unless it is kept: nobody took the endpoint, and its namespace lives on.
#[derive(Debug)]
struct Made {
    teardown: Teardown,
    link: Option<String>,
}

impl Made {
    fn keep(mut self) {
        self.link = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(link) = self.link.take() {
            self.teardown.remove_later(link);
        }
    }
}

/// Starts the thread that drivers and sandboxes share, in the network namespace of the calling thread.
pub(crate) fn start_worker(config: &Config) -> Result<Worker, NetworkError> {
    let start = |operation: &'static str| move |source| failed(&config.instance, operation, source);
    let mut kernel = Kernel::open(&config.instance).map_err(start("open netlink sockets"))?;
    kernel.big_packets = config.big_packets;
    Worker::start(kernel).map_err(start("start the network thread"))
}

pub(crate) fn check(config: &Config) -> Result<(), NetworkError> {
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
