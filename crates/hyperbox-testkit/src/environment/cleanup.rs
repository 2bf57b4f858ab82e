// SPDX-License-Identifier: MIT
//! The end of an environment: proof that nothing was left, or the removal of whatever was.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::TestEnvironment;
use crate::census::Census;
use crate::wait_for;

impl TestEnvironment {
    /// Removes all containers, stops the daemon, and requires that nothing is left on the machine: no process, mount, cgroup,
    /// link, rule or namespace.
    ///
    /// # Panics
    /// With a list of what was left.
    #[track_caller]
    pub fn finish(mut self) {
        self.remove_containers();
        let status = self.stop_daemon();
        assert!(status.success(), "the daemon ended with {status}:\n{}", self.log());
        self.is_clean();
    }

    /// Removes all containers.
    ///
    /// # Panics
    /// When one cannot be removed.
    #[track_caller]
    pub fn remove_containers(&self) {
        let ids = self.hb(["ps", "--all", "--quiet", "--no-trunc"]).succeeds();
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            let mut words = vec!["container", "remove", "--force", "--volumes"];
            words.extend(ids);
            self.hb(words).succeeds();
        }
    }

    /// Waits until nothing is left of the environment on the machine but its network namespace. Deferred removals may take a
    /// moment.
    ///
    /// # Panics
    /// With a list of what was left.
    #[track_caller]
    pub fn is_clean(&self) {
        wait_for("nothing to be left", || {
            let left = self.census().added(&self.before);
            // The bridge, its rules and the cgroups' parent outlive the daemon on purpose.
            let left: Vec<&str> = left.lines().filter(|line| !self.is_kept(line)).collect();
            if left.is_empty() {
                Ok(())
            } else {
                Err(format!("there is\n{}", left.join("\n")))
            }
        });
    }

    fn is_kept(&self, line: &str) -> bool {
        let sets = ["set bridges", "set within", "set masquerade"];
        let bridge = |line: &str| sets.iter().any(|set| line.contains(set));
        (line.starts_with("+ nft: ") && (!line.contains("elements") || bridge(line)))
            || line.starts_with("+ link: hb-")
            || (line.starts_with("+ cgroup: ") && line.ends_with(self.name()))
    }

    fn kill_processes(&self) {
        let scope = self.scope();
        wait_for("the environment's processes to end", || {
            let processes = Census::processes(&scope);
            for pid in &processes {
                if let Some(pid) = i32::try_from(*pid).ok().and_then(Pid::from_raw) {
                    // It may have ended meanwhile.
                    let _gone = kill_process(pid, Signal::KILL);
                }
            }
            if processes.is_empty() {
                Ok(())
            } else {
                Err(format!("{processes:?} are there"))
            }
        });
    }

    fn unmount(&self) {
        let census = self.census();
        for mount in census.of("mount") {
            let point = mount.split(' ').next().unwrap_or_default();
            if Path::new(point).starts_with(self.directory.path()) {
                // What is not mounted any more needs no unmounting.
                let _status = Command::new("umount").args(["--lazy", point]).status();
            }
        }
    }

    fn remove_cgroups(&self) {
        // Deepest first.
        for cgroup in self.census().of("cgroup").into_iter().rev() {
            // A cgroup with living processes stays, and the next look at the machine shows it.
            let _busy = fs::remove_dir(cgroup);
        }
    }

    #[expect(
        clippy::print_stderr,
        reason = "this is how a failed test shows what the daemon said"
    )]
    fn show_log(&self) {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let start = lines.len().saturating_sub(60);
        eprintln!("--- the end of the daemon's log\n{}\n---", lines[start..].join("\n"));
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_log();
        }
        if let Some(mut daemon) = self.daemon.take() {
            // Both fail only when it has ended by itself.
            let _ended = daemon.child.kill();
            let _reaped = daemon.child.wait();
        }
        self.kill_processes();
        self.unmount();
        self.remove_cgroups();
    }
}
