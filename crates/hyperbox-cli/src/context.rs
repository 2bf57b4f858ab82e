// SPDX-License-Identifier: MIT
//! What a command has at hand: the daemon, the user's streams, the user's configuration.
//!
//! The environment is read here and nowhere else. Which daemon is used: `--host`, then `HYPERBOX_HOST`, then `DOCKER_HOST` when
//! something that says it is HyperBox answers there, then the default socket. `DOCKER_HOST` is asked only when the default
//! socket does not exist, so that the usual case costs one `stat` and no additional connection. In the place of Docker's command
//! line it is `--host`, `--context`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the context in use, and only then as above.

use std::env;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};

use hyperbox_client::credentials::{self, Store};
use hyperbox_client::{Client, Host};
use hyperbox_types::RegistryHost;

use crate::docker_context;
use crate::error::CliError;

/// Options that stand before the command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GlobalOptions {
    /// `--host`.
    pub(crate) host: Option<String>,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// `--debug`.
    pub(crate) debug: bool,
    /// Whether the words are those of Docker's command line, which finds its daemon in another way.
    pub(crate) as_docker: bool,
    /// `--context`, which Docker's command line alone has.
    pub(crate) docker_context: Option<String>,
}

/// What a command has at hand.
#[derive(Debug)]
pub(crate) struct Context {
    options: GlobalOptions,
}

impl Context {
    pub(crate) fn new(options: GlobalOptions) -> Self {
        Self { options }
    }

    /// Returns the address of the daemon.
    pub(crate) fn host(&self) -> Result<Host, CliError> {
        let parse = |text: &str| Host::parse(text).map_err(|error| CliError::from_error(&error));
        if let Some(host) = &self.options.host {
            return parse(host);
        }
        if self.options.as_docker
            && let Some(host) = self.docker_host()?
        {
            return parse(&host);
        }
        if let Some(host) = variable("HYPERBOX_HOST") {
            return parse(&host);
        }
        let default = Host::default();
        if default.socket_path().is_some_and(Path::exists) {
            return Ok(default);
        }
        let docker = variable("DOCKER_HOST").and_then(|host| Host::parse(&host).ok());
        let answers = |host: &Host| Client::new(host.clone()).ping().is_ok_and(|ping| ping.is_hyperbox());
        Ok(docker.filter(answers).unwrap_or(default))
    }

    /// Returns the address that Docker's command line would use; `None` for its default one.
    fn docker_host(&self) -> Result<Option<String>, CliError> {
        let config = self.config_directory();
        let named = self.options.docker_context.clone();
        let context = match named {
            Some(name) => Some(name),
            None => match variable("DOCKER_HOST") {
                Some(host) => return Ok(Some(host)),
                None => match variable("DOCKER_CONTEXT") {
                    Some(name) => Some(name),
                    None => docker_context::current(&config)?,
                },
            },
        };
        match context.as_deref() {
            // The context of this name is what the environment says.
            Some("default") => Ok(variable("DOCKER_HOST")),
            Some(name) => docker_context::endpoint(&config, name).map(Some),
            None => Ok(None),
        }
    }

    /// Tells whether the user named the daemon.
    pub(crate) fn has_explicit_host(&self) -> bool {
        self.options.host.is_some() || variable("HYPERBOX_HOST").is_some()
    }

    /// Returns a client of the daemon; nothing is connected yet.
    pub(crate) fn client(&self) -> Result<Client, CliError> {
        let host = self.host()?;
        if self.options.debug {
            self.note(&format!("debug: using the daemon at {host}"));
        }
        let client = Client::new(host);
        Ok(match variable("DOCKER_API_VERSION") {
            Some(version) => client.with_api_version(&version),
            None => client,
        })
    }

    /// Returns standard output, buffered; the caller flushes it.
    pub(crate) fn output(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }

    /// Writes a line to standard output.
    pub(crate) fn print(&self, line: &str) -> Result<(), CliError> {
        let mut output = io::stdout().lock();
        output.write_all(format!("{line}\n").as_bytes())?;
        Ok(output.flush()?)
    }

    /// Writes a line to standard error; there is nobody to tell when that fails.
    pub(crate) fn note(&self, line: &str) {
        drop(io::stderr().lock().write_all(format!("{line}\n").as_bytes()));
    }

    /// Tells whether standard output is a terminal.
    pub(crate) fn output_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns the directory of Docker's `config.json`.
    pub(crate) fn config_directory(&self) -> PathBuf {
        if let Some(directory) = &self.options.config {
            return directory.clone();
        }
        if let Some(directory) = variable("DOCKER_CONFIG") {
            return PathBuf::from(directory);
        }
        env::home_dir().unwrap_or_default().join(".docker")
    }

    /// Opens the user's registry credentials.
    pub(crate) fn credentials(&self) -> Result<Store, CliError> {
        Ok(Store::open(&self.config_directory())?)
    }

    /// Returns the header that carries the credentials of a registry, if there are any.
    pub(crate) fn registry_header(&self, host: &RegistryHost) -> Result<Option<String>, CliError> {
        let found = self.credentials()?.lookup(host)?;
        Ok(found.as_ref().map(credentials::Credentials::header))
    }

    /// Reads a variable of the environment, for `-e NAME`.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
