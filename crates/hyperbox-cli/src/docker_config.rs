// SPDX-License-Identifier: MIT
//! What Docker's command line takes from its `config.json` besides credentials and contexts: formats of lists, keys that detach,
//! proxies, headers, places of plugins.
//!
//! Read at most once per command, and only in the place of Docker's command line: `hb` itself has no such settings. Nothing is
//! written here. A file that is not JSON counts as empty and the user is warned, as by Docker.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Where plugins are on every machine: those of administrators first, then those of packages.
#[cfg(unix)]
const PLUGIN_DIRECTORIES: &[&str] = &[
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];
#[cfg(not(unix))]
const PLUGIN_DIRECTORIES: &[&str] = &[
    "C:\\ProgramData\\Docker\\cli-plugins",
    "C:\\Program Files\\Docker\\cli-plugins",
];

/// Variables of proxies with the settings that they come from.
const PROXIES: &[(&str, &str)] = &[
    ("HTTP_PROXY", "httpProxy"),
    ("HTTPS_PROXY", "httpsProxy"),
    ("NO_PROXY", "noProxy"),
    ("FTP_PROXY", "ftpProxy"),
    ("ALL_PROXY", "allProxy"),
];

/// The program that builds images unless the configuration says otherwise.
const BUILDER: &str = "buildx";

/// The settings.
#[derive(Debug, Default)]
pub(crate) struct DockerConfig {
    content: Map<String, Value>,
}

impl DockerConfig {
    /// Reads the file; a missing one is empty. The second value is a warning.
    pub(crate) fn load(directory: &Path) -> (Self, Option<String>) {
        let path = directory.join("config.json");
        let Ok(bytes) = std::fs::read(&path) else {
            return (Self::default(), None);
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return (Self::default(), None);
        }
        match serde_json::from_slice(&bytes) {
            Ok(content) => (Self { content }, None),
            Err(error) => {
                let warning = format!("WARNING: Error parsing config file ({}): {error}", path.display());
                (Self::default(), Some(warning))
            }
        }
    }

    /// Returns a setting that is a text; an empty one is none.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.content.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// Returns the headers that go with every request.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        texts(self.content.get("HttpHeaders"))
    }

    /// Returns the variables that a new container gets for proxies, as `NAME=value`: those of the daemon, else the default ones.
    ///
    /// Each name is there in capitals and in small letters, unless `given` (what `--env` says) has it.
    pub(crate) fn proxy_variables(&self, host: &str, given: &[String]) -> Vec<String> {
        let Some(proxies) = self.content.get("proxies") else {
            return Vec::new();
        };
        let Some(settings) = proxies.get(host).or_else(|| proxies.get("default")) else {
            return Vec::new();
        };
        let is_given = |name: &str| given.iter().any(|entry| entry.split('=').next() == Some(name));
        let mut variables = Vec::new();
        for (name, setting) in PROXIES {
            let Some(value) = settings[*setting].as_str().filter(|value| !value.is_empty()) else {
                continue;
            };
            for name in [(*name).to_owned(), name.to_lowercase()] {
                if !is_given(&name) {
                    variables.push(format!("{name}={value}"));
                }
            }
        }
        variables
    }

    /// Returns where plugins are looked for, in this order; `directory` is that of `config.json`.
    pub(crate) fn plugin_directories(&self, directory: &Path) -> Vec<PathBuf> {
        let extra = self.content.get("cliPluginsExtraDirs").and_then(Value::as_array);
        let extra = extra.into_iter().flatten().filter_map(Value::as_str).map(PathBuf::from);
        extra
            .chain([directory.join("cli-plugins")])
            .chain(PLUGIN_DIRECTORIES.iter().map(PathBuf::from))
            .collect()
    }

    /// Returns the plugin that `build` stands for.
    pub(crate) fn builder(&self) -> &str {
        let aliases = self.content.get("aliases");
        let chosen = aliases.and_then(|aliases| aliases["builder"].as_str());
        chosen.filter(|name| !name.is_empty()).unwrap_or(BUILDER)
    }
}

fn texts(value: Option<&Value>) -> Vec<(String, String)> {
    let fields = value.and_then(Value::as_object).into_iter().flatten();
    fields
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        DockerConfig {
            content: serde_json::from_str(text).expect("JSON"),
        }
    }

    #[test]
    fn settings() {
        let config = config(
            r#"{"psFormat":"{{.ID}}","detachKeys":"","HttpHeaders":{"X-A":"b","X-N":1},"cliPluginsExtraDirs":["/x"],"aliases":{"builder":"other"}}"#,
        );
        assert_eq!(config.text("psFormat"), Some("{{.ID}}"));
        assert_eq!((config.text("detachKeys"), config.text("imagesFormat")), (None, None));
        assert_eq!(config.headers(), [("X-A".to_owned(), "b".to_owned())]);
        let directories = config.plugin_directories(Path::new("/home/x/.docker"));
        assert_eq!(
            &directories[..2],
            [Path::new("/x"), Path::new("/home/x/.docker/cli-plugins")]
        );
        assert_eq!(config.builder(), "other");
        assert_eq!(DockerConfig::default().builder(), "buildx");
    }

    #[test]
    fn proxies() {
        let config = config(
            r#"{"proxies":{"default":{"httpProxy":"http://p:1","noProxy":"a,b","ftpProxy":""},"unix:///x":{"allProxy":"q"}}}"#,
        );
        let given = ["HTTP_PROXY".to_owned(), "no_proxy=mine".to_owned()];
        for (host, given, expected) in [
            (
                "unix:///y",
                &[][..],
                &[
                    "HTTP_PROXY=http://p:1",
                    "http_proxy=http://p:1",
                    "NO_PROXY=a,b",
                    "no_proxy=a,b",
                ][..],
            ),
            ("unix:///y", &given, &["http_proxy=http://p:1", "NO_PROXY=a,b"]),
            ("unix:///x", &[], &["ALL_PROXY=q", "all_proxy=q"]),
        ] {
            assert_eq!(config.proxy_variables(host, given), expected, "{host} {given:?}");
        }
        assert!(DockerConfig::default().proxy_variables("unix:///x", &[]).is_empty());
    }

    #[test]
    fn a_broken_file_is_told() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (config, warning) = DockerConfig::load(directory.path());
        assert!(config.content.is_empty() && warning.is_none());
        std::fs::write(directory.path().join("config.json"), "{").expect("written");
        let (config, warning) = DockerConfig::load(directory.path());
        assert!(config.content.is_empty());
        assert!(warning.is_some_and(|text| text.starts_with("WARNING: Error parsing config file (")));
    }
}
