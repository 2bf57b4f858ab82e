// SPDX-License-Identifier: MIT
//! What `up` does about the containers of one service: which stay, which go, which are made, and what they wait for.

use std::collections::BTreeSet;

use super::{Planner, Recreate};
use crate::model::{Model, Service};
use crate::plan::hash::service_hash;
use crate::plan::name::container_name;
use crate::plan::observed::{ContainerState, Observed, ObservedContainer};
use crate::plan::operation::{Action, Cause, OperationNumber};
use crate::plan::order::shared_with;

/// Containers that stay, each with why it has to be made anew, if it has to.
type Kept<'a> = Vec<(&'a ObservedContainer, Option<Cause>)>;
/// Containers that go, each with the reason.
type Surplus<'a> = Vec<(&'a ObservedContainer, Cause)>;

/// A service, and what its containers wait for.
struct Part<'a> {
    name: &'a str,
    service: &'a Service,
    /// What has to be there before they are made.
    needs: Vec<OperationNumber>,
    /// What has to be in its state before they are started.
    waits: Vec<OperationNumber>,
}

/// A container that is to be made.
struct Creation {
    number: u32,
    /// The id of the one that it replaces.
    replaces: Option<String>,
    cause: Cause,
    /// What has to be gone before.
    after: Option<OperationNumber>,
}

impl<'a> Planner<'a> {
    pub(super) fn service(&mut self, name: &'a str) {
        let model: &'a Model = self.model;
        let (Some(service), Some(wanted)) = (model.services.get(name), self.counts.get(name).copied()) else {
            return;
        };
        let (kept, surplus) = self.sorted_out(name, service, wanted);
        for (container, cause) in surplus {
            self.remove(container, cause);
        }
        let taken: BTreeSet<u32> = kept.iter().map(|(container, _)| container.number).collect();
        let missing = (1..).filter(|number| !taken.contains(number));
        let missing: Vec<u32> = missing
            .take(usize::try_from(wanted).unwrap_or_default().saturating_sub(kept.len()))
            .collect();
        let idle = |container: &ObservedContainer| container.state != ContainerState::Running;
        let starts = !missing.is_empty()
            || kept
                .iter()
                .any(|(container, change)| change.is_some() || idle(container))
            || self.restarting_dependency(service).is_some();
        let waits = match starts && !self.options.only_create {
            true => self.waits.before(&mut self.plan, name, service),
            false => Vec::new(),
        };
        let part = Part {
            name,
            service,
            needs: self.needs(service),
            waits,
        };
        for (container, change) in kept {
            match change {
                Some(cause) => self.renew(&part, container, cause),
                None => self.keep(&part, container),
            }
        }
        for number in missing {
            let creation = Creation {
                number,
                replaces: None,
                cause: Cause::Missing,
                after: None,
            };
            self.create(&part, creation);
        }
    }

    /// Which containers stay, with what has to change of them, and which go.
    fn sorted_out(&self, name: &str, service: &Service, wanted: u32) -> (Kept<'a>, Surplus<'a>) {
        let mut kept = Vec::new();
        let mut surplus = Vec::new();
        let observed: &'a Observed = self.observed;
        for container in &observed.containers {
            if container.service != name || container.one_off {
                continue;
            }
            if container.state == ContainerState::Dead {
                surplus.push((container, Cause::Broken));
            } else if !service.networks.keys().any(|key| self.renewed_networks.contains(key)) {
                kept.push((container, self.change(name, service, container)));
            }
        }
        // Those that need no change stay first, then those with the lowest numbers.
        kept.sort_by_key(|(container, change)| (change.is_some(), container.number));
        let surplus_kept = kept.split_off(kept.len().min(usize::try_from(wanted).unwrap_or(usize::MAX)));
        surplus.extend(
            surplus_kept
                .into_iter()
                .map(|(container, _)| (container, Cause::TooMany)),
        );
        kept.sort_by_key(|(container, _)| container.number);
        (kept, surplus)
    }

