// SPDX-License-Identifier: MIT
//! The cgroups of one container: one directory on version 2, one per hierarchy on version 1, both kinds on a mixed machine.
//!
//! On a mixed machine the version-2 hierarchy has no controllers, but it still freezes and kills whole groups atomically and a
//! process can be born in it, so the container has a group there too and the version-1 freezer is left alone. Hierarchies that
//! have nothing to limit, count or control for us (`name=systemd` and the like) are not joined: each join costs the kernel a
//! grace period.
//!
//! Nothing is remembered outside the kernel: [`Cgroups::load`] makes the same object from the paths alone, after a restart or
//! for a container of another runtime. Creating is undone completely when it fails half-way.

mod control;
mod create;
mod device_rules;
pub(crate) mod hierarchy;
mod limits_one;
mod limits_two;
mod setting;
mod shared;
mod stats;

use std::io;
use std::path::{Path, PathBuf};

use hyperbox_types::shim::CgroupStats;
use oci_spec::runtime::LinuxResources;

use self::hierarchy::{Hierarchy, Version, hierarchies, hierarchy_of};

/// The cgroups of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    paths: Vec<PathBuf>,
    groups: Vec<Group>,
}

/// One directory.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    path: PathBuf,
    version: Version,
}

impl Group {
    fn has(&self, controller: &str) -> bool {
        matches!(&self.version, Version::One(controllers) if controllers.iter().any(|name| name == controller))
    }
}

/// Why an operation on cgroups failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The limits themselves are wrong.
    #[error("invalid resource limits: {what}")]
    Invalid {
        /// What is wrong.
        what: String,
    },
    /// The machine lacks the controller for a limit.
    #[error("this machine has no cgroup controller {controller:?}")]
    NoController {
        /// Its name.
        controller: String,
    },
    /// The kernel refused.
    #[error("cannot {operation}")]
    System {
        /// What was being done to which file.
        operation: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl CgroupError {
    fn system(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            operation: operation.into(),
            source: source.into(),
        }
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> hyperbox_types::ErrorKind {
        use hyperbox_types::ErrorKind;
        match self {
            Self::Invalid { .. } => ErrorKind::InvalidArgument,
            Self::NoController { .. } => ErrorKind::Unsupported,
            Self::System { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::InvalidInput => ErrorKind::InvalidArgument,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::ResourceBusy => ErrorKind::Conflict,
                _ => ErrorKind::Internal,
            },
        }
    }
}

impl Cgroups {
    /// Takes the directories of a container that runs already.
    pub fn load(paths: Vec<PathBuf>) -> Self {
        Self::with(paths, hierarchies())
    }

    /// Finds the cgroups of a process, in all hierarchies where they are not the root. For containers of other runtimes.
    ///
    /// # Errors
    /// `/proc/PID/cgroup` cannot be read.
    pub fn of_process(pid: u32) -> Result<Self, CgroupError> {
        let file = format!("/proc/{pid}/cgroup");
        let text =
            std::fs::read_to_string(&file).map_err(|error| CgroupError::system(format!("read {file}"), error))?;
        Ok(Self::load(paths_of_process(&text, hierarchies())))
    }

    fn with(paths: Vec<PathBuf>, hierarchies: &[Hierarchy]) -> Self {
        let groups = paths
            .iter()
            .map(|path| Group {
                path: path.clone(),
                version: hierarchy_of(path, hierarchies).map_or(Version::Two, |found| found.version.clone()),
            })
            .collect();
        Self { paths, groups }
    }

    /// Returns the directories.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Changes limits. Those that are not mentioned stay as they are.
    ///
    /// # Errors
    /// A wrong limit, a missing controller, or the kernel's refusal (a limit below what is in use, for one).
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        create::apply(self, resources)
    }

    /// Reads the counters. Files that this kernel does not have read as zero.
    ///
    /// # Errors
    /// None of the groups exists.
    pub fn stats(&self) -> Result<CgroupStats, CgroupError> {
        stats::read(self)
    }

    /// Returns how many processes of the container the kernel has killed for want of memory.
    pub fn oom_kills(&self) -> u64 {
        stats::oom_kills(self)
    }

    /// Returns the directory of the group that limits memory, if there can be one.
    pub fn memory(&self) -> Option<&Path> {
        self.version_one("memory").or_else(|| self.version_two())
    }

    fn version_two(&self) -> Option<&Path> {
        self.groups
            .iter()
            .find(|group| group.version == Version::Two)
            .map(|group| group.path.as_path())
    }

    fn version_one(&self, controller: &str) -> Option<&Path> {
        self.groups
            .iter()
            .find(|group| group.has(controller))
            .map(|group| group.path.as_path())
    }
}

/// Reads `/proc/PID/cgroup` (`cgroups(7)`).
fn paths_of_process(text: &str, hierarchies: &[Hierarchy]) -> Vec<PathBuf> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            let relative = path.strip_prefix('/').filter(|path| !path.is_empty())?;
            let found = hierarchies.iter().find(|hierarchy| match &hierarchy.version {
                Version::Two => controllers.is_empty(),
                Version::One(_) => {
                    !controllers.is_empty() && controllers.split(',').all(|controller| hierarchy.has(controller))
                }
            })?;
            Some(found.mount.join(relative))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_process() {
        let hierarchies = [
            Hierarchy {
                mount: "/c/cpu,cpuacct".into(),
                version: Version::One(vec!["cpu".into(), "cpuacct".into()]),
            },
            Hierarchy {
                mount: "/c/unified".into(),
                version: Version::Two,
            },
        ];
        let text = "3:pids:/x\n2:cpu,cpuacct:/hyperbox/a\n0::/hyperbox/a\n";
        let paths = paths_of_process(text, &hierarchies);
        assert_eq!(
            paths,
            [
                PathBuf::from("/c/cpu,cpuacct/hyperbox/a"),
                "/c/unified/hyperbox/a".into()
            ]
        );
        let cgroups = Cgroups::with(paths, &hierarchies);
        assert_eq!(cgroups.version_two(), Some(Path::new("/c/unified/hyperbox/a")));
        assert_eq!(
            cgroups.version_one("cpuacct"),
            Some(Path::new("/c/cpu,cpuacct/hyperbox/a"))
        );
        assert_eq!(cgroups.version_one("memory"), None);
        assert!(paths_of_process("0::/\n", &hierarchies).is_empty());
    }
}
