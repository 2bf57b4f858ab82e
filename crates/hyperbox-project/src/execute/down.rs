// SPDX-License-Identifier: MIT
//! `down`: containers, networks, and volumes and images if asked.

use std::collections::BTreeSet;

use hyperbox_types::project::ProjectEvent;

use super::engine::{EngineError, StopWish};
use super::run::{OnFailure, Run, Summary, execute};
use super::telling;
use crate::create::image;
use crate::model::Model;
use crate::plan::{self, DownOptions, Observed, with_dependencies};

/// Which images go with a project.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImagesToRemove {
    /// None.
    #[default]
    None,
    /// Those of services that say no name for what they build.
    Local,
    /// Those of all services.
    All,
}

/// What is asked of `down`.
#[derive(Debug, Clone, Default)]
pub struct DownRequest {
    /// Which services; all when none is named. Networks and volumes stay when some are.
    pub services: Vec<String>,
    /// What is planned.
    pub options: DownOptions,
    /// Which images go.
    pub images: ImagesToRemove,
    /// How containers are stopped.
    pub stop: StopWish,
}

/// Brings a project, or some of its services, down. Goes on with what does not depend on what fails.
///
/// # Errors
/// Services that do not exist, the first failure of an operation.
pub async fn down(
    run: &Run<'_>,
    model: &Model,
    request: &DownRequest,
    summary: &mut Summary,
) -> Result<(), EngineError> {
    with_dependencies(model, &request.services)?;
    let observed = chosen(run.engine.observe().await?, &request.services);
    let plan = plan::down(model, &observed, request.options);
    (run.tell)(ProjectEvent::Planned {
        operations: telling::planned(&plan, &observed),
    });
    for note in plan.notes() {
        run.note(note);
    }
    execute(run, &plan, request.stop, OnFailure::GoOn, summary).await?;
    for image in images(model, request) {
        run.go_on()?;
        summary.removed += usize::from(run.engine.remove_image(&image).await?);
    }
    Ok(())
}

/// What is looked at when only some services go.
fn chosen(mut observed: Observed, services: &[String]) -> Observed {
    if !services.is_empty() {
        observed
            .containers
            .retain(|container| services.contains(&container.service));
        observed.networks.clear();
        observed.volumes.clear();
    }
    observed
}

fn images(model: &Model, request: &DownRequest) -> BTreeSet<String> {
    let services = model.services.iter().filter(|(name, service)| {
        let chosen = request.services.is_empty() || request.services.contains(name);
        chosen
            && match request.images {
                ImagesToRemove::None => false,
                ImagesToRemove::Local => service.image.is_none() && service.build.is_some(),
                ImagesToRemove::All => true,
            }
    });
    services
        .map(|(name, service)| image(&model.name, name, service))
        .collect()
}
