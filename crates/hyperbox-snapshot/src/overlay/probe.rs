// SPDX-License-Identifier: MIT
//! Whether overlayfs works on a directory's filesystem, found by trying.
//!
//! An upper directory needs `trusted.` attributes, whiteouts and `d_type`; another overlay, 9p, NFS or a FUSE filesystem lack
//! some of that, and the kernel says so only when mounting or writing (`Documentation/filesystems/overlayfs.rst`).

mod erofs;

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use hyperbox_types::{RootMount, WritableLayer};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, XattrFlags};

pub use self::erofs::probe_erofs;
use crate::failure::on_path;
use crate::trash::random_name;

/// Tries an overlay in `root`, which is made if it is missing. Leaves nothing behind in it.
///
/// # Errors
/// Names the directory and the step that failed.
pub fn probe(root: &Path) -> Result<(), SnapshotError> {
    let failed = |error: io::Error| on_path("use overlayfs in", root, error);
    let name = random_name().map_err(failed)?;
    let scratch = root.join(format!(".probe-{name}"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&scratch)
        .map_err(failed)?;
    let result = try_overlay(&scratch);
    let removed = std::fs::remove_dir_all(&scratch);
    result.and(removed).map_err(failed)
}

fn try_overlay(scratch: &Path) -> io::Result<()> {
    let [lower, upper, work] = ["lower", "upper", "work"].map(|name| scratch.join(name));
    for path in [&lower, &upper, &work] {
        std::fs::create_dir(path)?;
    }
    std::fs::write(lower.join("file"), b"")?;
    step(
        "set a trusted attribute",
        rustix::fs::setxattr(&lower, "trusted.hyperbox", b"y", XattrFlags::empty()),
    )?;
    let whiteout = lower.join("whiteout");
    step(
        "make a whiteout",
        rustix::fs::mknodat(CWD, &whiteout, FileType::CharacterDevice, Mode::empty(), 0),
    )?;
    let recipe = RootMount::Overlay {
        lower: vec![lower],
        writable: Some(WritableLayer {
            upper: upper.clone(),
            work,
            volatile: false,
        }),
    };
    let mounted = hyperbox_sys::detached_mount::open(&recipe)
        .map_err(|error| io::Error::new(error.kind(), format!("mounting an overlay failed: {error}")))?;
    step("delete through an overlay", delete_file(&mounted))?;
    let stat = rustix::fs::statat(CWD, upper.join("file"), AtFlags::SYMLINK_NOFOLLOW);
    let stat = step("find the whiteout of a deleted file", stat)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a deleted file left no whiteout",
        ));
    }
    Ok(())
}

fn delete_file(mounted: &OwnedFd) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
    drop(rustix::fs::openat(mounted, c"new", flags, Mode::RUSR | Mode::WUSR)?);
    rustix::fs::unlinkat(mounted, c"file", AtFlags::empty())
}

fn step<T>(what: &str, result: rustix::io::Result<T>) -> io::Result<T> {
    result.map_err(|error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("this filesystem cannot {what}: {error}"))
    })
}
