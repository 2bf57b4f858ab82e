// SPDX-License-Identifier: MIT
//! Engines behind sockets, and what is made in them for the time of the measurement.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::image;
use crate::bench::contender::Contender;
use crate::bench::daemon::Daemon;
use crate::process::target;

/// What is made carries it, with the number of this process.
const LABEL: &str = "hyperbox.bench";

/// An engine that speaks Docker's API.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) name: &'static str,
    socket: PathBuf,
    client: Contender,
}

impl Engine {
    /// Returns the engines that might be reachable, HyperBox first.
    pub(super) fn all(daemon: &Daemon) -> Vec<Self> {
        let variable = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let hb = target().join("release/hb").to_string_lossy().into_owned();
        [
            ("hyperbox", hb.as_str(), daemon.host()),
            (
                "docker",
                "docker",
                variable("DOCKER_HOST", "unix:///var/run/docker.sock"),
            ),
            (
                "podman",
                "docker",
                variable("CONTAINER_HOST", "unix:///run/podman/podman.sock"),
            ),
        ]
        .into_iter()
        .map(|(name, program, host)| Self {
            name,
            socket: host.trim_start_matches("unix://").into(),
            client: Contender::new(name, &[program, "--host", &host]),
        })
        .collect()
    }

    /// Runs a command of the command line.
    pub(super) fn call(&self, words: &[&str]) -> Result<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let answer = self.client.call(&words);
        answer.with_context(|| self.name.to_owned())
    }

    /// Starts a container by the API and returns how long the answer took.
    pub(super) fn start(&self, container: &str) -> Result<Duration> {
        let context = || format!("cannot ask {} to start a container", self.name);
        let mut stream = UnixStream::connect(&self.socket).with_context(context)?;
        let request = format!(
            "POST /v1.41/containers/{container}/start HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let start = Instant::now();
        stream.write_all(request.as_bytes()).with_context(context)?;
        let mut head = [0; 12];
        stream.read_exact(&mut head).with_context(context)?;
        let elapsed = start.elapsed();
        let mut rest = String::new();
        stream.read_to_string(&mut rest).with_context(context)?;
        if !head.ends_with(b"204") {
            bail!("{}: {}", self.name, rest.lines().last().unwrap_or_default());
        }
        Ok(elapsed)
    }
}

/// An engine with the image and two networks; they and all labelled containers go with the value.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) engine: Engine,
    /// A network with IPv4 alone.
    pub(super) network: String,
    /// A network with both families.
    pub(super) network_ipv6: String,
    label: String,
}

impl Stage {
    /// Loads the image and makes the networks.
    pub(super) fn set_up(engine: Engine, archive: &Path) -> Result<Self> {
        let process = std::process::id();
        let stage = Self {
            engine,
            network: format!("hbbench-{process}"),
            network_ipv6: format!("hbbench-{process}-ipv6"),
            label: format!("{LABEL}={process}"),
        };
        stage.engine.call(&["load", "-i", &archive.to_string_lossy()])?;
        stage.engine.call(&["network", "create", &stage.network])?;
        stage
            .engine
            .call(&["network", "create", "--ipv6", &stage.network_ipv6])?;
        Ok(stage)
    }

    /// Creates a container and returns its id.
    pub(super) fn create(&self, flags: &[&str], command: &[&str]) -> Result<String> {
        let first = ["create", "--label", &self.label];
        let words = [first.as_slice(), flags, &[image::NAME], command].concat();
        self.engine.call(&words)
    }

    /// Creates and starts a container, and returns its id.
    pub(super) fn run(&self, flags: &[&str], command: &[&str]) -> Result<String> {
        let id = self.create(flags, command)?;
        self.engine.start(&id)?;
        Ok(id)
    }

    /// Removes a container.
    pub(super) fn remove(&self, container: &str) -> Result<()> {
        self.engine.call(&["rm", "-f", container]).map(drop)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let filter = format!("label={}", self.label);
        let containers = self
            .engine
            .call(&["ps", "-aq", "--filter", &filter])
            .unwrap_or_default();
        for container in containers.lines() {
            let _gone = self.remove(container);
        }
        for words in [
            ["network", "rm", self.network.as_str()].as_slice(),
            &["network", "rm", &self.network_ipv6],
            &["rmi", image::NAME],
        ] {
            if let Err(error) = self.engine.call(words) {
                println!("not removed: {error:#}");
            }
        }
    }
}
