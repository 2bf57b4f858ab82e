// SPDX-License-Identifier: MIT
//! `hb system`: the daemon itself.

pub(crate) mod build_cache;
mod check;
mod checks;
mod df;
mod df_details;
mod docker_context;
mod doctor;
pub(crate) mod events;
mod health;
pub(crate) mod info;
mod prune;
mod service;
mod start;
mod stop;
pub(crate) mod version;

use super::Group;

/// `hb system`
pub(crate) const GROUP: Group = Group {
    name: "system",
    about: "Manage the daemon",
    commands: &[
        &check::SPEC,
        &df::SPEC,
        &docker_context::SPEC,
        &doctor::SPEC,
        &events::SPEC,
        &health::SPEC,
        &info::SPEC,
        &prune::SPEC,
        &start::SPEC,
        &stop::SPEC,
        &version::SPEC,
    ],
};
