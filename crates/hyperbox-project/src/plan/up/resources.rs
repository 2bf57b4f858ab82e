// SPDX-License-Identifier: MIT
//! What `up` does about orphans, networks and volumes.

use std::collections::BTreeSet;

use super::Planner;
use crate::plan::hash::{network_hash, volume_hash};
use crate::plan::observed::{ContainerState, ObservedContainer};
use crate::plan::operation::{Action, Cause, OperationNumber};
use crate::plan::order::PlanError;

impl Planner<'_> {
    pub(super) fn orphans(&mut self) {
        let is_orphan = |container: &&ObservedContainer| {
            !container.one_off && !self.model.services.contains_key(&container.service)
        };
        let orphans: Vec<_> = self.observed.containers.iter().filter(is_orphan).collect();
        if orphans.is_empty() {
            return;
        }
        if !self.options.remove_orphans {
            let names: Vec<_> = orphans.iter().map(|container| container.name.as_str()).collect();
            self.plan.note(format!(
                "containers of services that are no more: {}; --remove-orphans removes them",
                names.join(", ")
            ));
            return;
        }
        for container in orphans {
            let number = self.remove(container, Cause::Orphan);
            self.orphans.push(number);
        }
    }

    /// Stops a container if it runs, and removes it; once, whoever asks.
    pub(super) fn remove(&mut self, container: &ObservedContainer, cause: Cause) -> OperationNumber {
        if let Some(number) = self.removed.get(&container.id) {
            return *number;
        }
        let name = container.name.clone();
        let stopped = (container.state == ContainerState::Running).then(|| {
            let action = Action::StopContainer { name: name.clone() };
            self.plan.add(action, cause.clone(), [])
        });
        let action = Action::RemoveContainer {
            name: name.clone(),
            volumes: false,
        };
        let number = self.plan.add(action, cause, stopped);
        self.removed.insert(container.id.clone(), number);
        self.vacated.insert(name, number);
        self.frees(container, number);
        number
    }

    /// Remembers what ends a container that may have ports and addresses.
    pub(super) fn frees(&mut self, container: &ObservedContainer, number: OperationNumber) {
        if matches!(container.state, ContainerState::Running | ContainerState::Dead) {
            self.freed.push(number);
        }
    }

    pub(super) fn networks(&mut self, order: &[String]) -> Result<(), PlanError> {
        let used: BTreeSet<&String> = order
            .iter()
            .filter_map(|name| self.model.services.get(name))
            .flat_map(|service| service.networks.keys())
            .collect();
        for key in used {
            let Some(network) = self.model.networks.get(key) else {
                continue;
            };
            let known = self.observed.networks.get(&network.name);
            if network.external {
                if known.is_none() {
                    return Err(PlanError::ExternalNetwork {
                        name: network.name.clone(),
                    });
                }
                continue;
            }
            let (cause, after) = match known {
                None => (Cause::Missing, None),
                Some(known) if known.project.as_deref() != Some(self.model.name.as_str()) => {
                    self.plan.note(format!(
                        "network {} exists and was not made by this project; it is used as it is",
                        network.name
                    ));
                    continue;
                }
                Some(known)
                    if known
                        .config_hash
                        .as_ref()
                        .is_some_and(|hash| *hash != network_hash(network)) =>
                {
                    let removed = self.free_network(key, &network.name);
                    (Cause::ConfigurationChanged, Some(removed))
                }
                Some(_) => continue,
            };
            let action = Action::CreateNetwork {
                key: key.clone(),
                name: network.name.clone(),
            };
            let number = self.plan.add(action, cause, after);
            self.networks.insert(key.clone(), number);
        }
        Ok(())
    }

    /// Removes the containers of a network, also of services that nobody asked for, then the network. Orphans may be on it, too.
    fn free_network(&mut self, key: &str, name: &str) -> OperationNumber {
        self.renewed_networks.insert(key.to_owned());
        let model = self.model;
        let observed = self.observed;
        let on_it = |container: &&ObservedContainer| {
            model
                .services
                .get(&container.service)
                .is_some_and(|service| service.networks.contains_key(key))
        };
        let mut removed: Vec<_> = observed
            .containers
            .iter()
            .filter(on_it)
            .map(|container| self.remove(container, Cause::Renewed(format!("network {name}"))))
            .collect();
        removed.extend(&self.orphans);
        let action = Action::RemoveNetwork { name: name.to_owned() };
        self.plan.add(action, Cause::ConfigurationChanged, removed)
    }

    pub(super) fn volumes(&mut self, order: &[String]) -> Result<(), PlanError> {
        let used: BTreeSet<&String> = order
            .iter()
            .filter_map(|name| self.model.services.get(name))
            .flat_map(|service| &service.volumes)
            .filter(|mount| mount.kind == "volume")
            .filter_map(|mount| mount.source.as_ref())
            .collect();
        for key in used {
            let Some(volume) = self.model.volumes.get(key) else {
                continue;
            };
            match self.observed.volumes.get(&volume.name) {
                None if volume.external => {
                    return Err(PlanError::ExternalVolume {
                        name: volume.name.clone(),
                    });
                }
                None => {
                    let action = Action::CreateVolume {
                        key: key.clone(),
                        name: volume.name.clone(),
                    };
                    let number = self.plan.add(action, Cause::Missing, []);
                    self.volumes.insert(key.clone(), number);
                }
                Some(_) if volume.external => {}
                // Data are never thrown away because a file has changed.
                Some(known) if known.project.as_deref() != Some(self.model.name.as_str()) => self.plan.note(format!(
                    "volume {} exists and was not made by this project; it is used as it is",
                    volume.name
                )),
                Some(known)
                    if known
                        .config_hash
                        .as_ref()
                        .is_some_and(|hash| *hash != volume_hash(volume)) =>
                {
                    self.plan.note(format!(
                        "volume {} was made with another configuration and is kept; remove it to have it made anew",
                        volume.name
                    ));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}
