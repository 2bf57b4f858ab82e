// SPDX-License-Identifier: MIT
//! One operation.

use futures_util::StreamExt;
use hyperbox_types::ErrorKind;

use super::condition::{ServiceContainer, Verdict, judge};
use super::engine::{ContainerWish, EngineError, StopWish};
use super::recovery::preliminary_name;
use super::run::Run;
use super::telling;
use crate::model::Condition;
use crate::plan::{Action, Plan};

/// Does one operation of a plan.
pub(crate) async fn perform(run: &Run<'_>, plan: &Plan, index: usize, stop: StopWish) -> Result<(), EngineError> {
    let engine = run.engine;
    match &plan.operations()[index].action {
        Action::CreateNetwork { key, .. } => engine.create_network(key).await,
        Action::RemoveNetwork { name } => engine.remove_network(name).await,
        Action::CreateVolume { key, .. } => engine.create_volume(key).await,
        Action::RemoveVolume { name } => engine.remove_volume(name).await,
        Action::CreateContainer {
            service,
            number,
            name,
            replaces,
        } => {
            let wish = ContainerWish {
                service: service.clone(),
                number: *number,
                name: name.clone(),
                replaces: replaces.clone(),
            };
            create(run, wish, stop).await
        }
        Action::StartContainer { name } => engine.start_container(name).await,
        Action::RestartContainer { name } => engine.restart_container(name, stop).await,
        Action::StopContainer { name } => engine.stop_container(name, stop).await,
        Action::KillContainer { name, signal } => engine.kill_container(name, signal.as_deref()).await,
        Action::PauseContainer { name } => engine.pause_container(name).await,
        Action::UnpauseContainer { name } => engine.unpause_container(name).await,
        Action::RemoveContainer { name, volumes } => engine.remove_container(name, *volumes).await,
        Action::Await {
            service,
            condition,
            required,
        } => {
            let told = |what: &str| telling::progress(run, plan, index, what);
            let came = follow(run, service, |containers| judge(service, *condition, containers), told).await;
            match came {
                Err(error) if !required && error.kind == ErrorKind::FailedPrecondition => {
                    run.note(optional(service, *condition, &error.message));
                    Ok(())
                }
                Err(error) if error.kind == ErrorKind::FailedPrecondition && *condition != Condition::Completed => {
                    Err(EngineError {
                        message: format!("dependency failed to start: {}", error.message),
                        ..error
                    })
                }
                came => came,
            }
        }
    }
}

/// Makes a container. One that replaces another takes its name when that is gone: see `recovery` for what an interruption leaves.
async fn create(run: &Run<'_>, wish: ContainerWish, stop: StopWish) -> Result<(), EngineError> {
    let engine = run.engine;
    let Some(replaced) = wish.replaces.clone() else {
        return engine.create_container(&wish).await.map(drop);
    };
    let preliminary = ContainerWish {
        name: preliminary_name(&replaced, &wish.name),
        ..wish.clone()
    };
    let made = engine.create_container(&preliminary).await?;
    engine.stop_container(&replaced, stop).await?;
    engine.remove_container(&replaced, false).await?;
    engine.rename_container(&made, &wish.name).await
}

/// Follows the containers of a service until the verdict is there; `told` gets what is waited for when that changes.
pub(crate) async fn follow(
    run: &Run<'_>,
    service: &str,
    judge: impl Fn(&[ServiceContainer]) -> Verdict,
    told: impl Fn(&str),
) -> Result<(), EngineError> {
    let mut states = run.engine.states(service).await?;
    let mut waited = String::new();
    while let Some(containers) = states.next().await {
        match judge(&containers) {
            Verdict::Met => return Ok(()),
            Verdict::Failed(why) => return Err(EngineError::new(ErrorKind::FailedPrecondition, why)),
            Verdict::Wait(what) if what == waited => {}
            Verdict::Wait(what) => {
                told(&what);
                waited = what;
            }
        }
    }
    let message = format!("the containers of service {service:?} are gone");
    Err(EngineError::new(ErrorKind::FailedPrecondition, message))
}

/// What is said of a dependency that may fail.
fn optional(service: &str, condition: Condition, why: &str) -> String {
    match condition {
        Condition::Completed => format!("optional dependency {}", why.trim_start_matches("service ")),
        _ => format!("optional dependency {service:?} failed to start: {why}"),
    }
}
