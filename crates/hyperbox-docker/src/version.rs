// SPDX-License-Identifier: MIT
//! API versions: the `/v1.N` prefix of a path, the range that is served, and the refusals of what lies outside it.
//!
//! A client names the version it was written for and gets answers in that shape; a path without a prefix means the newest version.
//! Handlers ask [`ApiVersion`] where shapes differ. Pure.

use std::fmt;

use http::StatusCode;

use crate::error::ApiError;

/// A version of the Docker Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// The newest version that is served.
    pub const MAXIMUM: Self = Self::new(1, 51);
    /// The oldest version that is served.
    pub const MINIMUM: Self = Self::new(1, 24);

    /// Makes a version of its two numbers.
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }

    /// Tells whether a client of this version knows what came with `1.minor`.
    pub(crate) fn at_least(self, minor: u16) -> bool {
        self >= Self::new(1, minor)
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self::new(major.parse().ok()?, minor.parse().ok()?))
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Splits a path into the version that it asks for and the rest.
///
/// # Errors
/// 400 with Docker's texts for a version outside the served range.
pub(crate) fn split(path: &str) -> Result<(ApiVersion, &str), ApiError> {
    let Some((version, rest)) = prefix(path) else {
        return Ok((ApiVersion::MAXIMUM, path));
    };
    if version > ApiVersion::MAXIMUM {
        let message = format!(
            "client version {version} is too new. Maximum supported API version is {}",
            ApiVersion::MAXIMUM
        );
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    if version < ApiVersion::MINIMUM {
        let message = format!(
            "client version {version} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
            ApiVersion::MINIMUM
        );
        // Clients that old expect plain text.
        return Err(ApiError::plain_text(StatusCode::BAD_REQUEST, message));
    }
    Ok((version, rest))
}

fn prefix(path: &str) -> Option<(ApiVersion, &str)> {
    let after = path.strip_prefix("/v")?;
    let slash = after.find('/')?;
    let version = ApiVersion::parse(&after[..slash])?;
    Some((version, &after[slash..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (path, version, rest) in [
            ("/v1.51/info", ApiVersion::MAXIMUM, "/info"),
            ("/v1.24/info", ApiVersion::MINIMUM, "/info"),
            ("/info", ApiVersion::MAXIMUM, "/info"),
            ("/version", ApiVersion::MAXIMUM, "/version"),
            ("/volumes/x", ApiVersion::MAXIMUM, "/volumes/x"),
            ("/vx.y/info", ApiVersion::MAXIMUM, "/vx.y/info"),
        ] {
            assert_eq!(split(path).expect(path), (version, rest), "{path}");
        }
    }

    #[test]
    fn refusals_have_dockers_texts() {
        let new = split("/v1.99/info").expect_err("too new");
        assert_eq!(
            new.message(),
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        let old = split("/v1.10/info").expect_err("too old");
        assert!(
            old.message()
                .starts_with("client version 1.10 is too old. Minimum supported API version is 1.24")
        );
        assert_eq!(old.status(), StatusCode::BAD_REQUEST);
    }
}
