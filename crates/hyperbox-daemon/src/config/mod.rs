// SPDX-License-Identifier: MIT
//! The daemon's configuration: one embedded file of defaults, which is also the reference, overlaid by a file, the environment and
//! flags, then parsed once into typed values.
//!
//! Reading is apart from deciding: [`Sources`] is everything that was said, [`Config::resolve`] is pure.

mod listen;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

pub(crate) use listen::{InvalidListen, Listen};

/// The reference and the defaults.
const DEFAULTS: &str = include_str!("../../../../config/default.toml");

/// Where a configuration file is looked for when none is named.
pub(crate) const DEFAULT_FILE: &str = "/etc/hyperbox/hyperbox.toml";

/// Where Docker's clients look for Docker.
pub(crate) const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// The root that belongs to the machine's one ordinary daemon.
const DEFAULT_ROOT: &str = "/var/lib/hyperbox";

/// The complete configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub root: PathBuf,
    pub run_dir: PathBuf,
    pub hosts: Vec<String>,
    pub socket_group: String,
    pub docker_socket: PathBuf,
    pub log: Log,
    pub runtime: Runtime,
    pub storage: Storage,
    pub network: Network,
    pub registry: Registry,
    pub builder: Builder,
}

/// Building images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Builder {
    pub keep: String,
    pub keep_days: u32,
}

impl Builder {
    /// Returns how long what no build uses stays; `None` is for ever.
    pub(crate) fn keep_age(&self) -> Option<Duration> {
        let days = u64::from(self.keep_days);
        (days > 0).then(|| Duration::from_secs(days * 24 * 60 * 60))
    }
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// Running containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    pub default: String,
    pub cgroup_parent: String,
    pub shim: String,
    pub external: BTreeMap<String, hyperbox_task::ExternalRuntime>,
}

/// Root filesystems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storage {
    pub snapshotter: SnapshotterKind,
    pub optimize_after_minutes: u32,
    pub keep_blobs: bool,
}

/// How root filesystems are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SnapshotterKind {
    /// What works here, the faster first.
    Auto,
    /// Layers as EROFS indexes over their tars.
    Erofs,
    /// Layers as directories.
    Overlay,
}

/// Networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    pub bridge: String,
    pub subnet: String,
    pub mtu: u32,
    pub default_address_pools: Vec<hyperbox_net::Pool>,
    pub big_packets: bool,
}

/// Registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Registry {
    pub insecure: Vec<String>,
    pub certificates_dir: PathBuf,
    pub mirrors: BTreeMap<String, Vec<String>>,
}

/// What was said, in ascending order of precedence.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// Path and text of the configuration file.
    pub file: Option<(PathBuf, String)>,
    pub environment: Overrides,
    pub flags: Overrides,
}

/// Settings that have an environment variable and a flag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overrides {
    pub root: Option<PathBuf>,
    pub run_dir: Option<PathBuf>,
    pub hosts: Vec<String>,
    pub docker_socket: Option<PathBuf>,
    pub log_level: Option<String>,
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file is malformed or has settings that do not exist.
    #[error("configuration file {path}: {reason}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, with its place.
        reason: String,
    },
    /// A value does not make sense.
    #[error("setting {name}: {reason}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A listening address does not make sense.
    #[error("setting hosts")]
    Listen(#[source] InvalidListen),
}

impl Config {
    /// Decides the configuration from everything that was said.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or the setting.
    pub(crate) fn resolve(sources: &Sources) -> Result<Self, ConfigError> {
        let mut table: Table = DEFAULTS.parse().expect("the embedded defaults are valid TOML");
        if let Some((path, text)) = &sources.file {
            let over: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
                path: path.clone(),
                reason: error.to_string(),
            })?;
            overlay(&mut table, over);
        }
        let mut config: Self = Value::Table(table)
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::File {
                path: sources
                    .file
                    .as_ref()
                    .map_or_else(|| "default.toml".into(), |(path, _)| path.clone()),
                reason: error.to_string(),
            })?;
        for overrides in [&sources.environment, &sources.flags] {
            config.apply(overrides);
        }
        config.validate()?;
        Ok(config)
    }

    fn apply(&mut self, overrides: &Overrides) {
        if let Some(root) = &overrides.root {
            self.root.clone_from(root);
        }
        if let Some(run_dir) = &overrides.run_dir {
            self.run_dir.clone_from(run_dir);
        }
        if !overrides.hosts.is_empty() {
            self.hosts.clone_from(&overrides.hosts);
        }
        if let Some(path) = &overrides.docker_socket {
            self.docker_socket.clone_from(path);
        }
        if let Some(level) = &overrides.log_level {
            self.log.level.clone_from(level);
        }
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let value = |name, reason: &str| {
            Err(ConfigError::Value {
                name,
                reason: reason.to_owned(),
            })
        };
        if !self.root.is_absolute() {
            return value("root", "must be an absolute path");
        }
        if !self.run_dir.is_absolute() {
            return value("run_dir", "must be an absolute path");
        }
        if self.docker_socket().is_some_and(|path| !path.is_absolute()) {
            return value("docker_socket", "must be an absolute path, or empty");
        }
        if !self.runtime.cgroup_parent.starts_with('/') || self.runtime.cgroup_parent.contains("..") {
            return value("runtime.cgroup_parent", "must begin with a slash and stay below it");
        }
        if !(68..=65_535).contains(&self.network.mtu) {
            return value("network.mtu", "must be between 68 and 65535");
        }
        let pools = &self.network.default_address_pools;
        if pools
            .iter()
            .any(|pool| pool.size < pool.base.prefix_len() || pool.size > pool.base.max_prefix_len())
        {
            let problem = "each size must be a prefix length between the base's own and that of one address";
            return value("network.default_address_pools", problem);
        }
        self.listen()?;
        Ok(())
    }

    /// Returns where to listen.
    ///
    /// # Errors
    /// [`ConfigError::Listen`].
    pub(crate) fn listen(&self) -> Result<Vec<Listen>, ConfigError> {
        if self.hosts.is_empty() {
            return Ok(vec![Listen::Unix(self.run_dir.join("hyperbox.sock"))]);
        }
        self.hosts
            .iter()
            .map(|host| Listen::parse(host).map_err(ConfigError::Listen))
            .collect()
    }

    /// Returns where Docker's clients are served besides, if anywhere.
    pub(crate) fn docker_socket(&self) -> Option<&std::path::Path> {
        Some(self.docker_socket.as_path()).filter(|path| !path.as_os_str().is_empty())
    }

    /// Tells whether this is the machine's one ordinary daemon, whose bridge and rules have plain names.
    pub(crate) fn is_default_instance(&self) -> bool {
        self.root == std::path::Path::new(DEFAULT_ROOT)
    }

    /// Returns the configuration as a file.
    pub(crate) fn to_toml(&self) -> String {
        toml::to_string_pretty(self).expect("plain data has a TOML form")
    }
}

