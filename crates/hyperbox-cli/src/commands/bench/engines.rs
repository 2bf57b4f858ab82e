// SPDX-License-Identifier: MIT
//! Finds the engines that are measured, and the command lines that drive each.
//!
//! An engine is whatever answers Docker's ping on a socket. It is driven by its own command line where that is installed, since that
//! is what its users wait for, and by this program where not. HyperBox is driven by this program and, where it is installed, by Docker's.

use std::path::{Path, PathBuf};

use hyperbox_bench::Contender;
use hyperbox_client::{Client, Host};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;

/// An engine that answers.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) name: String,
    address: Host,
    version: String,
    pub(super) contenders: Vec<Contender>,
}

impl Engine {
    /// Returns what is said of it in a result.
    pub(super) fn to_json(&self) -> Value {
        json!({"name": self.name, "address": self.address.to_string(), "version": self.version})
    }
}

/// Where an engine may be.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    name: String,
    address: String,
    /// Whether somebody asked for it, so that silence is an error.
    wished: bool,
}

/// Returns the engines: this program's daemon first. `wished` are `NAME=ADDRESS`.
pub(super) fn find(context: &Context, wished: &[String]) -> Result<Vec<Engine>, CliError> {
    let own = context.host()?;
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let docker = installed(context, "docker");
    let mut engines = vec![describe("hyperbox", &own)?];
    engines[0].contenders = vec![driver("hyperbox", &program, "--host", &own)];
    if docker {
        engines[0]
            .contenders
            .push(driver("docker > hyperbox", "docker", "--host", &own));
    }
    let environment = |name: &str| context.environment(name).filter(|value| !value.is_empty());
    for candidate in candidates(wished, environment)? {
        let address = Host::parse(&candidate.address).map_err(|error| CliError::from_error(&error))?;
        if engines.iter().any(|known| known.address == address) {
            continue;
        }
        match describe(&candidate.name, &address) {
            Ok(mut engine) => {
                let name = &candidate.name;
                engine.contenders = vec![match name.as_str() {
                    "docker" if docker => driver(name, "docker", "--host", &address),
                    "podman" if installed(context, "podman") => driver(name, "podman", "--url", &address),
                    _ => driver(&format!("hb > {name}"), &program, "--host", &address),
                }];
                engines.push(engine);
            }
            Err(error) if candidate.wished => return Err(error),
            Err(_) => {}
        }
    }
    Ok(engines)
}

/// Lists where engines may be: those that were named, or else where they usually are.
fn candidates(wished: &[String], environment: impl Fn(&str) -> Option<String>) -> Result<Vec<Candidate>, CliError> {
    if wished.is_empty() {
        let usual = |name: &str, variable: &str, socket: &str| Candidate {
            name: name.to_owned(),
            address: environment(variable).unwrap_or_else(|| format!("unix://{socket}")),
            wished: false,
        };
        return Ok(vec![
            usual("docker", "DOCKER_HOST", "/var/run/docker.sock"),
            usual("podman", "CONTAINER_HOST", "/run/podman/podman.sock"),
        ]);
    }
    let each = wished.iter().map(|text| match text.split_once('=') {
        Some((name, address)) if !name.is_empty() => Ok(Candidate {
            name: name.to_owned(),
            address: address.to_owned(),
            wished: true,
        }),
        _ => Err(CliError::new(format!("invalid engine {text:?}: expected NAME=ADDRESS"))),
    });
    each.collect()
}

fn describe(name: &str, address: &Host) -> Result<Engine, CliError> {
    let version = Client::new(address.clone()).server_version()?;
    let version: Value = serde_json::from_str(version.get()).map_err(|error| CliError::from_error(&error))?;
    Ok(Engine {
        name: name.to_owned(),
        address: address.clone(),
        version: version["Version"].as_str().unwrap_or_default().to_owned(),
        contenders: Vec::new(),
    })
}

fn driver(name: &str, program: &str, option: &str, address: &Host) -> Contender {
    Contender::new(name, &[program, option, &address.to_string()])
}

fn installed(context: &Context, program: &str) -> bool {
    let path = context.environment("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).collect::<Vec<PathBuf>>().into_iter();
    directories.any(|directory| Path::is_file(&directory.join(program)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_where_they_were_said_to_be() {
        let addresses = |wished: &[&str], environment: Option<&str>| {
            let wished: Vec<String> = wished.iter().map(|text| (*text).to_owned()).collect();
            let found = candidates(&wished, |name| {
                environment.filter(|_| name == "DOCKER_HOST").map(str::to_owned)
            });
            found.map(|list| {
                list.iter()
                    .map(|one| format!("{} {} {}", one.name, one.address, one.wished))
                    .collect::<Vec<_>>()
                    .join(", ")
            })
        };
        assert_eq!(
            addresses(&[], Some("unix:///x")).unwrap(),
            "docker unix:///x false, podman unix:///run/podman/podman.sock false"
        );
        assert_eq!(
            addresses(&["a=tcp://b:1"], Some("unix:///x")).unwrap(),
            "a tcp://b:1 true"
        );
        assert!(addresses(&["nonsense"], None).is_err());
        assert!(addresses(&["=unix:///x"], None).is_err());
    }
}
