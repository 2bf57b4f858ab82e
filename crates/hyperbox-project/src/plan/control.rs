// SPDX-License-Identifier: MIT
//! `restart`, `kill`, `pause` and `unpause` of the containers that services have.

use std::collections::{BTreeMap, BTreeSet};

use super::observed::{ContainerState, Observed, ObservedContainer};
use super::operation::{Action, Cause, OperationNumber, Plan};
use super::order::{PlanError, all, with_dependencies};
use crate::model::Model;

/// Plans that containers are stopped and started again, each after those that it depends on. What is to restart with a service that is
/// named restarts, too, unless it is left alone.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn restart(
    model: &Model,
    observed: &Observed,
    services: &[String],
    without_dependents: bool,
) -> Result<Plan, PlanError> {
    with_dependencies(model, services)?;
    let mut chosen: BTreeSet<String> = match services {
        [] => model.services.keys().cloned().collect(),
        services => services.iter().cloned().collect(),
    };
    let mut plan = Plan::default();
    let mut restarted: BTreeMap<String, Vec<OperationNumber>> = BTreeMap::new();
    for name in all(model) {
        let Some(service) = model.services.get(&name) else {
            continue;
        };
        let with = service
            .depends_on
            .iter()
            .find(|(other, dependency)| dependency.restart && chosen.contains(*other));
        let cause = match with {
            _ if chosen.contains(&name) => Cause::Asked,
            Some((other, _)) if !without_dependents => Cause::Renewed(other.clone()),
            _ => continue,
        };
        chosen.insert(name.clone());
        let after: Vec<_> = service
            .depends_on
            .keys()
            .filter_map(|other| restarted.get(other))
            .flatten()
            .copied()
            .collect();
        for container in of(observed, &name) {
            let action = Action::RestartContainer {
                name: container.name.clone(),
            };
            let number = plan.add(action, cause.clone(), after.iter().copied());
            restarted.entry(name.clone()).or_default().push(number);
        }
    }
    Ok(plan)
}

/// Plans that containers that run get a signal, all at once.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn kill(model: &Model, observed: &Observed, services: &[String], signal: Option<&str>) -> Result<Plan, PlanError> {
    each(model, observed, services, |name| Action::KillContainer {
        name,
        signal: signal.map(str::to_owned),
    })
}

/// Plans that containers that run are frozen, all at once.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn pause(model: &Model, observed: &Observed, services: &[String]) -> Result<Plan, PlanError> {
    each(model, observed, services, |name| Action::PauseContainer { name })
}

/// Plans that containers that are frozen go on, all at once.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn unpause(model: &Model, observed: &Observed, services: &[String]) -> Result<Plan, PlanError> {
    each(model, observed, services, |name| Action::UnpauseContainer { name })
}

fn each(
    model: &Model,
    observed: &Observed,
    services: &[String],
    action: impl Fn(String) -> Action,
) -> Result<Plan, PlanError> {
    with_dependencies(model, services)?;
    let mut plan = Plan::default();
    let asked = |container: &&ObservedContainer| services.is_empty() || services.contains(&container.service);
    let running = |container: &&ObservedContainer| container.state == ContainerState::Running && !container.one_off;
    for container in observed.containers.iter().filter(asked).filter(running) {
        plan.add(action(container.name.clone()), Cause::Asked, []);
    }
    Ok(plan)
}

fn of<'a>(observed: &'a Observed, service: &str) -> impl Iterator<Item = &'a ObservedContainer> {
    let service = service.to_owned();
    let own = move |container: &&ObservedContainer| {
        container.service == service && !container.one_off && container.state != ContainerState::Dead
    };
    observed.containers.iter().filter(own)
}
