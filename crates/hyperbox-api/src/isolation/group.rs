// SPDX-License-Identifier: MIT
//! Control groups of projects: their limits and what is used of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyperbox_core::seam::{ControlGroups, GroupError, GroupLimits, GroupUsage};
use hyperbox_core::{Result, ServiceError};
use hyperbox_types::project::{ProjectLimits, ProjectUsage, Quantity};
use tokio::task::JoinError;

/// Over so much time at least use of processors is told.
const SHORTEST: Duration = Duration::from_millis(100);
/// What was seen longer ago says nothing of now.
const LONGEST: Duration = Duration::from_secs(10);

/// The control groups of all projects, by name. A clone shares them.
#[derive(Debug, Clone)]
pub(super) struct Groups {
    mechanism: Arc<dyn ControlGroups>,
    parent: Arc<str>,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

/// What is known of a group.
#[derive(Debug, Default)]
struct Known {
    limits: ProjectLimits,
    /// What the machine cannot keep of them; absent as long as they were not set.
    warnings: Option<Vec<String>>,
    /// Used time of processors, and when that was.
    seen: Option<(Instant, u64)>,
}

impl Groups {
    /// Makes the keeper; changes nothing.
    pub(super) fn new(mechanism: Arc<dyn ControlGroups>, parent: &str) -> Self {
        Self {
            mechanism,
            parent: parent.trim_end_matches('/').into(),
            known: Arc::default(),
        }
    }

    /// Returns the path of a group; `None` for a project that was given none.
    pub(super) fn path(&self, group: &str) -> Option<String> {
        (!group.is_empty()).then(|| format!("{}/{group}", self.parent))
    }

    /// Makes a group and sets limits. Blocks.
    pub(super) fn ensure(&self, group: &str, limits: &ProjectLimits) -> std::result::Result<Vec<String>, GroupError> {
        let Some(path) = self.path(group) else {
            return Ok(Vec::new());
        };
        let warnings = self.mechanism.ensure(&path, &kernel_limits(limits))?;
        let mut known = self.known();
        let known = known.entry(group.to_owned()).or_default();
        known.limits = limits.clone();
        known.warnings = Some(warnings.clone());
        Ok(warnings)
    }

    /// Returns what was warned of when these limits were set; `None` when they were not.
    pub(super) fn kept(&self, group: &str, limits: &ProjectLimits) -> Option<Vec<String>> {
        let known = self.known();
        let known = known.get(group).filter(|known| known.limits == *limits)?;
        known.warnings.clone()
    }

    /// Removes a group. Blocks.
    pub(super) fn remove(&self, group: &str) -> std::result::Result<(), GroupError> {
        let Some(path) = self.path(group) else {
            return Ok(());
        };
        self.mechanism.remove(&path)?;
        self.known().remove(group);
        Ok(())
    }

    /// Tells what is used. Takes [`SHORTEST`] when nobody asked lately.
    pub(super) async fn usage(&self, group: &str) -> Option<ProjectUsage> {
        let path = self.path(group)?;
        let mut now = (Instant::now(), self.mechanism.usage(&path).ok()?);
        let before = self.known().get(group).and_then(|known| known.seen);
        let before = before.filter(|(at, _)| (SHORTEST..LONGEST).contains(&now.0.duration_since(*at)));
        let (since, used) = match before {
            Some(before) => before,
            None => {
                let first = (now.0, now.1.cpu_total_ns);
                tokio::time::sleep(SHORTEST).await;
                now = (Instant::now(), self.mechanism.usage(&path).ok()?);
                first
            }
        };
        let cpus = rate(now.0.duration_since(since), now.1.cpu_total_ns.saturating_sub(used));
        let mut known = self.known();
        let known = known.entry(group.to_owned()).or_default();
        known.seen = Some((now.0, now.1.cpu_total_ns));
        Some(told(cpus, &now.1, &known.limits))
    }

