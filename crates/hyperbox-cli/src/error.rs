// SPDX-License-Identifier: MIT
//! What a command tells the user when it fails, and with which exit code.

use std::error::Error as StdError;
use std::io;

/// The end of a command: its exit code, or why it failed.
pub(crate) type Outcome = Result<u8, CliError>;

/// Exit code of a failure of the client or daemon, as opposed to one of the command in the container.
pub(crate) const EXIT_ENGINE: u8 = 125;
/// Exit code for a command that cannot be executed.
pub(crate) const EXIT_NOT_EXECUTABLE: u8 = 126;
/// Exit code for a command that does not exist.
pub(crate) const EXIT_NOT_FOUND: u8 = 127;
/// What a shell shows for a program that SIGPIPE ended.
const EXIT_BROKEN_PIPE: u8 = 141;

/// A failure, ready to be printed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct CliError {
    message: String,
    hint: Option<String>,
    code: u8,
    /// The reader of our output went away: nobody is left to read the message.
    silent: bool,
    /// The message is shown as it is, without `hb: `.
    bare: bool,
    /// The daemon cannot be reached, or our output is closed.
    fatal: bool,
}

impl CliError {
    /// Makes an error that ends with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            code: 1,
            silent: false,
            bare: false,
            fatal: false,
        }
    }

    /// Makes an error whose text was printed already.
    pub(crate) fn silent(code: u8) -> Self {
        Self {
            message: String::new(),
            hint: None,
            code,
            silent: true,
            bare: false,
            fatal: true,
        }
    }

    /// Wraps an error and its causes.
    pub(crate) fn from_error(error: &dyn StdError) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // A question mark ends a sentence: what follows is its explanation.
            if message.ends_with('?') {
                message = format!("{message} ({text})");
            } else {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::new(message)
    }

    /// Sets the exit code.
    #[must_use]
    pub(crate) fn with_code(mut self, code: u8) -> Self {
        if !self.silent {
            self.code = code;
        }
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows the message without the program's name.
    #[must_use]
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Shows the message with the program's name: standard error belongs to the container, too.
    #[must_use]
    pub(crate) fn prefixed(mut self) -> Self {
        self.bare = false;
        self
    }

    /// Tells whether going on with other objects makes no sense.
    pub(crate) fn ends_the_command(&self) -> bool {
        self.fatal
    }

    /// Returns the exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Returns the lines for standard error; none when nothing is to be said.
    pub(crate) fn report(&self) -> String {
        if self.silent {
            return String::new();
        }
        let prefix = if self.bare { "" } else { "hb: " };
        let hint = self
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!("hint: {hint}\n"));
        format!("{prefix}{}\n{hint}", self.message)
    }
}

/// Marks a sentence of the daemon, as Docker's client does.
pub(crate) fn daemon_said(sentence: &str) -> String {
    format!("Error response from daemon: {sentence}")
}

impl From<hyperbox_client::ClientError> for CliError {
    fn from(error: hyperbox_client::ClientError) -> Self {
        let mut wrapped = Self::from_error(&error);
        if matches!(error, hyperbox_client::ClientError::Daemon { .. }) {
            wrapped = Self::new(daemon_said(&wrapped.message)).bare();
        }
        wrapped.hint = error.hint().map(|hint| hint.0);
        wrapped.fatal = matches!(error, hyperbox_client::ClientError::Connect { .. });
        wrapped
    }
}

impl From<hyperbox_client::credentials::CredentialsError> for CliError {
    fn from(error: hyperbox_client::credentials::CredentialsError) -> Self {
        Self::from_error(&error)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::silent(EXIT_BROKEN_PIPE);
        }
        Self::new(error.to_string())
    }
}

impl From<crate::template::TemplateError> for CliError {
    fn from(error: crate::template::TemplateError) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        assert_eq!(CliError::new("x").with_hint("do y").report(), "hb: x\nhint: do y\n");
        assert_eq!(CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).report(), "");
        let connect = hyperbox_client::ClientError::Connect {
            host: hyperbox_client::Host::Tcp("127.0.0.1:1".to_owned()),
            source: io::Error::new(io::ErrorKind::NotFound, "no socket"),
        };
        let report = CliError::from(connect).report();
        assert!(report.starts_with(
            "hb: cannot connect to HyperBox at tcp://127.0.0.1:1. Is hyperboxd running? (no socket)\nhint: "
        ));
    }
}
