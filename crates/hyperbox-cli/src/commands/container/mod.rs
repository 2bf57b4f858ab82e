// SPDX-License-Identifier: MIT
//! Commands about containers.

pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod export;
mod image_first;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod pause;
pub(crate) mod port;
mod ports;
mod prune;
pub(crate) mod remove;
pub(crate) mod rename;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stats;
mod stats_row;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod update;
pub(crate) mod wait;

use super::Group;
use crate::error::{EXIT_ENGINE, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND};

/// `hb container`
pub(crate) const GROUP: Group = Group {
    name: "container",
    about: "Manage containers",
    commands: &[
        &attach::SPEC,
        &commit::SPEC,
        &cp::SPEC,
        &create::SPEC,
        &diff::SPEC,
        &exec::SPEC,
        &export::SPEC,
        &inspect::SPEC,
        &kill::SPEC,
        &logs::SPEC,
        &list::SPEC,
        &pause::SPEC,
        &port::SPEC,
        &prune::SPEC,
        &rename::SPEC,
        &stop::SPEC_RESTART,
        &remove::SPEC,
        &run::SPEC,
        &start::SPEC,
        &stats::SPEC,
        &stop::SPEC,
        &top::SPEC,
        &pause::SPEC_UNPAUSE,
        &update::SPEC,
        &wait::SPEC,
    ],
};

/// Says which exit code a failed start has, by Docker's texts: they are all that the API gives.
pub(crate) fn start_code(message: &str) -> u8 {
    let has = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if has(&["executable file not found", "no such file or directory"]) {
        EXIT_NOT_FOUND
    } else if has(&["permission denied", "is a directory"]) {
        EXIT_NOT_EXECUTABLE
    } else {
        EXIT_ENGINE
    }
}

/// Turns a container's exit code into that of the client.
pub(crate) fn exit_code(code: i64) -> u8 {
    u8::try_from(code & 0xff).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        for (message, code) in [
            ("exec: \"x\": executable file not found in $PATH", 127),
            ("exec: \"/x\": stat /x: no such file or directory", 127),
            ("exec: \"/etc\": is a directory: permission denied", 126),
            ("no command specified", 125),
        ] {
            assert_eq!(start_code(message), code);
        }
        assert_eq!(exit_code(137), 137);
        assert_eq!(exit_code(-1), 255);
    }
}
