// SPDX-License-Identifier: MIT
//! Control groups that limit nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyperbox_core::seam::{ControlGroups, GroupError, GroupLimits, GroupUsage};
use hyperbox_types::ErrorKind;

use super::fault::lock;

/// Pretended [`ControlGroups`].
#[derive(Debug, Clone, Default)]
pub struct FakeGroups {
    groups: Arc<Mutex<BTreeMap<String, Group>>>,
}

#[derive(Debug, Clone, Default)]
struct Group {
    limits: GroupLimits,
    usage: GroupUsage,
}

impl FakeGroups {
    /// Returns the groups that there are, with their limits.
    pub fn limits(&self) -> BTreeMap<String, GroupLimits> {
        let groups = lock(&self.groups);
        groups
            .iter()
            .map(|(path, group)| (path.clone(), group.limits.clone()))
            .collect()
    }

    /// Pretends that this is used in a group, which is made when it is missing. Where `pids` is not zero something runs in it.
    pub fn set_usage(&self, path: &str, usage: GroupUsage) {
        lock(&self.groups).entry(path.to_owned()).or_default().usage = usage;
    }
}

fn failed(operation: &'static str, path: &str, kind: ErrorKind, source: &'static str) -> GroupError {
    GroupError {
        operation,
        path: path.to_owned(),
        kind,
        source: source.into(),
    }
}

impl ControlGroups for FakeGroups {
    fn ensure(&self, path: &str, limits: &GroupLimits) -> Result<Vec<String>, GroupError> {
        let good = path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| matches!(part, "." | ".."));
        if !good {
            return Err(failed(
                "use",
                path,
                ErrorKind::InvalidArgument,
                "it is no path below the root",
            ));
        }
        lock(&self.groups).entry(path.to_owned()).or_default().limits = limits.clone();
        Ok(Vec::new())
    }

    fn usage(&self, path: &str) -> Result<GroupUsage, GroupError> {
        let groups = lock(&self.groups);
        let group = groups
            .get(path)
            .ok_or_else(|| failed("read the counters of", path, ErrorKind::NotFound, "there is none"))?;
        Ok(GroupUsage {
            memory_limit: group.limits.memory,
            pids_limit: group.limits.pids,
            ..group.usage.clone()
        })
    }

    fn remove(&self, path: &str) -> Result<(), GroupError> {
        let mut groups = lock(&self.groups);
        if groups.get(path).is_some_and(|group| group.usage.pids > 0) {
            return Err(failed("remove", path, ErrorKind::Conflict, "something runs in it"));
        }
        groups.remove(path);
        Ok(())
    }
}
