// SPDX-License-Identifier: MIT
//! Groups that hold containers' groups: the machine's own, of whatever version, pass the suite of their seam.

use hyperbox_core::seam::{ControlGroups, GroupLimits};
use hyperbox_task::KernelGroups;
use hyperbox_testkit::{conformance, unique_name};

fn conforms() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: sudo cargo xtask test"
    );
    conformance::groups::check_all(&KernelGroups);
}

#[test]
fn privileged_groups_conform() {
    conforms();
}

#[test]
fn v2_groups_conform() {
    conforms();
}

/// Rates that version 1 would keep for each container alone are said not to be kept.
#[test]
fn privileged_groups_say_what_is_not_kept() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: sudo cargo xtask test"
    );
    let path = format!("/{}", unique_name("groups"));
    let limits = GroupLimits {
        write_bytes: Some(1 << 20),
        ..GroupLimits::default()
    };
    let warnings = KernelGroups.ensure(&path, &limits).unwrap();
    let pure = std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    assert_eq!(warnings.is_empty(), pure, "{warnings:?}");
    KernelGroups.remove(&path).unwrap();
}
