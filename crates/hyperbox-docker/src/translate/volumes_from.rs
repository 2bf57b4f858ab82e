// SPDX-License-Identifier: MIT
//! `VolumesFrom`: the volumes and binds of other containers.

use std::collections::BTreeMap;

use hyperbox_core::container::{Bind, ContainerRecord, MountRequest, MountSource, ResolvedMount};

use crate::error::{ApiError, ApiResult};
use crate::wire::host_config::HostConfig;

/// A container whose volumes are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumesFrom {
    /// Its name or id.
    pub container: String,
    /// Whether the volumes are mounted read-only whatever they were.
    pub read_only: bool,
}

/// Parses `container[:ro|:rw]`.
///
/// # Errors
/// 400 for another mode.
pub(crate) fn volumes_from(host: &HostConfig) -> ApiResult<Vec<VolumesFrom>> {
    let parse = |text: &String| {
        let (container, mode) = text.split_once(':').unwrap_or((text, ""));
        let read_only = match mode {
            "ro" => true,
            "" | "rw" | "z" | "Z" => false,
            _ => return Err(ApiError::bad_request(format!("invalid mode for volumes-from: {mode}"))),
        };
        if container.is_empty() {
            return Err(ApiError::bad_request(
                "volumes-from specification cannot be an empty string",
            ));
        }
        Ok(VolumesFrom {
            container: container.to_owned(),
            read_only,
        })
    };
    host.volumes_from.iter().flatten().map(parse).collect()
}

/// Adds the volumes and binds of another container, but for targets that are taken.
pub(crate) fn inherit(mounts: &mut Vec<MountRequest>, from: &ContainerRecord, force_read_only: bool) {
    for mount in &from.mounts {
        let (source, target, read_only) = match mount {
            ResolvedMount::Bind {
                source,
                target,
                read_only,
                non_recursive,
                propagation,
            } => {
                let bind = Bind {
                    path: source.clone(),
                    create: false,
                    non_recursive: *non_recursive,
                    propagation: *propagation,
                };
                (MountSource::Bind(bind), target, *read_only)
            }
            ResolvedMount::Volume {
                name,
                target,
                read_only,
                subpath,
                ..
            } => {
                let volume = MountSource::Volume {
                    name: Some(name.clone()),
                    no_copy: true,
                    labels: BTreeMap::new(),
                    options: BTreeMap::new(),
                    subpath: subpath.clone(),
                };
                (volume, target, *read_only)
            }
            ResolvedMount::Image {
                reference,
                target,
                subpath,
                ..
            } => {
                let image = MountSource::Image {
                    reference: reference.clone(),
                    subpath: subpath.clone(),
                };
                (image, target, true)
            }
            ResolvedMount::Tmpfs { .. } => continue,
        };
        if !mounts.iter().any(|mount| mount.target == *target) {
            mounts.push(MountRequest {
                source,
                target: target.clone(),
                read_only: read_only || force_read_only,
            });
        }
    }
}
