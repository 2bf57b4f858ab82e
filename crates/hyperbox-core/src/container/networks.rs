// SPDX-License-Identifier: MIT
//! A container's networks: settled at creation, changed by connecting and disconnecting, at rest and while it runs.
//!
//! While it runs, a connection is made first and recorded then, a disconnection is recorded first and made then: whatever the daemon
//! does not live to finish, the next one finds as an endpoint without a record and removes.

use std::sync::Arc;

use hyperbox_types::ErrorKind;
use tracing::warn;

use super::actor::Actor;
use super::command::Command;
use super::launch::engine_texts;
use super::service::Inner;
use super::{ContainerSpec, Containers, EndpointWish, NetworkMode, oci};
use crate::network::{DEFAULT_NETWORK, JoinRequest, NetworkRecord, Networks, Presence};
use crate::seam::Endpoint;
use crate::{Result, ServiceError, failpoint};

const PRIVATE: &str =
    "container cannot be connected to multiple networks with one of the networks in private (none) mode";
const HOST: &str = "cannot connect container to host network - container must be created in host network mode";
const SHARED: &str =
    "container sharing network namespace with another container or host cannot be connected to any other network";

impl Containers {
    /// Connects a container to a network, now if it runs and at every start.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied` when it is in that network; `InvalidArgument`, with Docker's texts, for networks and containers
    /// that cannot be combined.
    pub async fn connect(&self, network: &str, reference: &str, wish: EndpointWish) -> Result<()> {
        let network = self.inner.with.networks.get(network)?;
        self.ask(reference, |reply| Command::Connect {
            network,
            wish: Box::new(wish),
            reply,
        })
        .await
    }

    /// Disconnects a container from a network. With `force` an endpoint that resists does not matter; a container that does not run
    /// can leave a network that is gone.
    ///
    /// # Errors
    /// `NotFound`, and `Internal` with Docker's text when it is not in that network.
    pub async fn disconnect(&self, network: &str, reference: &str, force: bool) -> Result<()> {
        let Ok(network) = self.inner.with.networks.get(network) else {
            let network = network.to_owned();
            return self
                .ask(reference, |reply| Command::ForgetNetwork { network, force, reply })
                .await;
        };
        self.ask(reference, |reply| Command::Disconnect { network, force, reply })
            .await
    }
}

/// Completes the networks of a new container: each by its proper name, the network of the mode among them, nothing contradictory.
pub(super) fn settle_networks(networks: &Networks, spec: &mut ContainerSpec) -> Result<()> {
    if let NetworkMode::Container(_) = spec.network {
        spec.networks.clear();
        return Ok(());
    }
    if let NetworkMode::Named(name) = &spec.network {
        // By its proper name if it is known; one that is missing is an error of the start, as with Docker.
        if let Ok(record) = networks.get(name) {
            spec.network = NetworkMode::Named(record.name.to_string());
        }
    }
    let primary = match &spec.network {
        NetworkMode::Default => DEFAULT_NETWORK,
        NetworkMode::Host => "host",
        NetworkMode::None => "none",
        NetworkMode::Named(name) => name.as_str(),
        NetworkMode::Container(_) => return Ok(()),
    };
    let mut settled = std::collections::BTreeMap::new();
    for (name, wish) in std::mem::take(&mut spec.networks) {
        let proper = match name.as_str() {
            "default" => primary.to_owned(),
            name => networks
                .get(name)
                .map_or_else(|_| name.to_owned(), |record| record.name.to_string()),
        };
        settled.insert(proper, wish);
    }
    if settled.is_empty() {
        // Whoever names networks means those, whatever the mode says.
        settled.insert(primary.to_owned(), EndpointWish::default());
    }
    spec.networks = settled;
    for (name, wish) in &spec.networks {
        if let Ok(record) = networks.get(name) {
            check_wish(&record, wish)?;
        }
    }
    Ok(())
}

/// Refuses networks that cannot be combined: a container can wish for them, but not start with them, as with Docker.
pub(super) fn check_modes(spec: &ContainerSpec) -> Result<()> {
    let several = spec.networks.len() > 1;
    let of_host = spec.network == NetworkMode::Host;
    let conflict = if several && spec.networks.contains_key("none") {
        PRIVATE
    } else if of_host && spec.networks.keys().any(|name| name != "host")
        || several && spec.networks.contains_key("host")
    {
        SHARED
    } else if !of_host && spec.networks.contains_key("host") {
        HOST
    } else {
        return Ok(());
    };
    Err(ServiceError::invalid(conflict).in_context("failed to set up container networking"))
}

