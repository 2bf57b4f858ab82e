// SPDX-License-Identifier: MIT
//! Publishes nothing.

use async_trait::async_trait;
use hyperbox_core::seam::{NetworkError, PortPublisher, PublishRequest, PublishedPort};
use hyperbox_types::ContainerId;

#[derive(Debug)]
pub(crate) struct Unpublished;

#[async_trait]
impl PortPublisher for Unpublished {
    async fn publish(&self, _: PublishRequest) -> Result<Vec<PublishedPort>, NetworkError> {
        Ok(Vec::new())
    }

    async fn withdraw(&self, _: &ContainerId) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn adopt(&self, _: Vec<PublishRequest>) -> Result<(), NetworkError> {
        Ok(())
    }
}
