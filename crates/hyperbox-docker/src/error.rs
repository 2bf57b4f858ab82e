// SPDX-License-Identifier: MIT
//! The one table that maps the engine's error classes to HTTP, and the body that clients read.
//!
//! The body is Docker's `{"message": …}` with one more field, `hint`, when there is advice; Docker's clients ignore it. A command
//! that could not be executed is 400, and its text holds what the docker command line looks for to choose between exit codes 126
//! and 127 (`cli/command/container/run.go`, `toStatusError`).

use http::StatusCode;
use hyperbox_core::ServiceError;
use hyperbox_types::shim::CommandFault;
use hyperbox_types::{ErrorKind, Hint};

/// An answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    hint: Option<Hint>,
    plain_text: bool,
    /// The engine's class, where the error is the engine's and its status was not changed: several classes have one status.
    kind: Option<ErrorKind>,
}

/// The result of a handler.
pub(crate) type ApiResult<T> = Result<T, ApiError>;

impl ApiError {
    /// Makes an error with a JSON body.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            hint: None,
            plain_text: false,
            kind: None,
        }
    }

    /// Makes an error whose body is text.
    pub(crate) fn plain_text(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            plain_text: true,
            ..Self::new(status, message)
        }
    }

    /// The request is wrong in itself.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// There is no such object.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// This version of the engine cannot do that.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// There is no such route.
    pub(crate) fn page_not_found() -> Self {
        Self::not_found("page not found")
    }

    /// Adds what the user can do next.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint::new(hint));
        self
    }

    /// Returns the same error with another status.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self.kind = None;
        self
    }

    /// Returns the same error in other words.
    #[must_use]
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Returns the status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the sentence for the client.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the advice.
    pub(crate) fn hint(&self) -> Option<&Hint> {
        self.hint.as_ref()
    }

    /// Tells whether the body is text.
    pub(crate) fn is_plain_text(&self) -> bool {
        self.plain_text
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        let (status, message) = match error.command_fault() {
            Some(fault) => (StatusCode::BAD_REQUEST, command_text(fault, error.message())),
            None => without_command(error.kind(), error.message()),
        };
        Self {
            status,
            message,
            hint: error.hint().cloned(),
            plain_text: false,
            kind: Some(error.kind()),
        }
    }
}

impl From<ApiError> for ServiceError {
    /// For those who are served without HTTP: the engine's class, else the one that would have had the status.
    fn from(error: ApiError) -> Self {
        let kind = error.kind.unwrap_or(match error.status {
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::CONFLICT => ErrorKind::Conflict,
            StatusCode::NOT_MODIFIED => ErrorKind::NotModified,
            StatusCode::FORBIDDEN => ErrorKind::PermissionDenied,
            StatusCode::NOT_IMPLEMENTED => ErrorKind::Unsupported,
            status if status.is_client_error() => ErrorKind::InvalidArgument,
            _ => ErrorKind::Internal,
        });
        let made = Self::new(kind, error.message);
        match error.hint {
            Some(hint) => made.with_hint(hint.0),
            None => made,
        }
    }
}

/// Returns the HTTP status of an error class.
pub(crate) fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::AlreadyExists | ErrorKind::Conflict | ErrorKind::FailedPrecondition => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        // A registry that cannot be reached is 500 too: 503 is Docker's word for a missing swarm.
        ErrorKind::Unavailable | ErrorKind::ResourceExhausted | ErrorKind::Cancelled | ErrorKind::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// What Docker calls the failure of everything that a start does.
const TASK: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed";

/// Status and text of a failure that has nothing to do with the command.
///
/// Where a start fails, Docker does not tell whose mistake it was: 500, unless the text sounds like that of a command
/// (`daemon/errors.go`, `setExitCodeFromError`). Above all it is not 404, which says that there is no such container.
fn without_command(kind: ErrorKind, message: &str) -> (StatusCode, String) {
    const DEVICES: [&str; 2] = [
        "error gathering device information",
        "cannot limit block input and output",
    ];
    if let Some(cause) = message.strip_prefix(TASK) {
        let lower = cause.to_ascii_lowercase();
        let like_a_command = [
            "executable file not found",
            "no such file or directory",
            "permission denied",
        ];
        let status = if like_a_command.iter().any(|mark| lower.contains(mark)) {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::INTERNAL_SERVER_ERROR
        };
        let cause = cause.trim_start_matches(": ");
        // Docker looks for users, and makes the working directory, before it asks the runtime.
        let no_directory = cause
            .strip_prefix("cannot change to the working directory \"")
            .and_then(|rest| rest.split_once("\": Not a directory"));
        if let Some((path, _)) = no_directory {
            return (
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("Cannot mkdir: {path} is not a directory"),
            );
        }
        let text = if cause.starts_with("unable to find ") {
            cause
        } else {
            message
        };
        return (status, text.to_owned());
    }
    let status = if DEVICES.iter().any(|start| message.starts_with(start)) {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        status_of(kind)
    };
    (status, message.to_owned())
}

