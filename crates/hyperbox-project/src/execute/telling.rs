// SPDX-License-Identifier: MIT
//! Plans and their operations in the words of the wire. Pure.

use std::collections::BTreeMap;

use hyperbox_types::project::{OperationPhase, PlannedOperation, ProjectEvent};

use super::engine::EngineError;
use super::run::Run;
use crate::plan::{Action, Observed, Operation, Plan};

/// The operations of a plan; `observed` tells which service a container is of.
pub fn planned(plan: &Plan, observed: &Observed) -> Vec<PlannedOperation> {
    let mut services: BTreeMap<&str, &str> = BTreeMap::new();
    for container in &observed.containers {
        services.insert(&container.name, &container.service);
    }
    for operation in plan.operations() {
        if let Action::CreateContainer { service, name, .. } = &operation.action {
            services.insert(name, service);
        }
    }
    let operations = plan.operations().iter().enumerate();
    operations
        .map(|(index, operation)| {
            let (service, object) = subject(&operation.action, &services);
            PlannedOperation {
                number: index + 1,
                text: operation.action.to_string(),
                cause: operation.cause.to_string(),
                after: operation.after.iter().map(|before| before.index() + 1).collect(),
                service,
                object,
            }
        })
        .collect()
}

fn subject(action: &Action, services: &BTreeMap<&str, &str>) -> (Option<String>, Option<String>) {
    match action {
        Action::CreateNetwork { name, .. }
        | Action::RemoveNetwork { name }
        | Action::CreateVolume { name, .. }
        | Action::RemoveVolume { name } => (None, Some(name.clone())),
        Action::Await { service, .. } => (Some(service.clone()), None),
        Action::CreateContainer { name, .. }
        | Action::StartContainer { name }
        | Action::RestartContainer { name }
        | Action::StopContainer { name }
        | Action::KillContainer { name, .. }
        | Action::PauseContainer { name }
        | Action::UnpauseContainer { name }
        | Action::RemoveContainer { name, .. } => {
            let service = services.get(name.as_str()).map(|service| (*service).to_owned());
            (service, Some(name.clone()))
        }
    }
}

/// Tells how far an operation is.
pub(crate) fn operation(run: &Run<'_>, plan: &Plan, index: usize, phase: OperationPhase, error: Option<&EngineError>) {
    let error = error.map(|error| error.message.clone());
    (run.tell)(event(plan, index, phase, None, error));
}

/// Tells what an operation is waiting for.
pub(crate) fn progress(run: &Run<'_>, plan: &Plan, index: usize, detail: &str) {
    let detail = Some(detail.to_owned());
    (run.tell)(event(plan, index, OperationPhase::Progress, detail, None));
}

fn event(
    plan: &Plan,
    index: usize,
    phase: OperationPhase,
    detail: Option<String>,
    error: Option<String>,
) -> ProjectEvent {
    let Operation { action, cause, .. } = &plan.operations()[index];
    ProjectEvent::Operation {
        number: index + 1,
        text: action.to_string(),
        cause: cause.to_string(),
        phase,
        detail,
        error,
    }
}
