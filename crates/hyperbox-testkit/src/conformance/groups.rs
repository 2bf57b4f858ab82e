// SPDX-License-Identifier: MIT
//! What every `ControlGroups` must do.
//!
//! Each check makes groups below a parent of its own and removes them.

use hyperbox_core::seam::{ControlGroups, GroupLimits};
use hyperbox_types::ErrorKind;

use crate::unique_name;

/// Runs all checks.
///
/// # Panics
/// When the mechanism does not conform.
pub fn check_all(groups: &dyn ControlGroups) {
    check_life(groups);
    check_limits(groups);
    check_paths(groups);
}

/// A group is made as often as it is asked for, told of, and gone when it is removed; that twice is one.
fn check_life(groups: &dyn ControlGroups) {
    let parent = format!("/{}", unique_name("groups"));
    let path = format!("{parent}/shop");
    assert_eq!(groups.usage(&path).expect_err("nothing yet").kind, ErrorKind::NotFound);
    groups.remove(&path).expect("nothing to remove");
    for _ in 0..2 {
        groups.ensure(&path, &GroupLimits::default()).expect("ensure");
    }
    let usage = groups.usage(&path).expect("usage");
    assert_eq!((usage.pids, usage.memory_kills), (0, 0));
    assert_eq!((usage.memory_limit, usage.pids_limit), (None, None));
    groups.remove(&path).expect("remove");
    assert_eq!(groups.usage(&path).expect_err("gone").kind, ErrorKind::NotFound);
    groups.remove(&path).expect("remove again");
    groups.remove(&parent).expect("remove the parent");
}

/// Limits are those asked for last; what is not asked for is lifted.
fn check_limits(groups: &dyn ControlGroups) {
    let parent = format!("/{}", unique_name("groups"));
    let path = format!("{parent}/shop");
    let limits = GroupLimits {
        nano_cpus: Some(500_000_000),
        memory: Some(64 << 20),
        pids: Some(50),
        ..GroupLimits::default()
    };
    groups.ensure(&path, &limits).expect("ensure");
    let usage = groups.usage(&path).expect("usage");
    assert_eq!((usage.memory_limit, usage.pids_limit), (Some(64 << 20), Some(50)));
    let more = GroupLimits {
        memory: Some(128 << 20),
        ..GroupLimits::default()
    };
    groups.ensure(&path, &more).expect("ensure");
    let usage = groups.usage(&path).expect("usage");
    assert_eq!((usage.memory_limit, usage.pids_limit), (Some(128 << 20), None));
    groups.ensure(&path, &GroupLimits::default()).expect("ensure");
    assert_eq!(groups.usage(&path).expect("usage").memory_limit, None);
    groups.remove(&path).expect("remove");
    groups.remove(&parent).expect("remove the parent");
}

/// No path leads out.
fn check_paths(groups: &dyn ControlGroups) {
    for path in ["", "/", "relative", "/a/../../b"] {
        let refused = groups.ensure(path, &GroupLimits::default()).expect_err(path);
        assert_eq!(refused.kind, ErrorKind::InvalidArgument, "{path}");
    }
}
