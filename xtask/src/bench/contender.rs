// SPDX-License-Identifier: MIT
//! A program that is measured: one command line, with what must happen before and after it.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A command line and its environment.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// Such as `docker`.
    pub(super) name: String,
    /// The program and the arguments that every call has, such as `--host`.
    pub(super) program: Vec<String>,
    /// The measured arguments.
    pub(super) arguments: Vec<String>,
    /// Arguments of a call before it; its failure does not matter.
    pub(super) before: Option<Vec<String>>,
    /// Arguments of a call after it; `{}` stands for what the measured call printed.
    pub(super) after: Option<Vec<String>>,
}

impl Contender {
    /// Makes a contender of a program.
    pub(super) fn new(name: &str, program: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program: program.iter().map(|word| (*word).to_owned()).collect(),
            arguments: Vec::new(),
            before: None,
            after: None,
        }
    }

    /// Returns the same program with these measured arguments.
    pub(super) fn with(&self, arguments: &[&str]) -> Self {
        let mut other = self.clone();
        other.arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        other
    }

    /// Calls this beforehand.
    pub(super) fn before(mut self, arguments: &[&str]) -> Self {
        self.before = Some(arguments.iter().map(|word| (*word).to_owned()).collect());
        self
    }

    /// Calls this afterwards.
    pub(super) fn after(mut self, arguments: &[&str]) -> Self {
        self.after = Some(arguments.iter().map(|word| (*word).to_owned()).collect());
        self
    }

    /// Returns the measured command line.
    pub(super) fn shown(&self) -> String {
        [self.program.as_slice(), self.arguments.as_slice()].concat().join(" ")
    }

    pub(super) fn prepare(&self) -> Result<()> {
        if let Some(arguments) = &self.before {
            let mut command = self.command(arguments);
            // Removing what may be missing: only that it ran matters.
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .with_context(|| self.shown())?;
        }
        Ok(())
    }

    /// Runs the measured command to its end and returns what it printed.
    pub(super) fn run(&self) -> Result<String> {
        self.call(&self.arguments)
    }

    pub(super) fn clean_up(&self, output: &str) -> Result<()> {
        let Some(arguments) = &self.after else { return Ok(()) };
        let words: Vec<String> = arguments.iter().map(|word| word.replace("{}", output)).collect();
        self.call(&words).map(drop)
    }

    /// Runs the program with these arguments.
    pub(super) fn call(&self, arguments: &[String]) -> Result<String> {
        let output = self.command(arguments).output();
        let output = output.with_context(|| format!("cannot run {}", self.program[0]))?;
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.trim().lines().last().unwrap_or("no message").to_owned();
            bail!("{}: {last}", arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.program[0]);
        command.args(&self.program[1..]).args(arguments).stdin(Stdio::null());
        command
    }
}
