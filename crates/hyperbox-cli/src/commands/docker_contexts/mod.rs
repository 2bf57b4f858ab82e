// SPDX-License-Identifier: MIT
//! `docker context`: only in the place of Docker's command line.

mod create;
mod export;
mod import;
mod inspect;
mod list;
mod remove;
mod select;
mod show;
mod update;

use super::Group;

/// `docker context`
pub(crate) const GROUP: Group = Group {
    name: "context",
    about: "Manage contexts",
    commands: &[
        &create::SPEC,
        &export::SPEC,
        &import::SPEC,
        &inspect::SPEC,
        &list::SPEC,
        &remove::SPEC,
        &show::SPEC,
        &update::SPEC,
        &select::SPEC,
    ],
};

/// What the default context says of itself.
const DEFAULT_DESCRIPTION: &str = "Current DOCKER_HOST based configuration";
