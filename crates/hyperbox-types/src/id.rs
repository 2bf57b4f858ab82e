// SPDX-License-Identifier: MIT
//! Ids of engine objects: 64 lower-case hexadecimal digits, as Docker's clients expect, safe as file names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Digest;

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $noun:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Makes an id of 32 random bytes.
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(Digest::from_sha256(bytes).hex().to_owned())
            }

            /// Parses a full id.
            ///
            /// # Errors
            /// [`InvalidId`] unless the text is exactly 64 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { noun: $noun, text: text.chars().take(80).collect() })
                }
            }

            /// Returns all 64 digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Returns the first twelve digits, the form shown to people.
            pub fn short(&self) -> &str {
                &self.0[..12]
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    };
}

hex_id!(
    /// Identifies a container for its whole life.
    ContainerId,
    "container"
);
hex_id!(
    /// Identifies one additional process started in a running container.
    ExecId,
    "exec"
);
hex_id!(
    /// Identifies a network.
    NetworkId,
    "network"
);

/// Identifies an image: the digest of its configuration, as Docker does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl ImageId {
    /// Returns the first twelve digits, the form shown to people.
    pub fn short(&self) -> &str {
        self.0.short()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The text is not an id of that kind of object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid {noun} id {text:?}: expected 64 lower-case hexadecimal digits")]
pub struct InvalidId {
    /// The kind of object.
    pub noun: &'static str,
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_hexadecimal_ids_parse() {
        let id = ContainerId::from_bytes([0x5a; 32]);
        assert_eq!(ContainerId::parse(id.as_str()), Ok(id.clone()));
        assert_eq!(id.short(), "5a5a5a5a5a5a");
        for text in ["", "5a5a5a5a5a5a", &"5A".repeat(32), &"../".repeat(22)[..64]] {
            assert!(ContainerId::parse(text).is_err(), "{text}");
        }
    }
}
