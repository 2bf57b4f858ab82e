// SPDX-License-Identifier: MIT
//! The timeline of one start: who had done what at which moment.
//!
//! Everybody who takes part notes moments in nanoseconds since the epoch, by the clock of the one machine that all of them are on. A mark
//! ends what its party did since its mark before.

use serde::{Deserialize, Serialize};

/// Who did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Party {
    /// The command line.
    Client,
    /// The engine.
    Daemon,
    /// The process that forks shims.
    Launcher,
    /// The supervisor of the container.
    Shim,
    /// The container's first process, until its command runs.
    Container,
}

impl Party {
    /// Returns its name in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Daemon => "daemon",
            Self::Launcher => "launcher",
            Self::Shim => "shim",
            Self::Container => "container",
        }
    }
}

/// One moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Who.
    pub party: Party,
    /// What had been done, such as `networks joined`.
    pub step: String,
    /// When, in nanoseconds since the epoch.
    pub at_ns: i64,
}
