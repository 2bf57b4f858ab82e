// SPDX-License-Identifier: MIT
//! Storing files that several layers have once: on demand, and by itself when nothing else goes on.
//!
//! What is done to layers is the snapshotter's ([`crate::seam::LayerOptimizer`]); here is decided when, and for which. Whoever holds a
//! lease (a pull, a load, a build, the making of a container) or starts a container makes it pause.

mod blobs;
mod idle;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use hyperbox_types::optimize::OptimizeReport;
use hyperbox_types::{DiffId, ErrorKind};

use self::blobs::Released;
pub use self::idle::IdleWork;
use super::service::Images;
use crate::seam::{Busy, LayerOptimizer, Pace, SnapshotError};
use crate::{Result, ServiceError};

/// What is wished for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptimizeOptions {
    /// Give layers a form of their own again.
    pub undo: bool,
    /// Remove compressed blobs of unpacked layers that can be had from a registry.
    pub release_blobs: bool,
}

impl Images {
    /// Brings together the files that layers of images share, or undoes that; returns when it is done. The work goes on when the caller
    /// stops waiting.
    ///
    /// # Errors
    /// `Unsupported` where layers are kept in a form that cannot, `ResourceExhausted` without room for a layer in both forms. Layers
    /// that were changed until then stay so.
    pub async fn optimize(&self, options: OptimizeOptions) -> Result<OptimizeReport> {
        let optimizer = self.optimizer()?;
        // First, and whatever becomes of it: a layer that changes its form needs room.
        let released = if options.release_blobs {
            self.release_blobs().await
        } else {
            Ok(Released::default())
        };
        let layers = self.layers_by_age();
        let pace = self.inner.leases.pace();
        let done = if options.undo {
            optimizer.restore(&layers, pace).await
        } else {
            optimizer.optimize(&layers, pace).await
        };
        let done = done.map_err(not_optimized)?;
        let released = released?;
        let shared = optimizer.shared();
        Ok(OptimizeReport {
            layers: done.layers as u64,
            before: done.before.0,
            after: done.after.0,
            sharing_layers: shared.layers as u64,
            referenced: shared.referenced.0,
            stored: shared.stored.0,
            released_blobs: released.blobs,
            released_bytes: released.bytes,
        })
    }

    /// Tells that something is going on that background work should not disturb, until the value is dropped.
    pub(crate) fn busy(&self) -> Busy {
        self.inner.leases.pace().busy()
    }

    fn optimizer(&self) -> Result<&dyn LayerOptimizer> {
        let optimizer = self.inner.with.snapshotter.optimizer();
        optimizer
            .ok_or_else(|| ServiceError::new(ErrorKind::Unsupported, "this snapshotter cannot share files of layers"))
    }

    /// Lists the layers of all images, those of the oldest image first.
    fn layers_by_age(&self) -> Vec<DiffId> {
        let mut seen = HashSet::new();
        let images = self.list();
        let layers = images.iter().rev().flat_map(|image| &image.layers);
        layers
            .map(|layer| layer.diff_id.clone())
            .filter(|layer| seen.insert(layer.clone()))
            .collect()
    }

    fn pace(&self) -> Arc<Pace> {
        self.inner.leases.pace()
    }
}

fn not_optimized(error: SnapshotError) -> ServiceError {
    let kind = error.kind();
    let error = ServiceError::from_mechanism("cannot optimize layers", kind, error);
    match kind {
        ErrorKind::ResourceExhausted => {
            error.with_hint("make room for one more copy of the largest layer, then try again")
        }
        ErrorKind::InvalidArgument => error.with_hint("'hb system check --repair' mends damaged layers"),
        _ => error,
    }
}
