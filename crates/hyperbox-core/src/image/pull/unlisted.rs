// SPDX-License-Identifier: MIT
//! Fetching what an image consists of for somebody who needs no image: nothing becomes visible, no name moves, and only a lease
//! protects what came. Dropping the transfer, or a crash, leaves at most content that is collected.

use hyperbox_types::{ImageReference, Platform};
use tokio::sync::oneshot;

use super::{Pull, run};
use crate::Result;
use crate::image::fetch::{Blobs, tell_end};
use crate::image::service::{Images, ProgressStream, TransferProgress};
use crate::image::{ImageRecord, LayerLease};
use crate::seam::Credentials;

impl Images {
    /// Fetches an image that comes into nobody's list, with the blobs of its layers, protected by a lease. The manifest is resolved
    /// before this returns; the record is there when the transfer has told everything and did not fail.
    ///
    /// # Errors
    /// Those of resolving the reference; later ones are told in the transfer.
    pub async fn fetch_unlisted(
        &self,
        reference: ImageReference,
        platform: Option<Platform>,
        credentials: Option<Credentials>,
        lease: &LayerLease,
    ) -> Result<(ProgressStream, oneshot::Receiver<ImageRecord>)> {
        let (mut pull, receiver) = Pull::new(self, reference, platform, credentials);
        // No image would say where those are that do not come.
        pull.blobs = Blobs::All;
        let top = pull.manifest(&pull.reference).await?;
        let (sender, fetched) = oneshot::channel();
        let lease = lease.clone();
        let course = run(receiver, async move {
            let obtained = async {
                let (record, kept) = pull.obtain(top, &lease).await?;
                pull.images.protect_layers(&record.layers, &lease).await?;
                drop(kept);
                Ok(record)
            };
            match obtained.await {
                // Who does not wait any more needs nothing.
                Ok(record) => drop(sender.send(record)),
                Err(error) => tell_end(&pull.progress, TransferProgress::Failed(error)).await,
            }
        });
        Ok((course, fetched))
    }
}
