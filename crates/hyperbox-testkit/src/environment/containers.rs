// SPDX-License-Identifier: MIT
//! What nearly every test does with containers.

use serde_json::Value;

use super::{STARTER, TestEnvironment};
use crate::wait_for;

/// A shell loop that writes a numbered line every 50 ms, and ends at once when asked to.
pub const TICKER: &str = "trap 'exit 0' TERM; i=0; while :; do i=$((i+1)); echo line $i; usleep 50000; done";

impl TestEnvironment {
    /// Starts a container of the starter image in the background and returns its id.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn detached(&self, options: &[&str], command: &[&str]) -> String {
        let words = [&["run", "-d"], options, &[STARTER], command].concat();
        let id = self.hb(words).succeeds();
        assert_eq!(id.len(), 64, "hb run -d prints the id");
        id
    }

    /// Runs a command in a new container of the starter image and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn run(&self, options: &[&str], command: &[&str]) -> String {
        self.hb([&["run", "--rm"], options, &[STARTER], command].concat())
            .succeeds()
    }

    /// Runs a shell script in a new container of the starter image and returns what it printed.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn shell(&self, options: &[&str], script: &str) -> String {
        self.run(options, &["sh", "-ec", script])
    }

    /// Returns what `hb container inspect` says of a container.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn inspect(&self, container: &str) -> Value {
        self.hb(["container", "inspect", container]).json()[0].take()
    }

    /// Returns the `Status` of a container's state.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn status(&self, container: &str) -> String {
        self.inspect(container)["State"]["Status"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until a container has this status.
    ///
    /// # Panics
    /// When it never has.
    #[track_caller]
    pub fn wait_for_status(&self, container: &str, status: &str) {
        wait_for("the container's status", || match self.status(container) {
            now if now == status => Ok(()),
            now => Err(format!("it is {now}")),
        });
    }

    /// Waits until the log of a container contains this text.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn wait_for_log(&self, container: &str, text: &str) {
        wait_for("the log", || {
            let log = self.hb(["logs", container]);
            if log.stdout.contains(text) || log.stderr.contains(text) {
                Ok(())
            } else {
                Err(format!("no {text:?} in {log}"))
            }
        });
    }

    /// Returns the ids (full) of all containers.
    ///
    /// # Panics
    /// When they cannot be listed.
    #[track_caller]
    pub fn container_ids(&self) -> Vec<String> {
        let list = self.hb(["ps", "--all", "--quiet", "--no-trunc"]).succeeds();
        list.lines().map(str::to_owned).collect()
    }
}
