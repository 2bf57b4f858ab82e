// SPDX-License-Identifier: MIT
//! Comparing a blob that is not kept with its digest while it streams by: a batch at a time on a blocking thread, while the next one
//! arrives. Nothing is copied, nothing is written; memory is two batches.

use bytes::Bytes;
use hyperbox_types::Digest;
use tokio::task::JoinHandle;

use crate::hashing::DigestHasher;
use crate::seam::{ContentError, Descriptor};

/// How many bytes are collected before they are hashed.
const BATCH: usize = 512 * 1024;

/// A comparison under way.
pub(super) struct Verifier {
    expected: Digest,
    size: u64,
    length: u64,
    batch: Vec<Bytes>,
    collected: usize,
    hasher: Stage,
}

enum Stage {
    Idle(DigestHasher),
    Hashing(JoinHandle<DigestHasher>),
    Broken,
}

impl Verifier {
    pub(super) fn new(expected: &Descriptor) -> Self {
        Self {
            expected: expected.digest.clone(),
            size: expected.size.0,
            length: 0,
            batch: Vec::new(),
            collected: 0,
            hasher: Stage::Idle(DigestHasher::new(expected.digest.algorithm())),
        }
    }

    /// Returns how many bytes came.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next bytes. Not cancel-safe: after a dropped call, drop the verifier.
    pub(super) async fn take(&mut self, chunk: Bytes) -> Result<(), ContentError> {
        self.length += chunk.len() as u64;
        self.collected += chunk.len();
        self.batch.push(chunk);
        if self.collected >= BATCH {
            let hasher = self.settle().await?;
            let batch = std::mem::take(&mut self.batch);
            self.collected = 0;
            self.hasher = Stage::Hashing(tokio::task::spawn_blocking(move || hashed(hasher, &batch)));
        }
        Ok(())
    }

    /// Tells whether all bytes are those that were promised.
    ///
    /// # Errors
    /// `Mismatch`.
    pub(super) async fn finish(mut self) -> Result<(), ContentError> {
        let mismatch = |expected: String, actual: String| Err(ContentError::Mismatch { expected, actual });
        if self.length != self.size {
            return mismatch(format!("{} bytes", self.size), format!("{} bytes", self.length));
        }
        let hasher = self.settle().await?;
        let actual = hashed(hasher, &self.batch).digest();
        if actual != self.expected {
            return mismatch(self.expected.to_string(), actual.to_string());
        }
        Ok(())
    }

    /// Waits for the batch under way.
    async fn settle(&mut self) -> Result<DigestHasher, ContentError> {
        let interrupted = |source| ContentError::Io {
            operation: "hash",
            path: self.expected.to_string(),
            source,
        };
        match std::mem::replace(&mut self.hasher, Stage::Broken) {
            Stage::Idle(hasher) => Ok(hasher),
            Stage::Hashing(task) => task.await.map_err(|error| interrupted(std::io::Error::other(error))),
            Stage::Broken => Err(interrupted(std::io::Error::other("hashing was interrupted"))),
        }
    }
}

fn hashed(mut hasher: DigestHasher, batch: &[Bytes]) -> DigestHasher {
    for chunk in batch {
        hasher.update(chunk);
    }
    hasher
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hyperbox_types::{ByteSize, DigestAlgorithm};

    use super::*;

    fn digest(bytes: &[u8], algorithm: DigestAlgorithm) -> Digest {
        let mut hasher = DigestHasher::new(algorithm);
        hasher.update(bytes);
        hasher.digest()
    }

    #[tokio::test]
    async fn only_the_promised_bytes_pass() {
        let right = vec![7; 3 * BATCH + 11];
        let mut flipped = right.clone();
        flipped[BATCH + 1] ^= 1;
        let longer = [&right[..], b"x"].concat();
        for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
            let expected = Descriptor {
                media_type: String::new(),
                digest: digest(&right, algorithm),
                size: ByteSize(right.len() as u64),
                annotations: BTreeMap::new(),
            };
            for (came, passes) in [
                (&right[..], true),
                (&flipped, false),
                (&longer, false),
                (&right[1..], false),
                (&[], false),
            ] {
                let mut verifier = Verifier::new(&expected);
                for piece in came.chunks(100_003) {
                    verifier.take(Bytes::copy_from_slice(piece)).await.unwrap();
                }
                assert_eq!(verifier.length(), came.len() as u64);
                let outcome = verifier.finish().await;
                assert_eq!(outcome.is_ok(), passes, "{algorithm:?}, {} bytes", came.len());
                assert!(passes || matches!(outcome, Err(ContentError::Mismatch { .. })));
            }
        }
    }
}
