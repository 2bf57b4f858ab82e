// SPDX-License-Identifier: MIT
//! Files of a container that does not run, on a real overlay.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use hyperbox_core::seam::{ContainerFiles, FilesView, ViewRoot, WriteFiles};
use hyperbox_testkit::conformance::files::{Subject, run};
use hyperbox_types::{RootMount, WritableLayer};

use super::MountedFiles;

/// Makes a container below a directory, with one layer that has `/etc`.
fn container(directory: &Path) -> RootMount {
    let place = |name: &str| {
        let path = directory.join(name);
        std::fs::create_dir_all(&path).expect("directory");
        path
    };
    std::fs::create_dir_all(directory.join("lower/etc")).expect("directory");
    RootMount::Overlay {
        lower: vec![place("lower")],
        writable: Some(WritableLayer {
            upper: place("upper"),
            work: place("work"),
            volatile: false,
        }),
    }
}

fn view(mount: &RootMount) -> FilesView {
    FilesView {
        root: ViewRoot::Idle(mount.clone()),
        mounts: Vec::new(),
        turn: Box::new(()),
    }
}

#[tokio::test]
async fn privileged_mounted_files_conform() {
    let directory = tempfile::tempdir().expect("directory");
    let files = MountedFiles::open(&directory.path().join("view")).expect("open");
    let files: Arc<dyn ContainerFiles> = Arc::new(files);
    let count = std::sync::atomic::AtomicUsize::new(0);
    run(|| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mount = container(&directory.path().join(number.to_string()));
        Subject {
            files: Arc::clone(&files),
            view: Box::new(move || view(&mount)),
        }
    })
    .await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(
        !mounts.contains(&directory.path().display().to_string()),
        "nothing stays mounted"
    );
}

#[tokio::test]
async fn privileged_attributes_come_along() {
    let directory = tempfile::tempdir().expect("directory");
    let files = MountedFiles::open(&directory.path().join("view")).expect("open");
    let mount = container(directory.path());
    let path = directory.path().join("lower/etc/marked");
    std::fs::write(&path, "x").expect("write");
    rustix::fs::setxattr(&path, "user.colour", b"red", rustix::fs::XattrFlags::empty()).expect("an attribute");
    let (_, mut stream) = files.read(view(&mount), "/etc/marked").await.expect("read");
    let mut archive = Vec::new();
    while let Some(chunk) = stream.next().await {
        archive.extend_from_slice(&chunk.expect("bytes"));
    }
    let reader = Box::new(Cursor::new(archive));
    let written = files.write(view(&mount), "/", WriteFiles::default(), reader).await;
    written.expect("write");
    let copy = directory.path().join("upper/marked");
    let mut value = [0_u8; 16];
    let length = rustix::fs::getxattr(&copy, "user.colour", &mut value).expect("the attribute");
    assert_eq!(&value[..length], b"red");
}
