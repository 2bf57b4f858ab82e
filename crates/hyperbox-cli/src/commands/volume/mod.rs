// SPDX-License-Identifier: MIT
//! `hb volume`

mod create;
mod inspect;
pub(crate) mod list;
mod prune;
mod remove;

use super::Group;

/// `hb volume`
pub(crate) const GROUP: Group = Group {
    name: "volume",
    about: "Manage volumes",
    commands: &[&create::SPEC, &inspect::SPEC, &list::SPEC, &prune::SPEC, &remove::SPEC],
};
