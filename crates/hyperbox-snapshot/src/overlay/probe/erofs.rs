// SPDX-License-Identifier: MIT
//! Whether layers can be EROFS indexes here, found by trying: a tiny layer is indexed, mounted and put below an overlay.
//!
//! Versions would tell little: the kernel may lack EROFS or its file-backed mounts (6.12), the filesystem may be one that EROFS does
//! not mount from, and overlayfs takes layers from detached mounts only since 6.15.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use hyperbox_types::{RootMount, WritableLayer};

use crate::failure::on_path;
use crate::inflate::Inflated;
use crate::overlay::layout::IndexedFiles;
use crate::overlay::mounts::{Caching, MountPlace, Mounted};
use crate::overlay::stage::indexed;
use crate::trash::random_name;
use crate::unpack::Limits;

/// Longer than a page and no multiple of a block, so that reads begin and end within.
const LENGTH: usize = 5000;

/// Tries an indexed layer in `root`, which is made if it is missing, and returns where its mount can be: detached, or else in
/// `attached`. Leaves nothing behind.
///
/// # Errors
/// Names the step that failed, for people who wonder why.
pub fn probe_erofs(root: &Path, attached: &Path) -> Result<MountPlace, SnapshotError> {
    let failed = |error: io::Error| on_path("use EROFS in", root, error);
    let name = random_name().map_err(failed)?;
    let scratch = root.join(format!(".probe-{name}"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&scratch)
        .map_err(failed)?;
    let result = try_layer(&scratch, attached);
    let removed = std::fs::remove_dir_all(&scratch);
    result.and_then(|place| removed.map(|()| place)).map_err(failed)
}

fn try_layer(scratch: &Path, attached: &Path) -> io::Result<MountPlace> {
    let files = IndexedFiles::of(scratch);
    let archive = archive()?;
    std::fs::write(&files.tar, &archive)?;
    let stream = Inflated::plain(Box::new(io::Cursor::new(archive)), u64::MAX)?;
    indexed::index(stream, &files, &Limits::default(), None).map_err(io::Error::other)?;
    for name in ["upper", "work", "lower"] {
        std::fs::create_dir(scratch.join(name))?;
    }
    let detached = try_place(scratch, &files, &MountPlace::Detached);
    let Err(refused) = detached else {
        return Ok(MountPlace::Detached);
    };
    let attached = MountPlace::Attached(attached.to_owned());
    if let MountPlace::Attached(directory) = &attached {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    match try_place(scratch, &files, &attached) {
        Ok(()) => {
            tracing::info!(reason = %refused, "layers are mounted in the run directory");
            Ok(attached)
        }
        Err(error) => Err(error),
    }
}

fn try_place(scratch: &Path, files: &IndexedFiles, place: &MountPlace) -> io::Result<()> {
    let step = |what: &str, error: &io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
    let name = format!("probe-{}", std::process::id());
    let mounted = Mounted::new(
        &files.index,
        std::slice::from_ref(&files.tar),
        Caching::Through,
        place,
        &name,
    )
    .map_err(|error| step("mounting an EROFS index of a file failed", &error))?;
    let recipe = RootMount::Overlay {
        lower: vec![mounted.path(), scratch.join("lower")],
        writable: Some(WritableLayer {
            upper: scratch.join("upper"),
            work: scratch.join("work"),
            volatile: false,
        }),
    };
    let merged = hyperbox_sys::detached_mount::open(&recipe)
        .map_err(|error| step("overlayfs takes no such mount as a layer", &error))?;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::openat(&merged, "second", flags, rustix::fs::Mode::empty())?;
    let mut content = Vec::new();
    io::Read::read_to_end(&mut File::from(file), &mut content)
        .map_err(|error| step("reading through the mount failed", &error))?;
    if content != data() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "the mount shows other data than the archive has",
        ));
    }
    Ok(())
}

fn data() -> Vec<u8> {
    (0..LENGTH)
        .map(|number| u8::try_from(number % 251).unwrap_or_default())
        .collect()
}

/// An archive with two files, the second of which lies across pages.
fn archive() -> io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in ["first", "second"] {
        let mut header = tar::Header::new_ustar();
        header.set_size(LENGTH as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, data().as_slice())?;
    }
    builder.into_inner()
}
