// SPDX-License-Identifier: MIT
//! A full disk: a clear error, nothing that is half visible, and the space comes back.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use hyperbox_core::seam::Snapshotter;
use hyperbox_snapshot::LayerForm;
use hyperbox_types::ErrorKind;

use super::{open, wait_until_empty};

/// A small ext4 in a file; unmounted when dropped.
pub(crate) struct SmallDisk {
    _directory: tempfile::TempDir,
    pub(crate) point: PathBuf,
}

impl SmallDisk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (image, point) = (directory.path().join("image"), directory.path().join("point"));
        std::fs::File::create(&image).unwrap().set_len(24 << 20).unwrap();
        std::fs::create_dir(&point).unwrap();
        run(Command::new("mkfs.ext4")
            .args(["-q", "-m", "0", "-O", "^has_journal"])
            .arg(&image));
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&point));
        Self {
            _directory: directory,
            point,
        }
    }

    pub(crate) fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.point).unwrap();
        stat.f_bfree * stat.f_frsize
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.point).status());
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An archive of one file of so many bytes that do not compress to nothing.
fn archive(length: u64) -> Box<dyn Read + Send> {
    let mut header = tar::Header::new_gnu();
    header.set_size(length);
    header.set_mode(0o644);
    header.set_path("large").unwrap();
    header.set_cksum();
    let data = std::io::repeat(b'x').take(length.next_multiple_of(512) + 1024 - 1024);
    Box::new(
        std::io::Cursor::new(header.as_bytes().to_vec())
            .chain(data)
            .chain(std::io::repeat(0).take(1024)),
    )
}

both_forms!(privileged_a_full_disk_is_told_and_given_back);

async fn privileged_a_full_disk_is_told_and_given_back(form: LayerForm) {
    let disk = SmallDisk::new();
    let store = disk.point.join("store");
    let snapshotter = open(&store, form);
    let before = disk.free();
    let error = snapshotter.stage_layer(archive(64 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{error:?}");
    let text = error.to_string();
    assert!(!text.contains("the layer stream"), "it is the disk that failed: {text}");
    assert!(snapshotter.layers().await.unwrap().is_empty());
    assert_eq!(entries(&store.join("layers")), 0);
    wait_until_empty(&store.join("trash"));
    assert_eq!(entries(&store.join("staging")), 0);
    hyperbox_testkit::wait_for("the space to come back", || match disk.free() {
        free if free + (64 << 10) >= before => Ok(()),
        free => Err(format!("{free} of {before} bytes are free")),
    });
    let staged = snapshotter.stage_layer(archive(1 << 20)).await.unwrap();
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    assert!(snapshotter.has_layer(&layer));
}

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}
