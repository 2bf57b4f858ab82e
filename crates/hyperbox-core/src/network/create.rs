// SPDX-License-Identifier: MIT
//! Creating and removing networks.

use std::sync::Arc;

use hyperbox_types::{ErrorKind, NetworkId, NetworkName};
use tracing::warn;

use super::attached::{Busy, Removal};
use super::{NetworkRecord, NetworkSpec, Networks, failure, is_predefined};
use crate::seam::{Announcement, Change, Table};
use crate::{Result, ServiceError, failpoint};
use hyperbox_types::ContainerId;

/// A network that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedNetwork {
    /// Its id.
    pub id: NetworkId,
    /// What the user should know.
    pub warning: String,
}

/// By these names containers reach the host, as they do with Docker Desktop.
const HOST_NAMES: [&str; 2] = ["host.docker.internal", "gateway.docker.internal"];

impl Networks {
    /// Creates a network and makes its link.
    ///
    /// Goes on when the caller is dropped: a creation is finished or undone, never left half-way.
    ///
    /// # Errors
    /// `Conflict` when the name is in use, `NotFound` for an unknown driver, `PermissionDenied` for a second network of the host or a
    /// reserved name, and those of the driver.
    pub async fn create(&self, name: &str, spec: NetworkSpec) -> Result<CreatedNetwork> {
        let (this, name) = (self.clone(), name.to_owned());
        let creation = tokio::spawn(async move { this.create_here(&name, spec).await });
        creation
            .await
            .map_err(|error| ServiceError::internal("the creation of a network was interrupted").with_source(error))?
    }

    async fn create_here(&self, name: &str, mut spec: NetworkSpec) -> Result<CreatedNetwork> {
        if name.trim().is_empty() {
            return Err(ServiceError::invalid("invalid name: name is empty"));
        }
        if is_predefined(name) {
            return Err(forbidden(format!(
                "operation is not permitted on predefined {name} network "
            )));
        }
        let name = NetworkName::parse(name).map_err(|error| ServiceError::invalid(error.to_string()))?;
        if spec.driver.is_empty() {
            spec.driver = "bridge".to_owned();
        }
        if spec.config_only {
            spec.driver = "null".to_owned();
        } else if matches!(spec.driver.as_str(), "host" | "null") {
            let driver = &spec.driver;
            return Err(forbidden(format!(
                "only one instance of \"{driver}\" network is allowed"
            )));
        }
        let _changing = self.inner.changing.lock().await;
        if self.list().iter().any(|record| record.name == name) {
            return Err(ServiceError::conflict(format!(
                "network with name {name} already exists"
            )));
        }
        if !spec.config_from.is_empty() {
            let configuration = self.configuration(&spec.config_from)?;
            spec.configure_from(&configuration.spec);
        }
        let record = self.decide(name, spec).await?;
        failpoint!("network.after-record");
        if let Err(error) = self.ensure(&record).await {
            self.forget(&record).await;
            return Err(error);
        }
        self.announce_host(&record);
        self.publish("create", &record, None);
        Ok(CreatedNetwork {
            id: record.id.clone(),
            warning: String::new(),
        })
    }

    /// Returns the network for configuration of a name.
    fn configuration(&self, name: &str) -> Result<Arc<NetworkRecord>> {
        let found = self.get(name).ok().filter(|record| record.spec.config_only);
        found.ok_or_else(|| ServiceError::not_found(format!("configuration network \"{name}\" does not exist")))
    }

    /// Makes the host known by name to the containers of a network.
    pub(super) fn announce_host(&self, record: &NetworkRecord) {
        let gateways = record.settings.pools.iter().filter_map(|pool| pool.gateway);
        let addresses: Vec<_> = gateways.collect();
        if !record.has_names() || record.settings.internal || addresses.is_empty() {
            return;
        }
        if let Ok(container) = host_of(&record.id) {
            self.inner.with.names.announce(Announcement {
                network: record.id.clone(),
                container,
                names: HOST_NAMES.map(str::to_owned).to_vec(),
                addresses,
                reverse: String::new(),
            });
        }
    }

