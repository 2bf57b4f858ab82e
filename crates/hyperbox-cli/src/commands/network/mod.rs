// SPDX-License-Identifier: MIT
//! `hb network`

mod inspect;
mod list;

use super::Group;

/// `hb network`
pub(crate) const GROUP: Group = Group {
    name: "network",
    about: "Manage networks",
    commands: &[&inspect::SPEC, &list::SPEC],
};
