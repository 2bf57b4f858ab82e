// SPDX-License-Identifier: MIT
//! `down`, `stop` and `start`: whole projects, or some of their services.

use std::collections::BTreeMap;

use super::observed::{ContainerState, Observed, ObservedContainer};
use super::operation::{Action, Cause, OperationNumber, Plan};
use super::order::{PlanError, all, with_dependencies};
use super::waits::Waits;
use crate::model::{Condition, Model, Service};

/// What is asked of `down`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DownOptions {
    /// Whether named and anonymous volumes go, too.
    pub volumes: bool,
    /// Whether containers of services that are no more go, too.
    pub remove_orphans: bool,
}

/// Plans the end of a project: containers stop before what they depend on, then networks go, and volumes if asked for. What is external stays.
pub fn down(model: &Model, observed: &Observed, options: DownOptions) -> Plan {
    let mut plan = Plan::default();
    let taken = |container: &&ObservedContainer| {
        options.remove_orphans || container.one_off || model.services.contains_key(&container.service)
    };
    let containers: Vec<_> = observed.containers.iter().filter(taken).collect();
    let left = observed.containers.len() - containers.len();
    if left > 0 {
        plan.note(format!(
            "{left} containers of services that are no more stay; --remove-orphans removes them"
        ));
    }
    let stopped = stop_in_order(&mut plan, model, &containers);
    let removed: Vec<_> = containers
        .iter()
        .map(|container| {
            let action = Action::RemoveContainer {
                name: container.name.clone(),
                volumes: options.volumes,
            };
            plan.add(action, Cause::Asked, stopped.get(&container.name).copied())
        })
        .collect();
    let project = Some(model.name.as_str());
    for (name, network) in &observed.networks {
        let external = model
            .networks
            .values()
            .any(|known| known.external && known.name == *name);
        if network.project.as_deref() == project && !external {
            let action = Action::RemoveNetwork { name: name.clone() };
            plan.add(action, Cause::Asked, removed.iter().copied());
        }
    }
    for (name, volume) in &observed.volumes {
        let external = model
            .volumes
            .values()
            .any(|known| known.external && known.name == *name);
        if options.volumes && volume.project.as_deref() == project && !external {
            let action = Action::RemoveVolume { name: name.clone() };
            plan.add(action, Cause::Asked, removed.iter().copied());
        }
    }
    plan
}

/// Plans that services stop (all when none is named), each before what it depends on. What `run` made goes on.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn stop(model: &Model, observed: &Observed, services: &[String]) -> Result<Plan, PlanError> {
    with_dependencies(model, services)?;
    let asked = |container: &&ObservedContainer| {
        !container.one_off && (services.is_empty() || services.contains(&container.service))
    };
    let containers: Vec<_> = observed.containers.iter().filter(asked).collect();
    let mut plan = Plan::default();
    stop_in_order(&mut plan, model, &containers);
    Ok(plan)
}

/// Plans that existing containers start, each after what it depends on is in its state. Makes none.
///
/// # Errors
/// [`PlanError::NoSuchService`]; [`PlanError::NoContainer`] when the project has none at all; [`PlanError::MissingDependency`] when a service
/// is to be waited for that has none.
pub fn start(model: &Model, observed: &Observed, services: &[String]) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    let mut waits = Waits::default();
    let nothing = observed.containers.iter().all(|container| container.one_off);
    for name in with_dependencies(model, services)? {
        let Some(service) = model.services.get(&name) else {
            continue;
        };
        if service.replicas() > 0 {
            for missing in missing_dependencies(model, observed, &name, service)? {
                plan.note(format!("{name} is missing dependency {missing}"));
            }
            if nothing {
                return Err(PlanError::NoContainer(name));
            }
        }
        let own = |container: &&ObservedContainer| {
            container.service == name && !container.one_off && container.state != ContainerState::Dead
        };
        let own: Vec<_> = observed.containers.iter().filter(own).collect();
        let idle = |container: &&&ObservedContainer| container.state != ContainerState::Running;
        let idle: Vec<_> = own.iter().filter(idle).collect();
        let before = match idle.is_empty() {
            true => Vec::new(),
            false => waits.before(&mut plan, &name, service),
        };
        if !own.is_empty() {
            waits.has(&name);
        }
        for container in idle {
            let action = Action::StartContainer {
                name: container.name.clone(),
            };
            let number = plan.add(action, Cause::NotRunning, before.iter().copied());
            waits.starts(&name, number);
        }
    }
    Ok(plan)
}

/// The dependencies of a service that it can do without and that have no container to wait for. One that has only to be started is started
/// if it can be, as Compose has it.
fn missing_dependencies(
    model: &Model,
    observed: &Observed,
    name: &str,
    service: &Service,
) -> Result<Vec<String>, PlanError> {
    let mut missing = Vec::new();
    for (other, dependency) in &service.depends_on {
        let wanted = model.services.get(other).is_some_and(|service| service.replicas() > 0);
        let mut containers = observed.containers.iter();
        let there = containers.any(|container| container.service == *other && !container.one_off);
        if dependency.condition == Condition::Started || !wanted || there {
            continue;
        }
        if dependency.required {
            return Err(PlanError::MissingDependency {
                service: name.to_owned(),
                dependency: other.clone(),
            });
        }
        missing.push(other.clone());
    }
    Ok(missing)
}

/// Stops what runs, dependents before what they depend on; tells which operation stops which container.
fn stop_in_order(
    plan: &mut Plan,
    model: &Model,
    containers: &[&ObservedContainer],
) -> BTreeMap<String, OperationNumber> {
    let mut stopped: BTreeMap<String, OperationNumber> = BTreeMap::new();
    let mut by_service: BTreeMap<&str, Vec<OperationNumber>> = BTreeMap::new();
    let mut order = all(model);
    order.reverse();
    let known = order.clone();
    let orphans = containers.iter().map(|container| container.service.clone());
    let orphans: Vec<_> = orphans.filter(|service| !known.contains(service)).collect();
    let mut services = orphans;
    services.dedup();
    services.extend(order);
    for name in &services {
        let dependents = model
            .services
            .iter()
            .filter(|(_, service)| service.depends_on.contains_key(name))
            .filter_map(|(dependent, _)| by_service.get(dependent.as_str()));
        let after: Vec<_> = dependents.flatten().copied().collect();
        for container in containers {
            if container.service != *name || container.state != ContainerState::Running {
                continue;
            }
            if stopped.contains_key(&container.name) {
                continue;
            }
            let action = Action::StopContainer {
                name: container.name.clone(),
            };
            let number = plan.add(action, Cause::Asked, after.iter().copied());
            stopped.insert(container.name.clone(), number);
            if let Some((key, _)) = model.services.get_key_value(name) {
                by_service.entry(key).or_default().push(number);
            }
        }
    }
    stopped
}
