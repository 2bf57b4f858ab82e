// SPDX-License-Identifier: MIT
//! `hb builder`

mod disk_usage;
mod prune;

use super::Group;

/// `hb builder`
pub(crate) const GROUP: Group = Group {
    name: "builder",
    about: "Manage builds",
    commands: &[&super::image::build::SPEC, &disk_usage::SPEC, &prune::SPEC],
};
