// SPDX-License-Identifier: MIT
//! Root filesystems: overlays of many layers, read-only views, and mounting one for another runtime.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod support;

use hyperbox_runtime::mount_root;
use hyperbox_sys::spawn::{NewNamespaces, unshare};
use hyperbox_types::{RootMount, WritableLayer};
use rustix::mount::{MountPropagationFlags, UnmountFlags};

use support::outcome::run_ours;
use support::rootfs::Rootfs;
use support::specification::shell;

fn layered(rootfs: &Rootfs, count: usize, writable: bool) -> RootMount {
    let mut lower: Vec<_> = (0..count)
        .map(|number| {
            let layer = rootfs.beside(&format!("layer, with: odd\\name {number:0>40}"));
            std::fs::create_dir_all(layer.join("layers")).unwrap();
            std::fs::write(layer.join(format!("layers/{number}")), number.to_string()).unwrap();
            std::fs::write(layer.join("layers/top"), number.to_string()).unwrap();
            layer
        })
        .collect();
    lower.push(rootfs.lower());
    RootMount::Overlay {
        lower,
        writable: writable.then(|| WritableLayer {
            upper: rootfs.upper(),
            work: rootfs.beside("work"),
            volatile: false,
        }),
    }
}

#[test]
fn privileged_overlays_of_many_layers() {
    let rootfs = Rootfs::new();
    let mount = layered(&rootfs, 100, true);
    let outcome = run_ours(&shell("ls /layers | wc -l; cat /layers/top; touch /new"), mount, "");
    assert_eq!(outcome.stdout, "101\n0", "{}", outcome.stderr);
    assert!(rootfs.upper().join("new").exists());
}

#[test]
fn privileged_read_only_views() {
    let rootfs = Rootfs::new();
    for mount in [
        layered(&rootfs, 3, false),
        RootMount::Overlay {
            lower: vec![rootfs.lower()],
            writable: None,
        },
        RootMount::Bind {
            source: rootfs.lower(),
            read_only: true,
        },
    ] {
        let outcome = run_ours(&shell("touch /new"), mount, "");
        assert!(outcome.stderr.contains("Read-only file system"), "{outcome:?}");
    }
}

#[test]
fn privileged_mounting_for_another_runtime() {
    support::require_root();
    let rootfs = Rootfs::new();
    let mount = layered(&rootfs, 2, true);
    let target = rootfs.beside("target");
    std::fs::create_dir(&target).unwrap();
    // The namespace of this test's own thread stands for a shim's.
    unshare(NewNamespaces::MOUNT).unwrap();
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount_root(&mount, &target).unwrap();
    assert_eq!(std::fs::read_to_string(target.join("layers/top")).unwrap(), "0");
    rustix::mount::unmount(&target, UnmountFlags::empty()).unwrap();
}
