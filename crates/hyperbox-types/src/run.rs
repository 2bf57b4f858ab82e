// SPDX-License-Identifier: MIT
//! Messages of `POST /hyperbox/v1/run`: create, attach, start and wait in one upgraded request.
//!
//! The request body is a [`RunRequest`]; the answer is `101 Switching Protocols`, or an error in Docker's form
//! (`{"message": …}`) when the container could not even be created. After the switch both sides speak the frames of
//! [`crate::stream`]:
//!
//! - daemon → client: channels 1 and 2 with output, and channel 4 with one [`RunEvent`] each, in the order *created*,
//!   *started*, …, *exited*. `exited` (or `failed`) is the last frame; by then all output has been sent.
//! - client → daemon: channel 0 with input (an empty frame closes it), and channel 4 with one [`RunCommand`] each.
//!
//! Closing the connection detaches: the container goes on.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::trace::Mark;
use crate::{ContainerId, ErrorKind, Hint, Signal};

/// What to run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRequest {
    /// Name of the container; made up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Platform of the image, such as `linux/arm64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The body of Docker's `POST /containers/create`, with `HostConfig` and `NetworkingConfig`.
    pub container: Box<RawValue>,
    /// Which streams to attach before the start; none at all for `run -d`.
    pub attach: Streams,
    /// Size of the client's terminal, when the container has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<TerminalSize>,
    /// Whether to tell when who had done what ([`RunEvent::Traced`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
}

/// A choice of standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Streams {
    /// Standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Standard output.
    #[serde(default)]
    pub stdout: bool,
    /// Standard error.
    #[serde(default)]
    pub stderr: bool,
}

impl Streams {
    /// Tells whether any stream is chosen.
    pub fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Height in characters.
    pub rows: u16,
    /// Width in characters.
    pub columns: u16,
}

/// What the daemon reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// The container exists.
    Created {
        /// Its id.
        id: ContainerId,
        /// Things that the user should know, such as an ignored limit.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// The process runs.
    Started,
    /// The timeline so far, if one was asked for: after *started*, and once more, with the end, before *exited*.
    Traced {
        /// What everybody but the client has noted, in the order of time.
        marks: Vec<Mark>,
    },
    /// The process ended and all its output was sent.
    Exited {
        /// Exit code, 128 + n for signal n.
        code: i32,
    },
    /// The container was created but could not be started.
    Failed {
        /// Class of the failure.
        kind: ErrorKind,
        /// One sentence.
        message: String,
        /// What to do next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Hint>,
    },
}

/// What the client asks for while the container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum RunCommand {
    /// The client's terminal has a new size.
    Resize(TerminalSize),
    /// Deliver a signal to the container's first process.
    Signal {
        /// The signal.
        signal: Signal,
    },
}
