// SPDX-License-Identifier: MIT
//! Volumes that are mounted when a container uses them.
//!
//! Nothing is mounted on the host: each container has the mount in its own namespace, so it is gone with the last container that has
//! it, whatever becomes of the daemon. A filesystem in memory is one for all containers that use it at the same time: the second one
//! gets a copy of the first one's mount. So that two that start at once do not both make one, starts with such volumes take turns.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperbox_types::{RootMount, VolumeName};
use tokio::sync::OwnedMutexGuard;

use super::{Volumes, options};
use crate::container::{ContainerRecord, ResolvedMount};
use crate::seam::VolumeMount;
use crate::{Result, ServiceError};

/// What stands for the directories of volumes with options, until the container's start is known to everybody.
#[derive(Debug, Default)]
pub(crate) struct Mounted {
    pub(crate) by_name: BTreeMap<VolumeName, VolumeMount>,
    /// Held while others must not decide.
    pub(crate) turn: Option<OwnedMutexGuard<()>>,
}

impl Volumes {
    /// Returns what a volume with options consists of.
    pub(crate) fn mount_of(&self, name: &VolumeName) -> Option<VolumeMount> {
        let table = self.table();
        let record = table.volumes.get(name)?;
        options::mount(&record.options)
    }

    /// Decides what is mounted for the volumes of a container that starts. `elsewhere` finds where a running container has a volume, as
    /// a path of the host.
    ///
    /// # Errors
    /// `Internal`, with Docker's text, for what cannot be mounted.
    pub(crate) async fn mounts_for(
        &self,
        container: &ContainerRecord,
        elsewhere: impl Fn(&VolumeName) -> Option<PathBuf>,
    ) -> Result<Mounted> {
        let mut mounted = Mounted::default();
        for mount in &container.mounts {
            let ResolvedMount::Volume {
                name, source, subpath, ..
            } = mount
            else {
                continue;
            };
            let Some(wish) = self.mount_of(name) else {
                self.check_part_of_directory(source, subpath)?;
                continue;
            };
            if mounted.turn.is_none() {
                mounted.turn = Some(Arc::clone(&self.inner.mounting).lock_owned().await);
            }
            let in_memory = matches!(&wish, VolumeMount::Filesystem { kind, .. } if kind == "tmpfs" || kind == "ramfs");
            let shared = elsewhere(name).filter(|_| in_memory);
            let decided = match shared {
                Some(device) => VolumeMount::Bind {
                    device,
                    recursive: false,
                    options: Vec::new(),
                },
                None => {
                    let wish = with_address(wish).await.map_err(|reason| {
                        ServiceError::internal(format!("error while mounting volume '{}': {reason}", source.display()))
                    })?;
                    self.probe(name, source, &wish)?;
                    wish
                }
            };
            self.check_part_of_volume(&decided, source, subpath)?;
            mounted.by_name.insert(name.clone(), decided);
        }
        Ok(mounted)
    }

    /// Makes sure that the part of a volume or an image that is to be mounted is there. `base` is what it is called.
    ///
    /// # Errors
    /// With Docker's texts: `NotFound`, `InvalidArgument` for a path that leads out, otherwise `Internal`.
    pub(crate) fn check_part(&self, base: &str, root: &RootMount, part: &Path) -> Result<()> {
        if part.as_os_str().is_empty() {
            return Ok(());
        }
        let looked = self.inner.driver.look_beneath(root, part);
        looked.map_err(|error| {
            let shown = part.display();
            match error.kind() {
                ErrorKind::NotFound => ServiceError::not_found(format!(
                    "cannot access path {base}/{shown}: lstat {base}/{shown}: no such file or directory"
                )),
                ErrorKind::CrossesDevices => ServiceError::invalid(format!(
                    "path concatenation escapes the base directory, base: {base}, subpath: {shown}"
                )),
                ErrorKind::NotADirectory => ServiceError::internal(format!(
                    "error while resolving symlinks in combined path \"{base}/{shown}\": not a directory"
                )),
                _ => ServiceError::internal(format!("cannot access path {base}/{shown}")).with_source(error),
            }
        })
    }

    fn check_part_of_directory(&self, directory: &Path, part: &Path) -> Result<()> {
        let root = RootMount::Bind {
            source: directory.to_owned(),
            read_only: true,
        };
        self.check_part(&directory.display().to_string(), &root, part)
    }

    /// A filesystem that is mounted with the container is not there yet: in memory it will be empty.
    fn check_part_of_volume(&self, volume: &VolumeMount, mountpoint: &Path, part: &Path) -> Result<()> {
        match volume {
            _ if part.as_os_str().is_empty() => Ok(()),
            VolumeMount::Bind { device, .. } => self.check_part_of_directory(device, part),
            VolumeMount::Filesystem { kind, .. } if kind == "tmpfs" || kind == "ramfs" => {
                let path = mountpoint.join(part);
                let path = path.display();
                Err(ServiceError::not_found(format!(
                    "cannot access path {path}: lstat {path}: no such file or directory"
                )))
            }
            VolumeMount::Filesystem { kind, .. } => Err(ServiceError::new(
                hyperbox_types::ErrorKind::Unsupported,
                format!("subpaths of volumes of type {kind} are not supported"),
            )),
        }
    }

    fn probe(&self, name: &VolumeName, mountpoint: &Path, wish: &VolumeMount) -> Result<()> {
        let probed = self.inner.driver.probe(wish);
        probed.map_err(|error| {
            let record = self.table().volumes.get(name).cloned();
            let options = record.map(|record| record.options.clone()).unwrap_or_default();
            ServiceError::internal(options::failure(&options, mountpoint, &error)).with_source(error)
        })
    }
}

/// Puts an address for the name of a server: the kernel looks up none.
async fn with_address(mut wish: VolumeMount) -> Result<VolumeMount, String> {
    let VolumeMount::Filesystem { kind, data, .. } = &mut wish else {
        return Ok(wish);
    };
    if !matches!(kind.as_str(), "nfs" | "cifs") {
        return Ok(wish);
    }
    for option in data {
        let Some(name) = option.strip_prefix("addr=").map(str::to_owned) else {
            continue;
        };
        if name.parse::<std::net::IpAddr>().is_ok() {
            continue;
        }
        let unknown = || format!("error resolving passed in network volume address: lookup {name}: no such host");
        let mut found = tokio::net::lookup_host((name.as_str(), 0))
            .await
            .map_err(|_| unknown())?;
        let address = found.next().ok_or_else(unknown)?.ip();
        *option = format!("addr={address}");
    }
    Ok(wish)
}
