// SPDX-License-Identifier: MIT
//! The answer of `POST /hyperbox/v1/optimize`: files that several layers of images have are stored once.
//!
//! The query `undo=1` gives each layer a form of its own again; `release-blobs=1` also removes compressed blobs that a registry has. The
//! answer comes when all is done; a client that goes away does not end the work.

use serde::{Deserialize, Serialize};

/// What was done, and what is shared now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OptimizeReport {
    /// Layers that changed their form.
    pub layers: u64,
    /// Bytes on the disk that all unpacked layers took before.
    pub before: u64,
    /// Bytes on the disk that they take now.
    pub after: u64,
    /// Layers whose files are shared now.
    pub sharing_layers: u64,
    /// Bytes of their files, counted in each layer.
    pub referenced: u64,
    /// Bytes on the disk of those files.
    pub stored: u64,
    /// Compressed blobs that were removed.
    pub released_blobs: u64,
    /// Their bytes.
    pub released_bytes: u64,
}
