// SPDX-License-Identifier: MIT
//! Networks: made by users or predefined, and the containers in them.
//!
//! [`Networks`] keeps the records and knows who is in which network; drivers do everything on the machine. A network's record is
//! written before its link is made and erased after its link is gone, and making the link is repeated before its first use, so that a
//! daemon that dies in between leaves a network that works or none.
//!
//! Concurrency: creations and removals happen one after the other; joins run in parallel with each other, and `attached.rs` keeps them
//! from overlapping with a removal of the same network.

mod attached;
mod create;
mod join;
mod plan;
mod record;
mod restore;
mod running;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hyperbox_types::{ContainerId, NetworkId, NetworkName};
use tokio::sync::OnceCell;
use tracing::warn;

use crate::event::{EventKind, Events};
use crate::random;
use crate::seam::{
    Change, NameService, NetworkDriver, NetworkError, NetworkSettings, PoolWish, PortPublisher, Records, Sandboxes,
    Table,
};
use crate::time::Timestamp;
use crate::{Result, ServiceError};

use attached::Attached;
pub use create::CreatedNetwork;
pub(crate) use join::{JoinRequest, Joined};
pub use record::{DEFAULT_NETWORK, NetworkRecord, NetworkSpec, is_predefined};
pub(crate) use restore::Living;
pub(crate) use running::Presence;

/// What the service stands on.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the seam of its name")]
pub struct NetworkDependencies {
    /// One for each name; `bridge`, `host` and `null` must be among them.
    pub drivers: Vec<Arc<dyn NetworkDriver>>,
    pub sandboxes: Arc<dyn Sandboxes>,
    pub ports: Arc<dyn PortPublisher>,
    pub names: Arc<dyn NameService>,
    pub records: Arc<dyn Records>,
    pub events: Events,
}

/// Keeps networks. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    inner: Arc<Inner>,
}

struct Inner {
    with: NetworkDependencies,
    drivers: BTreeMap<&'static str, Arc<dyn NetworkDriver>>,
    networks: RwLock<BTreeMap<NetworkId, Arc<NetworkRecord>>>,
    attached: Attached,
    /// Filled when a network's link and rules are known to exist.
    ready: Mutex<HashMap<NetworkId, Arc<OnceCell<()>>>>,
    /// Held while the set of networks changes.
    changing: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Networks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Networks")
            .field("drivers", &self.inner.drivers.keys())
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
    pub async fn open(with: NetworkDependencies, wishes: &BridgeWishes) -> Result<Self> {
        let known = load(with.records.as_ref())?;
        let drivers = with.drivers.iter().map(|driver| (driver.name(), Arc::clone(driver)));
        let inner = Inner {
            drivers: drivers.collect(),
            with,
            networks: RwLock::new(known),
            attached: Attached::default(),
            ready: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
        };
        let networks = Self { inner: Arc::new(inner) };
        for (name, driver) in [(DEFAULT_NETWORK, "bridge"), ("host", "host"), ("none", "null")] {
            if networks.get(name).is_err() {
                let spec = predefined(driver, wishes)?;
                let name = NetworkName::parse(name).map_err(|error| ServiceError::internal(error.to_string()))?;
                networks.decide(name, spec).await?;
            }
        }
        Ok(networks)
    }

    /// Returns all networks, in no particular order.
    pub fn list(&self) -> Vec<Arc<NetworkRecord>> {
        self.read().values().cloned().collect()
    }

    /// Returns a network by id, name or unambiguous beginning of its id.
    ///
    /// # Errors
    /// `NotFound` with Docker's text, `InvalidArgument` for a beginning that several ids have.
    pub fn get(&self, reference: &str) -> Result<Arc<NetworkRecord>> {
        let networks = self.read();
        let full = networks.values().find(|record| record.id.as_str() == reference);
        let named = full.or_else(|| networks.values().find(|record| record.name.as_str() == reference));
        if let Some(record) = named {
            return Ok(Arc::clone(record));
        }
        let mut prefixed = networks
            .values()
            .filter(|record| !reference.is_empty() && record.id.as_str().starts_with(reference));
        match (prefixed.next(), prefixed.next()) {
            (Some(record), None) => Ok(Arc::clone(record)),
            (Some(_), Some(_)) => Err(ServiceError::invalid(format!(
                "network {reference} is ambiguous ({} matches found on ID prefix)",
                prefixed.count() + 2
            ))),
            (None, _) => Err(ServiceError::not_found(format!("network {reference} not found"))),
        }
    }

    /// Returns the record of an id, if the network still exists.
    pub(crate) fn by_id(&self, id: &NetworkId) -> Option<Arc<NetworkRecord>> {
        self.read().get(id).cloned()
    }

    /// Returns the driver of a network.
    fn driver(&self, record: &NetworkRecord) -> Result<&Arc<dyn NetworkDriver>> {
        self.driver_named(&record.spec.driver)
    }

    fn driver_named(&self, name: &str) -> Result<&Arc<dyn NetworkDriver>> {
        let found = self.inner.drivers.get(name);
        found.ok_or_else(|| {
            let known: Vec<_> = self.inner.drivers.keys().copied().collect();
            ServiceError::not_found(format!("plugin \"{name}\" not found"))
                .with_hint(format!("use one of the drivers {}", known.join(", ")))
        })
    }

