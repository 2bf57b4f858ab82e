// SPDX-License-Identifier: MIT
//! Following a container: its record as it is now, then after each change.

use std::sync::Arc;

use futures_util::{Stream, stream};

use super::{ContainerRecord, Containers};
use crate::Result;

impl Containers {
    /// Returns a container's record, and again after each change; ends when it is gone. Changes that follow each other quickly may be seen
    /// as one.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn follow(&self, reference: &str) -> Result<impl Stream<Item = Arc<ContainerRecord>> + Send + Unpin + use<>> {
        let mut snapshot = self.inner.table.find(reference)?.snapshot;
        snapshot.mark_changed();
        Ok(Box::pin(stream::unfold(snapshot, |mut snapshot| async move {
            loop {
                snapshot.changed().await.ok()?;
                let (record, removed) = {
                    let now = snapshot.borrow_and_update();
                    (now.record.clone(), now.removed)
                };
                if removed {
                    return None;
                }
                if let Some(record) = record {
                    return Some((record, snapshot));
                }
            }
        })))
    }
}
