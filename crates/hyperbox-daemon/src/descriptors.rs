// SPDX-License-Identifier: MIT
//! File descriptors: the daemon takes as many as it may have.
//!
//! Each published port takes one for each address family, each container some more. Containers do not inherit that: their supervisors are
//! started with the limit that this process was started with, as with Docker Engine, whose Go runtime does both by itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files to the hard one, and returns the soft limit there was; none when it was unlimited.
///
/// A kernel that refuses leaves things as they were.
pub(crate) fn raise_limit() -> Option<u64> {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        let raised = Rlimit {
            current: before.maximum,
            maximum: before.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    before.current
}