    /// Returns the names of all drivers that users can ask for.
    pub fn drivers(&self) -> Vec<&'static str> {
        self.inner.drivers.keys().copied().collect()
    }

    /// Makes a network's link and rules if this daemon has not done so yet.
    async fn ensure(&self, record: &NetworkRecord) -> Result<()> {
        let driver = self.driver(record)?;
        let cell = Arc::clone(self.ready().entry(record.id.clone()).or_default());
        let ready = cell.get_or_try_init(|| driver.ensure(&record.settings));
        ready.await.map_err(failure)?;
        Ok(())
    }

    /// Removes links and rules from the machine; the records stay, and the next join makes them again.
    ///
    /// # Errors
    /// Those of the driver.
    pub async fn dismantle(&self) -> Result<()> {
        for record in self.list() {
            self.driver(&record)?.remove(&record.settings).await.map_err(failure)?;
            self.ready().remove(&record.id);
        }
        Ok(())
    }

    /// Returns the host's resolver configuration as containers should see it.
    pub(crate) fn host_resolver_configuration(&self) -> String {
        self.inner.with.sandboxes.host_resolver_configuration()
    }

    /// Returns the addresses by which containers reach the host: those of the default bridge.
    pub fn host_gateways(&self) -> Vec<std::net::IpAddr> {
        let bridge = self.get(DEFAULT_NETWORK);
        let pools = bridge.map(|record| record.settings.pools.clone()).unwrap_or_default();
        pools.iter().filter_map(|pool| pool.gateway).collect()
    }

    fn publish(&self, action: &str, record: &NetworkRecord, container: Option<&ContainerId>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.to_string()),
            ("type".to_owned(), record.spec.driver.clone()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_string());
        }
        let events = &self.inner.with.events;
        events.publish(EventKind::Network, action, record.id.as_str(), attributes);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<NetworkId, Arc<NetworkRecord>>> {
        self.inner.networks.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<NetworkId, Arc<NetworkRecord>>> {
        self.inner.networks.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, HashMap<NetworkId, Arc<OnceCell<()>>>> {
        self.inner.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the settings of all networks.
    fn all_settings(&self) -> Vec<NetworkSettings> {
        self.read().values().map(|record| record.settings.clone()).collect()
    }

    /// Decides and records a network; its link is not made yet. The caller keeps others from doing the same.
    async fn decide(&self, name: NetworkName, spec: NetworkSpec) -> Result<Arc<NetworkRecord>> {
        let id = NetworkId::from_bytes(random::bytes()?);
        let wish = spec.wish(&id, name.as_str());
        let driver = self.driver_named(&spec.driver)?;
        let settings = driver.choose(wish, &self.all_settings()).await.map_err(failure)?;
        let record = Arc::new(NetworkRecord {
            id,
            name,
            created_at: Timestamp::now(),
            spec,
            settings,
        });
        let records = &self.inner.with.records;
        let written = records.apply(&[put(&record)?]);
        written.map_err(|error| {
            ServiceError::from_mechanism(format!("cannot record network {}", record.name), error.kind, error)
        })?;
        self.write().insert(record.id.clone(), Arc::clone(&record));
        Ok(record)
    }
}

fn load(records: &dyn Records) -> Result<BTreeMap<NetworkId, Arc<NetworkRecord>>> {
    let rows = records
        .load(Table::Networks)
        .map_err(|error| ServiceError::from_mechanism("cannot read networks", error.kind, error))?;
    let mut known = BTreeMap::new();
    for (key, json) in rows {
        match serde_json::from_str::<NetworkRecord>(&json) {
            Ok(record) => {
                known.insert(record.id.clone(), Arc::new(record));
            }
            Err(error) => warn!(network = key, %error, "unreadable network record left alone"),
        }
    }
    Ok(known)
}

fn put(record: &NetworkRecord) -> Result<Change> {
    let value = serde_json::to_string(record).map_err(|error| {
        ServiceError::internal(format!("cannot encode the record of network {}", record.name)).with_source(error)
    })?;
    Ok(Change::Put {
        table: Table::Networks,
        key: record.id.to_string(),
        value,
    })
}

fn predefined(driver: &str, wishes: &BridgeWishes) -> Result<NetworkSpec> {
    let mut spec = NetworkSpec {
        driver: driver.to_owned(),
        ..NetworkSpec::default()
    };
    if driver != "bridge" {
        return Ok(spec);
    }
    for (option, value) in [
        ("com.docker.network.bridge.default_bridge", "true"),
        ("com.docker.network.bridge.enable_icc", "true"),
        ("com.docker.network.bridge.enable_ip_masquerade", "true"),
        ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
    ] {
        spec.options.insert(option.to_owned(), value.to_owned());
    }
    if let Some(name) = &wishes.bridge {
        let option = "com.docker.network.bridge.name".to_owned();
        spec.options.insert(option, name.clone());
    }
    if let Some(subnet) = &wishes.subnet {
        let parsed = subnet.parse();
        let invalid = |_| ServiceError::invalid(format!("invalid subnet of the default bridge: {subnet:?}"));
        spec.pools.push(PoolWish {
            subnet: Some(parsed.map_err(invalid)?),
            ..PoolWish::default()
        });
    }
    Ok(spec)
}

/// What the user reads is the driver's own sentence.
fn failure(error: NetworkError) -> ServiceError {
    let mut message = error.message.clone();
    if let Some(source) = &error.source {
        message = format!("{message}: {source}");
    }
    ServiceError::new(error.kind, message).with_source(error)
}
