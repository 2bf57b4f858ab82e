// SPDX-License-Identifier: MIT
//! Failpoints: places where tests let the process die.
//!
//! `failpoint!("pull.before-record")` compiles to nothing unless the feature `failpoints` is on, which it never is in a release.
//! With it, a process whose environment variable `HYPERBOX_FAILPOINT` names the point aborts there, as `kill -9` would: no
//! destructor runs and nothing is flushed. `HYPERBOX_FAILPOINT=NAME:3` aborts at the third passage.
//!
//! [`ALL`] lists every point, so that a test can go through them; a point that is passed but not listed aborts at once.

/// The names of all failpoints, in the order in which a life of pull, create, start and remove passes them.
pub const ALL: &[&str] = &[
    "content.before-rename",
    "content.after-rename",
    "layer.after-tar",
    "layer.after-index",
    "layer.before-rename",
    "layer.after-rename",
    "optimize.after-objects",
    "optimize.before-exchange",
    "optimize.after-exchange",
    "optimize.before-reclaim",
    "optimize.after-reclaim",
    "optimize.before-release",
    "optimize.after-release",
    "delta.after-list",
    "delta.after-layer",
    "pull.before-record",
    "pull.after-record",
    "collect.before-removal",
    "collect.after-blob",
    "collect.after-layer",
    "commit.before-record",
    "commit.after-record",
    "build.before-record",
    "build.after-record",
    "build.before-image",
    "build.after-image",
    "create.after-snapshot",
    "create.after-volumes",
    "create.after-record",
    "network.after-record",
    "cni.after-note",
    "cni.after-plugin",
    "cni.after-answer",
    "network.after-attach",
    "network.after-publish",
    "start.after-network",
    "start.before-launch",
    "start.after-launch",
    "start.after-record",
    "network.after-connect",
    "network.after-connect-record",
    "network.after-disconnect-record",
    "network.after-detach",
    "exit.before-record",
    "exit.after-record",
    "remove.after-mark",
    "remove.after-task",
    "remove.after-snapshot",
    "remove.after-record",
    "cni.after-delete",
    "network.after-remove",
];

/// Dies here when the environment asks for it.
#[cfg(feature = "failpoints")]
pub fn pass(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static ARMED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    assert!(ALL.contains(&name), "failpoint {name} is not listed");
    let armed = ARMED.get_or_init(|| {
        let value = std::env::var("HYPERBOX_FAILPOINT").ok()?;
        let (name, count) = value.split_once(':').unwrap_or((&value, "1"));
        Some((name.to_owned(), AtomicU64::new(count.parse().unwrap_or(1))))
    });
    if let Some((wanted, left)) = armed
        && wanted == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Does nothing: failpoints are not compiled in.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub fn pass(_name: &'static str) {}

/// Marks a failpoint; see the module of the same name.
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::failpoint::pass($name)
    };
}
