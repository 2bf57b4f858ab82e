// SPDX-License-Identifier: MIT
//! Layers that have archives, as far as anybody asks, and a [`LayerOptimizer`] that changes nothing.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use hyperbox_core::seam::{LayerOptimizer, Optimized, Pace, SharedUsage, SnapshotError};
use hyperbox_types::{ByteSize, DiffId};

use super::FakeSnapshotter;
use crate::fake::fault::Faults;

/// What a snapshotter is asked of its layers' archives.
#[derive(Debug, Default)]
pub(super) struct Archives {
    pub(super) kept: AtomicBool,
    /// How often one was looked for.
    pub(super) looks: AtomicUsize,
    faults: Faults<SnapshotError>,
}

impl FakeSnapshotter {
    /// From now on, layers have archives, and can be optimized.
    pub fn keep_archives(&self) {
        self.archives.kept.store(true, Ordering::SeqCst);
    }

    /// Returns how often somebody asked whether a layer has an archive.
    pub fn looks_for_archives(&self) -> usize {
        self.archives.looks.load(Ordering::SeqCst)
    }

    /// Makes the next [`LayerOptimizer::optimize`] fail as if the disk were full.
    pub fn fail_next_optimization(&self) {
        self.archives.faults.push(SnapshotError::Io {
            operation: "write",
            path: self.root.path().display().to_string(),
            source: io::Error::from(io::ErrorKind::StorageFull),
        });
    }
}

#[async_trait]
impl LayerOptimizer for FakeSnapshotter {
    async fn optimize(&self, _layers: &[DiffId], _pace: Arc<Pace>) -> Result<Optimized, SnapshotError> {
        self.archives.faults.check()?;
        Ok(Optimized::default())
    }

    async fn restore(&self, _layers: &[DiffId], _pace: Arc<Pace>) -> Result<Optimized, SnapshotError> {
        Ok(Optimized::default())
    }

    fn shared(&self) -> SharedUsage {
        SharedUsage::default()
    }

    async fn own(&self) -> Result<HashMap<DiffId, ByteSize>, SnapshotError> {
        Ok(HashMap::new())
    }
}
