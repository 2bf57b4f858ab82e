// SPDX-License-Identifier: MIT
//! A program that is measured: one command line, with what must happen before and after it.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Why a command line gave no number.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be started, or waited for.
    #[error("cannot run {shown}")]
    Start {
        /// The command line.
        shown: String,
        /// What the system said.
        source: io::Error,
    },
    /// It failed.
    #[error("{shown}: {message}")]
    Failed {
        /// Its arguments.
        shown: String,
        /// The last line of its standard error.
        message: String,
    },
}

/// A command line.
#[derive(Debug, Clone)]
pub struct Contender {
    /// What it is called in tables, such as `docker`.
    pub name: String,
    /// The program and the arguments that every call has, such as `--host`.
    pub program: Vec<String>,
    /// The measured arguments.
    pub arguments: Vec<String>,
    /// Arguments of a call before it; its failure does not matter.
    pub before: Option<Vec<String>>,
    /// Arguments of a call after it; `{}` stands for what the measured call printed.
    pub after: Option<Vec<String>>,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Contender {
    /// Makes a contender of a program.
    pub fn new(name: &str, program: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            program: owned(program),
            arguments: Vec::new(),
            before: None,
            after: None,
        }
    }

    /// Returns the same program with these measured arguments.
    #[must_use]
    pub fn with(&self, arguments: &[&str]) -> Self {
        Self {
            arguments: owned(arguments),
            ..self.clone()
        }
    }

    /// Calls this beforehand.
    #[must_use]
    pub fn before(mut self, arguments: &[&str]) -> Self {
        self.before = Some(owned(arguments));
        self
    }

    /// Calls this afterwards.
    #[must_use]
    pub fn after(mut self, arguments: &[&str]) -> Self {
        self.after = Some(owned(arguments));
        self
    }

    /// Returns the measured command line.
    pub fn shown(&self) -> String {
        [self.program.as_slice(), self.arguments.as_slice()].concat().join(" ")
    }

    /// Runs the measured command once, with what belongs before and after it, and returns its time in milliseconds.
    ///
    /// # Errors
    /// When it, or what belongs after it, cannot be started or fails.
    pub fn measure(&self) -> Result<f64, CallError> {
        self.prepare()?;
        let start = Instant::now();
        let output = self.run()?;
        let elapsed = start.elapsed();
        self.clean_up(&output)?;
        Ok(elapsed.as_secs_f64() * 1000.0)
    }

    /// Runs what belongs before the measured command. Removing what may be missing fails as a rule: only that it ran matters.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn prepare(&self) -> Result<(), CallError> {
        let Some(arguments) = &self.before else { return Ok(()) };
        let mut command = self.command(arguments);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.map(drop).map_err(|source| CallError::Start {
            shown: self.shown(),
            source,
        })
    }

    /// Runs the measured command to its end and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn run(&self) -> Result<String, CallError> {
        self.call(&self.arguments)
    }

    /// Runs what belongs after the measured command, which printed `output`.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn clean_up(&self, output: &str) -> Result<(), CallError> {
        let Some(arguments) = &self.after else { return Ok(()) };
        let words: Vec<String> = arguments.iter().map(|word| word.replace("{}", output)).collect();
        self.call(&words).map(drop)
    }

    /// Runs the program with these arguments and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn call(&self, arguments: &[String]) -> Result<String, CallError> {
        self.launch(arguments)?.wait()
    }

    /// Starts the measured command without waiting for its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self) -> Result<Running, CallError> {
        self.launch(&self.arguments)
    }

    fn launch(&self, arguments: &[String]) -> Result<Running, CallError> {
        let mut command = self.command(arguments);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        Ok(Running {
            child: child.map_err(|source| CallError::Start {
                shown: self.program.join(" "),
                source,
            })?,
            shown: arguments.join(" "),
        })
    }

    fn command(&self, arguments: &[String]) -> Command {
        // A contender without a program is a mistake that the start tells of.
        let (program, own) = self
            .program
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut command = Command::new(program);
        command.args(own).args(arguments).stdin(Stdio::null());
        command
    }
}

/// A command line that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    shown: String,
}

impl Running {
    /// Waits for its end and returns what it printed, without the last line break.
    ///
    /// # Errors
    /// When it failed.
    pub fn wait(self) -> Result<String, CallError> {
        let shown = self.shown;
        let output = match self.child.wait_with_output() {
            Ok(output) => output,
            Err(source) => return Err(CallError::Start { shown, source }),
        };
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let message = errors.trim().lines().last().unwrap_or("no message").to_owned();
            return Err(CallError::Failed { shown, message });
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_cleaned_up() {
        let directory = std::env::temp_dir().join(format!("hyperbox-bench-{}", std::process::id()));
        let path = directory.to_string_lossy().into_owned();
        let shell = Contender::new("shell", &["sh", "-c"]).with(&[&format!("mkdir {path} && echo {path}")]);
        let whole = shell.before(&[&format!("rmdir {path}")]).after(&["rmdir {}"]);
        for _ in 0..2 {
            assert!(whole.measure().unwrap() > 0.0);
            assert!(!directory.exists());
        }
    }

    #[test]
    fn failures_say_the_last_line() {
        let failing = Contender::new("shell", &["sh", "-c"]).with(&["echo first >&2; echo last >&2; exit 3"]);
        assert!(failing.measure().unwrap_err().to_string().ends_with(": last"));
        let missing = Contender::new("none", &["/nowhere/program"]);
        assert_eq!(
            missing.measure().unwrap_err().to_string(),
            "cannot run /nowhere/program"
        );
    }
}
