// SPDX-License-Identifier: MIT
//! Decides a container's mounts when it is created: which volumes, which directories of the host, in what mode.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use hyperbox_types::VolumeName;

use super::{Bind, ContainerSpec, MountSource, ResolvedMount};
use crate::seam::{Host, PathKind};
use crate::{Result, ServiceError, random};

/// A volume that has to exist before the container does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WantedVolume {
    pub name: VolumeName,
    pub labels: std::collections::BTreeMap<String, String>,
    pub anonymous: bool,
}

/// Mounts, and the volumes they need.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub mounts: Vec<ResolvedMount>,
    pub volumes: Vec<WantedVolume>,
}

/// Decides the mounts. Creates nothing but missing directories of the host for `-v`.
///
/// # Errors
/// `InvalidArgument` for relative or repeated targets and missing sources, with Docker's texts.
pub(super) fn plan(spec: &ContainerSpec, mountpoint: impl Fn(&VolumeName) -> PathBuf, host: &dyn Host) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut targets = BTreeSet::new();
    for request in &spec.mounts {
        let target = clean_target(&request.target)?;
        if !targets.insert(target.clone()) {
            return Err(ServiceError::invalid(format!(
                "Duplicate mount point: {}",
                target.display()
            )));
        }
        let read_only = request.read_only;
        let mount = match &request.source {
            MountSource::Bind(bind) => bind_mount(bind, target, read_only, host)?,
            MountSource::Volume { name, no_copy, labels } => {
                let (name, anonymous) = match name {
                    Some(name) => (name.clone(), false),
                    None => (anonymous_name()?, true),
                };
                plan.volumes.push(WantedVolume {
                    name: name.clone(),
                    labels: labels.clone(),
                    anonymous,
                });
                let source = mountpoint(&name);
                ResolvedMount::Volume {
                    name,
                    source,
                    target,
                    read_only,
                    anonymous,
                    populate: !no_copy,
                }
            }
            MountSource::Tmpfs { size, mode, options } => {
                let mut options = options.clone();
                options.extend(size.map(|size| format!("size={}", size.0)));
                options.extend(mode.map(|mode| format!("mode={mode:o}")));
                ResolvedMount::Tmpfs {
                    target,
                    options,
                    read_only,
                }
            }
        };
        plan.mounts.push(mount);
    }
    for path in &spec.anonymous_volumes {
        let target = clean_target(path)?;
        if !targets.insert(target.clone()) {
            // The client mounts something else there: its wish wins.
            continue;
        }
        let name = anonymous_name()?;
        plan.volumes.push(WantedVolume {
            name: name.clone(),
            labels: Default::default(),
            anonymous: true,
        });
        let source = mountpoint(&name);
        let mount = ResolvedMount::Volume {
            name,
            source,
            target,
            read_only: false,
            anonymous: true,
            populate: true,
        };
        plan.mounts.push(mount);
    }
    Ok(plan)
}

fn bind_mount(bind: &Bind, target: PathBuf, read_only: bool, host: &dyn Host) -> Result<ResolvedMount> {
    if !bind.path.is_absolute() {
        return Err(ServiceError::invalid(format!(
            "invalid mount config for type \"bind\": invalid mount path: '{}' mount path must be absolute",
            bind.path.display()
        )));
    }
    let mechanism =
        |error: crate::seam::HostError| ServiceError::from_mechanism("invalid bind mount", error.kind(), error);
    if host.path_kind(&bind.path).map_err(mechanism)? == PathKind::Missing {
        if !bind.create {
            return Err(ServiceError::invalid(format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                bind.path.display()
            )));
        }
        host.create_directory(&bind.path).map_err(mechanism)?;
    }
    Ok(ResolvedMount::Bind {
        source: bind.path.clone(),
        target,
        read_only,
        non_recursive: bind.non_recursive,
        propagation: bind.propagation,
    })
}

/// Returns the target without `.`, `..` and doubled slashes.
fn clean_target(target: &Path) -> Result<PathBuf> {
    if !target.is_absolute() {
        return Err(ServiceError::invalid(format!(
            "invalid mount config: invalid mount path: '{}' mount path must be absolute",
            target.display()
        )));
    }
    let mut clean = PathBuf::from("/");
    for component in target.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if clean == Path::new("/") {
        return Err(ServiceError::invalid(
            "invalid mount config: invalid specification: destination can't be '/'",
        ));
    }
    Ok(clean)
}

fn anonymous_name() -> Result<VolumeName> {
    let digest = hyperbox_types::Digest::from_sha256(random::bytes()?);
    VolumeName::parse(digest.hex()).map_err(|error| ServiceError::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_cleaned() {
        for (text, clean) in [
            ("/data", Some("/data")),
            ("/a/./b//c", Some("/a/b/c")),
            ("/a/../../b", Some("/b")),
            ("/", None),
            ("/a/..", None),
            ("data", None),
        ] {
            assert_eq!(clean_target(Path::new(text)).ok(), clean.map(PathBuf::from), "{text}");
        }
    }
}
