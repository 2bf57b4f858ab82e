// SPDX-License-Identifier: MIT
//! Networks: the default bridge, the host's network, none.
//!
//! The default bridge is decided (name, subnet) when the store is new and kept in its record; the links and rules of it are made when
//! the first container joins.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use hyperbox_types::{ContainerId, NetworkId, NetworkName};
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tracing::warn;

use crate::container::NetworkMode;
use crate::event::{EventKind, Events};
use crate::seam::{
    Change, Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, Records, SandboxRequest, Table,
};
use crate::time::Timestamp;
use crate::{Result, ServiceError, random};

/// A network as it is kept in the record store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its id.
    pub id: NetworkId,
    /// Its name.
    pub name: NetworkName,
    /// `bridge`, `host` or `null`.
    pub driver: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// What a bridge is made of.
    pub settings: Option<NetworkSettings>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// How a container was put into a network.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub namespace: Option<OwnedFd>,
    pub endpoint: Option<Endpoint>,
}

/// Keeps networks. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

struct Inner {
    driver: Arc<dyn NetworkDriver>,
    events: Events,
    records: Vec<Arc<NetworkRecord>>,
    /// Filled when the bridge and its rules are known to exist.
    ready: OnceCell<()>,
}

impl fmt::Debug for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Networks")
            .field("records", &self.inner.records)
            .finish_non_exhaustive()
    }
}

/// What is wished for the default bridge.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeWishes {
    /// Name of the link.
    pub bridge: Option<String>,
    /// Subnet in CIDR form.
    pub subnet: Option<String>,
}

impl Networks {
    /// Makes the service; decides and records the predefined networks when the store is new.
    ///
    /// # Errors
    /// When the records cannot be read or written, or no subnet is free.
    pub async fn open(
        driver: Arc<dyn NetworkDriver>,
        records: &dyn Records,
        events: Events,
        wishes: &BridgeWishes,
    ) -> Result<Self> {
        let rows = records
            .load(Table::Networks)
            .map_err(|error| ServiceError::from_mechanism("cannot read networks", error.kind, error))?;
        let mut known: Vec<Arc<NetworkRecord>> = Vec::new();
        for (key, json) in rows {
            match serde_json::from_str(&json) {
                Ok(record) => known.push(Arc::new(record)),
                Err(error) => warn!(network = key, %error, "unreadable network record left alone"),
            }
        }
        let mut changes = Vec::new();
        for (name, kind) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            if known.iter().any(|record| record.name.as_str() == name) {
                continue;
            }
            let record = Arc::new(predefined(driver.as_ref(), name, kind, wishes).await?);
            let value = serde_json::to_string(&*record).map_err(|error| {
                ServiceError::internal(format!("cannot encode the record of network {name}")).with_source(error)
            })?;
            changes.push(Change::Put {
                table: Table::Networks,
                key: record.id.to_string(),
                value,
            });
            known.push(record);
        }
        if !changes.is_empty() {
            records
                .apply(&changes)
                .map_err(|error| ServiceError::from_mechanism("cannot record networks", error.kind, error))?;
        }
        let inner = Inner {
            driver,
            events,
            records: known,
            ready: OnceCell::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns all networks.
    pub fn list(&self) -> Vec<Arc<NetworkRecord>> {
        self.inner.records.clone()
    }

    /// Returns a network by name, id or unambiguous beginning of its id.
    ///
    /// # Errors
    /// `NotFound` with Docker's text.
    pub fn get(&self, reference: &str) -> Result<Arc<NetworkRecord>> {
        let records = &self.inner.records;
        let named = records
            .iter()
            .find(|record| record.name.as_str() == reference || record.id.as_str() == reference);
        let mut prefixed = records
            .iter()
            .filter(|record| record.id.as_str().starts_with(reference));
        let found = match (named, prefixed.next(), prefixed.next()) {
            (Some(record), _, _) => Some(record),
            (None, Some(record), None) if !reference.is_empty() => Some(record),
            _ => None,
        };
        found
            .cloned()
            .ok_or_else(|| ServiceError::not_found(format!("network {reference} not found")))
    }

    /// Puts a container into the network of its mode.
    pub(crate) async fn join(
        &self,
        container: &ContainerId,
        mode: &NetworkMode,
        address: Option<IpAddr>,
        mac_address: Option<String>,
    ) -> Result<Joined> {
        let endpoint = match mode {
            NetworkMode::None => None,
            NetworkMode::Bridge(name) => Some(self.get(name)?),
            _ => Some(self.get("bridge")?),
        };
        let endpoint = match endpoint.and_then(|record| record.settings.clone()) {
            Some(network) => {
                self.ensure(&network).await?;
                Some(EndpointRequest {
                    network,
                    address,
                    mac_address,
                })
            }
            None => None,
        };
        let request = SandboxRequest {
            container: container.clone(),
            endpoint,
        };
        let sandbox = self.inner.driver.open(request).await.map_err(failure)?;
        if let Some(endpoint) = &sandbox.endpoint {
            self.publish("connect", container, endpoint);
        }
        Ok(Joined {
            namespace: Some(sandbox.namespace),
            endpoint: sandbox.endpoint,
        })
    }

    async fn ensure(&self, network: &NetworkSettings) -> Result<()> {
        let ready = self.inner.ready.get_or_try_init(|| self.inner.driver.ensure(network));
        ready.await.map_err(failure)?;
        Ok(())
    }

    /// Gives endpoints back.
    pub(crate) async fn release(&self, container: &ContainerId, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            if let Err(error) = self.inner.driver.release(container, endpoint).await {
                warn!(%container, %error, "network endpoint not released");
            }
        }
    }

