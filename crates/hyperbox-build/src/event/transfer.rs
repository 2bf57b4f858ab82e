// SPDX-License-Identifier: MIT
//! Pulls and pushes of a build, told as parts of the step that waits for them.

use futures_util::StreamExt as _;
use hyperbox_core::ServiceError;
use hyperbox_core::image::{ProgressStream, TransferProgress};
use hyperbox_core::time::Timestamp;

use super::{PartProgress, StepReporter};

/// Waits for a transfer to end and tells how far it is. Dropping the future ends the transfer.
///
/// # Errors
/// What it failed of.
pub(crate) async fn follow(mut course: ProgressStream, reporter: &StepReporter) -> Result<(), ServiceError> {
    let started = Timestamp::now();
    while let Some(message) = course.next().await {
        match message {
            TransferProgress::Failed(error) => return Err(error),
            TransferProgress::Advance {
                id,
                status,
                current,
                total,
            } => reporter.progress(&PartProgress {
                id: &id,
                name: status,
                current,
                total,
                started,
                done: current == total,
            }),
            TransferProgress::Status { .. } | TransferProgress::Aux(_) => {}
        }
    }
    Ok(())
}
