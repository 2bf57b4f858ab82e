// SPDX-License-Identifier: MIT
//! Stores of other HyperBoxes, as sources of what layers consist of.

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_types::DiffId;

use super::registry::{BlobStream, RegistryError};

/// Asks other HyperBoxes. A host is written like `DOCKER_HOST`: `unix:///path` or `tcp://host:port`.
///
/// All calls are cancel-safe: dropping the future or the stream ends the transfer. Whoever answers may be anybody: what is returned is
/// bounded in length and in the time between two pieces, and otherwise not looked at. Nothing is tried again here.
#[async_trait]
pub trait Peers: Send + Sync + std::fmt::Debug {
    /// Fetches the list of the chunks of a layer's uncompressed archive (`hyperbox_chunks::encode_list`), at most `limit` bytes long.
    ///
    /// # Errors
    /// `NotFound` when the host has no such layer, `Refused` for what is no host, `Protocol` for a longer answer, `Unavailable`.
    async fn chunk_list(&self, host: &str, layer: &DiffId, limit: u64) -> Result<Bytes, RegistryError>;

    /// Streams ranges (`hyperbox_chunks::encode_ranges`) of a layer's uncompressed archive, one after the other, in Zstandard frames.
    ///
    /// # Errors
    /// As [`Peers::chunk_list`]; the stream ends with an error when the connection is lost.
    async fn ranges(&self, host: &str, layer: &DiffId, ranges: Bytes) -> Result<BlobStream, RegistryError>;
}
