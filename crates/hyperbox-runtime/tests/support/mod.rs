// SPDX-License-Identifier: MIT
//! What the tests share: a root filesystem of busybox, specifications, and a run on our runtime and on crun.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    clippy::unwrap_used,
    clippy::allow_attributes,
    reason = "each test binary uses a part of it, and a panic is how a test reports"
)]

pub mod outcome;
pub mod rootfs;
pub mod specification;

/// Tests of this crate make namespaces, mounts and cgroups.
pub fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: run it with `sudo`, or in a machine of `tools/vm-run`"
    );
}

/// A name that no other test, process or run uses.
pub fn unique(prefix: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanoseconds = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.subsec_nanos());
    format!(
        "{prefix}-{}-{}-{nanoseconds:x}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}
