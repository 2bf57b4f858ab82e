// SPDX-License-Identifier: MIT
//! Content in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use hyperbox_core::seam::{BlobInfo, ContentError, ContentStore, ContentWriter, Stray};
use hyperbox_types::{ByteSize, Digest};
use sha2::{Digest as _, Sha256, Sha512};

use super::fault::{Faults, lock};

type Blobs = Arc<Mutex<BTreeMap<Digest, Bytes>>>;

/// A [`ContentStore`] in memory. [`ContentStore::open`] gives an unnamed temporary file with a copy.
#[derive(Debug, Clone, Default)]
pub struct MemoryContent {
    blobs: Blobs,
    faults: Faults<ContentError>,
}

impl MemoryContent {
    /// Makes an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a blob in and returns its digest.
    pub fn insert(&self, bytes: impl Into<Bytes>) -> Digest {
        let bytes = bytes.into();
        let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
        lock(&self.blobs).insert(digest.clone(), bytes);
        digest
    }

    /// Puts other bytes in the place of a blob, as a failing disk does.
    pub fn damage(&self, digest: &Digest, bytes: impl Into<Bytes>) {
        lock(&self.blobs).insert(digest.clone(), bytes.into());
    }

    /// Makes the next commit fail as if the disk were full.
    pub fn fail_next_commit(&self) {
        self.faults.push(ContentError::Io {
            operation: "write",
            path: "memory".to_owned(),
            source: std::io::Error::from(std::io::ErrorKind::StorageFull),
        });
    }

    fn bytes(&self, digest: &Digest) -> Result<Bytes, ContentError> {
        let blobs = lock(&self.blobs);
        blobs
            .get(digest)
            .cloned()
            .ok_or_else(|| ContentError::NotFound { digest: digest.clone() })
    }
}

#[async_trait]
impl ContentStore for MemoryContent {
    fn info(&self, digest: &Digest) -> Result<Option<BlobInfo>, ContentError> {
        Ok(lock(&self.blobs).get(digest).map(|bytes| BlobInfo {
            digest: digest.clone(),
            size: ByteSize(bytes.len() as u64),
        }))
    }

    fn open(&self, digest: &Digest) -> Result<File, ContentError> {
        let bytes = self.bytes(digest)?;
        let copy = || -> std::io::Result<File> {
            let mut file = tempfile::tempfile()?;
            file.write_all(&bytes)?;
            file.rewind()?;
            Ok(file)
        };
        copy().map_err(|source| ContentError::Io {
            operation: "copy",
            path: digest.to_string(),
            source,
        })
    }

    async fn read(&self, digest: &Digest, limit: ByteSize) -> Result<Vec<u8>, ContentError> {
        tokio::task::yield_now().await;
        let bytes = self.bytes(digest)?;
        let size = bytes.len() as u64;
        if size > limit.0 {
            return Err(ContentError::TooLarge {
                digest: digest.clone(),
                size,
                limit: limit.0,
            });
        }
        Ok(bytes.to_vec())
    }

    async fn writer(&self, expected: &Digest) -> Result<Box<dyn ContentWriter>, ContentError> {
        tokio::task::yield_now().await;
        Ok(Box::new(MemoryWriter {
            store: self.clone(),
            expected: expected.clone(),
            bytes: Vec::new(),
        }))
    }

    fn remove(&self, digest: &Digest) -> Result<(), ContentError> {
        lock(&self.blobs).remove(digest);
        Ok(())
    }

    async fn strays(&self) -> Result<Vec<Stray>, ContentError> {
        Ok(Vec::new())
    }

    async fn remove_stray(&self, _stray: &Stray) -> Result<(), ContentError> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<BlobInfo>, ContentError> {
        tokio::task::yield_now().await;
        let blobs = lock(&self.blobs);
        let infos = blobs.iter().map(|(digest, bytes)| BlobInfo {
            digest: digest.clone(),
            size: ByteSize(bytes.len() as u64),
        });
        Ok(infos.collect())
    }
}

#[derive(Debug)]
struct MemoryWriter {
    store: MemoryContent,
    expected: Digest,
    bytes: Vec<u8>,
}

#[async_trait]
impl ContentWriter for MemoryWriter {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), ContentError> {
        tokio::task::yield_now().await;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn offset(&self) -> u64 {
        self.bytes.len() as u64
    }

    async fn commit(self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError> {
        let (store, info, bytes) = self.verified(size).await?;
        lock(&store.blobs).entry(info.digest.clone()).or_insert(bytes);
        Ok(info)
    }

    async fn replace(self: Box<Self>, size: Option<ByteSize>) -> Result<BlobInfo, ContentError> {
        let (store, info, bytes) = self.verified(size).await?;
        lock(&store.blobs).insert(info.digest.clone(), bytes);
        Ok(info)
    }
}

impl MemoryWriter {
    async fn verified(self, size: Option<ByteSize>) -> Result<(MemoryContent, BlobInfo, Bytes), ContentError> {
        tokio::task::yield_now().await;
        self.store.faults.check()?;
        let length = self.offset();
        if let Some(size) = size
            && size.0 != length
        {
            return Err(ContentError::Mismatch {
                expected: format!("{} bytes", size.0),
                actual: format!("{length} bytes"),
            });
        }
        let actual = digest_like(&self.expected, &self.bytes);
        if actual != self.expected.hex() {
            return Err(ContentError::Mismatch {
                expected: self.expected.to_string(),
                actual,
            });
        }
        let info = BlobInfo {
            digest: self.expected,
            size: ByteSize(length),
        };
        Ok((self.store, info, self.bytes.into()))
    }
}

/// Returns the hexadecimal digest of `bytes` by the algorithm of `model`.
fn digest_like(model: &Digest, bytes: &[u8]) -> String {
    let raw = if model.hex().len() == 64 {
        Sha256::digest(bytes).to_vec()
    } else {
        Sha512::digest(bytes).to_vec()
    };
    raw.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[tokio::test]
    async fn only_verified_blobs_become_visible() {
        let store = MemoryContent::new();
        let digest = MemoryContent::new().insert("hello");
        let mut writer = store.writer(&digest).await.unwrap();
        writer.write(b"hell").await.unwrap();
        assert!(matches!(writer.commit(None).await, Err(ContentError::Mismatch { .. })));
        assert!(store.info(&digest).unwrap().is_none());

        let mut writer = store.writer(&digest).await.unwrap();
        writer.write(b"hello").await.unwrap();
        writer.commit(Some(ByteSize(5))).await.unwrap();
        let mut text = String::new();
        store.open(&digest).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        assert!(store.read(&digest, ByteSize(4)).await.is_err());
    }
}
