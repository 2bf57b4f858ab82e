// SPDX-License-Identifier: MIT
//! Containers whose namespaces another container joins. Class and text of refusals are Docker's, which differ per namespace.
//!
//! A provider may be frozen: its namespaces are there all the same. It is looked up at every start, as it may have been started
//! anew or removed.

use std::sync::Arc;

use hyperbox_types::ErrorKind;

use super::service::Inner;
use super::spec::NamespaceProvider;
use super::{ContainerRecord, NamespaceMode, NetworkMode};
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
