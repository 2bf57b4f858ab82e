// SPDX-License-Identifier: MIT
//! Makes the seam's error: which network, what was being done, which class.

use std::io;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::ErrorKind;
use rustix::io::Errno;

/// The driver refuses.
pub(crate) fn refused(network: &str, kind: ErrorKind, message: impl Into<String>) -> NetworkError {
    NetworkError {
        network: network.to_owned(),
        message: message.into(),
        kind,
        source: None,
    }
}

/// The kernel refused; `operation` completes "cannot …".
pub(crate) fn failed(network: &str, operation: &str, source: io::Error) -> NetworkError {
    NetworkError {
        network: network.to_owned(),
        message: format!("cannot {operation}"),
        kind: kind_of(&source),
        source: Some(source),
    }
}

fn kind_of(error: &io::Error) -> ErrorKind {
    match Errno::from_io_error(error) {
        Some(Errno::PERM | Errno::ACCESS) => ErrorKind::PermissionDenied,
        Some(Errno::EXIST) => ErrorKind::AlreadyExists,
        Some(Errno::NODEV | Errno::NOENT) => ErrorKind::NotFound,
        Some(Errno::NOMEM | Errno::NOBUFS | Errno::MFILE | Errno::NFILE | Errno::NOSPC) => ErrorKind::ResourceExhausted,
        Some(Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => ErrorKind::Unsupported,
        Some(Errno::BUSY) => ErrorKind::Conflict,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_code_decides_the_class() {
        for (errno, kind) in [
            (Errno::PERM, ErrorKind::PermissionDenied),
            (Errno::NODEV, ErrorKind::NotFound),
            (Errno::NOMEM, ErrorKind::ResourceExhausted),
            (Errno::INVAL, ErrorKind::Internal),
        ] {
            assert_eq!(failed("br0", "do it", errno.into()).kind, kind);
        }
        assert_eq!(failed("br0", "do it", Errno::PERM.into()).to_string(), "cannot do it");
    }
}
