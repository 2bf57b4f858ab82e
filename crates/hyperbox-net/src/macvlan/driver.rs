// SPDX-License-Identifier: MIT
//! The drivers `macvlan` and `ipvlan`: core's `NetworkDriver` by netlink.
//!
//! # Concurrency
//! Addresses are decided under a mutex, in memory; everything in the kernel happens on the worker's thread, one job at a time.
//!
//! # Cancellation
//! A job whose caller went away is finished and its result undone: addresses are given back, and the link goes with its namespace, or by
//! a job of its own where the namespace lives on.
//!
//! # Crashes
//! Containers' links die with their namespaces. Parents that were made for a network carry an alias; those without a network are
//! removed by [`NetworkDriver::adopt`].

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox, SandboxRequest,
};
use hyperbox_types::ContainerId;

use crate::config::Config;
use crate::driver as bridge_driver;
use crate::endpoint::Place;
use crate::error::failed;
use crate::macvlan::endpoint;
use crate::macvlan::mode::Kind;
use crate::macvlan::network::{self, Known, ParentNetwork};
use crate::macvlan::parent;
use crate::membership::{Held, Memberships, Owner, Wished};
use crate::request::EndpointWish;
use crate::sandboxes::owned;
use crate::worker::{Kernel, Worker};

/// Networks of links on a parent, of one kind.
#[derive(Debug)]
pub struct ParentDriver {
    kind: Kind,
    config: Arc<Config>,
    worker: Worker,
    memberships: Memberships,
    known: Arc<Mutex<Known>>,
    /// Marks parents that were made here.
    alias: String,
}

/// What a job of `attach` gives back, or undoes when nobody takes it.
#[derive(Debug)]
struct Made {
    worker: Worker,
    kind: Kind,
    link: Option<(OwnedFd, String, u32)>,
}

impl ParentDriver {
    /// Makes the driver `macvlan`, with a thread of its own in the network namespace of the calling thread. Blocks shortly.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration that cannot work, else what the kernel says.
    pub fn open_macvlan(config: Config) -> Result<Self, NetworkError> {
        bridge_driver::check(&config)?;
        let worker = bridge_driver::start_worker(&config)?;
        Ok(Self::macvlan(config, worker))
    }

    /// Makes the driver `ipvlan`; else as [`Self::open_macvlan`].
    ///
    /// # Errors
    /// As [`Self::open_macvlan`].
    pub fn open_ipvlan(config: Config) -> Result<Self, NetworkError> {
        bridge_driver::check(&config)?;
        let worker = bridge_driver::start_worker(&config)?;
        Ok(Self::ipvlan(config, worker))
    }

    /// Makes the driver `macvlan` on a thread that is shared.
    pub(crate) fn macvlan(config: Config, worker: Worker) -> Self {
        Self::new(Kind::Macvlan, config, worker)
    }

    /// Makes the driver `ipvlan` on a thread that is shared.
    pub(crate) fn ipvlan(config: Config, worker: Worker) -> Self {
        Self::new(Kind::Ipvlan, config, worker)
    }

    fn new(kind: Kind, config: Config, worker: Worker) -> Self {
        Self {
            alias: format!("hyperbox {} {}", kind.as_str(), config.instance),
            kind,
            config: Arc::new(config),
            worker,
            memberships: Memberships::default(),
            known: Arc::default(),
        }
    }

    /// Reads settings and remembers the network.
    fn know(&self, settings: &NetworkSettings) -> Result<ParentNetwork, NetworkError> {
        let network = ParentNetwork::parse(self.kind, &self.alias, settings)?;
        self.memberships.know(&network.base);
        let usage = (network.parent.name.clone(), network.mode);
        lock(&self.known).insert(settings.id.clone(), usage);
        Ok(network)
    }

    /// Checks a request and takes its addresses.
    fn prepare(
        &self,
        container: &ContainerId,
        request: &EndpointRequest,
    ) -> Result<(ParentNetwork, EndpointWish, Held), NetworkError> {
        let network = self.know(&request.network)?;
        let wish = EndpointWish::parse(&network.base, request)?;
        let owner = Owner::Container(container.clone());
        let held = self.memberships.take(&network.base, Wished::of(request), owner)?;
        Ok((network, wish, held))
    }

    /// Removes parents that were made here and that no network has, as it is when the job runs.
    async fn remove_unused_parents(&self, name: &str) -> Result<(), NetworkError> {
        let (known, alias) = (Arc::clone(&self.known), self.alias.clone());
        let for_message = name.to_owned();
        let removed = self.worker.run(name, move |kernel| {
            let needed = lock(&known).values().map(|(parent, _)| parent.clone()).collect();
            let removed = parent::remove_unused(&mut kernel.route, &alias, &needed);
            removed.map_err(|source| failed(&for_message, "remove the parent link", source))
        });
        removed.await
    }
}

