// SPDX-License-Identifier: MIT
//! The table of commands: names, help, how to build and how to run each.
//!
//! One file per command. A command is its arguments (a clap `Args`) and one function; `spec!` ties both to a name.

mod completion;
pub(crate) mod container;
pub(crate) mod image;
mod inspect;
mod network;
mod registry;
mod system;
mod targets;
mod volume;

use std::fmt::Write as _;

use clap::{ArgMatches, Command};

use crate::context::Context;
use crate::error::Outcome;

/// A command.
pub(crate) struct Spec {
    /// Its name, then its other names.
    pub(crate) names: &'static [&'static str],
    /// One line of help.
    pub(crate) about: &'static str,
    /// Its arguments, in Docker's notation.
    pub(crate) usage: &'static str,
    /// Adds its arguments to a clap definition.
    pub(crate) build: fn(Command) -> Command,
    /// Does it.
    pub(crate) run: fn(&Context, &ArgMatches) -> Outcome,
}

/// Commands about one kind of object.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) commands: &'static [&'static Spec],
}

/// What a word at the place of the command means.
pub(crate) enum Entry {
    Command(&'static Spec),
    Group(&'static Group),
}

/// Ties arguments and function of a command to its names.
macro_rules! spec {
    ($arguments:ty, $run:path, [$($name:literal),+], $about:literal, $usage:literal) => {
        $crate::commands::Spec {
            names: &[$($name),+],
            about: $about,
            usage: $usage,
            build: <$arguments as clap::Args>::augment_args,
            run: |context, matches| {
                let arguments = <$arguments as clap::FromArgMatches>::from_arg_matches(matches)
                    .map_err(|error| $crate::error::CliError::new(error.to_string()))?;
                $run(context, arguments)
            },
        }
    };
}
pub(crate) use spec;

/// Commands that stand for themselves: Docker's shortcuts and what belongs to no group.
const TOP: &[&Spec] = &[
    &container::run::SPEC,
    &container::exec::SPEC,
    &container::list::SPEC_PS,
    &image::pull::SPEC,
    &image::push::SPEC,
    &image::list::SPEC_IMAGES,
    &registry::LOGIN,
    &registry::LOGOUT,
    &system::version::SPEC,
    &system::info::SPEC,
    &container::attach::SPEC,
    &container::commit::SPEC,
    &container::cp::SPEC,
    &container::create::SPEC,
    &container::diff::SPEC,
    &system::events::SPEC,
    &container::export::SPEC,
    &image::history::SPEC,
    &image::import::SPEC,
    &inspect::SPEC,
    &container::kill::SPEC,
    &image::load::SPEC,
    &container::logs::SPEC,
    &container::pause::SPEC,
    &container::port::SPEC,
    &container::rename::SPEC,
    &container::stop::SPEC_RESTART,
    &container::remove::SPEC,
    &image::remove::SPEC_RMI,
    &image::save::SPEC,
    &container::start::SPEC,
    &container::stats::SPEC,
    &container::stop::SPEC,
    &image::tag::SPEC,
    &container::top::SPEC,
    &container::pause::SPEC_UNPAUSE,
    &container::update::SPEC,
    &container::wait::SPEC,
    &completion::SPEC,
];

/// Commands by kind of object.
const GROUPS: &[&Group] = &[
    &container::GROUP,
    &image::GROUP,
    &network::GROUP,
    &system::GROUP,
    &volume::GROUP,
];

/// Finds what a word means.
pub(crate) fn find(name: &str) -> Option<Entry> {
    if let Some(spec) = TOP.iter().find(|spec| spec.names.contains(&name)) {
        return Some(Entry::Command(spec));
    }
    GROUPS
        .iter()
        .find(|group| group.name == name)
        .map(|group| Entry::Group(group))
}

impl Group {
    /// Finds a command of the group.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Spec> {
        self.commands.iter().find(|spec| spec.names.contains(&name)).copied()
    }

    /// Returns the group's help.
    pub(crate) fn help(&self) -> String {
        let name = self.name;
        let mut text = format!("Usage:  hb {name} COMMAND\n\n{}\n\nCommands:\n", self.about);
        list(&mut text, self.commands.iter().map(|spec| (spec.names[0], spec.about)));
        text + &format!("\nRun 'hb {name} COMMAND --help' for more information on a command.\n")
    }
}

/// Returns the program's help.
pub(crate) fn help() -> String {
    let mut text = "Usage:  hb [OPTIONS] COMMAND\n\nA fast container engine\n\nCommon Commands:\n".to_owned();
    list(&mut text, TOP.iter().take(10).map(|spec| (spec.names[0], spec.about)));
    text.push_str("\nManagement Commands:\n");
    list(&mut text, GROUPS.iter().map(|group| (group.name, group.about)));
    text.push_str("\nCommands:\n");
    list(&mut text, TOP.iter().skip(10).map(|spec| (spec.names[0], spec.about)));
    text + "\nGlobal Options:\n      --config DIR    Directory of config.json with registry credentials (default ~/.docker)\n  \
            -D, --debug         Say more on standard error\n  \
            -H, --host HOST     Daemon to use: unix:///path, npipe:////./pipe/name or tcp://host:port (default:\n                      \
            HYPERBOX_HOST, then unix:///run/hyperbox/hyperbox.sock)\n  \
            -v, --version       Print the version and quit\n\nRun 'hb COMMAND --help' for more information on a command.\n"
}

fn list(text: &mut String, rows: impl Iterator<Item = (&'static str, &'static str)>) {
    for (name, about) in rows {
        let _ = writeln!(text, "  {name:<11} {about}"); // writing to a string cannot fail
    }
}

/// Returns all commands as one clap definition, for completion scripts.
pub(crate) fn tree() -> Command {
    let mut root = Command::new("hb")
        .about("A fast container engine")
        .arg(
            clap::Arg::new("host")
                .short('H')
                .long("host")
                .value_name("HOST")
                .help("Daemon to use"),
        )
        .arg(
            clap::Arg::new("config")
                .long("config")
                .value_name("DIR")
                .help("Directory of config.json"),
        );
    for spec in TOP {
        root = root.subcommand(node(spec, "hb"));
    }
    for group in GROUPS {
        let mut command = Command::new(group.name).about(group.about);
        for spec in group.commands {
            command = command.subcommand(node(spec, &format!("hb {}", group.name)));
        }
        root = root.subcommand(command);
    }
    root
}

fn node(spec: &Spec, before: &str) -> Command {
    let command = crate::arguments::definition(spec, &format!("{before} {}", spec.names[0]));
    command.visible_aliases(spec.names[1..].iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_sound() {
        tree().debug_assert();
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = TOP.iter().flat_map(|spec| spec.names).copied().collect();
        names.extend(GROUPS.iter().map(|group| group.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
