// SPDX-License-Identifier: MIT
//! A daemon that is measured: a release build with directories of its own, which ends with the value and leaves nothing.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::contender::Contender;
use crate::network_remains::NetworkRemains;
use crate::process::{cargo, command, run as execute, target};

/// A daemon of our own, with directories of its own; ends with the value.
#[derive(Debug)]
pub(super) struct Daemon {
    child: Child,
    directory: PathBuf,
    /// On the filesystem that a machine keeps such things on, in memory, as where it is installed.
    run_directory: PathBuf,
    network_before: NetworkRemains,
}

impl Daemon {
    /// Builds and starts it.
    pub(super) fn start() -> Result<Self> {
        Self::start_with("daemon", "")
    }

    /// Starts one with a directory of this name and these lines of configuration.
    pub(super) fn start_with(name: &str, configuration: &str) -> Result<Self> {
        let packages = ["-p", "hyperbox-daemon", "-p", "hyperbox-shim", "-p", "hyperbox-cli"];
        execute(cargo(&["build", "--release"]).args(packages))?;
        let directory = target().join("bench").join(name);
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        fs::write(directory.join("config.toml"), configuration).context("cannot write the daemon's configuration")?;
        let network_before = NetworkRemains::look();
        let run_directory = PathBuf::from(format!("/run/hyperbox-bench-{}", std::process::id()));
        let child = spawn(&directory, &run_directory)?;
        let daemon = Self {
            child,
            directory,
            run_directory,
            network_before,
        };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Returns what `--host` takes.
    pub(super) fn host(&self) -> String {
        format!("unix://{}", self.directory.join("hyperbox.sock").display())
    }

    /// Returns our own client of it.
    pub(super) fn client(&self) -> Contender {
        let hb = target().join("release/hb");
        Contender::new("hyperbox", &[&hb.to_string_lossy(), "--host", &self.host()])
    }

    /// Returns its process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the directory that holds all it writes.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Ends the daemon, starts it on the same directories, and returns the time from its start to its first answer.
    pub(super) fn restart(&mut self) -> Result<Duration> {
        self.end();
        let start = Instant::now();
        self.child = spawn(&self.directory, &self.run_directory)?;
        self.wait_until_ready()?;
        Ok(start.elapsed())
    }

    fn wait_until_ready(&self) -> Result<()> {
        let client = self.client();
        let mut outcome = Ok(String::new());
        for _ in 0..1000 {
            outcome = client.call(&["system".to_owned(), "version".to_owned()]);
            if outcome.is_ok() {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        outcome.map(drop).context("hyperboxd does not answer")
    }

    /// Ends it by SIGTERM, so that it ends cleanly.
    fn end(&mut self) {
        let _ended = command(&["kill", "-TERM", &self.child.id().to_string()]).status();
        let _reaped = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
        // Whatever fails here, the directory below target/ stays and can be removed by hand.
        let _removed = fs::remove_dir_all(&self.directory);
        let _removed = fs::remove_dir_all(&self.run_directory);
        NetworkRemains::look().since(&self.network_before).remove();
    }
}

fn spawn(directory: &Path, run_directory: &Path) -> Result<Child> {
    let program = target().join("release/hyperboxd");
    let path = target().join("bench/daemon.log");
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("cannot open {}", path.display()))?;
    Command::new(&program)
        .stdout(log.try_clone().context("cannot duplicate a file")?)
        .stderr(log)
        .arg("--config")
        .arg(directory.join("config.toml"))
        .arg("--root")
        .arg(directory.join("root"))
        .arg("--run-dir")
        .arg(run_directory)
        .arg("--host")
        .arg(format!("unix://{}", directory.join("hyperbox.sock").display()))
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))
}
