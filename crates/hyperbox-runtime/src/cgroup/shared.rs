// SPDX-License-Identifier: MIT
//! Groups above those of containers: limits of several containers together.
//!
//! In version 2, and in the hierarchies of version 1 but one, a limit of a group counts for all groups below it. The exception are the
//! rates of version 1's `blkio`, which count for the processes of the group itself alone (`blk-throttle.c`, `throtl_pd_init`).

use std::io;
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::control::{remove_tree, wait_until};
use super::create::{apply, choose, make_above, wanted_controllers};
use super::hierarchy::{Version, hierarchies, is_pure_version_two};
use super::{CgroupError, Cgroups, Group, stats};

/// Stands for any container's group below.
const BELOW: &str = "container";

impl Cgroups {
    /// Makes a group that holds containers' groups, or takes the one there is, with whatever runs in it, and sets limits. Those that are
    /// not mentioned stay as they are.
    ///
    /// # Errors
    /// A wrong limit, a missing controller, or the kernel's refusal. The groups stay.
    pub fn shared(path: &Path, resources: &LinuxResources) -> Result<Self, CgroupError> {
        let hierarchies = hierarchies();
        let chosen = choose(hierarchies, resources)?;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let mut made = Self::none();
        for hierarchy in chosen {
            let wanted = match hierarchy.version {
                Version::Two => wanted_controllers(hierarchy, resources)?,
                Version::One(_) => Vec::new(),
            };
            make_above(hierarchy, &relative.join(BELOW), &wanted)?;
            let path = hierarchy.mount.join(relative);
            made.paths.push(path.clone());
            made.groups.push(Group {
                path,
                version: hierarchy.version.clone(),
            });
        }
        apply(&made, resources)?;
        Ok(made)
    }

    /// Finds what there is of a group; it has no directories when there is nothing.
    pub fn find(path: &Path) -> Self {
        let relative = path.strip_prefix("/").unwrap_or(path);
        let paths = hierarchies().iter().map(|hierarchy| hierarchy.mount.join(relative));
        Self::load(paths.filter(|path| path.is_dir()).collect())
    }

    /// Tells whether rates of input and output limit all groups below together.
    pub fn limits_shared_rates() -> bool {
        is_pure_version_two(hierarchies())
    }

    /// Returns how many processes the kernel has killed for want of memory, in the group and in those below it.
    pub fn shared_oom_kills(&self) -> u64 {
        match self.version_one("memory") {
            // Version 1 counts in the group of the process alone.
            Some(path) => {
                let below = super::control::directories(path).unwrap_or_default();
                let below = below.into_iter().map(|path| Self::load(vec![path]).shared_oom_kills());
                stats::oom_kills(&Self::load(vec![path.to_owned()])) + below.sum::<u64>()
            }
            None => stats::oom_kills(self),
        }
    }

    /// Removes the group and the empty ones below it when no process is in any of them; those that are just ending are waited for.
    ///
    /// # Errors
    /// `ResourceBusy` when there still are processes after five seconds; the kernel's refusal.
    pub fn remove_shared(&self) -> Result<(), CgroupError> {
        let mut left = Vec::new();
        let empty = wait_until(|| {
            // A group that goes meanwhile has no processes.
            left = self
                .paths()
                .iter()
                .find_map(|path| processes_below(path))
                .unwrap_or_default();
            left.is_empty()
        });
        if !empty {
            let busy = io::Error::from(io::ErrorKind::ResourceBusy);
            let operation = format!("remove a cgroup with {} processes", left.len());
            return Err(CgroupError::system(operation, busy));
        }
        for path in self.paths() {
            let mut result = Ok(());
            wait_until(|| {
                result = remove_tree(path);
                !matches!(&result, Err(error) if error.kind() == io::ErrorKind::ResourceBusy)
            });
            result.map_err(|error| CgroupError::system(format!("remove cgroup {}", path.display()), error))?;
        }
        Ok(())
    }
}

fn processes_below(path: &Path) -> Option<Vec<u32>> {
    let mut pids = Vec::new();
    super::control::collect_processes(path, &mut pids).ok()?;
    (!pids.is_empty()).then_some(pids)
}