    /// Takes back what a failed creation made.
    async fn forget(&self, record: &Arc<NetworkRecord>) {
        if let Ok(driver) = self.driver(record)
            && let Err(error) = driver.remove(&record.settings).await
        {
            warn!(network = %record.name, %error, "remains of a network that could not be made stay");
        }
        if let Err(error) = self.erase(record) {
            warn!(network = %record.name, %error, "record of a network that could not be made stays");
        }
    }

    fn erase(&self, record: &NetworkRecord) -> Result<()> {
        let change = Change::Remove {
            table: Table::Networks,
            key: record.id.to_string(),
        };
        let erased = self.inner.with.records.apply(&[change]);
        erased.map_err(|error| {
            ServiceError::from_mechanism(
                format!("cannot erase the record of network {}", record.name),
                error.kind,
                error,
            )
        })?;
        self.write().remove(&record.id);
        self.ready().remove(&record.id);
        if let Ok(host) = host_of(&record.id) {
            self.inner.with.names.withdraw(&record.id, &host);
        }
        Ok(())
    }

    /// Removes a network that nobody is in.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied` with Docker's texts for a predefined network and for one in use.
    pub async fn remove(&self, reference: &str) -> Result<()> {
        let record = self.get(reference)?;
        if record.is_predefined() {
            let name = &record.name;
            return Err(forbidden(format!(
                "{name} is a pre-defined network and cannot be removed"
            )));
        }
        let this = self.clone();
        let removal = tokio::spawn(async move {
            let _changing = this.inner.changing.lock().await;
            let mut others = this.list().into_iter();
            if record.spec.config_only && others.any(|other| other.spec.config_from == record.name.as_str()) {
                let name = &record.name;
                return Err(forbidden(format!(
                    "error while removing network: configuration network \"{name}\" is in use"
                )));
            }
            let right = this.inner.attached.begin_removal(&record.id).map_err(|busy| {
                let message = format!("error while removing network: {}", in_use(&record, &busy));
                forbidden(message)
            })?;
            this.remove_here(&record, right).await
        });
        removal
            .await
            .map_err(|error| ServiceError::internal("the removal of a network was interrupted").with_source(error))?
    }

    async fn remove_here(&self, record: &Arc<NetworkRecord>, right: Removal) -> Result<()> {
        if self.by_id(&record.id).is_none() {
            return Err(ServiceError::not_found(format!("network {} not found", record.name)));
        }
        self.driver(record)?.remove(&record.settings).await.map_err(failure)?;
        self.ready().remove(&record.id);
        failpoint!("network.after-remove");
        self.erase(record)?;
        right.done();
        self.publish("destroy", record, None);
        Ok(())
    }

    /// Removes all networks that users made, that nobody is in and that the filter accepts; returns their names.
    pub async fn prune(&self, filter: &(dyn Fn(&NetworkRecord) -> bool + Send + Sync)) -> Vec<String> {
        let mut removed = Vec::new();
        for record in self.list() {
            if record.is_predefined() || self.inner.attached.is_used(&record.id) || !filter(&record) {
                continue;
            }
            // Somebody may just have joined it; then it stays.
            match self.remove(record.id.as_str()).await {
                Ok(()) => removed.push(record.name.to_string()),
                Err(error) => warn!(network = %record.name, %error, "network not pruned"),
            }
        }
        removed
    }

    /// Tells whether any container that runs is in a network.
    pub fn is_used(&self, record: &NetworkRecord) -> bool {
        self.inner.attached.is_used(&record.id)
    }
}

/// The host has no container id; in the names of a network it takes the network's.
fn host_of(network: &NetworkId) -> Result<ContainerId, hyperbox_types::InvalidId> {
    ContainerId::parse(network.as_str())
}

fn in_use(record: &NetworkRecord, busy: &Busy) -> String {
    let name = &record.name;
    match busy {
        Busy::Used(containers) => {
            let list = containers
                .iter()
                .map(|(id, container)| format!("name:\"{container}\" id:\"{}\"", id.short()));
            let list: Vec<_> = list.collect();
            format!("network {name} has active endpoints ({})", list.join(", "))
        }
        Busy::Removing | Busy::Member => format!("network {name} is being removed"),
    }
}

pub(super) fn forbidden(message: String) -> ServiceError {
    ServiceError::new(ErrorKind::PermissionDenied, message)
}
