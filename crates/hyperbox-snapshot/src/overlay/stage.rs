// SPDX-License-Identifier: MIT
//! Staging and committing a layer, in either form.

mod directory;
pub(super) mod indexed;
mod spool;

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use hyperbox_core::seam::{SnapshotError, StagedLayer};
use hyperbox_types::{ByteSize, DiffId};
use rustix::fs::{CWD, Mode, RenameFlags};

use super::State;
use super::form::LayerForm;
use super::layout::{self, Facts, IndexedFiles};
use crate::failure::on_path;
use crate::trash::random_name;
use crate::unpack::Limits;

/// What unpacking found out.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) facts: Facts,
    /// Length of the uncompressed stream.
    pub(super) size: u64,
}

/// Unpacks a layer aside, in the form that new layers get. Blocks until the stream ends.
pub(super) fn stage(state: Arc<State>, stream: Box<dyn Read + Send>) -> Result<Box<dyn StagedLayer>, SnapshotError> {
    let form = state.form;
    let staging = Staging::create(state)?;
    let unpacked = match form {
        LayerForm::Directory => directory::unpack(&staging, stream),
        LayerForm::Erofs => indexed::unpack_compressed(&staging, stream),
    };
    // Mostly the disk is full: who is told so has its space again.
    let Unpacked { facts, size } = unpacked.inspect_err(|_| staging.delete())?;
    layout::store_facts(&staging.path, &facts).map_err(|error| on_path("describe", &staging.path, error))?;
    Ok(Box::new(Staged { staging, facts, size }))
}

/// A directory in `staging`; discarded when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    state: Arc<State>,
    path: PathBuf,
    /// Set when the directory is somewhere else by now.
    moved: bool,
}

impl Staging {
    /// Makes the directory.
    pub(super) fn create(state: Arc<State>) -> Result<Self, SnapshotError> {
        let parent = state.layout.staging();
        let name = random_name().map_err(|error| on_path("name a directory in", &parent, error))?;
        let staging = Self {
            path: parent.join(name),
            state,
            moved: false,
        };
        rustix::fs::mkdirat(CWD, &staging.path, Mode::RWXU).map_err(|error| on_path("create", &staging.path, error))?;
        Ok(staging)
    }

    /// Makes the directory that a tree is unpacked into, and returns it open.
    pub(super) fn create_diff(&self) -> Result<OwnedFd, SnapshotError> {
        let diff = self.path.join("diff");
        let open = || -> io::Result<OwnedFd> {
            rustix::fs::mkdirat(CWD, &diff, Mode::RWXU)?;
            let directory = hyperbox_sys::tree::open_directory(CWD, &diff)?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
            Ok(directory)
        };
        open().map_err(|error| on_path("create", &diff, error))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the directory now, not in the background. Blocks.
    fn delete(&self) {
        let delete = || -> io::Result<()> {
            let parent = hyperbox_sys::tree::open_directory(CWD, self.state.layout.staging())?;
            let name = self.path.file_name().unwrap_or_default().as_bytes();
            hyperbox_sys::tree::remove(&parent, &CString::new(name)?, &mut || ControlFlow::Continue(()))?;
            Ok(())
        };
        if let Err(error) = delete() {
            tracing::warn!(path = %self.path.display(), %error, "cannot delete a staged layer; it is discarded");
        }
    }

    /// Leaves the directory to the next open.
    pub(super) fn keep(&mut self) {
        self.moved = true;
    }

    pub(super) fn limits(&self) -> Limits {
        self.state.limits
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.moved
            && let Err(error) = self.state.discard(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot discard a staged layer; the next start does");
        }
    }
}

#[derive(Debug)]
struct Staged {
    staging: Staging,
    facts: Facts,
    size: u64,
}

/// What becomes of a layer of the same diff id that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Former {
    /// It stays when it has the same form.
    Kept,
    /// It goes in any case.
    Replaced,
}

