// SPDX-License-Identifier: MIT
//! Making a container's cgroups, limiting them, and putting processes in.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags};

use super::hierarchy::{Hierarchy, Version, hierarchies, is_pure_version_two};
use super::setting::{SettingError, write_all, write_value};
use super::{CgroupError, Cgroups, Group, device_rules, limits_one, limits_two};

impl Cgroups {
    /// The cgroups of a container that has none of its own.
    pub(crate) fn none() -> Self {
        Self::with(Vec::new(), &[])
    }

    /// Makes the groups and sets all limits. A group that is left from a crash is made anew.
    pub(crate) fn create(path: &Path, resources: &LinuxResources) -> Result<Self, CgroupError> {
        let hierarchies = hierarchies();
        let chosen = choose(hierarchies, resources)?;
        let relative = path.strip_prefix("/").unwrap_or(path);
        let mut made = Self::none();
        let result = chosen
            .into_iter()
            .try_for_each(|hierarchy| {
                let group = make(hierarchy, relative, resources)?;
                made.paths.push(group.path.clone());
                made.groups.push(group);
                Ok(())
            })
            .and_then(|()| apply(&made, resources));
        if let Err(error) = result {
            // The first error says what is wrong; what cannot be removed now is found by its name later.
            drop(made.remove());
            return Err(error);
        }
        Ok(made)
    }

    /// Opens the version-2 group, for a process to be born in.
    pub(crate) fn open_version_two(&self) -> Result<Option<OwnedFd>, CgroupError> {
        self.version_two()
            .map(|path| {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::open(path, flags, Mode::empty())
                    .map_err(|error| CgroupError::system(format!("open cgroup {}", path.display()), error))
            })
            .transpose()
    }

    /// Moves a process into all groups; `born` says that it is in the version-2 one already.
    pub(crate) fn join(&self, pid: u32, born: bool) -> Result<(), CgroupError> {
        for group in &self.groups {
            if born && group.version == Version::Two {
                continue;
            }
            let file = group.path.join("cgroup.procs");
            write_value(&file, &pid.to_string())
                .map_err(|error| CgroupError::system(format!("move a process into {}", group.path.display()), error))?;
        }
        Ok(())
    }

    /// Returns the name (such as `memory`) and directory of each group, as a container sees them below `/sys/fs/cgroup`. `None`
    /// as a name is a pure version-2 machine's only group.
    pub(crate) fn views(&self) -> Vec<(Option<String>, PathBuf)> {
        let pure = is_pure_version_two(hierarchies());
        self.groups
            .iter()
            .filter(|group| pure || group.version != Version::Two)
            .map(|group| {
                let name = match &group.version {
                    Version::Two => None,
                    Version::One(controllers) => Some(controllers.join(",")),
                };
                (name, group.path.clone())
            })
            .collect()
    }
}

/// Decides which hierarchies the container joins.
pub(super) fn choose<'a>(
    hierarchies: &'a [Hierarchy],
    resources: &LinuxResources,
) -> Result<Vec<&'a Hierarchy>, CgroupError> {
    let mut list: Vec<&Hierarchy> = Vec::new();
    if let Some(two) = hierarchies.iter().find(|hierarchy| hierarchy.version == Version::Two) {
        list.push(two);
    }
    if is_pure_version_two(hierarchies) || hierarchies.is_empty() {
        return Ok(list);
    }
    let needed = limits_one::needed(resources);
    let freezer = if list.is_empty() { &["freezer"][..] } else { &[] };
    for controller in limits_one::ALWAYS.iter().chain(freezer).chain(&needed) {
        match hierarchies.iter().find(|hierarchy| hierarchy.has(controller)) {
            Some(found) if list.contains(&found) => {}
            Some(found) => list.push(found),
            None if needed.contains(controller) => {
                return Err(CgroupError::NoController {
                    controller: (*controller).to_owned(),
                });
            }
            None => {}
        }
    }
    Ok(list)
}

/// Makes one group with the groups above it.
fn make(hierarchy: &Hierarchy, relative: &Path, resources: &LinuxResources) -> Result<Group, CgroupError> {
    let path = hierarchy.mount.join(relative);
    let wanted = match hierarchy.version {
        Version::Two => wanted_controllers(hierarchy, resources)?,
        Version::One(_) => Vec::new(),
    };
    if !wanted.is_empty() {
        make_above(hierarchy, relative, &wanted)?;
    }
    let made = match std::fs::create_dir(&path) {
        // The first container below these groups.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_above(hierarchy, relative, &wanted)?;
            std::fs::create_dir(&path)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // Left from a crash: it must be empty, or somebody else's processes would get our limits.
            std::fs::remove_dir(&path).and_then(|()| std::fs::create_dir(&path))
        }
        other => other,
    };
    made.map_err(|error| CgroupError::system(format!("make cgroup {}", path.display()), error))?;
    if let Err(error) = prepare_cpuset(hierarchy, &path) {
        drop(std::fs::remove_dir(&path));
        return Err(error);
    }
    Ok(Group {
        path,
        version: hierarchy.version.clone(),
    })
}

