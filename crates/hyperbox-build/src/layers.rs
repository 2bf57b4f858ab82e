// SPDX-License-Identifier: MIT
//! Where the layers of a build go: into the engine's stores, protected by the build's lease.

use std::io::Read;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use hyperbox_core::image::{ImageLayer, Images, LayerLease};
use hyperbox_core::seam::FileStream;
use tokio::sync::mpsc;

use crate::StepError;
use crate::step::LayerSink;

/// Pieces of a stream that wait to be unpacked.
const QUEUE: usize = 32;

/// Stores the layers of a build.
#[derive(Debug, Clone)]
pub(crate) struct StoredLayers {
    images: Images,
    lease: LayerLease,
}

impl StoredLayers {
    pub(crate) fn new(images: Images, lease: LayerLease) -> Self {
        Self { images, lease }
    }
}

#[async_trait]
impl LayerSink for StoredLayers {
    async fn store_reader(&self, tar: Box<dyn Read + Send>) -> Result<ImageLayer, StepError> {
        Ok(self.images.store_built_layer(tar, &self.lease).await?)
    }

    async fn store_stream(&self, mut tar: FileStream) -> Result<ImageLayer, StepError> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let reader = Chunks {
            receiver,
            chunk: Bytes::new(),
        };
        let storing = self.images.store_built_layer(Box::new(reader), &self.lease);
        let feeding = async move {
            while let Some(chunk) = tar.next().await {
                // Who gives up reading tells why.
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
        };
        let (stored, ()) = tokio::join!(storing, feeding);
        Ok(stored?)
    }
}

/// Reads queued pieces on a thread that may block.
struct Chunks {
    receiver: mpsc::Receiver<std::io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        buffer[..length].copy_from_slice(&self.chunk.split_to(length));
        Ok(length)
    }
}
