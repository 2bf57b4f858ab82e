// SPDX-License-Identifier: MIT
//! The closed set of error classes.
//!
//! Every public error of every crate answers `fn kind(&self) -> ErrorKind`. Exactly three tables map a kind to the
//! outside: the HTTP status of the Docker door, the gRPC code of CRI, and the exit code of the command line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The class of a failure: what a program can tell apart without reading text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The named object does not exist.
    NotFound,
    /// An object of that name exists already.
    AlreadyExists,
    /// The request itself is malformed, whatever the state of the engine.
    InvalidArgument,
    /// The request is well formed, but the object is not in a state that allows it.
    FailedPrecondition,
    /// The object is used by something else, or somebody else is changing it.
    Conflict,
    /// The object is already in the wished state; nothing was done.
    NotModified,
    /// The caller may not do that (credentials, kernel permissions).
    PermissionDenied,
    /// A peer (registry, shim, external runtime) cannot be reached or answers wrongly; trying again may help.
    Unavailable,
    /// This build, kernel or machine cannot do that.
    Unsupported,
    /// Disk, memory, addresses, process ids or a rate limit are used up.
    ResourceExhausted,
    /// The operation was stopped on request.
    Cancelled,
    /// A bug or a broken invariant.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::InvalidArgument => "invalid argument",
            Self::FailedPrecondition => "failed precondition",
            Self::Conflict => "conflict",
            Self::NotModified => "not modified",
            Self::PermissionDenied => "permission denied",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::ResourceExhausted => "resource exhausted",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal error",
        })
    }
}

/// What the user can do about an error: one sentence, shown as `hint: …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hint(pub String);

impl Hint {
    /// Wraps one sentence in the imperative, without a full stop.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
