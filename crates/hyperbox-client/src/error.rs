// SPDX-License-Identifier: MIT
//! What can go wrong between the client and the daemon.

use std::io;

use hyperbox_types::{ErrorKind, Hint};

use crate::host::Host;

/// The result of a call.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The daemon answered with an error.
    #[error("{message}")]
    Daemon {
        /// The HTTP status.
        status: u16,
        /// The daemon's sentence.
        message: String,
        /// The daemon's advice.
        hint: Option<Hint>,
    },
    /// No connection could be made.
    #[error("cannot connect to HyperBox at {host}. Is hyperboxd running?")]
    Connect {
        /// Where.
        host: Host,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the daemon closed it in the middle of something.
    #[error("lost the connection to {host} while {doing}")]
    Broken {
        /// The peer.
        host: Host,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The daemon's answer is not what the protocol allows.
    #[error("{host} gave an answer that is not understood: {reason}")]
    Protocol {
        /// The peer.
        host: Host,
        /// What is wrong with it.
        reason: String,
    },
    /// The body of an answer is not the JSON that was expected.
    #[error("the daemon's answer to {path} is not understood")]
    Decode {
        /// The requested path.
        path: String,
        /// Where the JSON is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// A request could not be written as JSON.
    #[error("cannot encode the request to {path}")]
    Encode {
        /// The requested path.
        path: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl ClientError {
    /// Returns the class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Daemon { status, .. } => kind_of_status(*status),
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                ErrorKind::PermissionDenied
            }
            Self::Connect { .. } | Self::Broken { .. } | Self::Protocol { .. } | Self::Decode { .. } => {
                ErrorKind::Unavailable
            }
            Self::Encode { .. } => ErrorKind::Internal,
        }
    }

    /// Returns what the user can do about it.
    pub fn hint(&self) -> Option<Hint> {
        match self {
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Some(Hint::new(
                "the socket belongs to the administrator: use sudo, or join the group that the daemon was configured with",
            )),
            Self::Connect { .. } => Some(Hint::new(
                "start the daemon with `hb system start`, or choose another one with --host",
            )),
            Self::Protocol { .. } | Self::Decode { .. } => {
                Some(Hint::new("compare the versions of client and daemon with `hb version`"))
            }
            Self::Broken { .. } => Some(Hint::new(
                "the daemon may have ended: `hb system health` tells, `hb system start` starts it",
            )),
            Self::Daemon { hint, .. } => hint.clone(),
            Self::Encode { .. } => None,
        }
    }

    /// Tells whether the daemon said that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        self.kind() == ErrorKind::NotFound
    }

    /// Tells whether the daemon does not see the directory that it was shown.
    pub fn is_other_directory(&self) -> bool {
        matches!(self, Self::Daemon { status: 412, .. })
    }

    /// Tells whether the daemon does not have the requested route at all.
    pub fn is_unknown_route(&self) -> bool {
        matches!(self, Self::Daemon { status: 404, message, .. } if message.trim().eq_ignore_ascii_case("page not found"))
    }
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        304 => ErrorKind::NotModified,
        400 => ErrorKind::InvalidArgument,
        401 | 403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        412 => ErrorKind::FailedPrecondition,
        429 | 507 => ErrorKind::ResourceExhausted,
        501 => ErrorKind::Unsupported,
        502..=504 => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_decides_the_kind() {
        for (status, kind) in [
            (400, ErrorKind::InvalidArgument),
            (404, ErrorKind::NotFound),
            (409, ErrorKind::Conflict),
            (500, ErrorKind::Internal),
            (503, ErrorKind::Unavailable),
        ] {
            let error = ClientError::Daemon {
                status,
                message: "x".to_owned(),
                hint: None,
            };
            assert_eq!(error.kind(), kind, "{status}");
        }
    }

    #[test]
    fn unknown_route_is_not_a_missing_object() {
        let answer = |message: &str| ClientError::Daemon {
            status: 404,
            message: message.to_owned(),
            hint: None,
        };
        assert!(answer("page not found").is_unknown_route());
        assert!(!answer("No such image: x:latest").is_unknown_route());
    }
}
