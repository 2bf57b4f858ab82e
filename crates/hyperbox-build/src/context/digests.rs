// SPDX-License-Identifier: MIT
//! What is known of files that were read before, so that an unchanged file is neither read nor opened again.
//!
//! A file of a directory is known by everything that changes with its content (device, inode, length, times); one that changed just
//! now is not remembered, because it could change again within the clock's granularity. A file of layers never changes: it is known by
//! layers and path. At most [`MOST`] are kept; then all are forgotten.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hyperbox_types::DiffId;

/// About 200 bytes each.
const MOST: usize = 500_000;

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum FileIdentity {
    /// A file of a directory.
    Local {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
        changed: (i64, i64),
    },
    /// A file of layers.
    Layered { layers: Arc<Vec<DiffId>>, path: PathBuf },
}

/// What a tree is made of.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// A directory that others may change between builds.
    Local,
    /// Layers.
    Layers(Arc<Vec<DiffId>>),
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KnownFile {
    /// The SHA-256 of its bytes.
    pub(crate) digest: Option<[u8; 32]>,
    /// Whether it is known to have no extended attributes that count.
    pub(crate) is_bare: bool,
}

/// What is known, by file. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct DigestCache {
    known: Arc<Mutex<HashMap<FileIdentity, KnownFile>>>,
}

impl DigestCache {
    pub(crate) fn get(&self, identity: &FileIdentity) -> KnownFile {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(identity).copied().unwrap_or_default()
    }

    /// Remembers the digest of a file.
    pub(crate) fn insert(&self, identity: FileIdentity, digest: [u8; 32]) {
        self.learn(identity, |known| known.digest = Some(digest));
    }

    /// Remembers that a file has no extended attributes that count.
    pub(crate) fn insert_bare(&self, identity: FileIdentity) {
        self.learn(identity, |known| known.is_bare = true);
    }

    fn learn(&self, identity: FileIdentity, what: impl FnOnce(&mut KnownFile)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        what(known.entry(identity).or_default());
    }
}
