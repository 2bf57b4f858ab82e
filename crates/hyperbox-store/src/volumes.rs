// SPDX-License-Identifier: MIT
//! Volumes as directories of this machine.
//!
//! ```text
//! ROOT/                 mode 0700
//!   <name>/_data/       what containers mount
//!   <name>/ready/       copied content on its way into _data
//!   .scratch/<random>   volumes being made, filled or deleted
//! ```
//!
//! A volume appears and disappears with one rename. **Populating** copies into `.scratch`, syncs, and renames that to `ready`: the
//! commit point. From there the entries are moved into `_data` one by one, because `_data` itself may be mounted in a container
//! already and must stay the directory that it is. A crash before the commit point leaves the volume empty; after it, the next
//! [`LocalVolumes::open`] or `populate` moves the rest. What is in `.scratch` when a process starts is garbage.
//!
//! Calls for different volumes are independent; those that fill or remove a volume take turns.

mod copy;

use std::ffi::{CString, OsString};
use std::fs::DirBuilder;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use hyperbox_core::seam::{VolumeDriver, VolumeError, VolumeMount};
use hyperbox_sys::tree;
use hyperbox_types::{RootMount, VolumeName};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

/// Keeps volumes below one directory.
#[derive(Debug)]
pub struct LocalVolumes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Held while a volume is filled or removed.
    turn: Mutex<()>,
}

impl LocalVolumes {
    /// Opens the directory, made if it is missing; finishes and discards what an earlier process left.
    ///
    /// # Errors
    /// I/O classes. A volume that cannot be finished is no error of all the others: it is logged.
    pub fn open(root: &Path) -> Result<Self, VolumeError> {
        let failed = |error| no_volume("open", root, error);
        let absolute = std::path::absolute(root).map_err(failed)?;
        let shared = Shared {
            root: absolute,
            turn: Mutex::default(),
        };
        let scratch = shared.root.join(SCRATCH);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&scratch)
            .map_err(failed)?;
        for name in shared.names().map_err(failed)? {
            if let Err(error) = shared.move_ready(&name) {
                tracing::warn!(volume = %name, %error, "cannot finish filling a volume; the next use tries again");
            }
        }
        let volumes = Self {
            shared: Arc::new(shared),
        };
        volumes.empty_scratch()?;
        Ok(volumes)
    }

    /// Deletes what is in the scratch directory, in the background: it may be as large as a volume.
    fn empty_scratch(&self) -> Result<(), VolumeError> {
        let scratch = self.shared.root.join(SCRATCH);
        let failed = |error| no_volume("empty", &scratch, error);
        let mut garbage = Vec::new();
        for entry in std::fs::read_dir(&scratch).map_err(failed)? {
            garbage.push(entry.map_err(failed)?.file_name());
        }
        if garbage.is_empty() {
            return Ok(());
        }
        let directory = scratch.clone();
        let delete = move || {
            for name in garbage {
                if let Err(error) = delete(&directory, name) {
                    tracing::warn!(%error, "cannot delete what is left of a volume; the next start tries again");
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("volume-scratch".to_owned())
            .spawn(delete);
        thread.map(drop).map_err(failed)
    }
}

const SCRATCH: &str = ".scratch";

impl Shared {
    fn volume(&self, name: &VolumeName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn data(&self, name: &VolumeName) -> PathBuf {
        self.volume(name).join("_data")
    }

    fn scratch(&self) -> io::Result<PathBuf> {
        Ok(self.root.join(SCRATCH).join(crate::random::name()?))
    }

    fn names(&self) -> io::Result<Vec<VolumeName>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            // The scratch directory begins with a dot, as no volume's name does.
            names.extend(VolumeName::parse(&entry?.file_name().to_string_lossy()).ok());
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &VolumeName) -> io::Result<()> {
        let volume = self.volume(name);
        if self.data(name).is_dir() {
            return Ok(());
        }
        let scratch = self.scratch()?;
        let data = scratch.join("_data");
        DirBuilder::new().recursive(true).mode(0o700).create(&data)?;
        std::fs::set_permissions(&data, PermissionsExt::from_mode(0o755))?;
        match rustix::fs::renameat_with(CWD, &scratch, CWD, &volume, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => std::fs::remove_dir_all(&scratch),
            result => Ok(result?),
        }
    }

    fn populate(&self, name: &VolumeName, view: &RootMount, path: &Path) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.move_ready(name)?;
        if std::fs::read_dir(self.data(name))?.next().is_some() {
            return Ok(());
        }
        let Some(source) = open_inside(&hyperbox_sys::detached_mount::open(view)?, path)? else {
            return Ok(());
        };
        let scratch = self.scratch()?;
        let result = copy_aside(source, &scratch).and_then(|()| {
            rustix::fs::renameat_with(
                CWD,
                &scratch,
                CWD,
                self.volume(name).join("ready"),
                RenameFlags::NOREPLACE,
            )?;
            self.move_ready(name)
        });
        if result.is_err() {
            delete(
                &self.root.join(SCRATCH),
                scratch.file_name().unwrap_or_default().to_owned(),
            )?;
        }
        result
    }

    /// Moves what was committed into the volume, also when a crash interrupted that.
    fn move_ready(&self, name: &VolumeName) -> io::Result<()> {
        let ready = self.volume(name).join("ready");
        let source = match tree::open_directory(CWD, &ready) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            source => source?,
        };
        let target = tree::open_directory(CWD, self.data(name))?;
        for entry in std::fs::read_dir(&ready)? {
            let entry = entry?.file_name();
            match rustix::fs::renameat_with(&source, &entry, &target, &entry, RenameFlags::NOREPLACE) {
                // Somebody made it in the volume meanwhile: that is newer than the image.
                Err(Errno::EXIST) => {}
                result => result?,
            }
        }
        copy::directory_attributes(&source, &target)?;
        delete(&self.volume(name), OsString::from("ready"))
    }

    fn remove(&self, name: &VolumeName) -> io::Result<()> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = self.scratch()?;
        match std::fs::rename(self.volume(name), &scratch) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result?,
        }
        delete(
            &self.root.join(SCRATCH),
            scratch.file_name().unwrap_or_default().to_owned(),
        )
    }
}

