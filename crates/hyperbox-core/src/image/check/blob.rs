// SPDX-License-Identifier: MIT
//! A blob: is it there, and are its bytes those of its digest?

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyperbox_types::ErrorKind;
use hyperbox_types::check::{Finding, Outcome, Problem};

use super::source::Fetched;
use super::{Check, name_of};
use crate::hashing::DigestHasher;
use crate::image::lease::LayerLease;
use crate::image::record::ImageRecord;
use crate::seam::{ContentError, Descriptor};
use crate::{Result, ServiceError};

/// How a registry gives out a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobKind {
    /// As a manifest.
    Manifest,
    /// As a blob.
    Other,
}

/// What a blob is found to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    Whole,
    Missing,
    Damaged(String),
}

impl Check {
    /// Looks at a blob and mends it if it may; tells whether it is whole now.
    pub(super) async fn check_blob(
        &mut self,
        image: &ImageRecord,
        descriptor: &Descriptor,
        kind: BlobKind,
        lease: &LayerLease,
    ) -> Result<bool> {
        let (problem, detail) = match self.examine(descriptor).await? {
            State::Whole => {
                self.summary.blobs += 1;
                self.summary.bytes += descriptor.size.0;
                return Ok(true);
            }
            State::Missing if image.elsewhere.contains_key(&descriptor.digest) => {
                self.summary.blobs_elsewhere += 1;
                return Ok(false);
            }
            State::Missing => (Problem::BlobMissing, "it is not in the content store".to_owned()),
            State::Damaged(detail) => (Problem::BlobDamaged, detail),
        };
        let owners = self.images_with(|image| image.blobs().any(|blob| *blob == descriptor.digest));
        let needed_by = owners.iter().map(|image| name_of(image)).collect();
        let outcome = if self.options.repair {
            self.mend_blob(image, &owners, descriptor, kind, lease).await
        } else {
            Outcome::Nothing
        };
        let whole = matches!(outcome, Outcome::Repaired { .. });
        self.found(Finding {
            problem,
            subject: descriptor.digest.to_string(),
            detail,
            needed_by,
            outcome,
        })
        .await;
        Ok(whole)
    }

    async fn mend_blob(
        &mut self,
        image: &ImageRecord,
        owners: &[Arc<ImageRecord>],
        descriptor: &Descriptor,
        kind: BlobKind,
        lease: &LayerLease,
    ) -> Outcome {
        let owners = owners.iter().map(AsRef::as_ref).chain([image]);
        match self.fetch(owners, descriptor, kind, lease).await {
            Fetched::From(source) => Outcome::Repaired {
                how: format!("fetched again from {source}"),
            },
            Fetched::NotNow(why) => Outcome::Left { why },
            Fetched::Nowhere(why) => {
                self.lost.insert(descriptor.digest.clone());
                // Wrong bytes must not be given to anybody; nothing at all is told as such.
                let dropped = self.images.inner.with.content.remove(&descriptor.digest);
                let rest = match dropped {
                    Ok(()) => "the image cannot be pushed or saved any more".to_owned(),
                    Err(error) => format!("its bytes cannot be removed: {error}"),
                };
                Outcome::Left {
                    why: format!("{why}; {rest}"),
                }
            }
        }
    }

    /// Compares a blob with its descriptor.
    async fn examine(&self, descriptor: &Descriptor) -> Result<State> {
        let (content, stop) = (Arc::clone(&self.images.inner.with.content), Arc::clone(&self.stop));
        let descriptor = descriptor.clone();
        let reading = tokio::task::spawn_blocking(move || match content.open(&descriptor.digest) {
            Ok(file) => Ok(compare(file, &descriptor, &stop)),
            Err(ContentError::NotFound { .. }) => Ok(State::Missing),
            Err(error) if error.kind() == ErrorKind::ResourceExhausted => Err(error),
            Err(error) => Ok(State::Damaged(format!("it cannot be opened: {}", with_cause(&error)))),
        });
        reading
            .await
            .map_err(|error| ServiceError::internal("reading a blob was interrupted").with_source(error))?
            .map_err(crate::image::fetch::stored)
    }
}

/// Adds the cause: this text is for somebody who looks after the disk.
fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// Reads to the end; gives up early when nobody waits.
fn compare(mut file: impl Read, expected: &Descriptor, stop: &AtomicBool) -> State {
    let mut hasher = DigestHasher::new(expected.digest.algorithm());
    let mut length = 0_u64;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        if stop.load(Ordering::Relaxed) {
            return State::Whole;
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return State::Damaged(format!("it cannot be read after {length} bytes: {error}")),
        }
    }
    if length != expected.size.0 {
        return State::Damaged(format!("it has {length} bytes instead of {}", expected.size.0));
    }
    match hasher.digest() {
        actual if actual == expected.digest => State::Whole,
        actual => State::Damaged(format!("its bytes have the digest {actual}")),
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::{ByteSize, Digest};
    use sha2::{Digest as _, Sha256, Sha512};

    use super::*;

    /// Fails in the middle, as a disk does.
    struct Failing;

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(5))
        }
    }

    #[test]
    fn every_difference_is_seen() {
        let describe = |digest| Descriptor {
            media_type: String::new(),
            digest,
            size: ByteSize(3),
            annotations: Default::default(),
        };
        let expected = describe(Digest::from_sha256(Sha256::digest(b"abc").into()));
        let long = describe(Digest::from_sha512(Sha512::digest(b"abc").into()));
        let go = AtomicBool::new(false);
        for (bytes, expected, whole) in [
            (&b"abc"[..], &expected, true),
            (b"abc", &long, true),
            (b"abd", &expected, false),
            (b"ab", &expected, false),
            (b"abcd", &long, false),
            (b"", &expected, false),
        ] {
            assert_eq!(compare(bytes, expected, &go) == State::Whole, whole, "{bytes:?}");
        }
        assert!(matches!(compare(Failing, &expected, &go), State::Damaged(text) if text.contains("os error 5")));
    }
}
