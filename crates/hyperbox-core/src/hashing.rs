// SPDX-License-Identifier: MIT
//! Digests of content that comes piece by piece, with the algorithm of the digest that is expected.

use hyperbox_types::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

/// A digest in the making.
pub struct DigestHasher(Algorithm);

enum Algorithm {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl std::fmt::Debug for DigestHasher {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("DigestHasher")
    }
}

impl DigestHasher {
    /// Begins.
    pub fn new(algorithm: DigestAlgorithm) -> Self {
        Self(match algorithm {
            DigestAlgorithm::Sha256 => Algorithm::Sha256(Sha256::new()),
            DigestAlgorithm::Sha512 => Algorithm::Sha512(Box::default()),
        })
    }

    /// Appends bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Algorithm::Sha256(hasher) => hasher.update(bytes),
            Algorithm::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of all bytes.
    pub fn digest(self) -> Digest {
        match self.0 {
            Algorithm::Sha256(hasher) => Digest::from_sha256(hasher.finalize().into()),
            Algorithm::Sha512(hasher) => Digest::from_sha512(hasher.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_has_its_digest() {
        for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
            let mut hasher = DigestHasher::new(algorithm);
            for piece in [&b"ab"[..], b"", b"c"] {
                hasher.update(piece);
            }
            let expected = match algorithm {
                DigestAlgorithm::Sha256 => Digest::from_sha256(Sha256::digest(b"abc").into()),
                DigestAlgorithm::Sha512 => Digest::from_sha512(Sha512::digest(b"abc").into()),
            };
            assert_eq!(hasher.digest(), expected);
        }
    }
}
