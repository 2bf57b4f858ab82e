// SPDX-License-Identifier: MIT
//! HEALTHCHECK.

use crate::flag;
use crate::instruction::{CommandLine, Healthcheck};

use super::command_line;

pub(super) fn parse(rest: &str, escape: char) -> Result<Healthcheck, String> {
    let (mut flags, rest) = flag::split(rest, escape);
    // What is empty was not given.
    let mut given = |name| flags.value(name).map(|value| value.filter(|value| !value.is_empty()));
    let interval = given("interval")?;
    let timeout = given("timeout")?;
    let start_period = given("start-period")?;
    let start_interval = given("start-interval")?;
    let retries = given("retries")?;
    flags.finish()?;
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let kind = kind.to_ascii_uppercase();
    match kind.as_str() {
        "" => Err("HEALTHCHECK requires at least one argument".to_owned()),
        "NONE" if !rest.trim().is_empty() => Err("HEALTHCHECK NONE takes no arguments".to_owned()),
        "NONE" => Ok(Healthcheck::None),
        "CMD" => {
            let command = command_line(rest.trim())?;
            let is_empty = match &command {
                CommandLine::Exec(words) => words.is_empty(),
                CommandLine::Shell(text) => text.is_empty(),
            };
            if is_empty {
                return Err("Missing command after HEALTHCHECK CMD".to_owned());
            }
            Ok(Healthcheck::Command {
                command,
                interval,
                timeout,
                start_period,
                start_interval,
                retries,
            })
        }
        _ => Err(format!("Unknown type {kind:?} in HEALTHCHECK (try CMD)")),
    }
}
