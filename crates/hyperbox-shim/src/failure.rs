// SPDX-License-Identifier: MIT
//! How failures become [`ShimError`]s: one sentence with its whole chain of causes.

use std::error::Error;
use std::io;

use hyperbox_types::ErrorKind;
use hyperbox_types::shim::ShimError;

/// Makes an error of a sentence.
pub(crate) fn failure(kind: ErrorKind, message: impl Into<String>) -> ShimError {
    ShimError {
        kind,
        message: message.into(),
        command: None,
    }
}

/// Makes an error of a failed system call; `what` says what was tried on which object.
pub(crate) fn system(what: &str, error: impl Into<io::Error>) -> ShimError {
    let error = error.into();
    failure(kind_of(&error), format!("{what}: {error}"))
}

/// Makes an error of one with causes.
pub(crate) fn chained(kind: ErrorKind, error: &dyn Error) -> ShimError {
    failure(kind, chain(error))
}

/// Joins an error and its causes with colons.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => {
            ErrorKind::ResourceExhausted
        }
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => ErrorKind::InvalidArgument,
        _ => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::SRCH) => ErrorKind::FailedPrecondition,
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE | rustix::io::Errno::AGAIN) => {
                ErrorKind::ResourceExhausted
            }
            _ => ErrorKind::Internal,
        },
    }
}
