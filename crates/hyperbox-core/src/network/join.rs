// SPDX-License-Identifier: MIT
//! Joining at the start of a container: namespace, endpoints, published ports, names; and leaving at its end.
//!
//! Whatever fails, everything that was made before it is given back. A daemon that dies half-way leaves a namespace that goes with its
//! last descriptor; addresses, ports and names live in memory; host links are found by the next daemon's `adopt`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use hyperbox_types::{ContainerId, ErrorKind};
use tracing::warn;

use super::attached::Busy;
use super::plan::{self, Planned};
use super::{NetworkRecord, Networks, failure};
use crate::container::{ContainerSpec, NetworkMode};
use crate::seam::{
    Announcement, Endpoint, EndpointRequest, NameServer, NameSockets, PublishRequest, PublishedPort, ResolverSettings,
    SandboxRequest,
};
use crate::{Result, ServiceError, failpoint};

/// Who joins, and what it wishes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JoinRequest<'a> {
    pub container: &'a ContainerId,
    pub name: &'a str,
    pub hostname: &'a str,
    pub spec: &'a ContainerSpec,
}

/// How a container was put into its networks.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub namespace: Option<OwnedFd>,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<PublishedPort>,
    /// Whether its names are answered by the engine.
    pub names: bool,
}

impl Networks {
    /// Puts a container into its networks.
    pub(crate) async fn join(&self, request: JoinRequest<'_>) -> Result<Joined> {
        let networks = self.records_of(request.spec)?;
        let planned = plan::endpoints(request.spec, &networks);
        let mut joined = Joined::default();
        let result = self.join_planned(&request, planned, &mut joined).await;
        if let Err(error) = result {
            let endpoints = std::mem::take(&mut joined.endpoints);
            self.release(request.container, &endpoints).await;
            return Err(error.in_context("failed to set up container networking"));
        }
        for endpoint in &joined.endpoints {
            self.tell("connect", request.container, endpoint);
        }
        Ok(joined)
    }

    async fn join_planned(&self, request: &JoinRequest<'_>, planned: Vec<Planned>, joined: &mut Joined) -> Result<()> {
        let wants_names = planned.iter().any(|endpoint| endpoint.network.has_names());
        let mut sockets = None;
        for endpoint in planned {
            let network = Arc::clone(&endpoint.network);
            self.ensure(&network).await?;
            self.enter(&network, request.container, request.name)?;
            let made = self.make(request, endpoint, wants_names, joined, &mut sockets).await;
            match made {
                Ok(endpoint) => joined.endpoints.push(endpoint),
                Err(error) => {
                    self.inner.attached.leave(&network.id, request.container);
                    return Err(error);
                }
            }
        }
        if joined.namespace.is_none() && !is_foreign(&request.spec.network) {
            let opened = self.inner.with.sandboxes.open().await;
            joined.namespace = Some(opened.map_err(failure)?);
        }
        if request.spec.network == NetworkMode::Host {
            // Processes are there already.
            joined.namespace = None;
        }
        joined.ports = self.publish_ports(request, &joined.endpoints).await?;
        failpoint!("network.after-publish");
        if let (Some(sockets), Some(namespace)) = (sockets, &joined.namespace) {
            self.serve_names(request, sockets, namespace, &joined.endpoints)?;
            joined.names = true;
        }
        self.announce(request, &joined.endpoints);
        Ok(())
    }

    /// Makes the first endpoint with its namespace, and the others in it.
    async fn make(
        &self,
        request: &JoinRequest<'_>,
        planned: Planned,
        wants_names: bool,
        joined: &mut Joined,
        sockets: &mut Option<NameSockets>,
    ) -> Result<Endpoint> {
        let driver = Arc::clone(self.driver(&planned.network)?);
        let wish = endpoint_request(planned);
        if let Some(namespace) = &joined.namespace {
            let attached = driver.attach(namespace.as_fd(), request.container, wish).await;
            failpoint!("network.after-attach");
            return attached.map_err(failure);
        }
        let opened = driver.open(SandboxRequest {
            container: request.container.clone(),
            endpoint: wish,
            names: wants_names,
        });
        let sandbox = opened.await.map_err(failure)?;
        joined.namespace = Some(sandbox.namespace);
        *sockets = sandbox.names;
        Ok(sandbox.endpoint)
    }

    pub(super) fn enter(&self, network: &NetworkRecord, container: &ContainerId, name: &str) -> Result<()> {
        if network.spec.config_only {
            let message = "cannot create endpoint on configuration-only network";
            return Err(super::create::forbidden(message.to_owned()));
        }
        let entered = self.inner.attached.enter(&network.id, container, name);
        entered.map_err(|busy| match busy {
            Busy::Member => super::create::forbidden(format!(
                "endpoint with name {name} already exists in network {}",
                network.name
            )),
            Busy::Removing | Busy::Used(_) => ServiceError::not_found(format!("network {} not found", network.id)),
        })
    }

