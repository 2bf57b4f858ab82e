// SPDX-License-Identifier: MIT
//! Plugins of Docker's command line: programs `docker-NAME` that answer `docker-cli-plugin-metadata` and are then given the words
//! of `docker NAME …`, global options included.
//!
//! A plugin takes the place of this program (execve(2) on Unix), so that the terminal and signals are its own. The first directory
//! that has a name decides. What answers no proper metadata is no plugin: running it is refused, help texts name it.
//! <https://github.com/docker/cli/tree/master/cli-plugins> has the protocol.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::error::{CliError, Outcome};
use crate::terminal;

/// The word that asks for metadata.
const METADATA: &str = "docker-cli-plugin-metadata";
/// The variable that tells a plugin who called it.
const CALLER: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";
const PREFIX: &str = "docker-";

/// A program of a plugin's name.
#[derive(Debug)]
pub(crate) struct Plugin {
    /// What follows `docker`.
    pub(crate) name: String,
    /// One line of help, or why it is no plugin.
    pub(crate) about: Result<String, String>,
    path: PathBuf,
}

/// What a plugin says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Metadata {
    schema_version: String,
    vendor: String,
    short_description: String,
}

/// Finds the plugin of a name, if there is one that works.
pub(crate) fn find(directories: &[PathBuf], name: &str) -> Option<Plugin> {
    if !is_name(name) {
        return None;
    }
    let file = format!("{PREFIX}{name}{}", std::env::consts::EXE_SUFFIX);
    let mut paths = directories.iter().map(|directory| directory.join(&file));
    let plugin = Plugin::at(paths.find(|path| path.exists())?, name);
    plugin.about.is_ok().then_some(plugin)
}

/// Lists all programs with a plugin's name, by name.
pub(crate) fn list(directories: &[PathBuf]) -> Vec<Plugin> {
    let mut paths = BTreeMap::new();
    for directory in directories {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let file = entry.file_name().to_string_lossy().into_owned();
            let name = file.strip_prefix(PREFIX).unwrap_or_default();
            let name = name.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or_default();
            if is_name(name) {
                paths.entry(name.to_owned()).or_insert_with(|| entry.path());
            }
        }
    }
    let plugins = paths.into_iter();
    plugins.map(|(name, path)| Plugin::at(path, &name)).collect()
}

/// A letter, then letters and digits; all of them small.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

impl Plugin {
    fn at(path: PathBuf, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            about: ask(&path),
            path,
        }
    }

    /// Runs the plugin with the words of the command line; returns only where a program cannot be replaced, or on failure.
    ///
    /// `host` is the daemon, when the plugin would not find it by itself.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn run(&self, words: &[OsString], caller: &OsString, host: Option<&str>) -> Outcome {
        let mut command = Command::new(&self.path);
        command.args(words).env(CALLER, caller);
        if let Some(host) = host {
            command.env("DOCKER_HOST", host);
        }
        terminal::become_program(&mut command)
            .map_err(|error| CliError::new(format!("cannot run {}: {error}", self.path.display())))
    }
}

fn ask(path: &Path) -> Result<String, String> {
    let output = Command::new(path)
        .arg(METADATA)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("failed to fetch metadata: {error}"))?;
    if !output.status.success() {
        return Err(format!("failed to fetch metadata: {}", output.status));
    }
    check(&output.stdout)
}

fn check(answer: &[u8]) -> Result<String, String> {
    let metadata: Metadata = serde_json::from_slice(answer).map_err(|error| format!("invalid metadata: {error}"))?;
    if metadata.schema_version != "0.1.0" {
        return Err(format!(
            "plugin SchemaVersion version {:?} is not valid",
            metadata.schema_version
        ));
    }
    if metadata.vendor.is_empty() {
        return Err("plugin metadata does not define a vendor".to_owned());
    }
    Ok(metadata.short_description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, good) in [
            ("compose", true),
            ("x2", true),
            ("", false),
            ("2x", false),
            ("Compose", false),
            ("a-b", false),
            ("../x", false),
        ] {
            assert_eq!(is_name(name), good, "{name}");
        }
    }

    #[test]
    fn metadata_is_checked() {
        for (answer, expected) in [
            (
                r#"{"SchemaVersion":"0.1.0","Vendor":"v","ShortDescription":"Does it","Extra":1}"#,
                Ok("Does it"),
            ),
            (r#"{"SchemaVersion":"0.1.0","Vendor":"v"}"#, Ok("")),
            (
                r#"{"SchemaVersion":"0.1.0"}"#,
                Err("plugin metadata does not define a vendor"),
            ),
            (
                r#"{"SchemaVersion":"2","Vendor":"v"}"#,
                Err("plugin SchemaVersion version \"2\" is not valid"),
            ),
        ] {
            let checked = check(answer.as_bytes());
            assert_eq!(checked.as_deref().map_err(String::as_str), expected, "{answer}");
        }
        check(b"no JSON").expect_err("no metadata");
    }
}
