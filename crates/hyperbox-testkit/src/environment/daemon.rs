// SPDX-License-Identifier: MIT
//! The daemon of an environment.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{TestEnvironment, binary};
use crate::wait_for;

/// How a daemon is started.
#[derive(Debug, Clone, Default)]
pub struct DaemonOptions {
    /// The failpoint at which it dies, such as `pull.before-record` or `pull.before-record:2`.
    pub failpoint: Option<String>,
    /// What it logs, such as `debug`.
    pub log: Option<String>,
    /// More lines of its configuration file.
    pub config: String,
    /// More environment variables.
    pub environment: Vec<(String, String)>,
}

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) child: Child,
}

impl TestEnvironment {
    /// Starts the daemon and waits until it answers.
    ///
    /// # Panics
    /// When it runs already or does not start.
    #[track_caller]
    pub fn start_daemon(&mut self, options: &DaemonOptions) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        self.daemon = Some(self.spawn(options));
        wait_for("the daemon to answer", || {
            let daemon = self.daemon.as_mut().ok_or("it is gone")?;
            if let Ok(Some(status)) = daemon.child.try_wait() {
                panic!("the daemon ended ({status}):\n{}", self.log());
            }
            match self.api("GET", "/_ping", "") {
                Ok((200, _)) => Ok(()),
                other => Err(format!("a ping gives {other:?}\n{}", self.log())),
            }
        });
    }

    /// Tries to start a daemon that is not expected to stay; returns how it ended and what it logged.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn failing_daemon(&self, options: &DaemonOptions) -> (ExitStatus, String) {
        let mut daemon = self.spawn(options);
        let status = wait_for("the daemon to end", || match daemon.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        (status, self.log())
    }

    fn spawn(&self, options: &DaemonOptions) -> Daemon {
        let config = self.path("config.toml");
        // Tests see each other's cgroups; below a parent of its own, an environment's are its own.
        let text = format!("{}\n[runtime]\ncgroup_parent = \"/{}\"\n", options.config, self.name());
        fs::write(&config, text).expect("the daemon's configuration");
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path("daemon.log"));
        let log = log.expect("the daemon's log file");
        let wrapper = self.network.wrapper();
        let mut command: Command = self.command(Path::new(&wrapper[0]));
        command
            .args(&wrapper[1..])
            .args(["setpriv", "--pdeathsig", "KILL"])
            .arg(binary("hyperboxd"));
        command.arg("--config").arg(&config).arg("--root").arg(self.root());
        command
            .arg("--run-dir")
            .arg(self.path("run"))
            .arg("--host")
            .arg(self.host());
        if let Some(failpoint) = &options.failpoint {
            command.env("HYPERBOX_FAILPOINT", failpoint);
        }
        if let Some(log) = &options.log {
            command.env("HYPERBOX_LOG", log);
        }
        command.envs(options.environment.iter().map(|(name, value)| (name, value)));
        let errors: File = log.try_clone().expect("a duplicate of the log file");
        let child = command.stdout(Stdio::from(log)).stderr(Stdio::from(errors)).spawn();
        Daemon {
            child: child.expect("nsenter starts (package util-linux)"),
        }
    }

    /// Returns everything that the environment's daemons have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Returns the daemon's process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("a running daemon").child.id()
    }

    /// Kills the daemon as `kill -9` does and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().expect("a running daemon");
        daemon.child.kill().expect("the daemon can be killed");
        daemon.child.wait().expect("the daemon can be waited for");
    }

    /// Waits until the daemon has ended by itself, such as at a failpoint.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait_for_daemon_death(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("a running daemon");
        wait_for("the daemon to die", || match daemon.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("it lives: {other:?}\n{}", self.log())),
        })
    }

    /// Tells whether the daemon has ended by itself.
    pub fn daemon_is_dead(&mut self) -> bool {
        let dead = |daemon: &mut Daemon| !matches!(daemon.child.try_wait(), Ok(None));
        self.daemon.as_mut().is_none_or(dead)
    }

    /// Asks the daemon to end (SIGTERM) and waits.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn stop_daemon(&mut self) -> ExitStatus {
        let pid = Pid::from_child(&self.daemon.as_ref().expect("a running daemon").child);
        kill_process(pid, Signal::TERM).expect("the daemon can be signalled");
        self.wait_for_daemon_death()
    }
}
