// SPDX-License-Identifier: MIT
//! Whose command lines the words are: `hb`'s own, or Docker's. Pure.

use std::ffi::OsStr;
use std::path::Path;

/// Whose command lines the words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `hb …`
    Own,
    /// `docker …`, by a link to `hb`, and `hb docker …`.
    Docker,
}

impl Dialect {
    /// Returns the dialect of a program of this name.
    pub(crate) fn of_program(called: &OsStr) -> Self {
        if Path::new(called).file_stem().is_some_and(|name| name == "docker") {
            Self::Docker
        } else {
            Self::Own
        }
    }

    /// What the program calls itself.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Own => "hb",
            Self::Docker => "docker",
        }
    }

    /// Help texts name the program in front of commands.
    pub(crate) fn help(self, text: &str) -> String {
        match self {
            Self::Own => text.to_owned(),
            Self::Docker => text.replace("hb ", "docker "),
        }
    }
}