    /// Why a container has to be made anew.
    fn change(&self, name: &str, service: &Service, container: &ObservedContainer) -> Option<Cause> {
        let asked = self.options.services.is_empty() || self.options.services.iter().any(|other| other == name);
        let recreate = if asked {
            self.options.recreate
        } else {
            self.options.recreate_dependencies
        };
        match recreate {
            Recreate::Never => return None,
            Recreate::Always => return Some(Cause::Asked),
            Recreate::Changed => {}
        }
        if container.config_hash != service_hash(service) {
            return Some(Cause::ConfigurationChanged);
        }
        if self
            .observed
            .images
            .get(name)
            .is_some_and(|image| *image != container.image)
        {
            return Some(Cause::ImageChanged);
        }
        shared_with(service)
            .into_iter()
            .find(|other| self.renewed.contains(other))
            .map(Cause::Renewed)
    }

    /// What has to be there before a container of the service can be made.
    fn needs(&self, service: &Service) -> Vec<OperationNumber> {
        let networks = service.networks.keys().filter_map(|key| self.networks.get(key));
        let volumes = service
            .volumes
            .iter()
            .filter_map(|mount| self.volumes.get(mount.source.as_ref()?));
        let shared = shared_with(service);
        let others = shared.iter().filter_map(|other| self.created.get(other)).flatten();
        networks.chain(volumes).chain(others).copied().collect()
    }

    /// A container is made anew, under the name that it is to have by now. One whose name another container is to have goes before: it
    /// would keep the name until it is replaced, and two could wait for each other's.
    fn renew(&mut self, part: &Part<'a>, container: &ObservedContainer, cause: Cause) {
        self.renewed.insert(part.name.to_owned());
        let name = container_name(&self.model.name, part.name, part.service, container.number);
        let gives_way = name != container.name && self.is_wanted(&container.name);
        let after = gives_way.then(|| self.remove(container, cause.clone()));
        let creation = Creation {
            number: container.number,
            replaces: after.is_none().then(|| container.id.clone()),
            cause,
            after,
        };
        let created = self.create(part, creation);
        self.frees(container, created);
    }

    /// Whether a container is to have a name.
    fn is_wanted(&self, name: &str) -> bool {
        self.counts.iter().any(|(service, count)| {
            let said = self.model.services.get(service).map(|service| &service.container_name);
            let Some(None) = said else {
                return said.and_then(Option::as_deref) == Some(name);
            };
            let number = name.strip_prefix(&format!("{}-{service}-", self.model.name));
            let number = number.and_then(|digits| digits.parse::<u32>().ok());
            number.is_some_and(|number| (1..=*count).contains(&number))
        })
    }

    /// A container stays; it is started, or restarted with what it depends on.
    fn keep(&mut self, part: &Part<'a>, container: &ObservedContainer) {
        self.waits.has(part.name);
        if self.options.only_create {
            return;
        }
        let name = container.name.clone();
        let (action, cause) = match container.state {
            ContainerState::Running => {
                let Some(renewed) = self.restarting_dependency(part.service) else {
                    return;
                };
                (Action::RestartContainer { name }, Cause::Renewed(renewed))
            }
            _ => (Action::StartContainer { name }, Cause::NotRunning),
        };
        self.start(part, action, cause, None);
    }

    /// A dependency that is made anew and with which the service is to restart.
    fn restarting_dependency(&self, service: &Service) -> Option<String> {
        service
            .depends_on
            .iter()
            .find(|(name, dependency)| dependency.restart && self.renewed.contains(*name))
            .map(|(name, _)| name.clone())
    }

    fn create(&mut self, part: &Part<'a>, creation: Creation) -> OperationNumber {
        let name = container_name(&self.model.name, part.name, part.service, creation.number);
        let action = Action::CreateContainer {
            service: part.name.to_owned(),
            number: creation.number,
            name: name.clone(),
            replaces: creation.replaces,
        };
        let after = part.needs.iter().copied().chain(creation.after);
        let created = self.plan.add(action, creation.cause.clone(), after);
        self.created.entry(part.name.to_owned()).or_default().push(created);
        self.waits.has(part.name);
        if !self.options.only_create {
            self.start(part, Action::StartContainer { name }, creation.cause, Some(created));
        }
        created
    }

    fn start(&mut self, part: &Part<'a>, action: Action, cause: Cause, created: Option<OperationNumber>) {
        let after = part.waits.iter().copied().chain(created);
        let number = self.plan.add(action, cause, after);
        self.waits.starts(part.name, number);
        self.started.push((number, part.name));
    }
}
