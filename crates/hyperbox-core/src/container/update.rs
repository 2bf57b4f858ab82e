// SPDX-License-Identifier: MIT
//! Changing the limits and the restart policy of a container, at rest and while it runs.
//!
//! What is asked for is judged as Docker judges it: by itself, as a creation would be, and against what is set already. Limits are
//! changed in the kernel first and recorded then; a daemon that dies in between leaves limits that the record does not tell, until the
//! next start of the container.

use std::sync::Arc;

use super::actor::Actor;
use super::operations::UpdateOptions;
use super::{Resources, RestartPolicy, oci};
use crate::seam::TaskError;
use crate::{Result, ServiceError};

impl Actor {
    /// Changes limits and restart policy. Returns warnings.
    pub(super) async fn update(&mut self, options: UpdateOptions) -> Result<Vec<String>> {
        let mut spec = self.record.spec.clone();
        let mut wished = options.resources;
        let host = Arc::clone(&self.inner.with.host);
        let warnings = oci::discard_unsupported(&mut wished, host.as_ref());
        super::cpuset::validate(&wished, || host.processor_sets())?;
        oci::validate_update(&wished, host.online_cpus())?;
        merge_limits(&mut spec.resources, wished).map_err(|conflict| self.cannot_update(conflict))?;
        if let Some(restart) = options.restart {
            if spec.auto_remove && restart != RestartPolicy::Never {
                return Err(self.cannot_update(
                    "Restart policy cannot be updated because AutoRemove is enabled for the container",
                ));
            }
            spec.restart = restart;
        }
        if self.life.state.phase.is_alive() {
            self.apply_limits(&spec.resources, spec.security.privileged).await?;
        }
        let old = std::mem::replace(&mut self.record.spec, spec);
        let old_document = options
            .door_document
            .map(|document| std::mem::replace(&mut self.record.door_document, document));
        if let Err(error) = self.try_persist() {
            self.record.spec = old;
            if let Some(document) = old_document {
                self.record.door_document = document;
            }
            return Err(error);
        }
        self.refresh();
        self.inner.publish("update", &self.record, []);
        Ok(warnings)
    }

    async fn apply_limits(&self, limits: &Resources, privileged: bool) -> Result<()> {
        let mut resources = oci::resources_to_oci(limits, &[], privileged, self.inner.with.host.as_ref())?;
        // Device rules are decided at the start and stay.
        if let Some(map) = resources.as_object_mut() {
            map.remove("devices");
        }
        let task = self.running_task()?;
        task.update(resources.to_string()).await.map_err(|error: TaskError| {
            ServiceError::from_mechanism(format!("Cannot update container {}", self.record.id), error.kind, error)
        })
    }

    fn cannot_update(&self, conflict: &str) -> ServiceError {
        ServiceError::conflict(format!("Cannot update container {}: {conflict}", self.record.id))
    }
}

/// Takes over the limits that are set, unless they contradict what is set already; the sentences are Docker's.
fn merge_limits(into: &mut Resources, from: Resources) -> Result<(), &'static str> {
    let set = |limit: Option<u64>| limit.is_some_and(|limit| limit > 0);
    let quota = |limits: &Resources| limits.cpu_quota.is_some_and(|quota| quota > 0);
    let conflicts = [
        (
            set(from.nano_cpus) && set(into.cpu_period),
            "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
        ),
        (
            set(from.nano_cpus) && quota(into),
            "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
        ),
        (
            set(from.cpu_period) && set(into.nano_cpus),
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
        (
            quota(&from) && set(into.nano_cpus),
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
    ];
    if let Some((_, conflict)) = conflicts.into_iter().find(|(conflict, _)| *conflict) {
        return Err(conflict);
    }
    if let Some(memory) = from.memory.filter(|memory| memory.0 > 0) {
        // What nobody set was decided at creation, and stays.
        let decided = || {
            into.memory
                .map(|memory| i64::try_from(memory.0.saturating_mul(2)).unwrap_or(i64::MAX))
        };
        into.memory_swap = into.memory_swap.or_else(decided);
        let swap = into.memory_swap.unwrap_or(0);
        let above = i64::try_from(memory.0).map_or(true, |memory| memory > swap);
        if above && from.memory_swap.is_none_or(|swap| swap == 0) {
            return Err(
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            );
        }
    }
    macro_rules! take {
        ($($field:ident),*) => { $(if from.$field.is_some() { into.$field = from.$field; })* };
    }
    take!(
        memory,
        memory_swap,
        memory_reservation,
        memory_swappiness,
        nano_cpus,
        cpu_shares,
        cpu_period,
        cpu_quota,
        cpu_realtime_period,
        cpu_realtime_runtime,
        cpuset_cpus,
        cpuset_mems,
        pids,
        block_weight
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use hyperbox_types::ByteSize;

    use super::*;

    fn memory(bytes: u64, swap: Option<i64>) -> Resources {
        Resources {
            memory: Some(ByteSize(bytes)),
            memory_swap: swap,
            ..Resources::default()
        }
    }

    #[test]
    fn only_set_limits_change() {
        let mut limits = Resources {
            cpu_shares: Some(5),
            ..memory(1, None)
        };
        let more = Resources {
            nano_cpus: Some(7),
            pids: Some(3),
            ..Resources::default()
        };
        merge_limits(&mut limits, more).expect("nothing contradicts");
        let expected = Resources {
            nano_cpus: Some(7),
            pids: Some(3),
            cpu_shares: Some(5),
            ..memory(1, None)
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn memory_stays_below_the_swap_limit() {
        for (set, wish, swap) in [
            (Resources::default(), memory(64, None), None),
            (Resources::default(), memory(64, Some(-1)), Some(-1)),
            (memory(64, Some(-1)), memory(32, None), None),
            (memory(64, None), memory(512, None), None),
            (memory(64, None), memory(100, None), Some(128)),
            (memory(64, None), memory(512, Some(1024)), Some(1024)),
        ] {
            let mut limits = set.clone();
            let merged = merge_limits(&mut limits, wish.clone());
            assert_eq!(merged.is_ok(), swap.is_some(), "{set:?} {wish:?}");
            if merged.is_ok() {
                assert_eq!((limits.memory, limits.memory_swap), (wish.memory, swap));
            }
        }
    }

    #[test]
    fn processors_are_limited_in_one_form() {
        let nano = Resources {
            nano_cpus: Some(1),
            ..Resources::default()
        };
        let quota = Resources {
            cpu_quota: Some(5000),
            ..Resources::default()
        };
        let conflict = merge_limits(&mut nano.clone(), quota.clone()).expect_err("both forms");
        assert!(conflict.contains("CPU Quota cannot be updated"), "{conflict}");
        let conflict = merge_limits(&mut quota.clone(), nano).expect_err("both forms");
        assert!(conflict.contains("Nano CPUs cannot be updated"), "{conflict}");
    }
}