#[async_trait]
impl VolumeDriver for LocalVolumes {
    async fn create(&self, name: &VolumeName) -> Result<PathBuf, VolumeError> {
        // A few system calls: a thread of the blocking pool would cost more than they do.
        let path = self.shared.data(name);
        self.shared.create(name).map_err(failed(name, "create", &path))?;
        Ok(path)
    }

    fn mountpoint(&self, name: &VolumeName) -> PathBuf {
        self.shared.data(name)
    }

    async fn populate(&self, name: &VolumeName, view: &RootMount, path: &Path) -> Result<(), VolumeError> {
        let (view, path) = (view.clone(), path.to_path_buf());
        self.blocking(name, "fill it with the image's", path.clone(), move |shared, name| {
            shared.populate(name, &view, &path)
        })
        .await
    }

    async fn remove(&self, name: &VolumeName) -> Result<(), VolumeError> {
        let path = self.shared.volume(name);
        self.blocking(name, "remove", path, |shared, name| shared.remove(name))
            .await
    }

    async fn usage(&self, name: &VolumeName) -> Result<u64, VolumeError> {
        let path = self.shared.data(name);
        self.blocking(name, "measure", path.clone(), move |_, _| {
            Ok(tree::usage(tree::open_directory(CWD, &path)?)?.content)
        })
        .await
    }

    fn probe(&self, mount: &VolumeMount) -> io::Result<()> {
        match mount {
            VolumeMount::Bind { device, .. } => tree::open_directory(CWD, &std::fs::canonicalize(device)?).map(drop),
            VolumeMount::Filesystem { kind, device, data, .. } => {
                let data: Vec<&str> = data.iter().map(String::as_str).collect();
                hyperbox_sys::detached_mount::probe(kind, device, &data)
            }
        }
    }

    fn look_beneath(&self, root: &RootMount, path: &Path) -> io::Result<()> {
        let root = hyperbox_sys::detached_mount::open(root)?;
        hyperbox_sys::mount_view::open_beneath(&root, path).map(drop)
    }

    fn list(&self) -> Result<Vec<VolumeName>, VolumeError> {
        self.shared
            .names()
            .map_err(|error| no_volume("list", &self.shared.root, error))
    }
}

impl LocalVolumes {
    /// Runs blocking work on a thread made for it. When the caller stops waiting, the work still ends in order.
    async fn blocking<T: Send + 'static>(
        &self,
        name: &VolumeName,
        operation: &'static str,
        path: PathBuf,
        work: impl FnOnce(&Shared, &VolumeName) -> io::Result<T> + Send + 'static,
    ) -> Result<T, VolumeError> {
        let (shared, volume) = (Arc::clone(&self.shared), name.clone());
        let outcome = tokio::task::spawn_blocking(move || work(&shared, &volume)).await;
        outcome
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(failed(name, operation, &path))
    }
}

/// Opens the directory that `path` is inside `root`, links resolved inside it; `None` when it is no directory.
fn open_inside(root: &OwnedFd, path: &Path) -> io::Result<Option<OwnedFd>> {
    let relative: PathBuf = path
        .components()
        .filter(|part| !matches!(part, Component::RootDir))
        .collect();
    let relative = if relative.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &relative
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    for _ in 0..64 {
        match rustix::fs::openat2(root, relative, flags, Mode::empty(), resolve) {
            Ok(directory) => return Ok(Some(directory)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            // A rename anywhere made `..` unprovable for a moment (openat2(2)).
            Err(Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::AGAIN.into())
}

fn copy_aside(source: OwnedFd, target: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(target)?;
    let target = tree::open_directory(CWD, target)?;
    copy::content(source, &target)?;
    Ok(rustix::fs::syncfs(&target)?)
}

fn delete(directory: &Path, name: OsString) -> io::Result<()> {
    let parent = tree::open_directory(CWD, directory)?;
    let name = CString::new(name.into_vec())?;
    tree::remove(&parent, &name, &mut || ControlFlow::Continue(())).map(drop)
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

/// An error of the driver that concerns no volume in particular.
fn no_volume(operation: &'static str, path: &Path, source: io::Error) -> VolumeError {
    VolumeError {
        name: "directory".to_owned(),
        operation,
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests;
