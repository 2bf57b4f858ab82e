// SPDX-License-Identifier: MIT
//! `up`, from looking at what there is to waiting until all is ready.

use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{StreamExt, TryStreamExt, iter};
use hyperbox_types::ErrorKind;
use hyperbox_types::project::ProjectEvent;

use super::condition::judge_ready;
use super::engine::{EngineError, ProjectEngine, StopWish};
use super::images::{ImageNeeds, ImageWish, Pull, image_needs};
use super::perform::follow;
use super::recovery::{Recovery, recover, recovered, recoveries};
use super::run::{OnFailure, Run, Summary, execute};
use super::telling;
use crate::model::Model;
use crate::plan::{self, Observed, Plan, PlanError, UpOptions, with_dependencies};

/// How many images are pulled at a time; their layers are fetched side by side besides.
const PULLS: usize = 4;

/// What is asked of `up`.
#[derive(Debug, Clone, Default)]
pub struct UpRequest {
    /// What is planned.
    pub options: UpOptions,
    /// When images are pulled, instead of what the services say.
    pub pull: Option<Pull>,
    /// How containers that are replaced are stopped.
    pub stop: StopWish,
    /// Whether the run ends only when all services run or are healthy.
    pub wait: bool,
    /// After which time waiting is given up.
    pub wait_timeout: Option<Duration>,
}

/// What `up` would do.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The services that take part, dependencies first.
    pub services: Vec<String>,
    /// What is finished first.
    pub recoveries: Vec<Recovery>,
    /// What there is after that.
    pub observed: Observed,
    /// Which images are needed.
    pub needs: ImageNeeds,
    /// The plan, as far as it can be made without the images.
    pub plan: Plan,
}

impl From<PlanError> for EngineError {
    fn from(error: PlanError) -> Self {
        let kind = match error {
            PlanError::ExternalNetwork { .. } | PlanError::ExternalVolume { .. } => ErrorKind::NotFound,
            PlanError::Provider { .. } => ErrorKind::Unsupported,
            PlanError::NoContainer(_) | PlanError::MissingDependency { .. } => ErrorKind::FailedPrecondition,
            _ => ErrorKind::InvalidArgument,
        };
        let told = Self::new(kind, error.to_string());
        match kind {
            ErrorKind::FailedPrecondition => told.with_hint("`hb up` makes what is missing"),
            _ => told,
        }
    }
}

/// Finds out what `up` would do. Changes nothing.
///
/// # Errors
/// Services that do not exist, what others have to make and have not, those of the engine.
pub async fn prepare_up(
    engine: &dyn ProjectEngine,
    model: &Model,
    request: &UpRequest,
) -> Result<Prepared, EngineError> {
    let observed = engine.observe().await?;
    let recoveries = recoveries(model, &observed);
    let observed = recovered(observed, &recoveries);
    let services = taking_part(model, &request.options)?;
    let needs = image_needs(model, &services, &observed, request.pull);
    let plan = plan::up(model, &observed, &request.options)?;
    Ok(Prepared {
        services,
        recoveries,
        observed,
        needs,
        plan,
    })
}

/// Makes and starts what is wanted.
///
/// # Errors
/// Those of [`prepare_up`] and of the operations; what was done stays.
pub async fn up(run: &Run<'_>, model: &Model, request: &UpRequest, summary: &mut Summary) -> Result<(), EngineError> {
    let mut prepared = prepare_up(run.engine, model, request).await?;
    refuse_missing(&prepared.needs)?;
    run.go_on()?;
    recover(run.engine, &prepared.recoveries).await?;
    if !prepared.needs.pulls.is_empty() {
        pull(run, &prepared.needs).await?;
        prepared.observed = run.engine.observe().await?;
        let needs = image_needs(model, &prepared.services, &prepared.observed, Some(Pull::Missing));
        refuse_missing(&needs)?;
        prepared.plan = plan::up(model, &prepared.observed, &request.options)?;
    }
    let plan = &prepared.plan;
    let mut notes: Vec<String> = plan.notes().to_vec();
    if !plan.is_empty() {
        notes.extend(run.engine.prepare(plan).await?);
    }
    (run.tell)(ProjectEvent::Planned {
        operations: telling::planned(plan, &prepared.observed),
    });
    for note in notes {
        run.note(note);
    }
    execute(run, plan, request.stop, OnFailure::Stop, summary).await?;
    if request.wait && !request.options.only_create {
        ready(run, &prepared.services, request.wait_timeout).await?;
    }
    Ok(())
}

/// The services that take part, dependencies first.
fn taking_part(model: &Model, options: &UpOptions) -> Result<Vec<String>, EngineError> {
    let mut services = with_dependencies(model, &options.services)?;
    services.retain(|name| !options.without_dependencies || options.services.contains(name));
    let wanted = |name: &String| {
        let scaled = options.scale.get(name).copied();
        let service = model.services.get(name);
        scaled.or_else(|| service.map(crate::model::Service::replicas)) != Some(0)
    };
    services.retain(wanted);
    Ok(services)
}

fn refuse_missing(needs: &ImageNeeds) -> Result<(), EngineError> {
    if let Some((service, image)) = needs.missing.first() {
        let message = format!("image {image} of service {service:?} is not here and must not be pulled");
        return Err(EngineError::new(ErrorKind::NotFound, message).with_hint("pull it first, or change pull_policy"));
    }
    if let Some(service) = needs.builds.first() {
        let message = format!("the image of service {service:?} is not built");
        let hint = "build it first: whoever has the folder does that";
        return Err(EngineError::new(ErrorKind::FailedPrecondition, message).with_hint(hint));
    }
    Ok(())
}

async fn pull(run: &Run<'_>, needs: &ImageNeeds) -> Result<(), EngineError> {
    let pulls: Vec<_> = needs.pulls.iter().map(|wish| pull_one(run, wish).boxed()).collect();
    let all = iter(pulls)
        .buffer_unordered(PULLS)
        .try_for_each(|()| std::future::ready(Ok(())));
    run.unless_cancelled(all).await
}

async fn pull_one(run: &Run<'_>, wish: &ImageWish) -> Result<(), EngineError> {
    match run.engine.pull(wish, run.tell).await {
        Err(error) if wish.dispensable => {
            run.note(format!("cannot pull {}: {}", wish.image, error.message));
            Ok(())
        }
        pulled => pulled,
    }
}

/// Waits until all services run, or are healthy where they have a health check.
pub(crate) async fn ready(run: &Run<'_>, services: &[String], timeout: Option<Duration>) -> Result<(), EngineError> {
    let waits: Vec<_> = services.iter().map(|service| ready_one(run, service).boxed()).collect();
    let all = iter(waits)
        .buffer_unordered(services.len().max(1))
        .try_for_each(|()| std::future::ready(Ok(())));
    let all = run.unless_cancelled(all);
    let Some(timeout) = timeout else { return all.await };
    match select(std::pin::pin!(all), run.engine.sleep(timeout)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => {
            let message = format!("the services are not ready after {} s", timeout.as_secs());
            Err(EngineError::new(ErrorKind::Unavailable, message).with_hint("`hb project logs` shows what they say"))
        }
    }
}

async fn ready_one(run: &Run<'_>, service: &str) -> Result<(), EngineError> {
    follow(run, service, |containers| judge_ready(service, containers), |_| {}).await
}
