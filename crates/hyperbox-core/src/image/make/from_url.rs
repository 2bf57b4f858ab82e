// SPDX-License-Identifier: MIT
//! `import` of what is behind a URL: the daemon gets it, and says how far it is.
//!
//! Nothing is kept of a transfer that fails or that nobody waits for any more: the layer is spooled until it is complete.

use futures_util::StreamExt;

use super::NewImage;
use crate::Result;
use crate::image::fetch::{progress_channel, tell, tell_end};
use crate::image::pull::run;
use crate::image::service::registry_failure;
use crate::image::{Images, ProgressStream, TransferProgress};

impl Images {
    /// Makes an image of a root filesystem behind a URL. The server has answered before this returns, so that what cannot be fetched
    /// is an error and not a progress message. The last message is the image's id.
    ///
    /// # Errors
    /// `InvalidArgument` for what is no URL, `NotFound`, `Unavailable`.
    pub async fn import_from(&self, url: &str, image: NewImage) -> Result<ProgressStream> {
        let registry = &self.inner.with.registry;
        let download = registry
            .download(url, &[])
            .await
            .map_err(|error| registry_failure("import", error))?;
        let (progress, receiver) = progress_channel();
        let images = self.clone();
        let shown = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        Ok(run(receiver, async move {
            let status = format!("Downloading from {shown}");
            tell(&progress, TransferProgress::Status { id: None, status });
            let (total, mut current) = (download.length.unwrap_or(0), 0);
            let counted = download.pieces.inspect(|piece| {
                current += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
                let message = TransferProgress::Advance {
                    id: String::new(),
                    status: "Importing",
                    current,
                    total,
                };
                tell(&progress, message);
            });
            let outcome = match images.import(Box::pin(counted), image).await {
                Ok(id) => TransferProgress::Status {
                    id: None,
                    status: id.to_string(),
                },
                Err(error) => TransferProgress::Failed(error),
            };
            tell_end(&progress, outcome).await;
        }))
    }
}
