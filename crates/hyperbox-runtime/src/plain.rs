// SPDX-License-Identifier: MIT
//! Mounts that only this runtime knows, made ready for others: parts of directories, and images.
//!
//! Each is attached to a place of its own in the caller's mount namespace, and the specification asks for a bind of that place. They
//! go with the namespace.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hyperbox_sys::mount_view;
use hyperbox_types::SUBPATH_OPTION;
use oci_spec::runtime::{Mount, Spec};
use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::error::StartError;
use crate::plan::mounts::{Content, MountPlan};
use crate::prepare::shown_tree;

/// Replaces the mounts of a specification that other runtimes do not know by binds of places in `directory`, which is made if one is
/// needed. The caller must be in a mount namespace of its own.
///
/// # Errors
/// Those of making the mounts, and of attaching them.
pub fn make_mounts_plain(spec: &mut Spec, directory: &Path) -> Result<(), StartError> {
    let Some(mounts) = spec.mounts_mut() else { return Ok(()) };
    for (index, mount) in mounts.iter_mut().enumerate() {
        let words = mount.options().as_deref().unwrap_or_default();
        let has_part = words.iter().any(|word| word.starts_with(SUBPATH_OPTION));
        if !has_part && mount.typ().as_deref() != Some("overlay") {
            continue;
        }
        let plan = MountPlan::new(mount)?;
        if !has_part && !matches!(plan.content, Content::Layers { .. }) {
            continue;
        }
        if let Some(tree) = shown_tree(&plan)? {
            let place =
                attached(&tree, directory, index).map_err(|error| StartError::system(plan.to_string(), error))?;
            rewrite(mount, place);
        }
    }
    Ok(())
}

fn attached(tree: &OwnedFd, directory: &Path, index: usize) -> io::Result<PathBuf> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory)?;
    let place = directory.join(index.to_string());
    let status = rustix::fs::fstat(tree)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => builder.create(&place)?,
        _ => drop(File::create(&place)?),
    }
    let point = rustix::fs::openat(CWD, &place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mount_view::attach(tree, point)?;
    Ok(place)
}

fn rewrite(mount: &mut Mount, place: PathBuf) {
    let words = mount.options().as_deref().unwrap_or_default();
    let is_own = |word: &str| word.starts_with(SUBPATH_OPTION) || word.starts_with("lowerdir=");
    let mut words: Vec<_> = words.iter().filter(|word| !is_own(word)).cloned().collect();
    words.push("rbind".to_owned());
    mount.set_options(Some(words));
    mount.set_source(Some(place));
    mount.set_typ(Some("bind".to_owned()));
}
