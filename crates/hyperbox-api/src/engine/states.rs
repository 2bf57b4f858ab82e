// SPDX-License-Identifier: MIT
//! The containers of a service, followed.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerRecord, HealthStatus, Phase};
use hyperbox_project::execute::{ContainerStates, EngineError, ServiceContainer};
use hyperbox_types::ErrorKind;

use super::failure;
use crate::labels;

/// Follows the containers that a service has now: as they are, then after each change. Ends when they are gone.
pub(super) fn follow(engine: &Engine, project: &str, service: &str) -> Result<ContainerStates, EngineError> {
    let own = |record: &Arc<ContainerRecord>| {
        let labels = &record.spec.labels;
        labels::project(labels) == Some(project)
            && labels::service(labels) == Some(service)
            && !labels::is_one_off(labels)
    };
    let mut now: Vec<ServiceContainer> = Vec::new();
    let mut changes = Vec::new();
    for record in engine.containers.list().into_iter().filter(own) {
        let followed = match engine.containers.follow(record.id.as_str()) {
            // Somebody removed it since it was listed.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            followed => followed.map_err(failure)?,
        };
        let index = now.len();
        now.push(state(&record));
        changes.push(followed.map(move |record| (index, state(&record))).boxed());
    }
    let first = stream::iter([now.clone()]);
    let later = stream::select_all(changes).map(move |(index, state)| {
        now[index] = state;
        now.clone()
    });
    Ok(Box::pin(first.chain(later)))
}

fn state(record: &ContainerRecord) -> ServiceContainer {
    let state = &record.state;
    ServiceContainer {
        name: record.name.to_string(),
        running: state.phase.is_alive(),
        exited: matches!(state.phase, Phase::Exited | Phase::Dead).then_some(state.exit_code),
        healthy: state.health.as_ref().map(|health| match health.status {
            HealthStatus::Starting => None,
            HealthStatus::Healthy => Some(true),
            HealthStatus::Unhealthy => Some(false),
        }),
    }
}
