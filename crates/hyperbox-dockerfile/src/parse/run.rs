// SPDX-License-Identifier: MIT
//! RUN.

use crate::flag;
use crate::instruction::{CommandLine, Run, RunNetwork, RunSecurity};
use crate::logical::Logical;
use crate::mount::MountError;
use crate::{Mount, ParseError, value};

pub(super) fn parse(logical: &Logical, escape: char) -> Result<Run, ParseError> {
    let at = |message: String| super::malformed(logical, message);
    let (mut flags, rest) = flag::split(&logical.rest, escape);
    let mounts = flags.values("mount").map_err(at)?;
    let mounts = mounts.iter().map(|text| Mount::parse(text)).collect::<Result<_, _>>();
    let mounts = mounts.map_err(|error| match error {
        MountError::List(message) => at(message),
        MountError::Field(message) => ParseError::of_file(Some(logical.lines), &message),
    })?;
    let network = match flags.value("network").map_err(at)?.as_deref() {
        None | Some("default") => RunNetwork::Default,
        Some("none") => RunNetwork::None,
        Some("host") => RunNetwork::Host,
        Some(other) => return Err(at(format!("invalid network mode {other:?}"))),
    };
    let security = match flags.value("security").map_err(at)?.as_deref() {
        None | Some("sandbox") => RunSecurity::Sandbox,
        Some("insecure") => RunSecurity::Insecure,
        Some(other) => return Err(at(format!("security {other:?} is not valid"))),
    };
    // Devices need a builder that has them.
    flags.finish().map_err(at)?;
    let command = match value::json(rest).map_err(at)? {
        Some(words) => CommandLine::Exec(words),
        None => CommandLine::Shell(rest.to_owned()),
    };
    if matches!(&command, CommandLine::Exec(words) if words.is_empty()) {
        return Err(at("no command specified".to_owned()));
    }
    Ok(Run {
        command,
        heredocs: logical.heredocs.clone(),
        mounts,
        network,
        security,
    })
}
