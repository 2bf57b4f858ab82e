// SPDX-License-Identifier: MIT
//! A container's tree, put together for one thread.
//!
//! The thread enters a mount namespace of its own, in which the container's own files are attached to an empty directory and its
//! binds and volumes to the places that they have in the container. Everything goes through descriptors; when the thread ends, the
//! kernel takes it all apart. Nobody else can see or disturb it.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{FilesError, FilesView, ViewMount, ViewRoot, ViewSource};
use hyperbox_sys::detached_mount;
use hyperbox_sys::mount_attributes::{Attributes, Change, Reach, change_mount};
use hyperbox_sys::mount_view::{self, Submounts};
use hyperbox_types::RootMount;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{failed, from_unpacking, path};
use crate::unpack::tree::Tree;

/// Copies what a mount shows. In a thread that has a mount namespace of its own.
fn copy_of(mount: &ViewMount, submounts: Submounts) -> std::io::Result<OwnedFd> {
    let whole = mount.part.as_os_str().is_empty();
    let source = match &mount.source {
        ViewSource::Host(source) if whole => return mount_view::copy_of(source, submounts),
        ViewSource::Host(source) => source,
        ViewSource::Process { pid, path } => return mount_view::copy_from_process(*pid, path, submounts),
        ViewSource::Layers(RootMount::Bind { source, .. }) => source,
        ViewSource::Layers(RootMount::Overlay { lower, writable: None }) if lower.len() == 1 => &lower[0],
        ViewSource::Layers(layers) => {
            let tree = detached_mount::open(layers)?;
            return match whole {
                true => Ok(tree),
                false => mount_view::part_of(tree, &mount.part, submounts),
            };
        }
    };
    if whole {
        return mount_view::copy_of(source, submounts);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, source, flags, Mode::empty())?;
    mount_view::copy_beneath(&directory, &mount.part, submounts)
}

/// A tree that this thread sees.
#[derive(Debug)]
pub(super) struct View {
    root: OwnedFd,
    /// Where mounts were attached, and whether they refuse writes.
    mounts: Vec<(PathBuf, bool)>,
}

impl View {
    /// Puts the tree together on `point`. Moves the calling thread, which must end afterwards.
    pub(super) fn open(request: &FilesView, point: &Path) -> Result<Self, FilesError> {
        let root = match &request.root {
            ViewRoot::Running { pid } => mount_view::root_of(*pid)
                .map_err(|error| failed("open the root of", format!("process {pid}"), error))?,
            ViewRoot::Idle(mount) => {
                detached_mount::open(mount).map_err(|error| failed("mount", "the container's files", error))?
            }
        };
        mount_view::enter().map_err(|error| failed("enter", "a mount namespace", error))?;
        if let ViewRoot::Running { .. } | ViewRoot::Idle(RootMount::Overlay { .. }) = &request.root {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let point = rustix::fs::openat(CWD, point, flags, Mode::empty());
            let attached = point
                .map_err(std::io::Error::from)
                .and_then(|point| mount_view::attach(&root, point));
            attached.map_err(|error| failed("attach", "the container's files", error))?;
        }
        let mut view = Self {
            root,
            mounts: Vec::new(),
        };
        let mut mounts: Vec<&ViewMount> = request.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.target.components().count());
        for mount in mounts {
            view.attach(mount)
                .map_err(|error| failed("attach", mount.target.display(), error))?;
        }
        Ok(view)
    }

    /// Returns the root of the tree.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Tells whether a path (absolute, without links) is in a mount, and whether that refuses writes.
    pub(super) fn mount_at(&self, path: &Path) -> Option<bool> {
        let around = self.mounts.iter().filter(|(target, _)| path.starts_with(target));
        around
            .max_by_key(|(target, _)| target.components().count())
            .map(|(_, read_only)| *read_only)
    }

    fn attach(&mut self, mount: &ViewMount) -> std::io::Result<()> {
        let submounts = if mount.recursive {
            Submounts::Included
        } else {
            Submounts::LeftOut
        };
        let copy = match copy_of(mount, submounts) {
            // What is not there, and what leads elsewhere by now, is not seen.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::CrossesDevices) => return Ok(()),
            result => result?,
        };
        if mount.read_only {
            let change = Change {
                set: Attributes::READ_ONLY,
                ..Change::default()
            };
            change_mount(copy.as_fd(), Reach::Mount, &change, None)?;
        }
        let target = mount.target.strip_prefix("/").unwrap_or(&mount.target);
        let point = match path::open(self.root(), target.as_os_str().as_bytes()) {
            Err(Errno::NOENT) => self.make_point(target, &copy)?,
            result => result?,
        };
        match mount_view::attach(&copy, &point) {
            // The container has put something of another kind there: it does not see the mount either.
            Err(error) if error.kind() == ErrorKind::NotADirectory => Ok(()),
            result => {
                result?;
                let place = path::evaluate(self.root(), target.as_os_str().as_bytes());
                let place = place.unwrap_or_else(|_| target.as_os_str().as_bytes().to_vec());
                self.mounts
                    .push((Path::new("/").join(OsStr::from_bytes(&place)), mount.read_only));
                Ok(())
            }
        }
    }

    /// Makes what a mount is attached to in a container that was never started, as its start would.
    fn make_point(&self, target: &Path, copy: &OwnedFd) -> std::io::Result<OwnedFd> {
        let bytes = target.as_os_str().as_bytes();
        let mut tree = Tree::with_mounts(self.root.try_clone()?);
        let is_directory = FileType::from_raw_mode(rustix::fs::fstat(copy)?.st_mode) == FileType::Directory;
        let made = if is_directory {
            tree.ensure_directory(bytes).map(drop)
        } else {
            tree.locate(bytes).and_then(|(parent, name)| {
                crate::unpack::file::create(parent.as_fd(), name)
                    .map(drop)
                    .map_err(|error| crate::failure::on_entry("create", bytes, error))
            })
        };
        made.map_err(|error| std::io::Error::other(from_unpacking(error)))?;
        Ok(path::open(self.root(), bytes)?)
    }
}
