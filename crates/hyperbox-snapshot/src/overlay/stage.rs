// SPDX-License-Identifier: MIT
//! Staging and committing a layer.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use hyperbox_core::seam::{SnapshotError, StagedLayer};
use hyperbox_types::{ByteSize, DiffId};
use rustix::fs::{CWD, Mode};

use super::State;
use super::layout::{self, Facts};
use crate::failure::{on_path, on_stream};
use crate::inflate::Inflated;
use crate::trash::random_name;
use crate::unpack;

/// Unpacks a layer aside. Blocks until the stream ends.
pub(super) fn stage(state: Arc<State>, stream: Box<dyn Read + Send>) -> Result<Box<dyn StagedLayer>, SnapshotError> {
    let (staging, diff) = Staging::create(state)?;
    let measured = diff
        .try_clone()
        .map_err(|error| on_path("open", &staging.path, error))?;
    let limits = staging.state.limits;
    let inflated =
        Inflated::start(stream, limits.stream).map_err(|error| on_path("unpack into", &staging.path, error))?;
    let (inflated, summary) = unpack::unpack(diff, inflated, &limits)?;
    let (diff_id, size) = inflated.finish().map_err(on_stream)?;
    let (mut bytes, mut inodes) = (summary.bytes, summary.inodes);
    if summary.replaced {
        let usage = reopen(&measured).and_then(hyperbox_sys::tree::usage);
        let usage = usage.map_err(|error| on_path("measure", &staging.path, error))?;
        (bytes, inodes) = (usage.bytes, usage.inodes);
    }
    let facts = Facts {
        diff_id,
        bytes,
        inodes,
        opaque_root: summary.opaque_root,
    };
    layout::store_facts(&staging.path, &facts).map_err(|error| on_path("describe", &staging.path, error))?;
    Ok(Box::new(Staged { staging, facts, size }))
}

/// A directory in `staging`; discarded when dropped.
#[derive(Debug)]
struct Staging {
    state: Arc<State>,
    path: PathBuf,
    /// Set when the directory is somewhere else by now.
    moved: bool,
}

impl Staging {
    /// Makes the directory and its `diff`, which it returns open.
    fn create(state: Arc<State>) -> Result<(Self, OwnedFd), SnapshotError> {
        let parent = state.layout.staging();
        let name = random_name().map_err(|error| on_path("name a directory in", &parent, error))?;
        let staging = Self {
            path: parent.join(name),
            state,
            moved: false,
        };
        let diff = staging.path.join("diff");
        let open = || -> io::Result<OwnedFd> {
            rustix::fs::mkdirat(CWD, &staging.path, Mode::RWXU)?;
            rustix::fs::mkdirat(CWD, &diff, Mode::RWXU)?;
            let directory = hyperbox_sys::tree::open_directory(CWD, &diff)?;
            rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o755))?;
            Ok(directory)
        };
        let directory = open().map_err(|error| on_path("create", &diff, error))?;
        Ok((staging, directory))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.moved
            && let Err(error) = self.state.trash.discard(&self.path)
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

impl StagedLayer for Staged {
    fn diff_id(&self) -> &DiffId {
        &self.facts.diff_id
    }

    fn size(&self) -> ByteSize {
        ByteSize(self.size)
    }

    fn commit(mut self: Box<Self>) -> Result<(), SnapshotError> {
        let state = Arc::clone(&self.staging.state);
        if state.facts(&self.facts.diff_id).is_ok() {
            return Ok(());
        }
        let target = state.layout.layer(&self.facts.diff_id);
        let directory = File::open(&self.staging.path).map_err(|error| on_path("open", &self.staging.path, error))?;
        rustix::fs::syncfs(&directory).map_err(|error| on_path("sync", &self.staging.path, error))?;
        hyperbox_core::failpoint!("layer.before-rename");
        match std::fs::rename(&self.staging.path, &target) {
            Ok(()) => self.staging.moved = true,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                return match layout::load_facts(&target) {
                    Ok(facts) if facts.diff_id == self.facts.diff_id => Ok(()),
                    _ => Err(on_path("commit", &target, error)),
                };
            }
            Err(error) => return Err(on_path("commit", &target, error)),
        }
        let layers = state.layout.layers();
        let synced = File::open(&layers).and_then(|directory| directory.sync_all());
        synced.map_err(|error| on_path("sync", &layers, error))?;
        hyperbox_core::failpoint!("layer.after-rename");
        let mut known = state.layers.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(self.facts.diff_id.clone(), self.facts.clone());
        Ok(())
    }
}

/// Opens a directory again, with a position of its own.
fn reopen(directory: &OwnedFd) -> io::Result<OwnedFd> {
    hyperbox_sys::tree::open_directory(directory, c".")
}
