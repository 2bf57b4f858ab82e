// SPDX-License-Identifier: MIT
//! Volumes in a temporary directory.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hyperbox_core::seam::{VolumeDriver, VolumeError, VolumeMount};
use hyperbox_types::{RootMount, VolumeName};
use tempfile::TempDir;

use super::fault::Faults;

/// A [`VolumeDriver`] that copies files, directories and links, without owners, devices and xattrs.
#[derive(Debug, Clone)]
pub struct FakeVolumes {
    root: Arc<TempDir>,
    faults: Faults<VolumeError>,
}

impl FakeVolumes {
    /// Makes a driver with a directory of its own, removed with the last clone.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Self {
        Self {
            root: Arc::new(TempDir::new().expect("temporary directory")),
            faults: Faults::default(),
        }
    }

    /// Makes the next [`VolumeDriver::create`] fail as if the disk were full.
    pub fn fail_next_create(&self) {
        self.faults.push(VolumeError {
            name: "any".to_owned(),
            operation: "create",
            path: self.root.path().display().to_string(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        });
    }
}

impl Default for FakeVolumes {
    fn default() -> Self {
        Self::new()
    }
}

fn failed<'a>(
    name: &'a VolumeName,
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> VolumeError + 'a {
    move |source| VolumeError {
        name: name.to_string(),
        operation,
        path: path.display().to_string(),
        source,
    }
}

#[async_trait]
impl VolumeDriver for FakeVolumes {
    async fn create(&self, name: &VolumeName) -> Result<PathBuf, VolumeError> {
        tokio::task::yield_now().await;
        self.faults.check()?;
        let path = self.mountpoint(name);
        fs::create_dir_all(&path).map_err(failed(name, "create", &path))?;
        Ok(path)
    }

    fn mountpoint(&self, name: &VolumeName) -> PathBuf {
        self.root.path().join(name.as_str()).join("_data")
    }

    async fn populate(&self, name: &VolumeName, view: &RootMount, path: &Path) -> Result<(), VolumeError> {
        tokio::task::yield_now().await;
        let target = self.mountpoint(name);
        let mut entries = fs::read_dir(&target).map_err(failed(name, "read", &target))?;
        if entries.next().is_some() {
            return Ok(());
        }
        let relative: PathBuf = path
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .collect();
        for layer in lowest_first(view) {
            let source = layer.join(&relative);
            if source.is_dir() {
                copy_tree(&source, &target).map_err(failed(name, "copy", &source))?;
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &VolumeName) -> Result<(), VolumeError> {
        tokio::task::yield_now().await;
        let path = self.root.path().join(name.as_str());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(name, "remove", &path)(error)),
            _ => Ok(()),
        }
    }

    async fn usage(&self, name: &VolumeName) -> Result<u64, VolumeError> {
        tokio::task::yield_now().await;
        let path = self.mountpoint(name);
        tree_size(&path).map_err(failed(name, "measure", &path))
    }

    fn probe(&self, mount: &VolumeMount) -> io::Result<()> {
        match mount {
            VolumeMount::Bind { device, .. } => fs::read_dir(device).map(drop),
            VolumeMount::Filesystem { kind, .. } if matches!(kind.as_str(), "tmpfs" | "ramfs") => Ok(()),
            // "No such device", as the kernel says of types that it does not know.
            VolumeMount::Filesystem { .. } => Err(io::Error::from_raw_os_error(19)),
        }
    }

    fn look_beneath(&self, root: &RootMount, path: &Path) -> io::Result<()> {
        let mut found = Err(io::ErrorKind::NotFound.into());
        for layer in lowest_first(root) {
            let base = layer.canonicalize()?;
            found = match base.join(path).canonicalize() {
                Ok(place) if place.starts_with(&base) => Ok(()),
                Ok(_) => Err(io::ErrorKind::CrossesDevices.into()),
                Err(error) if found.is_err() => Err(error),
                Err(_) => found,
            };
        }
        found
    }

    fn list(&self) -> Result<Vec<VolumeName>, VolumeError> {
        let entries = fs::read_dir(self.root.path()).into_iter().flatten().flatten();
        let mut names: Vec<VolumeName> = entries
            .filter_map(|entry| VolumeName::parse(&entry.file_name().to_string_lossy()).ok())
            .collect();
        names.sort();
        Ok(names)
    }
}

fn lowest_first(view: &RootMount) -> Vec<&Path> {
    match view {
        RootMount::Overlay { lower, .. } => lower.iter().rev().map(PathBuf::as_path).collect(),
        RootMount::Bind { source, .. } => vec![source],
    }
}

fn copy_tree(source: &Path, target: &Path) -> io::Result<()> {
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let to = target.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir_all(&to)?;
            copy_tree(&entry.path(), &to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, &to)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &to)?;
        }
    }
    Ok(())
}

fn tree_size(path: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() {
            tree_size(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(size)
}
