// SPDX-License-Identifier: MIT
//! Classifying what goes wrong with the database.

use std::io;
use std::path::Path;

use hyperbox_core::seam::RecordsError;
use hyperbox_types::ErrorKind;
use rusqlite::ErrorCode;

/// The causes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("a newer HyperBox wrote it: its format is {found}, this build knows formats up to {known}")]
    Newer { found: u32, known: u32 },
    #[error("it is no database of HyperBox, or it is damaged: it has no format version")]
    Unknown,
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Failure {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Newer { .. } | Self::Unknown => ErrorKind::Unsupported,
            Self::Sqlite(error) => sqlite_kind(error),
            Self::Io(error) => match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::ResourceExhausted,
                _ => ErrorKind::Internal,
            },
        }
    }
}

fn sqlite_kind(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull | ErrorCode::OutOfMemory | ErrorCode::TooBig) => ErrorKind::ResourceExhausted,
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => ErrorKind::PermissionDenied,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => ErrorKind::Conflict,
        Some(ErrorCode::NotADatabase) => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    }
}

/// Makes the seam's error.
pub(super) fn failed(operation: &'static str, path: &Path, cause: impl Into<Failure>) -> RecordsError {
    let cause = cause.into();
    RecordsError {
        operation,
        path: path.display().to_string(),
        kind: cause.kind(),
        source: Box::new(cause),
    }
}
