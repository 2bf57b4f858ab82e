// SPDX-License-Identifier: MIT
//! `ADD --checksum`: what is fetched must have this digest, which then also names it without its being fetched.

use std::io::{self, Read};

use sha2::{Sha256, Sha384, Sha512};

use super::fetch::unspooled;
use crate::StepError;

/// A digest that something must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Checksum {
    /// Parses `sha256:…`.
    ///
    /// # Errors
    /// `InvalidArgument` in the words of opencontainers/go-digest.
    pub(super) fn parse(text: &str) -> Result<Self, StepError> {
        let (name, hex) = text
            .split_once(':')
            .ok_or_else(|| StepError::invalid("invalid checksum digest format"))?;
        let (algorithm, length) = match name {
            "sha256" => (Algorithm::Sha256, 64),
            "sha384" => (Algorithm::Sha384, 96),
            "sha512" => (Algorithm::Sha512, 128),
            _ => return Err(StepError::invalid("unsupported digest algorithm")),
        };
        if hex.len() != length {
            return Err(StepError::invalid("invalid checksum digest length"));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(StepError::invalid("invalid checksum digest format"));
        }
        Ok(Self {
            algorithm,
            hex: hex.to_owned(),
        })
    }

    /// Compares with what a tree's file is.
    pub(super) fn verify(&self, content: impl Read) -> Result<(), StepError> {
        let (name, found) = match self.algorithm {
            Algorithm::Sha256 => ("sha256", hash::<Sha256>(content)),
            Algorithm::Sha384 => ("sha384", hash::<Sha384>(content)),
            Algorithm::Sha512 => ("sha512", hash::<Sha512>(content)),
        };
        let found = found.map_err(|source| unspooled("read", source))?;
        if found == self.hex {
            return Ok(());
        }
        let wanted = &self.hex;
        Err(StepError::invalid(format!(
            "digest mismatch {name}:{found}: {name}:{wanted}"
        )))
    }
}

fn hash<D: sha2::Digest>(mut content: impl Read) -> io::Result<String> {
    let mut hasher = D::new();
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let checksum = Checksum::parse(&format!("sha256:{empty}")).unwrap();
        assert!(checksum.verify(io::empty()).is_ok());
        let error = checksum.verify(&b"x"[..]).unwrap_err().to_string();
        let found = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
        assert_eq!(error, format!("digest mismatch sha256:{found}: sha256:{empty}"));
        for text in [
            "sha256:",
            "x",
            "md5:00",
            "sha256:ABC",
            &format!("sha512:{empty}"),
            &format!("sha256:{}", "G".repeat(64)),
        ] {
            assert!(Checksum::parse(text).is_err(), "{text}");
        }
    }
}