/// Makes the groups above a container's, and switches controllers on for what is below each.
pub(super) fn make_above(hierarchy: &Hierarchy, relative: &Path, wanted: &[&str]) -> Result<(), CgroupError> {
    let path = hierarchy.mount.join(relative);
    let mut above = hierarchy.mount.clone();
    for name in relative.iter() {
        if hierarchy.version == Version::Two {
            enable(&above, wanted)?;
        }
        above.push(name);
        if above == path {
            break;
        }
        match std::fs::create_dir(&above) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(CgroupError::system(format!("make cgroup {}", above.display()), error)),
            Ok(()) if hierarchy.has("cpuset") => {
                prepare_cpuset(hierarchy, &above)?;
                // Groups below begin with what this one has. Where the kernel refuses, each is prepared like this one.
                drop(write_value(&above.join("cgroup.clone_children"), "1"));
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// A new version-1 cpuset is empty unless the group above is cloned, and an empty one takes no process: it starts with what the
/// group above has. Memory comes after processors, here as in the kernel: what has the one has the other.
fn prepare_cpuset(hierarchy: &Hierarchy, path: &Path) -> Result<(), CgroupError> {
    if !hierarchy.has("cpuset") {
        return Ok(());
    }
    let Some(above) = path.parent() else {
        return Ok(());
    };
    if is_set(&path.join("cpuset.mems")) {
        return Ok(());
    }
    // Another container that is made at this moment may have made the group above, and not be done with it.
    if above != hierarchy.mount && !is_set(&above.join("cpuset.mems")) {
        prepare_cpuset(hierarchy, above)?;
    }
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let copy = || {
            if std::fs::read_to_string(path.join(file))?.trim().is_empty() {
                let value = std::fs::read_to_string(above.join(file))?;
                write_value(&path.join(file), value.trim())?;
            }
            Ok(())
        };
        copy().map_err(|error: io::Error| CgroupError::system(format!("set {file} of {}", path.display()), error))?;
    }
    if above != hierarchy.mount {
        // Made by somebody else, or by an earlier version: the next group below begins with what it has. A hint.
        drop(write_value(&above.join("cgroup.clone_children"), "1"));
    }
    Ok(())
}

/// Returns whether a list of processors or memory nodes has any.
fn is_set(file: &Path) -> bool {
    let mut first = [0; 1];
    let read = rustix::fs::open(file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| rustix::io::read(file, &mut first));
    matches!(read, Ok(1)) && first[0].is_ascii_digit()
}

/// Returns the controllers to switch on for a container's group on version 2, of those that the machine has.
pub(super) fn wanted_controllers(
    hierarchy: &Hierarchy,
    resources: &LinuxResources,
) -> Result<Vec<&'static str>, CgroupError> {
    // A mixed machine has the limits' controllers in version 1.
    if !is_pure_version_two(hierarchies()) {
        return Ok(Vec::new());
    }
    let available = std::fs::read_to_string(hierarchy.mount.join("cgroup.controllers"))
        .map_err(|error| CgroupError::system("read cgroup.controllers", error))?;
    let available: Vec<&str> = available.split_whitespace().collect();
    let extra = limits_two::extra(resources);
    if let Some(missing) = extra.iter().find(|controller| !available.contains(controller)) {
        return Err(CgroupError::NoController {
            controller: (*missing).to_owned(),
        });
    }
    Ok(limits_two::ALWAYS
        .into_iter()
        .chain(extra)
        .filter(|controller| available.contains(controller))
        .collect())
}

/// Switches controllers on for the groups below `path`.
fn enable(path: &Path, wanted: &[&str]) -> Result<(), CgroupError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let file = path.join("cgroup.subtree_control");
    let failed = |error| CgroupError::system(format!("enable controllers in {}", path.display()), error);
    let enabled = std::fs::read_to_string(&file).map_err(failed)?;
    let missing: String = wanted
        .iter()
        .filter(|controller| !enabled.split_whitespace().any(|name| name == **controller))
        .map(|controller| format!("+{controller} "))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    write_value(&file, missing.trim_end()).map_err(failed)
}

