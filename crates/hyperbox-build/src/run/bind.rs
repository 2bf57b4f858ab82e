// SPDX-License-Identifier: MIT
//! Files of a tree, as something that can be mounted into a step.
//!
//! Read-only ones are mounted from where they are. The path is resolved once, inside the tree, to a descriptor, and the mount is made of
//! `/proc/PID/fd/N`: no symbolic link of the tree leads out of it, and nothing can be exchanged in between. Layers are put together in a
//! mount that is attached nowhere; kernels before 6.15 copy none of such a mount (`may_copy_tree()` in `fs/namespace.c`), so there, and
//! for what is written to, the files are copied.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use hyperbox_core::container::Containers;
use hyperbox_sys::mount_view::{Submounts, copy_of};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::materialise::copy;
use super::{blocking, disk};
use crate::StepError;
use crate::context::TreePlace;
use crate::step::BindMount;

/// What is mounted, and what has to stay as long as it is.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// Keeps the file, or the mount that it is in.
    pub(super) held: Vec<OwnedFd>,
}

/// Makes a source of a tree's files; `scratch` is where copies go.
pub(super) async fn source(
    containers: &Containers,
    mount: &BindMount,
    writable: bool,
    scratch: PathBuf,
) -> Result<Source, StepError> {
    let containers = containers.clone();
    let mount = mount.clone();
    blocking(move || {
        if !writable {
            let place = mount.tree.place().map_err(|source| StepError::Tree {
                doing: format!("cannot mount {}: {source}", mount.path),
                source,
            })?;
            if let Some(source) = in_place(&containers, &place, &mount.path)? {
                return Ok(source);
            }
        }
        let path = copy(&mount, &scratch)?;
        Ok(Source { path, held: Vec::new() })
    })
    .await
}

/// Opens files where they are; `None` when this kernel cannot mount them from there.
fn in_place(containers: &Containers, place: &TreePlace, path: &str) -> Result<Option<Source>, StepError> {
    let root = match place {
        TreePlace::Directory(directory) => open_root(directory).map_err(|error| disk("open", directory, error))?,
        TreePlace::Layers(layers) => {
            let mount = containers.mount_of_layers(layers)?;
            let opened = hyperbox_sys::detached_mount::open(&mount);
            opened.map_err(|error| disk("mount", Path::new("layers"), error))?
        }
    };
    let relative = path.trim_matches('/');
    let relative = if relative.is_empty() { "." } else { relative };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = match rustix::fs::openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing(path)),
        result => result.map_err(|error| disk("open", Path::new(path), error.into()))?,
    };
    let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if copy_of(&own, Submounts::LeftOut).is_err() {
        return Ok(None);
    }
    let path = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
    Ok(Some(Source {
        path,
        held: vec![root, file],
    }))
}

fn open_root(directory: &Path) -> std::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(CWD, directory, flags, Mode::empty())?)
}

/// The error of a source that is not there, in BuildKit's words.
pub(super) fn missing(path: &str) -> StepError {
    let path = path.trim_start_matches('/');
    StepError::not_found(format!(
        "failed to calculate checksum of ref: failed to walk {path}: \"/{path}\": not found"
    ))
}
