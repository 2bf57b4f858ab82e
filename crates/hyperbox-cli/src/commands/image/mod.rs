// SPDX-License-Identifier: MIT
//! `hb image`

pub(crate) mod build;
mod diff;
pub(crate) mod history;
pub(crate) mod import;
mod inspect;
pub(crate) mod list;
pub(crate) mod load;
mod optimize;
mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod remove;
pub(crate) mod save;
pub(crate) mod tag;
mod tree;

pub(crate) use prune::print_deleted;

use super::Group;

/// `hb image`
pub(crate) const GROUP: Group = Group {
    name: "image",
    about: "Manage images",
    commands: &[
        &build::SPEC,
        &diff::SPEC,
        &history::SPEC,
        &import::SPEC,
        &inspect::SPEC,
        &load::SPEC,
        &list::SPEC,
        &optimize::SPEC,
        &prune::SPEC,
        &pull::SPEC,
        &push::SPEC,
        &remove::SPEC,
        &save::SPEC,
        &tag::SPEC,
    ],
};
