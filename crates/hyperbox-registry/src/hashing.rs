// SPDX-License-Identifier: MIT
//! Digests of bytes in memory.

use hyperbox_types::{Digest, DigestAlgorithm};
use sha2::{Digest as _, Sha256, Sha512};

/// Returns the digest of `bytes` under `algorithm`.
pub(crate) fn digest(algorithm: DigestAlgorithm, bytes: &[u8]) -> Digest {
    match algorithm {
        DigestAlgorithm::Sha256 => Digest::from_sha256(Sha256::digest(bytes).into()),
        DigestAlgorithm::Sha512 => Digest::from_sha512(Sha512::digest(bytes).into()),
    }
}
