// SPDX-License-Identifier: MIT
//! Pulling an image, and what is told of it.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use hyperbox_core::image::TransferProgress;
use hyperbox_core::{Engine, ServiceError};
use hyperbox_docker::KnownCredentials;
use hyperbox_project::execute::{EngineError, ImageWish};
use hyperbox_types::project::ProjectEvent;
use hyperbox_types::{ImageReference, Platform};
use tokio::time::Instant;

use super::failure;

/// The shortest time between two counts of one layer.
const PACE: Duration = Duration::from_millis(100);

/// Pulls; being dropped cancels it.
pub(super) async fn pull(
    engine: &Engine,
    credentials: &KnownCredentials,
    wish: &ImageWish,
    tell: &(dyn Fn(ProjectEvent) + Send + Sync),
) -> Result<(), EngineError> {
    let invalid = |error: &dyn std::error::Error| failure(ServiceError::invalid(error.to_string()));
    let reference = ImageReference::parse(&wish.image).map_err(|error| invalid(&error))?;
    let platform = wish.platform.as_deref().map(Platform::parse).transpose();
    let platform = platform.map_err(|error| invalid(&error))?;
    let known = credentials.find(&reference).cloned();
    let mut progress = engine.images.pull(reference, platform, known).await.map_err(failure)?;
    let mut counted: HashMap<String, Instant> = HashMap::new();
    while let Some(step) = progress.next().await {
        let event = match step {
            TransferProgress::Status { id, status } => told(wish, id, status, None),
            TransferProgress::Advance {
                id,
                status,
                current,
                total,
            } => {
                let last = counted.get(&id).is_some_and(|at| at.elapsed() < PACE);
                if last && current < total {
                    continue;
                }
                counted.insert(id.clone(), Instant::now());
                told(wish, Some(id), status.to_owned(), Some((current, total)))
            }
            TransferProgress::Aux(_) => continue,
            TransferProgress::Failed(error) => return Err(failure(error)),
        };
        tell(event);
    }
    Ok(())
}

fn told(wish: &ImageWish, layer: Option<String>, status: String, count: Option<(u64, u64)>) -> ProjectEvent {
    ProjectEvent::Pull {
        image: wish.image.clone(),
        layer: layer.filter(|layer| !layer.is_empty()),
        status,
        current: count.map(|(current, _)| current),
        total: count.map(|(_, total)| total),
    }
}
