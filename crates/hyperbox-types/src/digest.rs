// SPDX-License-Identifier: MIT
//! Content digests as the OCI image specification defines them (`descriptor.md#digests`).
//!
//! Only `sha256` and `sha512` are registered algorithms; anything else is refused at the door, which also makes a digest
//! safe to use as a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A registered digest algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DigestAlgorithm {
    /// SHA-256, 64 hexadecimal digits.
    Sha256,
    /// SHA-512, 128 hexadecimal digits.
    Sha512,
}

impl DigestAlgorithm {
    /// Returns the name used in the text form, without the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of some bytes, such as `sha256:e3b0…`: validated, lower-case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: DigestAlgorithm,
    hex: String,
}

impl Digest {
    /// Parses `algorithm:hex`.
    ///
    /// # Errors
    /// [`InvalidDigest`] for an unregistered algorithm, a wrong length, or anything but lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let invalid = || InvalidDigest {
            text: text.chars().take(160).collect(),
        };
        let (algorithm, hex) = text.split_once(':').ok_or_else(invalid)?;
        let algorithm = match algorithm {
            "sha256" => DigestAlgorithm::Sha256,
            "sha512" => DigestAlgorithm::Sha512,
            _ => return Err(invalid()),
        };
        if hex.len() != algorithm.hex_len() || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(invalid());
        }
        Ok(Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }

    /// Wraps the 32 bytes that SHA-256 produced.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Self {
            algorithm: DigestAlgorithm::Sha256,
            hex: encode_hex(&bytes),
        }
    }

    /// Wraps the 64 bytes that SHA-512 produced.
    pub fn from_sha512(bytes: [u8; 64]) -> Self {
        Self {
            algorithm: DigestAlgorithm::Sha512,
            hex: encode_hex(&bytes),
        }
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// Returns the hexadecimal part.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// Returns the first twelve hexadecimal digits, as Docker shortens ids.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }
}

fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 0xf)]));
    }
    hex
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.algorithm.as_str(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest {text:?}: expected sha256: and 64 or sha512: and 128 lower-case hexadecimal digits")]
pub struct InvalidDigest {
    /// The beginning of the refused text.
    pub text: String,
}

/// The digest of a layer's *uncompressed* tar stream (`rootfs.diff_ids` of an image configuration).
///
/// A type of its own, because mixing it up with the digest of the compressed blob is the classical mistake.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_registered_algorithms_only() {
        let hex = "0123456789abcdef".repeat(4);
        let cases = [
            (format!("sha256:{hex}"), true),
            (format!("sha512:{hex}{hex}"), true),
            (format!("sha256:{}", hex.to_uppercase()), false),
            (format!("sha256:{}", &hex[1..]), false),
            (format!("md5:{hex}"), false),
            (format!("sha256:{}", "../".repeat(21) + "a"), false),
            (String::new(), false),
            (hex.clone(), false),
        ];
        for (text, valid) in cases {
            assert_eq!(Digest::parse(&text).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn text_form_round_trips() {
        let digest = Digest::from_sha256([0xab; 32]);
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest.clone()));
        assert_eq!(digest.short(), "abababababab");
    }
}