    /// Returns the networks that a container wishes to join, by the name in its wish.
    fn records_of(&self, spec: &ContainerSpec) -> Result<BTreeMap<String, Arc<NetworkRecord>>> {
        let found = spec.networks.keys().map(|name| {
            let record = self
                .get(name)
                .map_err(|error| error.in_context("failed to set up container networking"))?;
            Ok((name.clone(), record))
        });
        found.collect()
    }

    /// Publishes the ports on the endpoint that leads out, or on the first one that has an address.
    pub(super) async fn publish_ports(
        &self,
        request: &JoinRequest<'_>,
        endpoints: &[Endpoint],
    ) -> Result<Vec<PublishedPort>> {
        let ports = request.spec.wished_ports();
        if ports.is_empty() {
            return Ok(Vec::new());
        }
        let Some(endpoint) = self.way_out(request.spec, endpoints) else {
            return Ok(Vec::new());
        };
        let Some(network) = self.by_id(&endpoint.network).filter(|network| translates(network)) else {
            return Ok(Vec::new());
        };
        let published = self.inner.with.ports.publish(PublishRequest {
            container: request.container.clone(),
            name: request.name.to_owned(),
            network: network.settings.clone(),
            endpoint: endpoint.clone(),
            ports,
        });
        published.await.map_err(|mut error| {
            if error.kind == ErrorKind::Conflict {
                // To clients a port in use is a failure of the engine, as with Docker.
                error.kind = ErrorKind::ResourceExhausted;
            }
            failure(error).in_context(&format!(
                "driver failed programming external connectivity on endpoint {}",
                request.name
            ))
        })
    }

    /// Returns the endpoint through which a container is reached from outside: the one with the default route, IPv4's first.
    pub(super) fn way_out<'a>(&self, spec: &ContainerSpec, endpoints: &'a [Endpoint]) -> Option<&'a Endpoint> {
        let routes = plan::routes(&self.existing(spec, endpoints));
        let link = routes
            .ipv4
            .map(|(_, link)| link)
            .or(routes.ipv6.map(|(_, link)| link))?;
        endpoints.iter().find(|endpoint| endpoint.link == link)
    }

    pub(super) fn existing<'a>(&self, spec: &ContainerSpec, endpoints: &'a [Endpoint]) -> Vec<plan::Existing<'a>> {
        let known = endpoints.iter().filter_map(|endpoint| {
            let network = self.by_id(&endpoint.network)?;
            let wish = spec.networks.get(network.name.as_str());
            Some(plan::Existing {
                endpoint,
                priority: wish.map_or(0, |wish| wish.gateway_priority),
                network,
            })
        });
        known.collect()
    }

    pub(super) fn serve_names(
        &self,
        request: &JoinRequest<'_>,
        sockets: NameSockets,
        namespace: &OwnedFd,
        endpoints: &[Endpoint],
    ) -> Result<()> {
        let namespace = namespace.try_clone().map_err(|error| {
            ServiceError::internal("cannot keep the network namespace for the name service").with_source(error)
        })?;
        let settings = self.resolver_settings(request.spec, endpoints);
        let served = self
            .inner
            .with
            .names
            .serve(request.container, sockets, namespace, settings);
        served.map_err(failure)
    }

    /// Returns how questions of a container are answered.
    pub(super) fn resolver_settings(&self, spec: &ContainerSpec, endpoints: &[Endpoint]) -> ResolverSettings {
        let existing = self.existing(spec, endpoints);
        let named = existing.iter().filter(|existing| existing.network.has_names());
        let links = named.clone().flat_map(|existing| {
            let wish = spec.networks.get(existing.network.name.as_str());
            let links = wish.map(|wish| wish.links.clone()).unwrap_or_default();
            let network = existing.network.id.clone();
            links
                .into_iter()
                .map(move |(target, alias)| (network.clone(), alias, target))
        });
        let servers = if spec.dns_servers.is_empty() {
            let hosts = self.inner.with.sandboxes.host_servers();
            hosts.into_iter().map(|address| (address, false)).collect::<Vec<_>>()
        } else {
            spec.dns_servers.iter().map(|address| (*address, true)).collect()
        };
        ResolverSettings {
            networks: named.map(|existing| existing.network.id.clone()).collect(),
            links: links.collect(),
            servers: servers
                .into_iter()
                .map(|(address, from_container)| NameServer {
                    address,
                    from_container,
                })
                .collect(),
            forward: existing.iter().any(|existing| !existing.network.settings.internal),
            keep_single_labels: sets_ndots(spec, &self.host_resolver_configuration()),
        }
    }

    /// Makes a container known by its names in all its networks.
    pub(super) fn announce(&self, request: &JoinRequest<'_>, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            let Some(network) = self.by_id(&endpoint.network).filter(|network| network.has_names()) else {
                continue;
            };
            let wish = request.spec.networks.get(network.name.as_str());
            let addresses: Vec<IpAddr> = endpoint.addresses().collect();
            self.inner.with.names.announce(Announcement {
                network: network.id.clone(),
                container: request.container.clone(),
                names: names_in(request, wish.map_or(&[], |wish| &wish.aliases)),
                addresses,
                reverse: format!("{}.{}", request.name, network.name),
            });
        }
    }

    /// Gives ports and names back and tells listeners: when a client hears that a container has ended, its ports are free. Docker tells
    /// of it before it says that the container died.
    pub(crate) async fn leave(&self, container: &ContainerId, endpoints: &[Endpoint]) {
        self.inner.with.names.stop(container);
        for endpoint in endpoints {
            self.inner.with.names.withdraw(&endpoint.network, container);
            // From here on the network may be removed; what is left of the endpoint goes with it.
            self.inner.attached.leave(&endpoint.network, container);
        }
        if let Err(error) = self.inner.with.ports.withdraw(container).await {
            warn!(%container, %error, "published ports not given back");
        }
        self.tell_left(container, endpoints);
    }

    /// Gives endpoints back, and with them whatever is left of ports and names.
    pub(crate) async fn release(&self, container: &ContainerId, endpoints: &[Endpoint]) {
        self.inner.with.names.stop(container);
        if let Err(error) = self.inner.with.ports.withdraw(container).await {
            warn!(%container, %error, "published ports not given back");
        }
        for endpoint in endpoints {
            self.release_one(container, endpoint).await;
        }
    }

    pub(super) async fn release_one(&self, container: &ContainerId, endpoint: &Endpoint) {
        self.inner.with.names.withdraw(&endpoint.network, container);
        if let Some(record) = self.by_id(&endpoint.network)
            && let Ok(driver) = self.driver(&record)
            && let Err(error) = driver.release(container, endpoint).await
        {
            warn!(%container, %error, "network endpoint not released");
        }
        self.inner.attached.leave(&endpoint.network, container);
    }

    /// Tells listeners that a container has left networks.
    pub(crate) fn tell_left(&self, container: &ContainerId, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            self.tell("disconnect", container, endpoint);
        }
    }

    /// Tells listeners that a container that runs has joined a network.
    pub(crate) fn tell_joined(&self, container: &ContainerId, endpoint: &Endpoint) {
        self.tell("connect", container, endpoint);
    }

    pub(super) fn tell(&self, action: &str, container: &ContainerId, endpoint: &Endpoint) {
        if let Some(record) = self.by_id(&endpoint.network) {
            self.publish(action, &record, Some(container));
        }
    }
}