/// Makes sure that the text says in Docker's words why the command was not executed.
fn command_text(fault: CommandFault, message: &str) -> String {
    let (marks, verdict): (&[&str], _) = match fault {
        CommandFault::NotFound => (
            &["executable file not found", "no such file or directory"],
            "executable file not found in $PATH",
        ),
        CommandFault::NotExecutable => (&["permission denied", "is a directory"], "permission denied"),
    };
    let lower = message.to_ascii_lowercase();
    let known = marks.iter().any(|mark| lower.contains(mark));
    let mut text = if lower.contains("oci runtime") {
        message.to_owned()
    } else {
        format!("{TASK}: {message}")
    };
    if !known {
        text.push_str(": ");
        text.push_str(verdict);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_command_reads_as_127_and_one_that_cannot_be_executed_as_126() {
        for (fault, message, needle) in [
            (
                CommandFault::NotFound,
                "exec: \"x\": not there",
                "executable file not found in $PATH",
            ),
            (
                CommandFault::NotFound,
                "exec: \"/x\": stat /x: no such file or directory",
                "no such file or directory",
            ),
            (
                CommandFault::NotExecutable,
                "exec: \"/etc\": is a directory",
                "is a directory",
            ),
            (
                CommandFault::NotExecutable,
                "exec: \"/x\": exec format",
                "permission denied",
            ),
        ] {
            let error = ServiceError::invalid(message).with_command_fault(Some(fault));
            let answer = ApiError::from(error);
            assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
            assert!(answer.message().contains(needle), "{}", answer.message());
            assert!(answer.message().starts_with("failed to create task for container"));
        }
    }

    #[test]
    fn starts_that_fail_otherwise() {
        for (message, kind, status, text) in [
            (
                format!("{TASK}: unable to find user x: no matching entries in passwd file"),
                ErrorKind::InvalidArgument,
                500,
                "unable to find user x: no matching entries in passwd file".to_owned(),
            ),
            (
                format!("{TASK}: cannot set sysctl \"net.x\": No such file or directory (os error 2)"),
                ErrorKind::NotFound,
                400,
                format!("{TASK}: cannot set sysctl \"net.x\": No such file or directory (os error 2)"),
            ),
            (
                format!(
                    "{TASK}: cannot change to the working directory \"/etc/passwd\": Not a directory (os error 20)"
                ),
                ErrorKind::InvalidArgument,
                500,
                "Cannot mkdir: /etc/passwd is not a directory".to_owned(),
            ),
            (
                "error gathering device information: cannot find the device /dev/x".to_owned(),
                ErrorKind::NotFound,
                500,
                "error gathering device information: cannot find the device /dev/x".to_owned(),
            ),
            (
                "No such container: x".to_owned(),
                ErrorKind::NotFound,
                404,
                "No such container: x".to_owned(),
            ),
        ] {
            let answer = ApiError::from(ServiceError::new(kind, message));
            assert_eq!((answer.status().as_u16(), answer.message()), (status, text.as_str()));
        }
    }

    #[test]
    fn who_is_served_without_http_gets_the_class() {
        for kind in [
            ErrorKind::Unavailable,
            ErrorKind::ResourceExhausted,
            ErrorKind::Cancelled,
            ErrorKind::FailedPrecondition,
            ErrorKind::AlreadyExists,
            ErrorKind::NotFound,
            ErrorKind::Internal,
        ] {
            let error = ApiError::from(ServiceError::new(kind, "x").with_hint("do"));
            let back = ServiceError::from(error.clone().with_message("y"));
            assert_eq!((back.kind(), back.message()), (kind, "y"));
            assert!(back.hint().is_some());
            // Who gives it another status means something else.
            let other = ServiceError::from(error.with_status(StatusCode::NOT_FOUND));
            assert_eq!(other.kind(), ErrorKind::NotFound);
        }
        let own = ServiceError::from(ApiError::new(StatusCode::CONFLICT, "x"));
        assert_eq!(own.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn every_class_has_a_status() {
        assert_eq!(status_of(ErrorKind::NotModified), StatusCode::NOT_MODIFIED);
        assert_eq!(status_of(ErrorKind::Conflict), StatusCode::CONFLICT);
        assert_eq!(status_of(ErrorKind::Unavailable), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status_of(ErrorKind::Unsupported), StatusCode::NOT_IMPLEMENTED);
    }
}
