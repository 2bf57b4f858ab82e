// SPDX-License-Identifier: MIT
//! Containers whose namespaces another container joins. Class and text of refusals are Docker's, which differ per namespace.
//!
//! A provider may be frozen: its namespaces are there all the same. It is looked up at every start, as it may have been started
//! anew or removed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_types::{ContainerId, ErrorKind, VolumeName};

use super::actor::Actor;
use super::service::Inner;
use super::spec::NamespaceProvider;
use super::{ContainerRecord, NamespaceMode, NetworkMode, ResolvedMount, oci};
use crate::{Result, ServiceError};

/// The providers of one container, all of them alive.
pub(super) struct Providers {
    pub(super) pid: Option<NamespaceProvider>,
    pub(super) ipc: Option<NamespaceProvider>,
    pub(super) network: Option<NamespaceProvider>,
}

impl Providers {
    /// Finds the containers that a container joins.
    pub(super) fn find(inner: &Inner, record: &ContainerRecord) -> Result<Self> {
        let spec = &record.spec;
        let pid = match &spec.namespaces.pid {
            NamespaceMode::Container(name) => Some(of_pid(inner, name)?),
            _ => None,
        };
        let ipc = match &spec.namespaces.ipc {
            NamespaceMode::Container(name) => Some(of_ipc(inner, name)?),
            _ => None,
        };
        let network = match &spec.network {
            NetworkMode::Container(name) => Some(of_network(inner, name)?),
            _ => None,
        };
        Ok(Self { pid, ipc, network })
    }
}

impl Actor {
    /// A container in another one's network is called as that one is, as with Docker.
    pub(super) fn take_names(&mut self, providers: &Providers) {
        let Some(provider) = &providers.network else { return };
        let Ok(other) = find(&self.inner, provider.id.as_str()) else {
            return;
        };
        let spec = &mut self.record.spec;
        oci::hostname(&other).clone_into(&mut spec.hostname);
        spec.domainname.clone_from(&other.spec.domainname);
    }
}

impl Actor {
    /// Decides what is mounted for images and for volumes with options. Others with such volumes wait until this start is known to
    /// everybody.
    pub(super) async fn mount_sources(&mut self) -> Result<oci::MountSources> {
        let elsewhere = |volume: &VolumeName| where_running(&self.inner, &self.record.id, volume);
        let with = &self.inner.with;
        let mounted = with.volumes.mounts_for(&self.record, elsewhere).await?;
        self.volume_turn = mounted.turn;
        let mut images = BTreeMap::new();
        for mount in &self.record.mounts {
            let ResolvedMount::Image {
                reference,
                layers,
                target,
                subpath,
                ..
            } = mount
            else {
                continue;
            };
            let view = with.snapshotter.view(layers).map_err(|error| {
                ServiceError::from_mechanism(format!("cannot mount image {reference}"), error.kind(), error)
            })?;
            with.volumes.check_part(reference, &view, subpath)?;
            images.insert(target.clone(), view);
        }
        Ok(oci::MountSources {
            volumes: mounted.by_name,
            images,
        })
    }
}

/// Finds where another running container has a volume, as a path of the host.
fn where_running(inner: &Inner, own: &ContainerId, volume: &VolumeName) -> Option<PathBuf> {
    let others = inner.table.all();
    let others = others.iter().filter(|handle| handle.id != *own);
    let mut running = others.filter_map(|handle| handle.snapshot.borrow().record.clone());
    running.find_map(|record| {
        let target = record.mounts.iter().find_map(|mount| match mount {
            ResolvedMount::Volume { name, target, .. } if name == volume => Some(target),
            _ => None,
        })?;
        let root = PathBuf::from(format!("/proc/{}/root", record.state.pid));
        let alive = record.state.phase.is_alive() && record.state.pid != 0;
        alive.then(|| root.join(target.strip_prefix("/").unwrap_or(target)))
    })
}

/// Refuses a container that wants the processes or the memory of one that does not exist. Whose network it joins is looked at when it
/// starts.
pub(super) fn validate(inner: &Inner, record: &ContainerRecord) -> Result<()> {
    let namespaces = &record.spec.namespaces;
    for mode in [&namespaces.pid, &namespaces.ipc] {
        if let NamespaceMode::Container(name) = mode {
            inner
                .table
                .find(name)
                .map_err(|error| ServiceError::invalid(error.message()))?;
        }
    }
    Ok(())
}

fn of_pid(inner: &Inner, name: &str) -> Result<NamespaceProvider> {
    let found = find(inner, name).and_then(|record| alive(&record));
    found.map_err(|error| ServiceError::internal(format!("failed to join PID namespace: {}", error.message())))
}

fn of_ipc(inner: &Inner, name: &str) -> Result<NamespaceProvider> {
    let found = find(inner, name).and_then(|record| {
        let provider = alive(&record)?;
        match record.spec.namespaces.ipc {
            NamespaceMode::Default | NamespaceMode::Private | NamespaceMode::None => {
                Err(ServiceError::invalid(format!(
                    "container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                    record.id
                )))
            }
            NamespaceMode::Shareable | NamespaceMode::Host | NamespaceMode::Container(_) => Ok(provider),
        }
    });
    found.map_err(|error| {
        let text = format!("failed to join IPC namespace: {}", error.message());
        match error.kind() {
            ErrorKind::Conflict => ServiceError::conflict(text),
            _ => ServiceError::invalid(text),
        }
    })
}

fn of_network(inner: &Inner, name: &str) -> Result<NamespaceProvider> {
    let record = find(inner, name).map_err(|error| {
        ServiceError::internal(format!("joining network namespace of container: {}", error.message()))
    })?;
    alive(&record).map_err(|_| {
        ServiceError::conflict(format!(
            "cannot join network namespace of a non running container: container {} is {}",
            record.name,
            record.state.phase.as_str()
        ))
    })
}

fn find(inner: &Inner, name: &str) -> Result<Arc<ContainerRecord>> {
    let handle = inner.table.find(name)?;
    let record = handle.snapshot.borrow().record.clone();
    record.ok_or_else(|| ServiceError::not_found(format!("No such container: {name}")))
}

fn alive(record: &ContainerRecord) -> Result<NamespaceProvider> {
    if !record.state.phase.is_alive() {
        return Err(ServiceError::conflict(format!(
            "container {} is not running",
            record.id
        )));
    }
    Ok(NamespaceProvider {
        id: record.id.clone(),
        pid: record.state.pid,
    })
}
