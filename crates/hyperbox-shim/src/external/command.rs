// SPDX-License-Identifier: MIT
//! Runs an external OCI runtime's subcommands and understands its errors.
//!
//! The command line is that of runc, which crun, youki and runsc share. The container inherits the streams of `create` and
//! `exec`, so messages of the runtime itself go to a log file (`--log`), from which the error is taken.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyperbox_types::ErrorKind;
use hyperbox_types::shim::{CommandFault, ShimError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;

use crate::failure::{failure, system};

/// A runtime that has not done its work by then is stopped: the shim serves nobody meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);

/// How to call the runtime.
#[derive(Debug)]
pub(crate) struct Program {
    program: PathBuf,
    arguments: Vec<String>,
    state: PathBuf,
    log: PathBuf,
}

impl Program {
    /// Describes a runtime that keeps its state and log in `directory`.
    pub(crate) fn new(program: &Path, arguments: &[String], directory: &Path) -> Self {
        Self {
            program: program.to_owned(),
            arguments: arguments.to_vec(),
            state: directory.join("runtime"),
            log: directory.join("runtime.log"),
        }
    }

    /// Returns a command with everything that comes before the subcommand's own arguments, and no streams.
    pub(crate) fn subcommand(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("--root")
            .arg(&self.state)
            .arg("--log")
            .arg(&self.log)
            .args(["--log-format", "json", name])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, mut command: Command) -> Result<(), ShimError> {
        // Only this call's messages count.
        drop(std::fs::remove_file(&self.log));
        let spawned = hyperbox_sys::signals::undisturbed(|| command.spawn()).and_then(|result| result);
        // The command holds the container's ends of pipes; the shim must not, or it never sees their end.
        drop(command);
        let mut child = spawned.map_err(|error| self.unusable(error))?;
        let status = wait(&mut child).map_err(|error| system("cannot wait for the runtime", error))?;
        if status.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let message = last_error(&text).unwrap_or_else(|| match status {
            Some(status) => format!("it ended with {status} and gave no reason"),
            None => "it did not come to an end".to_owned(),
        });
        Err(self.failed(&message))
    }

    fn unusable(&self, error: std::io::Error) -> ShimError {
        system(&format!("cannot execute the runtime {}", self.program.display()), error)
    }

    fn failed(&self, message: &str) -> ShimError {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        let command = command_fault(message);
        let kind = if command.is_some() {
            ErrorKind::InvalidArgument
        } else {
            ErrorKind::Internal
        };
        ShimError {
            command,
            ..failure(kind, format!("{}: {message}", name.display()))
        }
    }
}

fn wait(child: &mut Child) -> std::io::Result<Option<std::process::ExitStatus>> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(std::io::Error::other)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Finds the last error in a log of JSON lines (runc, crun, runsc, youki all write `level` and `msg`), or its last line.
fn last_error(log: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(default)]
        level: String,
        msg: String,
    }
    let mut last = None;
    let mut error = None;
    for line in log.lines().filter(|line| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(entry) if matches!(entry.level.to_ascii_lowercase().as_str(), "error" | "fatal") => {
                error = Some(entry.msg);
            }
            Ok(entry) => last = Some(entry.msg),
            Err(_) => last = Some(line.trim().to_owned()),
        }
    }
    error.or(last)
}

/// Recognises that the command itself could not be executed, as Docker's daemon does.
fn command_fault(message: &str) -> Option<CommandFault> {
    let text = message.to_ascii_lowercase();
    let about_command = ["exec", "$path", "executable", "open executable"]
        .iter()
        .any(|word| text.contains(word));
    if !about_command {
        return None;
    }
    if text.contains("executable file not found")
        || text.contains("not found in $path")
        || text.contains("no such file or directory")
    {
        Some(CommandFault::NotFound)
    } else if text.contains("permission denied")
        || text.contains("exec format error")
        || text.contains("is a directory")
    {
        Some(CommandFault::NotExecutable)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_counts() {
        let log = "{\"msg\":\"first\",\"level\":\"warning\"}\n{\"msg\":\"the reason\",\"level\":\"error\"}\n{\"msg\":\"bye\",\"level\":\"info\"}\n";
        assert_eq!(last_error(log).as_deref(), Some("the reason"));
        assert_eq!(last_error("plain text\n\n").as_deref(), Some("plain text"));
        assert_eq!(last_error(""), None);
    }

    #[test]
    fn command_faults_are_recognised() {
        for (message, fault) in [
            (
                "executable file `nosuch` not found in $PATH: No such file or directory",
                Some(CommandFault::NotFound),
            ),
            (
                "exec: \"nosuch\": executable file not found in $PATH",
                Some(CommandFault::NotFound),
            ),
            ("exec /etc/passwd: permission denied", Some(CommandFault::NotExecutable)),
            ("open executable: Permission denied", Some(CommandFault::NotExecutable)),
            ("exec /x: exec format error", Some(CommandFault::NotExecutable)),
            ("mount /x: No such file or directory", None),
            (
                "cgroups in hybrid mode not supported, drop all controllers from cgroupv1",
                None,
            ),
        ] {
            assert_eq!(command_fault(message), fault, "{message}");
        }
    }
}
