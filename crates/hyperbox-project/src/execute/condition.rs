// SPDX-License-Identifier: MIT
//! Whether the containers of a service are in the state that another one waits for. Pure.
//!
//! The sentences are those of `docker compose`, which say what failed.

use crate::model::Condition;

/// What can be seen of a container while it is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceContainer {
    /// Its name.
    pub name: String,
    /// Whether it runs (or is frozen).
    pub running: bool,
    /// How it ended, if it has and is not about to be started again.
    pub exited: Option<i32>,
    /// Whether its health check has a verdict: `Some(None)` is none yet; `None` that it has no check.
    pub healthy: Option<Option<bool>>,
}

/// What is said of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It has come.
    Met,
    /// Not yet; this is what is waited for.
    Wait(String),
    /// It will not come, and why.
    Failed(String),
}

/// Judges whether all containers of a service are in a state.
pub fn judge(service: &str, condition: Condition, containers: &[ServiceContainer]) -> Verdict {
    all(service, containers, |container| match condition {
        Condition::Started => started(container),
        Condition::Healthy => healthy(container),
        Condition::Completed => completed(service, container),
    })
}

/// Judges whether all containers of a service run, and are healthy if they have a health check.
pub fn judge_ready(service: &str, containers: &[ServiceContainer]) -> Verdict {
    all(service, containers, |container| {
        match (container.healthy, container.exited) {
            (_, Some(code)) => Verdict::Failed(format!("container {} exited ({code})", container.name)),
            (Some(_), None) => healthy(container),
            (None, None) => started(container),
        }
    })
}

/// The worst verdict of all.
fn all(service: &str, containers: &[ServiceContainer], judge: impl Fn(&ServiceContainer) -> Verdict) -> Verdict {
    if containers.is_empty() {
        return Verdict::Failed(format!("service {service:?} has no container"));
    }
    let mut waiting = None;
    for container in containers {
        match judge(container) {
            Verdict::Met => {}
            Verdict::Wait(what) => waiting = waiting.or(Some(what)),
            failed @ Verdict::Failed(_) => return failed,
        }
    }
    waiting.map_or(Verdict::Met, Verdict::Wait)
}

fn started(container: &ServiceContainer) -> Verdict {
    if container.running || container.exited.is_some() {
        return Verdict::Met;
    }
    Verdict::Wait(format!("container {} is not started yet", container.name))
}

fn healthy(container: &ServiceContainer) -> Verdict {
    let name = &container.name;
    match (container.exited, container.healthy) {
        (Some(code), _) => Verdict::Failed(format!("container {name} exited ({code})")),
        (None, None) => Verdict::Failed(format!("container {name} has no healthcheck configured")),
        (None, Some(Some(false))) => Verdict::Failed(format!("container {name} is unhealthy")),
        (None, Some(Some(true))) => Verdict::Met,
        (None, Some(None)) => Verdict::Wait(format!("container {name} is starting")),
    }
}

fn completed(service: &str, container: &ServiceContainer) -> Verdict {
    match container.exited {
        Some(0) => Verdict::Met,
        Some(code) => Verdict::Failed(format!("service {service:?} didn't complete successfully: exit {code}")),
        None => Verdict::Wait(format!("container {} has not ended yet", container.name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(running: bool, exited: Option<i32>, healthy: Option<Option<bool>>) -> ServiceContainer {
        ServiceContainer {
            name: "p-s-1".to_owned(),
            running,
            exited,
            healthy,
        }
    }

    #[test]
    fn verdicts() {
        use Condition::{Completed, Healthy, Started};
        for (condition, state, expected) in [
            (Started, container(true, None, None), "met"),
            (Started, container(false, Some(1), None), "met"),
            (
                Started,
                container(false, None, None),
                "wait: container p-s-1 is not started yet",
            ),
            (Healthy, container(true, None, Some(Some(true))), "met"),
            (
                Healthy,
                container(true, None, Some(None)),
                "wait: container p-s-1 is starting",
            ),
            (
                Healthy,
                container(true, None, Some(Some(false))),
                "failed: container p-s-1 is unhealthy",
            ),
            (
                Healthy,
                container(true, None, None),
                "failed: container p-s-1 has no healthcheck configured",
            ),
            (
                Healthy,
                container(false, Some(3), Some(None)),
                "failed: container p-s-1 exited (3)",
            ),
            (Completed, container(false, Some(0), None), "met"),
            (
                Completed,
                container(true, None, None),
                "wait: container p-s-1 has not ended yet",
            ),
            (
                Completed,
                container(false, Some(4), None),
                "failed: service \"s\" didn't complete successfully: exit 4",
            ),
        ] {
            let found = text(judge("s", condition, std::slice::from_ref(&state)));
            assert_eq!(found, expected, "{condition:?} {state:?}");
        }
    }

    #[test]
    fn all_containers_count() {
        let (good, starting) = (
            container(true, None, Some(Some(true))),
            container(true, None, Some(None)),
        );
        let bad = container(true, None, Some(Some(false)));
        assert_eq!(
            text(judge("s", Condition::Healthy, &[good.clone(), good.clone()])),
            "met"
        );
        let one_waits = judge("s", Condition::Healthy, &[good.clone(), starting.clone()]);
        assert_eq!(text(one_waits), "wait: container p-s-1 is starting");
        let one_fails = judge("s", Condition::Healthy, &[starting, bad]);
        assert_eq!(text(one_fails), "failed: container p-s-1 is unhealthy");
        assert_eq!(
            text(judge("s", Condition::Started, &[])),
            "failed: service \"s\" has no container"
        );
    }

    #[test]
    fn ready_means_running_or_healthy() {
        for (state, expected) in [
            (container(true, None, None), "met"),
            (container(true, None, Some(None)), "wait: container p-s-1 is starting"),
            (container(true, None, Some(Some(true))), "met"),
            (container(false, Some(0), None), "failed: container p-s-1 exited (0)"),
        ] {
            assert_eq!(text(judge_ready("s", &[state])), expected);
        }
    }

    fn text(verdict: Verdict) -> String {
        match verdict {
            Verdict::Met => "met".to_owned(),
            Verdict::Wait(what) => format!("wait: {what}"),
            Verdict::Failed(why) => format!("failed: {why}"),
        }
    }
}
