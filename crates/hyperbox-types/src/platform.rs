// SPDX-License-Identifier: MIT
//! Platforms of images: operating system, architecture and variant, in Go's spelling (OCI image index, `platform`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// A processor architecture in Go's spelling (`amd64`, `arm64`, …), normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Architecture(String);

impl Architecture {
    /// Normalises the spellings in use (`x86_64`, `aarch64`, …) to Go's.
    pub fn new(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        Self(
            match lower.as_str() {
                "x86_64" | "x86-64" => "amd64",
                "aarch64" => "arm64",
                "armhf" | "armel" => "arm",
                "i386" | "i686" | "x86" => "386",
                "powerpc64" => "ppc64le",
                other => other,
            }
            .to_owned(),
        )
    }

    /// Returns the spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an image runs on, such as `linux/arm64/v8`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Architecture.
    pub architecture: Architecture,
    /// Variant of the architecture, such as `v7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// Returns the platform of Linux containers on this processor.
    pub fn host() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: Architecture::new(std::env::consts::ARCH),
            variant: None,
        }
    }

    /// Parses `os/architecture[/variant]`, or an architecture alone, or an operating system alone.
    ///
    /// # Errors
    /// [`InvalidPlatform`] for empty components, more than three of them, or other characters than `[a-z0-9_.-]`.
    pub fn parse(text: &str) -> Result<Self, InvalidPlatform> {
        let lower = text.to_ascii_lowercase();
        let parts: Vec<&str> = lower.split('/').collect();
        let valid = |part: &&str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        if !parts.iter().all(valid) {
            return Err(InvalidPlatform {
                text: text.chars().take(60).collect(),
            });
        }
        match parts.as_slice() {
            ["linux"] => Ok(Self::host()),
            [one] if matches!(*one, "windows" | "darwin" | "freebsd" | "wasi") => Ok(Self {
                os: (*one).to_owned(),
                ..Self::host()
            }),
            [architecture] => Ok(Self {
                architecture: Architecture::new(architecture),
                ..Self::host()
            }),
            [os, architecture] => Ok(Self {
                os: (*os).to_owned(),
                architecture: Architecture::new(architecture),
                variant: None,
            }),
            [os, architecture, variant] => Ok(Self {
                os: (*os).to_owned(),
                architecture: Architecture::new(architecture),
                variant: Some((*variant).to_owned()),
            }),
            _ => Err(InvalidPlatform {
                text: text.chars().take(60).collect(),
            }),
        }
    }

    /// Tells how well an image of platform `offered` runs here: lower is better, `None` not at all.
    ///
    /// An absent variant is the architecture's usual one (`v8` for arm64, `v7` for arm); an older arm variant runs on a newer
    /// processor, the newest being preferred.
    pub fn rank(&self, offered: &Self) -> Option<u8> {
        if self.os != offered.os || self.architecture != offered.architecture {
            return None;
        }
        let usual = match self.architecture.as_str() {
            "arm64" => "v8",
            "arm" => "v7",
            "amd64" => "v1",
            _ => "",
        };
        let level = |variant: &Option<String>| -> Option<u8> {
            variant.as_deref().unwrap_or(usual).trim_start_matches('v').parse().ok()
        };
        if self.variant == offered.variant {
            return Some(0);
        }
        match (level(&self.variant), level(&offered.variant)) {
            (Some(wanted), Some(offered)) => wanted.checked_sub(offered),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture.as_str())?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The text is not a platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is an invalid component of a platform: expected os/architecture[/variant]")]
pub struct InvalidPlatform {
    /// The beginning of the refused text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).expect(text)
    }

    #[test]
    fn spellings_are_normalised() {
        assert_eq!(platform("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("aarch64").to_string(), "linux/arm64");
        assert_eq!(platform("Linux/ARM/v7").to_string(), "linux/arm/v7");
        for text in ["", "linux/", "a/b/c/d", "linux/am d64"] {
            assert!(Platform::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn best_variant_wins() {
        let arm = platform("linux/arm/v7");
        assert_eq!(arm.rank(&platform("linux/arm/v7")), Some(0));
        assert_eq!(arm.rank(&platform("linux/arm")), Some(0));
        assert_eq!(arm.rank(&platform("linux/arm/v6")), Some(1));
        assert_eq!(arm.rank(&platform("linux/arm/v8")), None);
        assert_eq!(platform("linux/arm64").rank(&platform("linux/arm64/v8")), Some(0));
        assert_eq!(platform("linux/amd64").rank(&platform("linux/amd64/v3")), None);
        assert_eq!(platform("linux/amd64").rank(&platform("windows/amd64")), None);
    }
}