/// Sets limits, on a new group or on a running one.
pub(super) fn apply(cgroups: &Cgroups, resources: &LinuxResources) -> Result<(), CgroupError> {
    let pure = is_pure_version_two(hierarchies());
    for controller in limits_one::needed(resources) {
        if !pure && cgroups.version_one(controller).is_none() && !cgroups.groups.is_empty() {
            return Err(CgroupError::NoController {
                controller: controller.to_owned(),
            });
        }
    }
    for group in &cgroups.groups {
        match &group.version {
            Version::One(controllers) => {
                for controller in controllers {
                    apply_one(group, controller, resources)?;
                }
            }
            Version::Two if pure => apply_two(group, resources)?,
            Version::Two => {}
        }
    }
    Ok(())
}

fn apply_one(group: &Group, controller: &str, resources: &LinuxResources) -> Result<(), CgroupError> {
    if controller == "devices" {
        let rules = resources.devices().as_deref().unwrap_or_default();
        let settings = device_rules::texts(rules).map_err(|what| CgroupError::Invalid { what })?;
        return write_all(&group.path, &settings).map_err(refused);
    }
    let mut settings = limits_one::settings(controller, resources);
    if controller == "memory" && settings.len() > 1 && raises_memory(&group.path, &settings) {
        // The limit of memory and swap is never below that of memory: when both rise it has to go first.
        settings.sort_by_key(|setting| setting.file != limits_one::MEMORY_SWAP_LIMIT);
    }
    write_all(&group.path, &settings).map_err(refused)
}

fn raises_memory(path: &Path, settings: &[super::setting::Setting]) -> bool {
    let both = std::fs::read_to_string(path.join(limits_one::MEMORY_SWAP_LIMIT))
        .ok()
        .and_then(|text| text.trim().parse::<i64>().ok());
    let wanted = settings
        .iter()
        .find(|setting| setting.file == limits_one::MEMORY_LIMIT)
        .and_then(|setting| setting.value.parse::<i64>().ok());
    matches!((both, wanted), (Some(both), Some(wanted)) if wanted < 0 || wanted > both)
}

fn apply_two(group: &Group, resources: &LinuxResources) -> Result<(), CgroupError> {
    let settings = limits_two::settings(resources).map_err(|what| CgroupError::Invalid { what })?;
    write_all(&group.path, &settings).map_err(refused)?;
    let rules = resources.devices().as_deref().unwrap_or_default();
    let Some(program) = device_rules::program(rules).map_err(|what| CgroupError::Invalid { what })? else {
        return Ok(());
    };
    let attach = || {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let cgroup = rustix::fs::open(&group.path, flags, Mode::empty())?;
        let program = hyperbox_sys::cgroup_device::load(&program)?;
        hyperbox_sys::cgroup_device::replace(cgroup.as_fd(), program.as_fd())
    };
    attach().map_err(|error| CgroupError::system(format!("filter devices of {}", group.path.display()), error))
}

fn refused(error: SettingError) -> CgroupError {
    CgroupError::System {
        operation: format!("set {} to {:?}", error.file, error.value),
        source: error.source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(mount: &str, controllers: &[&str]) -> Hierarchy {
        Hierarchy {
            mount: mount.into(),
            version: Version::One(controllers.iter().map(|name| (*name).to_owned()).collect()),
        }
    }

    #[test]
    fn hierarchies_are_chosen() {
        let two = Hierarchy {
            mount: "/u".into(),
            version: Version::Two,
        };
        let mixed = [
            one("/cpu", &["cpu", "cpuacct"]),
            one("/memory", &["memory"]),
            one("/freezer", &["freezer"]),
            one("/systemd", &["name=systemd"]),
            one("/hugetlb", &["hugetlb"]),
            two.clone(),
        ];
        let mounts = |hierarchies: &[Hierarchy], json: &str| {
            let resources = serde_json::from_str(json).unwrap();
            choose(hierarchies, &resources)
                .map(|list| {
                    list.iter()
                        .map(|hierarchy| hierarchy.mount.display().to_string())
                        .collect::<Vec<_>>()
                })
                .map_err(|error| error.to_string())
        };
        assert_eq!(mounts(&mixed, "{}").unwrap(), ["/u", "/cpu", "/memory"]);
        let pages = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#;
        assert_eq!(mounts(&mixed, pages).unwrap(), ["/u", "/cpu", "/memory", "/hugetlb"]);
        assert_eq!(mounts(&mixed[..4], "{}").unwrap(), ["/cpu", "/memory", "/freezer"]);
        assert_eq!(
            mounts(&mixed, r#"{"pids":{"limit":1}}"#).unwrap_err(),
            "this machine has no cgroup controller \"pids\""
        );
        assert_eq!(mounts(&[two], pages).unwrap(), ["/u"]);
    }
}
