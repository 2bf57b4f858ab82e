// SPDX-License-Identifier: MIT
//! Listening addresses.

use std::fmt;
use std::path::PathBuf;

/// Where the daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// A Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Parses `unix:///path`.
    ///
    /// # Errors
    /// [`InvalidListen`] says why not; TCP gives root to whoever reaches it and is not offered without authentication.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidListen> {
        let invalid = |reason| {
            Err(InvalidListen {
                text: text.to_owned(),
                reason,
            })
        };
        match text.split_once("://") {
            // sun_path has 108 bytes, one of them for the terminating zero (unix(7)).
            Some(("unix", path)) if path.starts_with('/') && path.len() < 108 => Ok(Self::Unix(path.into())),
            Some(("unix", path)) if path.starts_with('/') => invalid("the path is longer than 107 bytes"),
            Some(("unix", _)) => invalid("the path must be absolute, as in unix:///run/hyperbox.sock"),
            Some(("tcp", _)) => invalid("TCP needs authentication, which this version does not have; use unix:///path"),
            _ => invalid("expected unix:///path"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
        }
    }
}

/// The text is not an address that the daemon listens on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen on {text:?}: {reason}")]
pub(crate) struct InvalidListen {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_unix_sockets() {
        assert_eq!(Listen::parse("unix:///a/b"), Ok(Listen::Unix("/a/b".into())));
        for text in [
            "",
            "/a",
            "unix://a",
            "tcp://127.0.0.1:9999",
            &format!("unix:///{}", "a".repeat(120)),
        ] {
            assert!(Listen::parse(text).is_err(), "{text}");
        }
    }
}
