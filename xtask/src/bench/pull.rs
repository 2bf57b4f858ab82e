// SPDX-License-Identifier: MIT
//! `bench pull`: a full pull from a registry on this machine, until the image can be run.
//!
//! The image comes from the testkit's example `serve-images`, which starts Debian's docker-registry with it and ends when its
//! standard input does.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use anyhow::{Context as _, Result};

use super::lifecycle::{Daemon, engines};
use super::{Scenario, measure};
use crate::process::{cargo, target};

/// Measures the pulls; fewer rounds than asked for, because each takes seconds.
pub(super) fn run(rounds: usize) -> Result<()> {
    let server = Server::start()?;
    let daemon = Daemon::start()?;
    let mut scenarios = Vec::new();
    // All of them go before each pull: with the same files they are one image under several names.
    let mut clean = vec!["rmi", "-f"];
    clean.extend(server.images.iter().map(|(_, image)| image.as_str()));
    for (kind, image) in &server.images {
        let contenders = engines(&daemon).into_iter().map(|engine| {
            let pull: &[&str] = match engine.name.as_str() {
                "podman" => &["pull", "--tls-verify=false", image],
                _ => &["pull", image],
            };
            engine.with(pull).before(&clean)
        });
        scenarios.push(Scenario {
            name: format!("pull of a 250 MB image, {kind} layers, registry on this machine"),
            contenders: contenders.collect(),
        });
    }
    measure("pull", scenarios, rounds.min(10))?;
    // The next run's registry has another port: what stays under this one's names would spare that run its work.
    for engine in engines(&daemon) {
        let words: Vec<String> = clean.iter().map(|word| (*word).to_owned()).collect();
        drop(engine.call(&words));
    }
    Ok(())
}

struct Server {
    child: Child,
    /// Kind of compression and name of the image.
    images: Vec<(String, String)>,
}

impl Server {
    fn start() -> Result<Self> {
        let mut build = cargo(&[
            "build",
            "--release",
            "-p",
            "hyperbox-testkit",
            "--example",
            "serve-images",
        ]);
        crate::process::run(&mut build)?;
        let program = target().join("release/examples/serve-images");
        let mut child = std::process::Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("the server's output is a pipe")?;
        let mut images = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line.context("cannot read what the image server says")?;
            match line.split_once(' ') {
                Some((kind, image)) => images.push((kind.to_owned(), image.to_owned())),
                None => break,
            }
        }
        Ok(Self { child, images })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input is what it waits for.
        drop(self.child.stdin.take());
        let _reaped = self.child.wait();
    }
}
