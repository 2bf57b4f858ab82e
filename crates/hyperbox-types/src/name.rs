// SPDX-License-Identifier: MIT
//! Names that users give to objects. The grammar is Docker's `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, so a name is also safe as a
//! file name: it has no slash, does not begin with a dot and is at most 255 bytes long.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! object_name {
    ($(#[$doc:meta])* $name:ident, $noun:literal, $minimum:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses a name.
            ///
            /// # Errors
            /// [`InvalidName`] when the text does not match the grammar of names.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let mut bytes = text.bytes();
                let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
                let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
                if first && rest && ($minimum..=255).contains(&text.len()) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName { noun: $noun, text: text.chars().take(80).collect() })
                }
            }

            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

object_name!(
    /// The name of a container, without Docker's leading slash.
    ContainerName,
    "container",
    2
);
object_name!(
    /// The name of a volume; the name of an anonymous volume is 64 hexadecimal digits.
    VolumeName,
    "volume",
    2
);
/// The name of a network: any text, as with Docker, that has something to see in it. Nothing on disk is named after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(String);

impl NetworkName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`InvalidName`] when it is blank, longer than 255 bytes, or has control characters.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.trim().is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            return Err(InvalidName {
                noun: "network",
                text: text.chars().filter(|c| !c.is_control()).take(80).collect(),
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NetworkName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for NetworkName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<NetworkName> for String {
    fn from(name: NetworkName) -> Self {
        name.0
    }
}

/// The text does not match the grammar of names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid {noun} name ({text}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
pub struct InvalidName {
    /// The kind of object.
    pub noun: &'static str,
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_is_dockers() {
        for (text, valid) in [
            ("web", true),
            ("a_b.c-9", true),
            ("9x", true),
            ("x", false),
            ("", false),
            (".hidden", false),
            ("-x", false),
            ("a/b", false),
            ("a b", false),
            ("näh", false),
        ] {
            assert_eq!(ContainerName::parse(text).is_ok(), valid, "{text}");
        }
        assert!(VolumeName::parse(&"a".repeat(256)).is_err());
        assert!(NetworkName::parse("a b").is_ok());
        for blank in ["", " ", "a\nb"] {
            assert!(NetworkName::parse(blank).is_err(), "{blank:?}");
        }
    }
}
