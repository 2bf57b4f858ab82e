// SPDX-License-Identifier: MIT
//! How a root filesystem is mounted: the only thing that joins storage and execution.
//!
//! A snapshotter *returns* a [`RootMount`]; the shim mounts it inside the container's own mount namespace, so nothing is
//! ever mounted on the host and a crash leaves no mount behind.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Option of a mount in an OCI specification: what is meant beneath its source, a relative path that must not lead out of it. For user
/// space, as `x-` says (mount(8)): the shim and the runtime take it away.
pub const SUBPATH_OPTION: &str = "x-hyperbox.subpath=";

/// A recipe for mounting one root filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum RootMount {
    /// An overlay. `lower` is ordered from the topmost layer down, as overlayfs's `lowerdir` is.
    Overlay {
        /// Read-only directories, topmost first; at least one.
        lower: Vec<PathBuf>,
        /// Writable part; `None` mounts a read-only view.
        writable: Option<WritableLayer>,
    },
    /// A directory that is used as it is.
    Bind {
        /// The directory.
        source: PathBuf,
        /// Whether the mount refuses writes.
        read_only: bool,
    },
}

/// The writable part of an overlay: both directories on one filesystem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WritableLayer {
    /// Receives what the container changes.
    pub upper: PathBuf,
    /// overlayfs's own scratch directory.
    pub work: PathBuf,
    /// Nothing of it has to survive a crash of the machine: no unmount and no `fsync(2)` makes it durable (overlayfs's `volatile`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub volatile: bool,
}