    /// Tells listeners that a container has left its networks; Docker says so before it says that the container died.
    pub(crate) fn tell_left(&self, container: &ContainerId, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            self.publish("disconnect", container, endpoint);
        }
    }

    /// Takes over the endpoints of containers that live on.
    pub(crate) async fn adopt(&self, endpoints: &[(ContainerId, Endpoint)]) -> Result<()> {
        let settings: Vec<NetworkSettings> = self
            .inner
            .records
            .iter()
            .filter_map(|record| record.settings.clone())
            .collect();
        self.inner.driver.adopt(&settings, endpoints).await.map_err(failure)
    }

    /// Removes bridges and rules from the machine; the records stay, and the next join makes them again.
    ///
    /// # Errors
    /// Those of the driver.
    pub async fn dismantle(&self) -> Result<()> {
        for settings in self.inner.records.iter().filter_map(|record| record.settings.as_ref()) {
            self.inner.driver.remove(settings).await.map_err(failure)?;
        }
        Ok(())
    }

    /// Returns the host's resolver configuration as containers should see it.
    pub(crate) fn host_resolver_configuration(&self) -> String {
        self.inner.driver.host_resolver_configuration()
    }

    fn publish(&self, action: &str, container: &ContainerId, endpoint: &Endpoint) {
        let Some(record) = self.inner.records.iter().find(|record| record.id == endpoint.network) else {
            return;
        };
        let attributes = BTreeMap::from([
            ("container".to_owned(), container.to_string()),
            ("name".to_owned(), record.name.to_string()),
            ("type".to_owned(), record.driver.clone()),
        ]);
        self.inner
            .events
            .publish(EventKind::Network, action, record.id.as_str(), attributes);
    }
}

async fn predefined(
    driver: &dyn NetworkDriver,
    name: &str,
    kind: &str,
    wishes: &BridgeWishes,
) -> Result<NetworkRecord> {
    let id = NetworkId::from_bytes(random::bytes()?);
    let settings = if kind == "bridge" {
        let wished = driver.choose(&id, wishes.bridge.as_deref(), wishes.subnet.as_deref());
        Some(wished.await.map_err(failure)?)
    } else {
        None
    };
    let name = NetworkName::parse(name).map_err(|error| ServiceError::internal(error.to_string()))?;
    let created_at = Timestamp::now();
    Ok(NetworkRecord {
        id,
        name,
        driver: kind.to_owned(),
        created_at,
        settings,
        labels: BTreeMap::new(),
    })
}

fn failure(error: NetworkError) -> ServiceError {
    let kind = error.kind;
    ServiceError::from_mechanism("network operation failed", kind, error)
}
