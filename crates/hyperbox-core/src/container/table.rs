// SPDX-License-Identifier: MIT
//! The table of containers: ids, names and handles to the actors.
//!
//! Readers take the lock for a look-up only. A name is *reserved* while its container is being made, so that two clients cannot
//! make two containers of one name.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hyperbox_types::{ContainerId, ContainerName};
use tokio::sync::{mpsc, watch};

use super::command::Command;
use super::wait::Snapshot;
use crate::{Result, ServiceError};

/// How to reach a container's actor.
#[derive(Debug, Clone)]
pub(super) struct Handle {
    pub id: ContainerId,
    pub commands: mpsc::Sender<Command>,
    pub snapshot: watch::Receiver<Snapshot>,
    /// Orders starts and work on the container's files from outside; see `files.rs`.
    pub files: Arc<tokio::sync::RwLock<()>>,
}

#[derive(Debug, Default)]
struct Entries {
    handles: HashMap<ContainerId, Handle>,
    names: HashMap<ContainerName, ContainerId>,
}

/// All containers.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: RwLock<Entries>,
}

impl Table {
    fn read(&self) -> RwLockReadGuard<'_, Entries> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Entries> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a name for a container that is being made.
    ///
    /// # Errors
    /// `Conflict` with Docker's text when it is in use.
    pub(super) fn reserve(&self, name: &ContainerName, id: &ContainerId) -> Result<()> {
        let mut entries = self.write();
        if let Some(holder) = entries.names.get(name) {
            return Err(name_in_use(name, holder));
        }
        entries.names.insert(name.clone(), id.clone());
        Ok(())
    }

    /// Gives a name back, unless it belongs to another container by now.
    pub(super) fn release(&self, name: &ContainerName, id: &ContainerId) {
        let mut entries = self.write();
        if entries.names.get(name) == Some(id) {
            entries.names.remove(name);
        }
    }

    pub(super) fn insert(&self, handle: Handle) {
        self.write().handles.insert(handle.id.clone(), handle);
    }

    pub(super) fn remove(&self, id: &ContainerId) {
        self.write().handles.remove(id);
    }

    pub(super) fn is_taken(&self, name: &ContainerName) -> bool {
        self.read().names.contains_key(name)
    }

    pub(super) fn all(&self) -> Vec<Handle> {
        self.read().handles.values().cloned().collect()
    }

    pub(super) fn by_id(&self, id: &ContainerId) -> Option<Handle> {
        self.read().handles.get(id).cloned()
    }

    /// Finds a container by full id, name (with or without Docker's leading slash), or unambiguous beginning of its id.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidArgument` for an ambiguous prefix, with Docker's texts.
    pub(super) fn find(&self, reference: &str) -> Result<Handle> {
        let not_found = || ServiceError::not_found(format!("No such container: {reference}"));
        if reference.is_empty() {
            return Err(ServiceError::invalid("invalid name or ID supplied: \"\""));
        }
        let entries = self.read();
        if let Ok(id) = ContainerId::parse(reference)
            && let Some(handle) = entries.handles.get(&id)
        {
            return Ok(handle.clone());
        }
        let plain = reference.strip_prefix('/').unwrap_or(reference);
        if let Ok(name) = ContainerName::parse(plain)
            && let Some(id) = entries.names.get(&name)
        {
            return entries.handles.get(id).cloned().ok_or_else(not_found);
        }
        let mut matching = entries
            .handles
            .values()
            .filter(|handle| handle.id.as_str().starts_with(reference));
        match (matching.next(), matching.next()) {
            (Some(handle), None) => Ok(handle.clone()),
            (Some(_), Some(_)) => Err(ServiceError::invalid(format!(
                "Multiple IDs found with provided prefix: {reference}"
            ))),
            (None, _) => Err(not_found()),
        }
    }
}

fn name_in_use(name: &ContainerName, holder: &ContainerId) -> ServiceError {
    ServiceError::conflict(format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(byte: u8) -> Handle {
        let (commands, _) = mpsc::channel(1);
        let (_, snapshot) = watch::channel(Snapshot::default());
        Handle {
            id: ContainerId::from_bytes([byte; 32]),
            commands,
            snapshot,
            files: Arc::default(),
        }
    }

    #[test]
    fn finds_by_id_name_and_prefix() {
        let table = Table::default();
        for (byte, name) in [(0xaa, "web"), (0xab, "database")] {
            let handle = handle(byte);
            table
                .reserve(&ContainerName::parse(name).expect("name"), &handle.id)
                .expect("free");
            table.insert(handle);
        }
        let full = "aa".repeat(32);
        for (reference, expected) in [
            ("web", Some(0xaa)),
            ("/web", Some(0xaa)),
            (full.as_str(), Some(0xaa)),
            ("aaa", Some(0xaa)),
            ("ab", Some(0xab)),
            ("a", None),
            ("", None),
            ("nope", None),
        ] {
            let found = table.find(reference).ok().map(|handle| handle.id);
            assert_eq!(
                found,
                expected.map(|byte| ContainerId::from_bytes([byte; 32])),
                "{reference}"
            );
        }
    }

    #[test]
    fn a_name_belongs_to_one() {
        let table = Table::default();
        let name = ContainerName::parse("web").expect("name");
        let (first, second) = (ContainerId::from_bytes([1; 32]), ContainerId::from_bytes([2; 32]));
        table.reserve(&name, &first).expect("free");
        let error = table.reserve(&name, &second).expect_err("taken");
        assert!(
            error
                .message()
                .starts_with("Conflict. The container name \"/web\" is already in use by container")
        );
        table.release(&name, &second);
        assert!(table.is_taken(&name), "only the holder gives a name back");
        table.release(&name, &first);
        assert!(!table.is_taken(&name));
    }
}
