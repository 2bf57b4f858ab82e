// SPDX-License-Identifier: MIT
//! What builds have to do with each other: results that others build upon, and what doors ask of base images before a build.

use std::sync::Arc;

use hyperbox_core::image::LayerLease;
use hyperbox_types::DiffId;

use super::Builder;
use crate::solve::Stage;

/// The result of a build, to be built upon whether an image was made of it or not. Its layers stay as long as it or a clone of it does.
#[derive(Debug, Clone)]
pub struct BuiltBase {
    stage: Arc<Stage>,
    _lease: LayerLease,
}

impl BuiltBase {
    pub(super) fn new(stage: Stage, lease: LayerLease) -> Self {
        Self {
            stage: Arc::new(stage),
            _lease: lease,
        }
    }

    /// Tells whether it brings instructions for the builds that are based on it (ONBUILD).
    pub fn brings_triggers(&self) -> bool {
        !self.stage.image.config.on_build.is_empty()
    }

    pub(crate) fn stage(&self) -> &Arc<Stage> {
        &self.stage
    }

    pub(crate) fn layers(&self) -> Vec<DiffId> {
        self.stage.layers.iter().map(|layer| layer.diff_id.clone()).collect()
    }
}

impl Builder {
    /// Tells whether an image brings instructions for the builds that are based on it (ONBUILD); `None` when it is not here.
    pub fn brings_triggers(&self, image: &str) -> Option<bool> {
        let record = self.shared.images.get(image).ok()?;
        Some(!record.config.on_build.is_empty())
    }
}