/// Refuses what cannot be wished of a network.
fn check_wish(network: &NetworkRecord, wish: &EndpointWish) -> Result<()> {
    let mut faults = Vec::new();
    if network.is_predefined() && !wish.aliases.is_empty() {
        faults.push("network-scoped alias is supported only for containers in user defined networks".to_owned());
    }
    let addresses = [wish.ipv4.map(std::net::IpAddr::V4), wish.ipv6.map(std::net::IpAddr::V6)];
    let addresses: Vec<_> = addresses.into_iter().flatten().collect();
    if network.is_predefined() && !addresses.is_empty() {
        faults.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    let managed = matches!(
        network.spec.driver.as_str(),
        "bridge" | "macvlan" | "ipvlan" | "null" | "host"
    );
    for address in addresses.iter().filter(|_| managed) {
        let pools = &network.settings.pools;
        if !pools.iter().any(|pool| pool.subnet.contains(address)) {
            faults.push(format!(
                "no configured subnet or ip-range contain the IP address {address}"
            ));
        }
    }
    match faults.as_slice() {
        [] => Ok(()),
        [only] => Err(ServiceError::invalid(format!("invalid endpoint settings:\n{only}"))),
        several => {
            let list: Vec<_> = several.iter().map(|fault| format!("* {fault}")).collect();
            Err(ServiceError::invalid(format!(
                "invalid endpoint settings:\n{}",
                list.join("\n")
            )))
        }
    }
}

impl Actor {
    /// Returns who this container is for its networks.
    pub(super) fn join_request(&self) -> JoinRequest<'_> {
        JoinRequest {
            container: &self.record.id,
            name: self.record.name.as_str(),
            hostname: oci::hostname(&self.record),
            spec: &self.record.spec,
        }
    }

    /// Connects the container, now if it runs and at every start.
    pub(super) async fn connect(&mut self, network: &Arc<NetworkRecord>, wish: EndpointWish) -> Result<()> {
        let name = network.name.to_string();
        let alive = self.life.state.phase.is_alive();
        if self.record.spec.networks.contains_key(&name) && (alive || self.life.launching) {
            return Err(ServiceError::new(
                ErrorKind::PermissionDenied,
                format!(
                    "endpoint with name {} already exists in network {name}",
                    self.record.name
                ),
            ));
        }
        self.check_connection(network, &wish)?;
        let before = (self.record.spec.clone(), self.life.state.endpoints.clone());
        if !alive {
            // One that it is in already stays as it is, as with Docker.
            self.record.spec.networks.entry(name).or_insert(wish);
            return self.record_or_undo(before);
        }
        let endpoints = self.life.state.endpoints.clone();
        let networks = self.inner.with.networks.clone();
        let endpoint = networks.connect(&self.presence(&endpoints)?, network, &wish).await?;
        self.record.spec.networks.insert(name, wish);
        self.life.state.endpoints.push(endpoint.clone());
        if let Err(error) = self.record_or_undo(before) {
            let undone = networks.disconnect(&self.presence(&endpoints)?, &endpoint).await;
            if let Err(error) = undone {
                warn!(container = %self.record.id, %error, "network endpoint not taken back");
            }
            return Err(error);
        }
        failpoint!("network.after-connect-record");
        networks.tell_joined(&self.record.id, &endpoint);
        self.settle_network(&endpoints).await
    }

    /// Disconnects the container, now if it runs and at every start.
    pub(super) async fn disconnect(&mut self, network: &Arc<NetworkRecord>, force: bool) -> Result<()> {
        let name = network.name.to_string();
        if matches!(self.record.spec.network, NetworkMode::Host) && name == "host" {
            return Err(ServiceError::invalid(
                "cannot disconnect container from host network - container was created in host network mode",
            ));
        }
        if !self.record.spec.networks.contains_key(&name) {
            let the = if self.life.state.phase.is_alive() { "" } else { "the " };
            return Err(ServiceError::internal(format!(
                "container {} is not connected to {the}network {name}",
                self.record.id
            )));
        }
        let endpoints = self.life.state.endpoints.clone();
        let before = (self.record.spec.clone(), endpoints.clone());
        self.record.spec.networks.remove(&name);
        self.life
            .state
            .endpoints
            .retain(|endpoint| endpoint.network != network.id);
        self.record_or_undo(before)?;
        failpoint!("network.after-disconnect-record");
        let leaving = endpoints.iter().find(|endpoint| endpoint.network == network.id);
        let Some(endpoint) = leaving.filter(|_| self.life.state.phase.is_alive()) else {
            return Ok(());
        };
        let networks = self.inner.with.networks.clone();
        let presence = self.presence(&self.life.state.endpoints)?;
        let taken_out = networks.disconnect(&presence, endpoint).await;
        drop(presence);
        networks.tell_left(&self.record.id, std::slice::from_ref(endpoint));
        let settled = self.settle_network(&endpoints).await;
        if force { Ok(()) } else { taken_out.and(settled) }
    }

    /// Takes a network that is gone out of the container's wishes, so that it can start without it.
    pub(super) fn forget_network(&mut self, name: &str, force: bool) -> Result<()> {
        if self.life.state.phase.is_alive() && !force {
            return Err(ServiceError::not_found(format!("network {name} not found")));
        }
        let before = (self.record.spec.clone(), self.life.state.endpoints.clone());
        if self.record.spec.networks.remove(name).is_none() {
            return Err(ServiceError::internal(format!(
                "container {} is not connected to the network {name}",
                self.record.id
            )));
        }
        self.record_or_undo(before)
    }

    fn check_connection(&self, network: &NetworkRecord, wish: &EndpointWish) -> Result<()> {
        let spec = &self.record.spec;
        let name = network.name.as_str();
        match (&spec.network, name) {
            (NetworkMode::Container(_) | NetworkMode::Host, _) => return Err(ServiceError::invalid(SHARED)),
            (_, "host") => {
                return Err(ServiceError::invalid(HOST));
            }
            (_, "none") if !spec.networks.is_empty() => return Err(ServiceError::invalid(PRIVATE)),
            _ if spec.networks.contains_key("none") => return Err(ServiceError::invalid(PRIVATE)),
            _ => {}
        }
        check_wish(network, wish)
    }

    /// Writes the record; when that fails the container's networks are what they were.
    fn record_or_undo(&mut self, before: (ContainerSpec, Vec<Endpoint>)) -> Result<()> {
        let written = self.try_persist();
        if written.is_err() {
            (self.record.spec, self.life.state.endpoints) = before;
        }
        self.refresh();
        written
    }

    fn presence<'a>(&'a self, endpoints: &'a [Endpoint]) -> Result<Presence<'a>> {
        let namespace = self.inner.with.host.network_namespace(self.life.state.pid);
        let namespace = namespace.map_err(|error| {
            let doing = format!("cannot open the network namespace of container {}", self.record.name);
            ServiceError::from_mechanism(doing, error.kind(), error)
        })?;
        Ok(Presence {
            request: self.join_request(),
            namespace,
            endpoints,
        })
    }

    /// Makes routes, names, ports and the container's files fit its endpoints after they changed.
    async fn settle_network(&mut self, before: &[Endpoint]) -> Result<()> {
        let networks = self.inner.with.networks.clone();
        let endpoints = self.life.state.endpoints.clone();
        let presence = self.presence(&endpoints)?;
        let settled = networks.settle(&presence, before, &self.life.state.ports).await;
        drop(presence);
        let result = match settled {
            Ok(ports) => {
                self.life.state.ports = ports;
                Ok(())
            }
            Err(error) => {
                self.life.state.ports.clear();
                Err(error)
            }
        };
        rewrite_files(&self.inner, self);
        self.persist();
        result
    }
}

/// Brings `/etc/hosts` and `/etc/resolv.conf` of a running container up to date.
fn rewrite_files(inner: &Inner, actor: &Actor) {
    let directory = inner.config.containers_dir.join(actor.record.id.as_str());
    let files = oci::engine_files(&directory);
    for (path, text) in engine_texts(inner, &actor.record, &actor.life.state.endpoints, &files) {
        if let Err(error) = inner.with.host.rewrite_file(&path, &text) {
            warn!(container = %actor.record.id, %error, "file of a running container not brought up to date");
        }
    }
}