impl Staged {
    /// Puts the staged directory into its place. One that is there and goes comes to where this one was, in one step.
    fn put(&mut self, target: &Path, former: Former) -> Result<(), SnapshotError> {
        let failed = |error: io::Error| on_path("commit", target, error);
        match std::fs::rename(&self.staging.path, target) {
            Ok(()) => {
                self.staging.moved = true;
                return Ok(());
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) => {}
            Err(error) => return Err(failed(error)),
        }
        let exists = || failed(io::ErrorKind::AlreadyExists.into());
        match layout::load_facts(target) {
            Ok(facts) if facts.diff_id != self.facts.diff_id => Err(exists()),
            Ok(facts) if facts.form == self.facts.form && former == Former::Kept => Ok(()),
            _ => self.exchange(target).map_err(failed),
        }
    }

    fn exchange(&self, target: &Path) -> io::Result<()> {
        // Whoever mounts the layer meanwhile would take the files of one form for those of another.
        let mut known = self
            .staging
            .state
            .layers
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        rustix::fs::renameat_with(CWD, &self.staging.path, CWD, target, RenameFlags::EXCHANGE)?;
        known.insert(self.facts.diff_id.clone(), self.facts.clone());
        self.staging.state.mounts.forget(&self.facts.diff_id);
        Ok(())
    }

    fn publish(mut self, former: Former) -> Result<(), SnapshotError> {
        let state = Arc::clone(&self.staging.state);
        let layer = self.facts.diff_id.clone();
        let is_there = |known: Facts| former == Former::Kept && known.form == self.facts.form;
        if state.facts(&layer).is_ok_and(is_there) {
            return Ok(());
        }
        sync_staged(&self.staging.path, &self.facts)?;
        hyperbox_core::failpoint!("layer.before-rename");
        self.put(&state.layout.layer(&layer), former)?;
        let layers = state.layout.layers();
        let synced = File::open(&layers).and_then(|directory| directory.sync_all());
        synced.map_err(|error| on_path("sync", &layers, error))?;
        hyperbox_core::failpoint!("layer.after-rename");
        let mut known = state.layers.write().unwrap_or_else(PoisonError::into_inner);
        // One that was exchanged is known already, and may be mounted by now.
        if self.staging.moved {
            known.insert(layer.clone(), self.facts.clone());
            state.mounts.forget(&layer);
        }
        Ok(())
    }
}

/// Waits until everything of a staged layer is on the disk.
pub(super) fn sync_staged(path: &Path, facts: &Facts) -> Result<(), SnapshotError> {
    let failed = |path: &Path, error: io::Error| on_path("sync", path, error);
    let directory = File::open(path).map_err(|error| failed(path, error))?;
    match facts.form {
        // One syncfs(2) instead of one fsync(2) per file.
        LayerForm::Directory => rustix::fs::syncfs(&directory).map_err(|error| failed(path, error.into())),
        LayerForm::Erofs => {
            let files = IndexedFiles::of(path);
            let described = path.join("layer.json");
            let mut parts = files.of_form(facts);
            parts.push(&described);
            let mut opened = Vec::with_capacity(parts.len());
            for part in parts {
                let file = File::open(part).map_err(|error| failed(part, error))?;
                // All at once: a journal that has to write for the first then has the others in the same transaction. A hint.
                drop(hyperbox_sys::writeback::start(file.as_fd(), 0, 0));
                opened.push((part, file));
            }
            for (part, file) in opened {
                file.sync_data().map_err(|error| failed(part, error))?;
            }
            directory.sync_all().map_err(|error| failed(path, error))
        }
    }
}

impl StagedLayer for Staged {
    fn diff_id(&self) -> &DiffId {
        &self.facts.diff_id
    }

    fn size(&self) -> ByteSize {
        ByteSize(self.size)
    }

    fn commit(self: Box<Self>) -> Result<(), SnapshotError> {
        (*self).publish(Former::Kept)
    }

    fn replace(self: Box<Self>) -> Result<(), SnapshotError> {
        (*self).publish(Former::Replaced)
    }
}
