// SPDX-License-Identifier: MIT
//! `hb network`

mod connect;
mod create;
mod disconnect;
mod inspect;
mod list;
mod prune;
mod remove;

use super::Group;
use crate::error::CliError;

/// `hb network`
pub(crate) const GROUP: Group = Group {
    name: "network",
    about: "Manage networks",
    commands: &[
        &connect::SPEC,
        &create::SPEC,
        &disconnect::SPEC,
        &inspect::SPEC,
        &list::SPEC,
        &prune::SPEC,
        &remove::SPEC,
    ],
};

/// Refuses an empty name: in a path it would name the whole collection.
fn given(kind: &str, name: String) -> Result<String, CliError> {
    if name.trim().is_empty() {
        return Err(CliError::new(format!("invalid {kind} name or ID: value is empty")));
    }
    Ok(name)
}
