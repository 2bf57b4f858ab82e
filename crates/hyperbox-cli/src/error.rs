// SPDX-License-Identifier: MIT
//! What a command tells the user when it fails, and with which exit code.

use std::error::Error as StdError;
use std::io;

use crate::dialect::Dialect;

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
    /// The message is about the words of the command line: Docker, too, shows it with the program's name.
    of_words: bool,
    /// What Docker's command line says instead.
    as_docker: Option<String>,
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
            of_words: false,
            as_docker: None,
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
            of_words: false,
            as_docker: None,
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

    /// Says first what the error is about.
    #[must_use]
    pub(crate) fn about(mut self, object: &str) -> Self {
        self.message = format!("{object}: {}", self.message);
        self
    }

    /// Says what Docker's command line says instead.
    #[must_use]
    pub(crate) fn docker_says(mut self, message: impl Into<String>) -> Self {
        self.as_docker = Some(message.into());
        self
    }

    /// Marks an error about the words of the command line, other than values of flags.
    #[must_use]
    pub(crate) fn of_words(mut self) -> Self {
        self.of_words = true;
        self
    }

    /// Makes it an error of `docker run` or `docker create`, which point to their help.
    #[must_use]
    pub(crate) fn of_docker_command(mut self, command: &str) -> Self {
        let message = self.as_docker.as_ref().unwrap_or(&self.message);
        self.as_docker = Some(format!(
            "{message}\n\nRun 'docker {command} --help' for more information"
        ));
        self.of_words = true;
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

    /// Returns the lines for standard error; none when nothing is to be said. Docker's command line gives no hints, and its name only
    /// with errors of the command line's words.
    pub(crate) fn report(&self, dialect: Dialect) -> String {
        if self.silent {
            return String::new();
        }
        let program = dialect.program();
        if dialect == Dialect::Docker {
            let message = self.as_docker.as_ref().unwrap_or(&self.message);
            let prefix = if self.of_words {
                format!("{program}: ")
            } else {
                String::new()
            };
            return format!("{prefix}{message}\n");
        }
        let prefix = if self.bare {
            String::new()
        } else {
            format!("{program}: ")
        };
        let hint = self
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!("hint: {hint}\n"));
        format!("{prefix}{}\n{hint}", self.message)
    }
}

impl From<hyperbox_types::InvalidReference> for CliError {
    fn from(error: hyperbox_types::InvalidReference) -> Self {
        Self::from_error(&error).docker_says(docker_reference(&error))
    }
}

/// Says in Docker's words why a text is no reference.
pub(crate) fn docker_reference(error: &hyperbox_types::InvalidReference) -> String {
    if error.reason != "repository name must be lowercase" {
        return "invalid reference format".to_owned();
    }
    let name = error.text.split(['@', ':']).next().unwrap_or(&error.text);
    let library = if name.contains('/') { "" } else { "library/" };
    format!("invalid reference format: repository name ({library}{name}) must be lowercase")
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

/// Shows an error of the system as Go does: `no such file or directory`.
pub(crate) fn go_text(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_docker() {
        let report = |error: CliError| error.report(Dialect::Docker);
        assert_eq!(report(CliError::new("x").with_hint("do y")), "x\n");
        assert_eq!(report(CliError::new("x").of_words()), "docker: x\n");
        assert_eq!(report(CliError::new("x").docker_says("Error: z")), "Error: z\n");
        assert_eq!(
            report(CliError::new("x").docker_says("z").of_docker_command("run")),
            "docker: z\n\nRun 'docker run --help' for more information\n"
        );
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(go_text(&missing), "no such file or directory");
    }

    #[test]
    fn reports() {
        assert_eq!(
            CliError::new("x").with_hint("do y").report(Dialect::Own),
            "hb: x\nhint: do y\n"
        );
        assert_eq!(
            CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)).report(Dialect::Own),
            ""
        );
        let connect = hyperbox_client::ClientError::Connect {
            host: hyperbox_client::Host::Tcp("127.0.0.1:1".to_owned()),
            source: io::Error::new(io::ErrorKind::NotFound, "no socket"),
        };
        let report = CliError::from(connect).report(Dialect::Own);
        assert!(report.starts_with(
            "hb: cannot connect to HyperBox at tcp://127.0.0.1:1. Is hyperboxd running? (no socket)\nhint: "
        ));
    }
}
