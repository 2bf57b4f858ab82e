// SPDX-License-Identifier: MIT
//! Making [`SnapshotError`]s: what an archive is to blame for, and what the machine is.

use std::io;
use std::path::Path;

use hyperbox_core::seam::SnapshotError;
use rustix::io::Errno;

/// An archive that is refused.
pub(crate) fn refused(reason: impl Into<String>) -> SnapshotError {
    SnapshotError::Archive {
        reason: reason.into(),
        source: None,
    }
}

/// A failed operation on a path of the host.
pub(crate) fn on_path(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> SnapshotError {
    SnapshotError::Io {
        operation,
        path: path.display().to_string(),
        source: source.into(),
    }
}

/// A failed operation on an archive's entry. What only its name, link or size can cause is the archive's fault.
pub(crate) fn on_entry(operation: &'static str, name: &[u8], error: Errno) -> SnapshotError {
    let blamed = [
        // Only a link to nothing or a vanished parent: the directory is nobody else's.
        Errno::NOENT,
        Errno::NAMETOOLONG,
        Errno::LOOP,
        Errno::NOTDIR,
        Errno::INVAL,
        Errno::FBIG,
        Errno::OVERFLOW,
        Errno::XDEV,
        Errno::ISDIR,
        Errno::MLINK,
        Errno::RANGE,
        Errno::TOOBIG,
    ];
    if blamed.contains(&error) {
        let reason = format!("cannot {operation} {}", shown(name));
        return SnapshotError::Archive {
            reason,
            source: Some(error.into()),
        };
    }
    SnapshotError::Io {
        operation,
        path: shown(name),
        source: error.into(),
    }
}

/// A failure to read the stream: a decoder or a parser complains about the data, everything else is the reader's.
pub(crate) fn on_stream(error: io::Error) -> SnapshotError {
    use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, UnexpectedEof};
    let reason = match error.kind() {
        UnexpectedEof => "the stream ends in the middle of an entry",
        InvalidData | InvalidInput => "the compressed data are damaged",
        FileTooLarge => "the unpacked stream is too long",
        _ => {
            return SnapshotError::Io {
                operation: "read",
                path: "the layer stream".to_owned(),
                source: error,
            };
        }
    };
    SnapshotError::Archive {
        reason: reason.to_owned(),
        source: Some(error),
    }
}

/// Shows the beginning of a name that may hold anything.
pub(crate) fn shown(name: &[u8]) -> String {
    let end = name.len().min(200);
    format!("{:?}", String::from_utf8_lossy(&name[..end]))
}
