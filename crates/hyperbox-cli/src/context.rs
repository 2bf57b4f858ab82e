// SPDX-License-Identifier: MIT
//! What a command has at hand: the daemon, the user's streams, the user's configuration.
//!
//! The environment is read here and nowhere else. Which daemon is used: `--host`, then `HYPERBOX_HOST`, then `DOCKER_HOST` when
//! something that says it is HyperBox answers there, then the default socket. `DOCKER_HOST` is asked only when the default
//! socket does not exist, so that the usual case costs one `stat` and no additional connection. In the place of Docker's command
//! line it is `--host`, `--context`, `DOCKER_HOST`, `DOCKER_CONTEXT`, the context in use, and only then as above.

use std::cell::OnceCell;
use std::env;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};

use hyperbox_client::credentials::{self, Store};
use hyperbox_client::{Client, Host};
use hyperbox_types::RegistryHost;

use crate::dialect::Dialect;
use crate::docker_config::DockerConfig;
use crate::docker_context;
use crate::error::CliError;
use crate::project::World;

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
    docker_config: OnceCell<DockerConfig>,
}

impl Context {
    pub(crate) fn new(options: GlobalOptions) -> Self {
        Self {
            options,
            docker_config: OnceCell::new(),
        }
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
        self.own_host()
    }

    /// Returns the address of the daemon where nothing of Docker's says otherwise.
    fn own_host(&self) -> Result<Host, CliError> {
        if let Some(host) = variable("HYPERBOX_HOST") {
            return Host::parse(&host).map_err(|error| CliError::from_error(&error));
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
        match self.docker_context() {
            // The context of this name is what the environment says.
            None => Ok(variable("DOCKER_HOST")),
            Some(name) => docker_context::endpoint(&self.config_directory(), &name).map(Some),
        }
    }

    /// Returns the context that Docker's command line would use; `None` for the default one, and where the words are `hb`'s own.
    pub(crate) fn docker_context(&self) -> Option<String> {
        if !self.options.as_docker {
            return None;
        }
        let named = self.options.docker_context.clone();
        let chosen = named.or_else(|| {
            if self.options.host.is_some() || variable("DOCKER_HOST").is_some() {
                return None;
            }
            variable("DOCKER_CONTEXT").or_else(|| self.docker_config().text("currentContext").map(str::to_owned))
        });
        chosen.filter(|name| name != docker_context::DEFAULT)
    }

    /// Returns the address that the context `default` stands for.
    pub(crate) fn default_host(&self) -> Result<String, CliError> {
        match variable("DOCKER_HOST") {
            Some(host) => Ok(host),
            None => self.own_host().map(|host| host.to_string()),
        }
    }

    /// Tells whether `DOCKER_HOST` decides, whatever context is in use.
    pub(crate) fn has_docker_host(&self) -> bool {
        variable("DOCKER_HOST").is_some()
    }

    /// Returns what a plugin has to be told: the daemon, unless options, environment or contexts tell it already.
    pub(crate) fn host_for_plugins(&self) -> Result<Option<String>, CliError> {
        if self.options.host.is_some() || self.docker_context().is_some() || self.has_docker_host() {
            return Ok(None);
        }
        self.own_host().map(|host| Some(host.to_string()))
    }

    /// Returns the settings of Docker's command line; none where the words are `hb`'s own.
    pub(crate) fn docker_config(&self) -> &DockerConfig {
        self.docker_config.get_or_init(|| {
            if !self.options.as_docker {
                return DockerConfig::default();
            }
            let (config, warning) = DockerConfig::load(&self.config_directory());
            if let Some(warning) = warning {
                self.note(&warning);
            }
            config
        })
    }

    /// Returns where plugins are looked for.
    pub(crate) fn plugin_directories(&self) -> Vec<PathBuf> {
        self.docker_config().plugin_directories(&self.config_directory())
    }

    /// Returns how a list is shown: `--format`, else what `config.json` says under this name, unless only ids are wanted.
    pub(crate) fn list_format(&self, given: Option<String>, setting: &str, quiet: bool) -> Option<String> {
        let configured = || self.docker_config().text(setting).map(str::to_owned);
        given
            .filter(|format| !format.is_empty())
            .or_else(|| if quiet { None } else { configured() })
    }

    /// Returns the keys that detach: `--detach-keys`, else what `config.json` says.
    pub(crate) fn detach_keys(&self, given: Option<String>) -> Option<String> {
        given.or_else(|| self.docker_config().text("detachKeys").map(str::to_owned))
    }

    /// Returns the variables of proxies for a new container; `given` is what `--env` says.
    pub(crate) fn proxy_variables(&self, given: &[String]) -> Result<Vec<String>, CliError> {
        if !self.options.as_docker {
            return Ok(Vec::new());
        }
        let host = self.host()?.to_string();
        Ok(self.docker_config().proxy_variables(&host, given))
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
        let client = Client::new(host).with_headers(self.docker_config().headers());
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

    /// Whose command line it is.
    pub(crate) fn dialect(&self) -> Dialect {
        if self.options.as_docker {
            Dialect::Docker
        } else {
            Dialect::Own
        }
    }

    /// Reports a failure after which the command goes on.
    pub(crate) fn complain(&self, error: &CliError) {
        self.note(error.report(self.dialect()).trim_end());
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

    /// Returns another one like this, for a thread of its own.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.options.clone())
    }

    /// Returns what a project is opened in: the current folder and the variables that are text.
    pub(crate) fn world(&self) -> Result<World, CliError> {
        let directory =
            env::current_dir().map_err(|error| CliError::new(format!("cannot tell the current folder: {error}")))?;
        let variables =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Ok(World {
            directory,
            variables: variables.collect(),
        })
    }

    /// Reads a variable of the environment, for `-e NAME`.
    pub(crate) fn environment(&self, name: &str) -> Option<String> {
        env::var(name).ok()
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
