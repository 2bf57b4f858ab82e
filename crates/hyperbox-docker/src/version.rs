// SPDX-License-Identifier: MIT
//! API versions: the `/v1.N` prefix of a path, the range that is served, and the refusals of what lies outside it.
//!
//! A client names the version it was written for and gets answers in that shape; a path without a prefix means the newest version.
//! A prefix is `v` and any digits and dots; Docker compares number by number, a missing or empty one being 0, so `v2` is a version
//! and `v1.051` is 1.51. Handlers ask [`ApiVersion`] where shapes differ. Pure.

use std::cmp::Ordering;
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

    /// Compares what a client wrote with this version, number by number.
    fn compare_text(self, text: &str) -> Ordering {
        let ours = [u64::from(self.major), u64::from(self.minor)];
        let theirs: Vec<u64> = text.split('.').map(number).collect();
        let at = |numbers: &[u64], index: usize| numbers.get(index).copied().unwrap_or(0);
        (0..theirs.len().max(ours.len()))
            .map(|index| at(&theirs, index).cmp(&at(&ours, index)))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

/// A number of a version; what is longer than any number is the largest.
fn number(text: &str) -> u64 {
    if text.is_empty() {
        return 0;
    }
    text.parse().unwrap_or(u64::MAX)
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Splits a path into the version that it asks for, as it is written there, and the rest.
pub(crate) fn split(path: &str) -> (Option<&str>, &str) {
    let prefix = path.strip_prefix("/v").and_then(|after| {
        let slash = after.find('/')?;
        let version = &after[..slash];
        let plain = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        plain.then(|| (version, &after[slash..]))
    });
    match prefix {
        Some((version, rest)) => (Some(version), rest),
        None => (None, path),
    }
}

/// Decides in which version a request is answered.
///
/// # Errors
/// 400 with Docker's texts for a version outside the served range.
pub(crate) fn choose(wish: Option<&str>) -> Result<ApiVersion, ApiError> {
    let Some(wish) = wish else {
        return Ok(ApiVersion::MAXIMUM);
    };
    if ApiVersion::MAXIMUM.compare_text(wish).is_gt() {
        let message = format!(
            "client version {wish} is too new. Maximum supported API version is {}",
            ApiVersion::MAXIMUM
        );
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    if ApiVersion::MINIMUM.compare_text(wish).is_lt() {
        let message = format!(
            "client version {wish} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
            ApiVersion::MINIMUM
        );
        // Clients that old expect plain text.
        return Err(ApiError::plain_text(StatusCode::BAD_REQUEST, message));
    }
    // Between the two there is major version 1 only.
    let minor = wish.split('.').nth(1).map_or(0, number);
    Ok(ApiVersion::new(1, u16::try_from(minor).unwrap_or(u16::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for (path, version, rest) in [
            ("/v1.51/info", Some("1.51"), "/info"),
            ("/v2/info", Some("2"), "/info"),
            ("/v1./info", Some("1."), "/info"),
            ("/info", None, "/info"),
            ("/version", None, "/version"),
            ("/volumes/x", None, "/volumes/x"),
            ("/vx.y/info", None, "/vx.y/info"),
            ("/v-1.3/info", None, "/v-1.3/info"),
            ("/v1.51", None, "/v1.51"),
            ("/v/info", None, "/v/info"),
        ] {
            assert_eq!(split(path), (version, rest), "{path}");
        }
    }

    #[test]
    fn versions_within_the_range() {
        for (text, version) in [
            ("1.51", ApiVersion::MAXIMUM),
            ("1.051", ApiVersion::MAXIMUM),
            ("01.51", ApiVersion::MAXIMUM),
            ("1.24", ApiVersion::MINIMUM),
            ("1.24.9", ApiVersion::MINIMUM),
            ("1.43", ApiVersion::new(1, 43)),
        ] {
            assert_eq!(choose(Some(text)).expect(text), version, "{text}");
        }
        assert_eq!(choose(None).expect("none"), ApiVersion::MAXIMUM);
    }

    #[test]
    fn refusals_have_dockers_texts() {
        for text in ["1.99", "1.52", "2", "1.51.1", "3.5", "99999999999999999999.1"] {
            let new = choose(Some(text)).expect_err(text);
            assert_eq!(
                new.message(),
                format!("client version {text} is too new. Maximum supported API version is 1.51")
            );
        }
        for text in ["1.10", "1", "1.", "0.1", "1.23", "."] {
            let old = choose(Some(text)).expect_err(text);
            let start = format!("client version {text} is too old. Minimum supported API version is 1.24");
            assert!(old.message().starts_with(&start), "{}", old.message());
            assert_eq!(old.status(), StatusCode::BAD_REQUEST);
        }
    }
}