/// Replaces values, and tables value by value.
fn overlay(base: &mut Table, over: Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => overlay(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Config, ConfigError> {
        Config::resolve(&Sources {
            file: Some(("/t.toml".into(), text.to_owned())),
            ..Sources::default()
        })
    }

    #[test]
    fn defaults_are_complete() {
        let config = Config::resolve(&Sources::default()).expect("defaults");
        assert_eq!(config.root, PathBuf::from(DEFAULT_ROOT));
        assert_eq!(
            config.listen().expect("listen"),
            [Listen::Unix("/run/hyperbox/hyperbox.sock".into())]
        );
        assert!(config.is_default_instance());
    }

    #[test]
    fn precedence() {
        let over = |root: &str| Overrides {
            root: Some(root.into()),
            ..Overrides::default()
        };
        let mut sources = Sources {
            file: Some((
                "/t.toml".into(),
                "root = \"/file\"\n[log]\nlevel = \"debug\"\n".to_owned(),
            )),
            ..Sources::default()
        };
        let root = |sources: &Sources| Config::resolve(sources).expect("valid").root;
        assert_eq!(root(&sources), PathBuf::from("/file"));
        sources.environment = over("/environment");
        assert_eq!(root(&sources), PathBuf::from("/environment"));
        sources.flags = over("/flag");
        assert_eq!(root(&sources), PathBuf::from("/flag"));
        assert_eq!(Config::resolve(&sources).expect("valid").log.level, "debug");
        assert_eq!(
            Config::resolve(&sources).expect("valid").log.format,
            LogFormat::Text,
            "the rest stays"
        );
    }

    #[test]
    fn mistakes_name_the_setting() {
        for (text, expected) in [
            ("rooot = \"/x\"", "rooot"),
            ("docker_socket = \"relative\"", "docker_socket"),
            ("root = 7", "expected"),
            ("root = \"relative\"", "root"),
            ("[network]\nmtu = 3", "network.mtu"),
            (
                "[network]\ndefault_address_pools = [{ base = \"10.0.0.0/16\", size = 8 }]",
                "network.default_address_pools",
            ),
            (
                "[network]\ndefault_address_pools = [{ base = \"10.0.0.0\", size = 24 }]",
                "t.toml",
            ),
            ("hosts = [\"tcp://0.0.0.0:1\"]", "hosts"),
            ("[storage]\nsnapshotter = \"zfs\"", "zfs"),
            ("= nonsense", "t.toml"),
        ] {
            let error = with_file(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn printed_configuration_reads_back() {
        let config = with_file("[runtime.external.crun]\npath = \"/usr/bin/crun\"\n").expect("valid");
        assert_eq!(with_file(&config.to_toml()).expect("round trip"), config);
    }

    #[test]
    fn schema_knows_every_setting() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../../config/schema.json")).expect("schema is JSON");
        let table: Table = DEFAULTS.parse().expect("TOML");
        for (key, value) in &table {
            let property = &schema["properties"][key];
            assert!(property.is_object(), "{key}");
            if let Value::Table(section) = value {
                let known = property["properties"].as_object().expect("section");
                let names: Vec<_> = section.keys().collect();
                assert_eq!(
                    known.keys().collect::<std::collections::BTreeSet<_>>(),
                    names.into_iter().collect(),
                    "{key}"
                );
            }
        }
        assert_eq!(
            schema["properties"].as_object().map(serde_json::Map::len),
            Some(table.len())
        );
    }
}
