// SPDX-License-Identifier: MIT
//! Decides a container's mounts when it is created: which volumes, which directories of the host, which images, in what mode.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use hyperbox_types::VolumeName;

use super::{Bind, ContainerSpec, MountSource, ResolvedMount};
use crate::image::{ImageRecord, Images, LayerLease};
use crate::seam::{Host, PathKind};
use crate::volume::Wanted;
use crate::{Result, ServiceError, random};

/// Mounts, and the volumes they need.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub mounts: Vec<ResolvedMount>,
    pub volumes: Vec<Wanted>,
}

/// The images that a container mounts, by what they are asked for. Their layers stay as long as this is kept.
#[derive(Debug, Default)]
pub(super) struct MountedImages(BTreeMap<String, (Arc<ImageRecord>, LayerLease)>);

impl MountedImages {
    /// Finds the images.
    ///
    /// # Errors
    /// `NotFound`, `InvalidArgument`.
    pub(super) async fn find(spec: &ContainerSpec, images: &Images) -> Result<Self> {
        let mut found = BTreeMap::new();
        for mount in &spec.mounts {
            if let MountSource::Image { reference, .. } = &mount.source {
                found.insert(reference.clone(), images.get_leased(reference).await?);
            }
        }
        Ok(Self(found))
    }

    fn mount(&self, reference: &str, target: PathBuf, subpath: &Path) -> Result<ResolvedMount> {
        let (image, _) = self
            .0
            .get(reference)
            .ok_or_else(|| ServiceError::not_found(format!("No such image: {reference}")))?;
        Ok(ResolvedMount::Image {
            reference: reference.to_owned(),
            image: image.id.clone(),
            layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
            target,
            subpath: subpath.to_owned(),
        })
    }
}

/// Decides the mounts. Creates nothing but missing directories of the host for `-v`.
///
/// # Errors
/// `InvalidArgument` for relative or repeated targets and missing sources, with Docker's texts.
pub(super) fn plan(
    spec: &ContainerSpec,
    images: &MountedImages,
    mountpoint: impl Fn(&VolumeName) -> PathBuf,
    host: &dyn Host,
) -> Result<Plan> {
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
            MountSource::Volume {
                name,
                no_copy,
                labels,
                options,
                subpath,
            } => {
                let (name, anonymous) = match name {
                    Some(name) => (name.clone(), false),
                    None => (anonymous_name()?, true),
                };
                plan.volumes.push(Wanted {
                    name: name.clone(),
                    labels: labels.clone(),
                    options: options.clone(),
                    anonymous,
                });
                let source = mountpoint(&name);
                ResolvedMount::Volume {
                    name,
                    source,
                    target,
                    read_only,
                    anonymous,
                    // A part of a volume has to be there: what is filled is the whole.
                    populate: !no_copy && subpath.as_os_str().is_empty(),
                    subpath: subpath.clone(),
                }
            }
            MountSource::Image { reference, subpath } => images.mount(reference, target, subpath)?,
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
        plan.volumes.push(Wanted {
            name: name.clone(),
            labels: Default::default(),
            options: Default::default(),
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
            subpath: PathBuf::new(),
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
