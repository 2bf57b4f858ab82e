// SPDX-License-Identifier: MIT
//! `bench lifecycle`: how long it takes until a container has run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::contender::Contender;
use super::{Scenario, measure};
use crate::network_remains::NetworkRemains;
use crate::process::{capture, cargo, command, installed, run as execute, target};
use crate::starter;

/// Measures all scenarios.
pub(super) fn run(rounds: usize) -> Result<()> {
    let directory = target().join("bench/starter");
    let archive = starter::make(&directory)?;
    let daemon = Daemon::start()?;
    let engines: Vec<Contender> = engines(&daemon)
        .into_iter()
        .filter(|engine| load(engine, &archive))
        .collect();
    let with = |arguments: &[&str]| -> Vec<Contender> { engines.iter().map(|engine| engine.with(arguments)).collect() };
    let mut bare = with(&["run", "--rm", "--network", "none", starter::NAME, "true"]);
    bare.extend(crun(&directory)?);
    let detached = with(&["run", "-d", starter::NAME, "sleep", "600"]);
    let scenarios = vec![
        Scenario {
            name: "run --rm IMAGE true, bridge network".to_owned(),
            contenders: with(&["run", "--rm", starter::NAME, "true"]),
        },
        Scenario {
            name: "run --rm --network none IMAGE true".to_owned(),
            contenders: bare,
        },
        Scenario {
            name: "run -d IMAGE sleep 600 (removal not counted)".to_owned(),
            contenders: detached
                .into_iter()
                .map(|engine| engine.after(&["rm", "-f", "{}"]))
                .collect(),
        },
    ];
    let outcome = measure("lifecycle", scenarios, rounds);
    for engine in &engines {
        // Two clients of one daemon share the image: the second finds it gone.
        let _gone = engine.call(&["rmi".to_owned(), starter::NAME.to_owned()]);
    }
    outcome
}

/// Returns the engines that might be reachable; a warm-up decides.
pub(super) fn engines(daemon: &Daemon) -> Vec<Contender> {
    let hb = target().join("release/hb");
    let host = daemon.host();
    let mut engines = vec![Contender::new("hyperbox", &[&hb.to_string_lossy(), "--host", &host])];
    if installed("docker") {
        // DOCKER_HOST, if set, is inherited.
        engines.push(Contender::new("docker", &["docker"]));
        engines.push(Contender::new("docker > hb", &["docker", "--host", &host]));
    }
    if installed("podman") {
        engines.push(Contender::new("podman", &["podman"]));
    }
    engines
}

fn load(engine: &Contender, archive: &Path) -> bool {
    let archive = archive.to_string_lossy().into_owned();
    match engine.call(&["load".to_owned(), "-i".to_owned(), archive]) {
        Ok(_) => true,
        Err(error) => {
            println!("left out {}: {error:#}", engine.name);
            false
        }
    }
}

/// Returns crun on a bundle of the same files: the floor, without image, log, network and daemon.
fn crun(directory: &Path) -> Result<Option<Contender>> {
    if !installed("crun") {
        return Ok(None);
    }
    let bundle = directory.join("bundle");
    fs::create_dir_all(&bundle).with_context(|| format!("cannot create {}", bundle.display()))?;
    let file = bundle.join("config.json");
    if file.exists() {
        fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    }
    capture(command(&["crun", "spec"]).current_dir(&bundle))?;
    let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut spec: Value = serde_json::from_str(&text).context("cannot read what crun spec wrote")?;
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = serde_json::json!(["true"]);
    spec["root"]["path"] = directory.join("rootfs").to_string_lossy().into_owned().into();
    fs::write(&file, spec.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    let crun = Contender::new("crun", &["crun"]);
    let arguments = ["run", "--bundle", &bundle.to_string_lossy(), "hyperbox-bench"];
    Ok(Some(crun.with(&arguments).before(&[
        "delete",
        "--force",
        "hyperbox-bench",
    ])))
}

/// A daemon of our own, with directories of its own; ends with the value.
#[derive(Debug)]
pub(super) struct Daemon {
    child: std::process::Child,
    directory: std::path::PathBuf,
    network_before: NetworkRemains,
}

impl Daemon {
    /// Builds and starts it.
    pub(super) fn start() -> Result<Self> {
        let packages = ["-p", "hyperbox-daemon", "-p", "hyperbox-shim", "-p", "hyperbox-cli"];
        execute(cargo(&["build", "--release"]).args(packages))?;
        let directory = target().join("bench/daemon");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let daemon = target().join("release/hyperboxd");
        let network_before = NetworkRemains::look();
        let path = target().join("bench/daemon.log");
        let log = fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let child = std::process::Command::new(&daemon)
            .stdout(log.try_clone().context("cannot duplicate a file")?)
            .stderr(log)
            .arg("--root")
            .arg(directory.join("root"))
            .arg("--run-dir")
            .arg(directory.join("run"))
            .arg("--host")
            .arg(format!("unix://{}", directory.join("hyperbox.sock").display()))
            .spawn()
            .with_context(|| format!("cannot run {}", daemon.display()))?;
        let daemon = Self {
            child,
            directory,
            network_before,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Returns what `--host` takes.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.directory.join("hyperbox.sock").display())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let hb = Contender::new(
            "hyperbox",
            &[&target().join("release/hb").to_string_lossy(), "--host", &self.host()],
        );
        let mut outcome = Ok(String::new());
        for _ in 0..200 {
            outcome = hb.call(&["system".to_owned(), "version".to_owned()]);
            if outcome.is_ok() {
                return Ok(());
            }
            std::thread::park_timeout(std::time::Duration::from_millis(25));
        }
        outcome.map(drop).context("hyperboxd does not answer")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGTERM, so that it ends cleanly; whatever fails here, the directory below target/ stays and can be removed by hand.
        let _ended = command(&["kill", "-TERM", &self.child.id().to_string()]).status();
        let _reaped = self.child.wait();
        let _removed = fs::remove_dir_all(&self.directory);
        NetworkRemains::look().since(&self.network_before).remove();
    }
}
