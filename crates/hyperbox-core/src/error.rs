// SPDX-License-Identifier: MIT
//! The error that services give to doors.
//!
//! One type for all services: a class, the sentence that the client may see, and the cause for the log. Doors map the class with
//! one table each and never read the text. Sentences are Docker's where Docker's clients match on them.

use std::error::Error as StdError;

use hyperbox_types::shim::CommandFault;
use hyperbox_types::{ErrorKind, Hint};

/// The result of a service call.
pub type Result<T, E = ServiceError> = std::result::Result<T, E>;

/// Why a service could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ServiceError {
    kind: ErrorKind,
    message: String,
    hint: Option<Hint>,
    command: Option<CommandFault>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ServiceError {
    /// Makes an error with the sentence that the client sees.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            command: None,
            source: None,
        }
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(Hint::new(hint));
        self
    }

    /// Marks the error as a command that could not be executed.
    #[must_use]
    pub fn with_command_fault(mut self, fault: Option<CommandFault>) -> Self {
        self.command = fault;
        self
    }

    /// Puts what was being done in front of the sentence.
    #[must_use]
    pub fn in_context(mut self, doing: &str) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Returns the same error without its source, for another one who waits for the same thing.
    pub(crate) fn repeated(&self) -> Self {
        Self {
            kind: self.kind,
            message: self.message.clone(),
            hint: self.hint.clone(),
            command: self.command,
            source: None,
        }
    }

    /// `NotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// `InvalidArgument`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    /// `Conflict`.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Conflict, message)
    }

    /// `NotModified`.
    pub fn not_modified(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotModified, message)
    }

    /// `Internal`.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Wraps an error of a mechanism: its class is kept, and its whole chain is told to the client after `doing`.
    pub fn from_mechanism<E>(doing: impl Into<String>, kind: ErrorKind, source: E) -> Self
    where
        E: StdError + Send + Sync + 'static,
    {
        let mut message = doing.into();
        let mut cause: Option<&dyn StdError> = Some(&source);
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        Self::new(kind, message).with_source(source)
    }

    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the sentence that the client sees.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns what the user can do next.
    pub fn hint(&self) -> Option<&Hint> {
        self.hint.as_ref()
    }

    /// Returns why the command could not be executed, when that was the failure.
    pub fn command_fault(&self) -> Option<CommandFault> {
        self.command
    }
}