/// Tells whether a container of this mode uses a namespace that is not made for it.
fn is_foreign(mode: &NetworkMode) -> bool {
    matches!(mode, NetworkMode::Host | NetworkMode::Container(_))
}

/// Tells whether ports can be published for a network: its containers' addresses are the host's to translate.
fn translates(network: &NetworkRecord) -> bool {
    matches!(network.spec.driver.as_str(), "bridge" | "cni")
}

pub(super) fn endpoint_request(planned: Planned) -> EndpointRequest {
    EndpointRequest {
        network: planned.network.settings.clone(),
        ipv4: planned.wish.ipv4,
        ipv6: planned.wish.ipv6,
        link_local: planned.wish.link_local,
        mac_address: planned.wish.mac_address,
        link: planned.link,
        default_routes: planned.default_routes,
        options: planned.wish.options,
    }
}

/// Returns whether `ndots` is set: for the container, or for the host where the container wishes no options of its own. To what does
/// not matter, nor to Docker.
fn sets_ndots(spec: &ContainerSpec, host: &str) -> bool {
    let is_it = |option: &str| option.split(':').next() == Some("ndots");
    let sets = |options: &str| options.split_whitespace().any(is_it);
    if spec.dns_options.is_empty() {
        let mut lines = host.lines().filter_map(|line| line.trim().strip_prefix("options"));
        lines.any(|options| options.starts_with([' ', '\t']) && sets(options))
    } else {
        spec.dns_options.iter().any(|options| sets(options))
    }
}

/// Returns the names of a container in a network, each once: its own, its aliases, its short id, its host name.
pub(super) fn names_in(request: &JoinRequest<'_>, aliases: &[String]) -> Vec<String> {
    let mut names = vec![request.name.to_owned()];
    let short = request.container.short().to_owned();
    let more = aliases.iter().cloned().chain([short, request.hostname.to_owned()]);
    for name in more {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
