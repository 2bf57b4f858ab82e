// SPDX-License-Identifier: MIT
//! Runs `hb` with an environment of its own.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// The result of a run.
#[derive(Debug)]
#[must_use]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Returns the command with nothing of our environment but an empty home.
pub(crate) fn hb(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hb"));
    command.env_clear().env("HOME", "/nonexistent").args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it.
pub(crate) fn run(arguments: &[&str]) -> Finished {
    hb(arguments).output().unwrap().into()
}

/// Runs it with input.
pub(crate) fn run_with_input(arguments: &[&str], input: &[u8]) -> Finished {
    let mut child = hb(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
