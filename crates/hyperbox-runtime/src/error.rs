// SPDX-License-Identifier: MIT
//! Why a container or another process in it could not be started.

use std::io;

use hyperbox_types::ErrorKind;
use hyperbox_types::shim::CommandFault;

use crate::cgroup::CgroupError;
use crate::user::UserError;

/// Why a start failed. Nothing of the attempt is left.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime configuration asks for something impossible.
    #[error("invalid runtime configuration: {what}")]
    Invalid {
        /// What is wrong with which field.
        what: String,
    },
    /// The runtime configuration asks for something this runtime does not do.
    #[error("{what} is not supported by the embedded runtime")]
    Unsupported {
        /// What was asked for.
        what: String,
    },
    /// The user or a group could not be resolved.
    #[error(transparent)]
    User(#[from] UserError),
    /// The cgroups could not be made or limited.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// The command itself could not be executed.
    #[error("{message}")]
    Command {
        /// Whether there is no such file, or one that cannot be executed.
        fault: CommandFault,
        /// The text that Docker's clients know.
        message: String,
    },
    /// The kernel refused a step.
    #[error("cannot {operation}")]
    System {
        /// What was being done to what, such as `mount "proc" at "/proc"`.
        operation: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The process ended before it could execute the command, and could not say why.
    #[error("the process ended while its container was being set up")]
    Vanished,
}

impl StartError {
    /// Makes an error of a failed system call.
    pub(crate) fn system(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System {
            operation: operation.into(),
            source: source.into(),
        }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Invalid { .. } | Self::User(_) | Self::Command { .. } => ErrorKind::InvalidArgument,
            Self::Cgroup(error) => error.kind(),
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Vanished => ErrorKind::Internal,
            Self::System { source, .. } => io_kind(source),
        }
    }

    /// Returns why the command could not be executed, when that was the reason; it decides exit codes 126 and 127.
    pub fn command_fault(&self) -> Option<CommandFault> {
        match self {
            Self::Command { fault, .. } => Some(*fault),
            _ => None,
        }
    }
}

/// Classifies a system error.
fn io_kind(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidInput | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => {
            ErrorKind::InvalidArgument
        }
        io::ErrorKind::ResourceBusy => ErrorKind::Conflict,
        io::ErrorKind::StorageFull | io::ErrorKind::OutOfMemory | io::ErrorKind::QuotaExceeded => {
            ErrorKind::ResourceExhausted
        }
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    }
}
