// SPDX-License-Identifier: MIT
//! Commands about projects.

pub(crate) mod build;
pub(crate) mod config;
pub(crate) mod down;
pub(crate) mod exec;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod open;
pub(crate) mod remove;
pub(crate) mod services;
pub(crate) mod status;
mod status_row;
pub(crate) mod up;
pub(crate) mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;

use hyperbox_project::compose::Disk;

use super::Group;
use crate::context::Context;
use crate::error::CliError;
use crate::project::{Opened, ProjectOptions, Recording, open as open_files, open_and_explain, open_name};

/// `hb project`
pub(crate) const GROUP: Group = Group {
    name: "project",
    about: "Manage projects: folders that run",
    commands: &[
        &open::SPEC,
        &up::SPEC,
        &down::SPEC,
        &services::START,
        &services::STOP,
        &services::RESTART,
        &services::KILL,
        &services::PAUSE,
        &services::UNPAUSE,
        &build::SPEC,
        &status::SPEC,
        &list::SPEC,
        &logs::SPEC,
        &exec::SPEC,
        &config::SPEC,
        &watch::SPEC,
        &remove::SPEC,
    ],
};

/// Opens the project that the options name, and tells the user what is worth telling.
fn opened(context: &Context, options: &ProjectOptions) -> Result<Opened, CliError> {
    warned(context, open_files(options, &context.world()?, &Disk)?)
}

/// [`opened`], with all that the folder could be.
fn explained(context: &Context, options: &ProjectOptions) -> Result<Opened, CliError> {
    warned(context, open_and_explain(options, &context.world()?, &Disk)?)
}

/// [`opened`], with the files that it is described by.
fn opened_with_sources(context: &Context, options: &ProjectOptions) -> Result<(Opened, BTreeSet<PathBuf>), CliError> {
    let files = Recording::default();
    let opened = warned(context, open_files(options, &context.world()?, &files)?)?;
    Ok((opened, files.into_paths()))
}

fn warned(context: &Context, opened: Opened) -> Result<Opened, CliError> {
    for warning in &opened.warnings {
        context.note(&format!("warning: {warning}"));
    }
    Ok(opened)
}

/// The name of the project that the options name.
fn name(context: &Context, options: &ProjectOptions) -> Result<String, CliError> {
    open_name(options, &context.world()?, &Disk)
}