#[async_trait]
impl NetworkDriver for ParentDriver {
    fn name(&self) -> &'static str {
        self.kind.as_str()
    }

    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        let (config, others, known) = (Arc::clone(&self.config), others.to_vec(), lock(&self.known).clone());
        let (kind, name) = (self.kind, wish.name.clone());
        let chosen = self.worker.run(&name, move |kernel| {
            network::choose(kernel, &config, (kind, &known), wish, &others)
        });
        chosen.await
    }

    async fn ensure(&self, settings: &NetworkSettings) -> Result<(), NetworkError> {
        let network = self.know(settings)?;
        let ensured = self
            .worker
            .run(&settings.name, move |kernel| network.parent.ensure(&mut kernel.route));
        ensured.await.map(|_| ())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        let (network, wish, held) = self.prepare(&request.container, &request.endpoint)?;
        let (name, names) = (request.endpoint.network.name, request.names);
        let opened = self.worker.run(&name, move |kernel| {
            let sandbox = open(kernel, &network, &wish, &held, names)?;
            Ok((sandbox, held))
        });
        let (sandbox, held) = opened.await?;
        held.keep();
        Ok(sandbox)
    }

    async fn attach(
        &self,
        namespace: BorrowedFd<'_>,
        container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let namespace = owned(namespace)?;
        let (network, wish, held) = self.prepare(container, &request)?;
        let mut made = Made {
            worker: self.worker.clone(),
            kind: self.kind,
            link: None,
        };
        let attached = self.worker.run(&request.network.name, move |kernel| {
            let mut socket = kernel.routes_of(namespace.as_fd(), &network.base.settings.name)?;
            let plan = endpoint::plan(&network, &wish, held.addresses);
            let mut place = Place {
                namespace: namespace.as_fd(),
                route: &mut socket,
            };
            let index = endpoint::connect(kernel, &mut place, &network, &plan)?;
            let endpoint = endpoint::describe(&network, &plan, held.addresses, index);
            made.link = Some((namespace, endpoint.link.clone(), index));
            Ok((endpoint, made, held))
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
        let Ok(index) = endpoint.driver_state.parse::<u32>() else {
            return Ok(());
        };
        let (namespace, kind, link) = (owned(namespace)?, self.kind, endpoint.link.clone());
        let detached = self.worker.run(&endpoint.link, move |kernel| {
            let removed = endpoint::disconnect(kernel, namespace.as_fd(), kind, (&link, index));
            removed.map_err(|source| failed(&link, "remove the container's link", source))
        });
        detached.await
    }

    /// The link goes with its namespace.
    async fn release(&self, container: &ContainerId, endpoint: &Endpoint) -> Result<(), NetworkError> {
        self.memberships.release(endpoint, &Owner::Container(container.clone()));
        Ok(())
    }

    async fn adopt(
        &self,
        networks: &[NetworkSettings],
        endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        let bases: Vec<NetworkSettings> = networks.iter().map(network::base).collect();
        self.memberships.adopt(&bases, endpoints);
        for settings in networks {
            if let Err(error) = self.know(settings) {
                tracing::warn!(network = %settings.id, %error, "cannot adopt a network");
            }
        }
        self.remove_unused_parents("all").await
    }

    async fn remove(&self, network: &NetworkSettings) -> Result<(), NetworkError> {
        self.memberships.forget(&network.id);
        lock(&self.known).remove(&network.id);
        self.remove_unused_parents(&network.name).await
    }
}

fn open(
    kernel: &mut Kernel,
    network: &ParentNetwork,
    wish: &EndpointWish,
    held: &Held,
    names: bool,
) -> Result<Sandbox, NetworkError> {
    let name = &network.base.settings.name;
    let mut prepared = kernel.take_namespace(name)?;
    let plan = endpoint::plan(network, wish, held.addresses);
    let mut place = Place {
        namespace: prepared.namespace.as_fd(),
        route: &mut prepared.route,
    };
    let index = endpoint::connect(kernel, &mut place, network, &plan)?;
    let names = kernel.names_in(prepared.namespace.as_fd(), name, names)?;
    Ok(Sandbox {
        namespace: prepared.namespace,
        endpoint: endpoint::describe(network, &plan, held.addresses, index),
        names,
    })
}

impl Made {
    fn keep(mut self) {
        self.link = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let Some((namespace, name, index)) = self.link.take() else {
            return;
        };
        let kind = self.kind;
        self.worker.post(move |kernel| {
            if let Err(error) = endpoint::disconnect(kernel, namespace.as_fd(), kind, (&name, index)) {
                tracing::warn!(link = %name, %error, "cannot remove the link of an endpoint nobody took");
            }
        });
    }
}

/// Every change is one call of a map, so a panic elsewhere leaves it whole.
fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}
