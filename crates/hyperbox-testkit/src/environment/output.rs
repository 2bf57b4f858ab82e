// SPDX-License-Identifier: MIT
//! What a command printed and how it ended, with assertions that show all of it when they fail.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};

/// A finished command.
#[derive(Debug, Clone)]
#[must_use = "an unchecked output hides a failure"]
pub struct Output {
    command: String,
    /// Exit code; 128 + n for signal n.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn of(command: &mut Command) -> Self {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        Self::from_parts(command, &output)
    }

    /// Runs a command to its end with this standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let spawned = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let mut pipe = child.stdin.take().expect("standard input is a pipe");
        let input = input.to_vec();
        // Written from a thread of its own: the command may not read while nobody reads what it writes.
        let writer = std::thread::spawn(move || pipe.write_all(&input));
        let output = child.wait_with_output().expect("a spawned command ends");
        // A command that ends before it has read everything closes the pipe.
        let _broken_pipe = writer.join();
        Self::from_parts(command, &output)
    }

    fn from_parts(command: &Command, output: &std::process::Output) -> Self {
        let words: Vec<String> = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let program = command.get_program().to_string_lossy();
        Self {
            command: format!("{} {}", program.rsplit('/').next().unwrap_or_default(), words.join(" ")),
            code: output
                .status
                .code()
                .or_else(|| output.status.signal().map(|signal| 128 + signal))
                .unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Requires exit code 0 and returns standard output without white space around it.
    ///
    /// # Panics
    /// When the command failed.
    #[track_caller]
    pub fn succeeds(self) -> String {
        self.exits_with(0).stdout.trim().to_owned()
    }

    /// Requires this exit code.
    ///
    /// # Panics
    /// When there was another.
    #[track_caller]
    pub fn exits_with(self, code: i32) -> Self {
        assert!(self.code == code, "expected exit code {code} of {self}");
        self.tidy()
    }

    /// Requires exit code 0 and JSON on standard output.
    ///
    /// # Panics
    /// When the command failed or printed something else.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        let text = self.clone().succeeds();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// Requires this text in standard output.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "expected {text:?} on standard output of {self}"
        );
        self
    }

    /// Requires this text in standard error.
    ///
    /// # Panics
    /// When it is not there.
    #[track_caller]
    pub fn complains(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "expected {text:?} on standard error of {self}"
        );
        self
    }

    /// A program never shows its insides, whatever happens.
    #[track_caller]
    fn tidy(self) -> Self {
        for sign in ["panicked at", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.stderr.contains(sign), "{self} shows {sign:?}");
        }
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "`{}` (exit code {})\n--- stdout\n{}\n--- stderr\n{}\n---",
            self.command, self.code, self.stdout, self.stderr
        )
    }
}
