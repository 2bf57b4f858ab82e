// SPDX-License-Identifier: MIT
//! Other stores without a network: a host is an image service of the same process. What it sends can be spoilt on the way.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyperbox_core::image::Images;
use hyperbox_core::seam::{BlobStream, Peers, RegistryError, RegistryFault};
use hyperbox_types::DiffId;

use super::fault::lock;

/// Pieces of an answer are this long: small, so that every consumer sees several.
const PIECE: usize = 1000;

/// Changes an answer's bytes; what is cut off is lost with the connection.
type Spoil = Box<dyn Fn(Vec<u8>) -> Vec<u8> + Send>;

/// A [`Peers`].
#[derive(Clone, Default)]
pub struct FakePeers {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    hosts: BTreeMap<String, Images>,
    lists: VecDeque<Spoil>,
    ranges: VecDeque<Spoil>,
    asked: usize,
}

impl fmt::Debug for FakePeers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FakePeers").finish_non_exhaustive()
    }
}

impl FakePeers {
    /// Makes a store reachable.
    pub fn add(&self, host: &str, images: Images) {
        lock(&self.state).hosts.insert(host.to_owned(), images);
    }

    /// Spoils the next list that is not spoilt yet.
    pub fn spoil_list(&self, spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) {
        lock(&self.state).lists.push_back(Box::new(spoil));
    }

    /// Spoils the next answer with ranges that is not spoilt yet; one that becomes shorter is a connection that ends.
    pub fn spoil_ranges(&self, spoil: impl Fn(Vec<u8>) -> Vec<u8> + Send + 'static) {
        lock(&self.state).ranges.push_back(Box::new(spoil));
    }

    /// Returns how often ranges were asked for.
    pub fn asked(&self) -> usize {
        lock(&self.state).asked
    }

    fn host(&self, host: &str) -> Result<Images, RegistryError> {
        let found = lock(&self.state).hosts.get(host).cloned();
        found.ok_or_else(|| failure(RegistryFault::Unavailable, format!("cannot reach {host}")))
    }
}

fn failure(fault: RegistryFault, message: String) -> RegistryError {
    RegistryError {
        fault,
        message,
        source: None,
    }
}

#[async_trait]
impl Peers for FakePeers {
    async fn chunk_list(&self, host: &str, layer: &DiffId, limit: u64) -> Result<Bytes, RegistryError> {
        tokio::task::yield_now().await;
        let list = self.host(host)?.layer_chunks(layer).await;
        let list = list.map_err(|error| failure(RegistryFault::NotFound, error.message().to_owned()))?;
        let spoil = lock(&self.state).lists.pop_front();
        let list = spoil.map_or(list.clone(), |spoil| spoil(list));
        if list.len() as u64 > limit {
            return Err(failure(RegistryFault::Protocol, format!("{host} sent too much")));
        }
        Ok(list.into())
    }

    async fn ranges(&self, host: &str, layer: &DiffId, ranges: Bytes) -> Result<BlobStream, RegistryError> {
        tokio::task::yield_now().await;
        lock(&self.state).asked += 1;
        let answer = self.host(host)?.layer_ranges(layer, &ranges).await;
        let mut answer = answer.map_err(|error| failure(RegistryFault::Protocol, error.message().to_owned()))?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.next().await {
            let piece = piece.map_err(|error| failure(RegistryFault::Unavailable, error.to_string()))?;
            bytes.extend_from_slice(&piece);
        }
        let whole = bytes.len();
        if let Some(spoil) = lock(&self.state).ranges.pop_front() {
            bytes = spoil(bytes);
        }
        let mut pieces: Vec<Result<Bytes, RegistryError>> = bytes
            .chunks(PIECE)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        if bytes.len() < whole {
            pieces.push(Err(failure(RegistryFault::Unavailable, format!("lost {host}"))));
        }
        Ok(Box::pin(stream::iter(pieces)))
    }
}