    /// The map is whole whenever the lock is free, whoever panicked.
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Processors in use: nanoseconds of work in some time.
fn rate(elapsed: Duration, used_ns: u64) -> f64 {
    let used = Duration::from_nanos(used_ns).as_secs_f64();
    (used / elapsed.as_secs_f64().max(f64::EPSILON) * 1000.0).round() / 1000.0
}

fn told(cpus: f64, usage: &GroupUsage, limits: &ProjectLimits) -> ProjectUsage {
    ProjectUsage {
        cpus: Quantity {
            used: cpus,
            limit: limits.cpus,
        },
        memory: Quantity {
            used: number(usage.memory),
            limit: usage.memory_limit.map(number),
        },
        pids: Quantity {
            used: number(usage.pids),
            limit: usage.pids_limit.map(number),
        },
        read_bytes: usage.read_bytes,
        write_bytes: usage.write_bytes,
        memory_kills: usage.memory_kills,
    }
}

/// Amounts below 2^53 are told exactly; those above are nobody's.
#[expect(
    clippy::cast_precision_loss,
    reason = "a float is what the wire has, and it is shown rounded"
)]
fn number(value: u64) -> f64 {
    value as f64
}

fn kernel_limits(limits: &ProjectLimits) -> GroupLimits {
    let io = limits.io.clone().unwrap_or_default();
    GroupLimits {
        nano_cpus: limits.cpus.map(nano_cpus),
        memory: limits.memory,
        pids: limits.pids,
        read_bytes: io.read_bytes,
        write_bytes: io.write_bytes,
        read_operations: io.read_operations,
        write_operations: io.write_operations,
        io_weight: io.weight,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float becomes the nearest number there is; no machine has billions of processors"
)]
pub(super) fn nano_cpus(cpus: f64) -> u64 {
    (cpus * 1e9).round() as u64
}

/// A group that could not be made.
pub(super) fn failure(error: GroupError) -> ServiceError {
    let doing = "cannot keep the project's quota";
    ServiceError::from_mechanism(doing, error.kind, error)
}

/// A task that did not come to its end.
pub(super) fn interrupted(error: JoinError) -> ServiceError {
    ServiceError::internal("what keeps projects apart was interrupted").with_source(error)
}

/// Checks limits before they are recorded.
///
/// # Errors
/// `InvalidArgument` for those that cannot be.
pub(crate) fn check_limits(limits: &ProjectLimits) -> Result<()> {
    let wrong = |what: &str| Err(ServiceError::invalid(format!("invalid limit of the project: {what}")));
    if limits.cpus.is_some_and(|cpus| !(0.01..=1_000_000.0).contains(&cpus)) {
        return wrong("cpus must be at least 0.01");
    }
    if limits.memory.is_some_and(|bytes| bytes < 6 << 20) {
        return wrong("memory must be at least 6 MiB");
    }
    if limits.pids == Some(0) {
        return wrong("pids must be at least 1");
    }
    let weight = limits.io.as_ref().and_then(|io| io.weight);
    if weight.is_some_and(|weight| !(10..=1000).contains(&weight)) {
        return wrong("the weight of io must be from 10 to 1000");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyperbox_types::project::IoLimits;

    use super::*;

    #[test]
    fn limits_that_cannot_be() {
        for (json, good) in [
            ("{}", true),
            (
                r#"{"cpus": 0.5, "memory": 6291456, "pids": 1, "io": {"weight": 10}}"#,
                true,
            ),
            (r#"{"cpus": 0.0}"#, false),
            (r#"{"cpus": -1.0}"#, false),
            (r#"{"memory": 4096}"#, false),
            (r#"{"pids": 0}"#, false),
            (r#"{"io": {"weight": 5}}"#, false),
        ] {
            let limits: ProjectLimits = serde_json::from_str(json).unwrap();
            assert_eq!(check_limits(&limits).is_ok(), good, "{json}");
        }
    }

    #[test]
    fn limits_in_the_kernel_s_words() {
        let limits = ProjectLimits {
            cpus: Some(1.5),
            memory: Some(7),
            pids: None,
            io: Some(IoLimits {
                write_bytes: Some(3),
                ..IoLimits::default()
            }),
        };
        let expected = GroupLimits {
            nano_cpus: Some(1_500_000_000),
            memory: Some(7),
            write_bytes: Some(3),
            ..GroupLimits::default()
        };
        assert_eq!(kernel_limits(&limits), expected);
    }

    #[test]
    fn processors_in_use() {
        assert!((rate(Duration::from_millis(200), 100_000_000) - 0.5).abs() < 1e-9);
        assert!(rate(Duration::ZERO, 0).abs() < 1e-9);
    }
}
