// SPDX-License-Identifier: MIT
//! The table of commands: names, help, how to build and how to run each.
//!
//! One file per command. A command is its arguments (a clap `Args`) and one function; `spec!` ties both to a name.

mod bench;
mod builder;
mod completion;
pub(crate) mod container;
mod docker_contexts;
pub(crate) mod image;
mod inspect;
mod network;
mod project;
mod registry;
mod search;
mod system;
mod targets;
mod volume;

use std::fmt::Write as _;

use clap::{ArgMatches, Command};

use crate::context::Context;
use crate::dialect::Dialect;
use crate::docker_plugin::Plugin;
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
    &image::build::SPEC,
    &image::pull::SPEC,
    &image::push::SPEC,
    &image::list::SPEC_IMAGES,
    &registry::LOGIN,
    &registry::LOGOUT,
    &search::SPEC,
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

/// Commands that Docker's command line does not have.
const OWN: &[&Spec] = &[
    &project::up::SPEC,
    &project::down::SPEC,
    &project::status::SHORT,
    &project::watch::SPEC,
    &bench::SPEC,
];

/// How many of them are named first.
const COMMON: usize = 12;

/// Docker's commands that there are not, with the reason.
const ABSENT: &[(&[&str], &str)] = &[
    (
        &["buildx"],
        "there are no builders besides the daemon\nhint: use `build` and `builder`",
    ),
    (
        &["swarm", "node", "service", "stack", "secret", "config"],
        "HyperBox is no swarm manager",
    ),
    (&["plugin"], "HyperBox has no managed plugins"),
    (&["checkpoint"], "checkpoints are not in this version"),
    (&["manifest", "trust"], "not in this version"),
];

/// Commands by kind of object.
const GROUPS: &[&Group] = &[
    &builder::GROUP,
    &container::GROUP,
    &image::GROUP,
    &network::GROUP,
    &system::GROUP,
    &volume::GROUP,
];

/// Groups that Docker's command line does not have.
const OWN_GROUPS: &[&Group] = &[&project::GROUP];

/// Groups that only Docker's command lines have.
const DOCKER_GROUPS: &[&Group] = &[&docker_contexts::GROUP];

/// Returns the commands that stand for themselves in no common place.
fn own(dialect: Dialect) -> impl Iterator<Item = &'static Spec> {
    let own: &[&Spec] = match dialect {
        Dialect::Own => OWN,
        Dialect::Docker => &[],
    };
    own.iter().copied()
}

fn groups(dialect: Dialect) -> impl Iterator<Item = &'static Group> {
    let more: &[&Group] = match dialect {
        Dialect::Own => OWN_GROUPS,
        Dialect::Docker => DOCKER_GROUPS,
    };
    GROUPS.iter().chain(more).copied()
}

/// Finds what a word means.
pub(crate) fn find(dialect: Dialect, name: &str) -> Option<Entry> {
    let mut commands = TOP.iter().copied().chain(own(dialect));
    if let Some(spec) = commands.find(|spec| spec.names.contains(&name)) {
        return Some(Entry::Command(spec));
    }
    groups(dialect).find(|group| group.name == name).map(Entry::Group)
}

/// Lists the words that mean something.
pub(crate) fn names(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    let specs = TOP.iter().copied().chain(own(dialect));
    let commands = specs.flat_map(|spec| spec.names).copied();
    commands.chain(groups(dialect).map(|group| group.name))
}

/// Tells why there is no such command, where Docker has one.
pub(crate) fn absent(name: &str) -> Option<&'static str> {
    let known = ABSENT.iter().find(|(names, _)| names.contains(&name));
    known.map(|(_, reason)| *reason)
}

impl Group {
    /// Finds a command of the group.
    pub(crate) fn find(&self, name: &str) -> Option<&'static Spec> {
        self.commands.iter().find(|spec| spec.names.contains(&name)).copied()
    }

    /// Lists its words.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.commands.iter().flat_map(|spec| spec.names).copied()
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
pub(crate) fn help(dialect: Dialect, plugins: &[Plugin]) -> String {
    let mut text = "Usage:  hb [OPTIONS] COMMAND\n\nA fast container engine\n\nCommon Commands:\n".to_owned();
    list(
        &mut text,
        TOP.iter().take(COMMON).map(|spec| (spec.names[0], spec.about)),
    );
    text.push_str("\nManagement Commands:\n");
    list(&mut text, groups(dialect).map(|group| (group.name, group.about)));
    let (good, bad): (Vec<_>, Vec<_>) = plugins.iter().partition(|plugin| plugin.about.is_ok());
    let row = |plugin: &Plugin, mark: &str| {
        let about = plugin.about.as_ref().unwrap_or_else(|reason| reason).clone();
        (format!("{}{mark}", plugin.name), about)
    };
    list(&mut text, good.iter().map(|plugin| row(plugin, "*")));
    text.push_str("\nCommands:\n");
    list(
        &mut text,
        TOP.iter()
            .skip(COMMON)
            .copied()
            .chain(own(dialect))
            .map(|spec| (spec.names[0], spec.about)),
    );
    if !bad.is_empty() {
        text.push_str("\nInvalid Plugins:\n");
        list(&mut text, bad.iter().map(|plugin| row(plugin, "")));
    }
    text.push_str("\nGlobal Options:\n");
    text.push_str(match dialect {
        Dialect::Own => OWN_OPTIONS,
        Dialect::Docker => DOCKER_OPTIONS,
    });
    text + "\nRun 'hb COMMAND --help' for more information on a command.\n"
}

const OWN_OPTIONS: &str = "      --config DIR    Directory of config.json with registry credentials (default ~/.docker)
  -D, --debug         Say more on standard error
  -H, --host HOST     Daemon to use: unix:///path, npipe:////./pipe/name or tcp://host:port (default:
                      HYPERBOX_HOST, then unix:///run/hyperbox/hyperbox.sock)
  -v, --version       Print the version and quit
";

const DOCKER_OPTIONS: &str = "      --config DIR        Directory of config.json (default ~/.docker)
  -c, --context NAME      Context to use (overrides DOCKER_HOST and what 'hb context use' chose)
  -D, --debug             Say more on standard error
  -H, --host HOST         Daemon to use: unix:///path, npipe:////./pipe/name or tcp://host:port
  -l, --log-level LEVEL   debug, info, warn, error or fatal
      --tls, --tlsverify  Refused: daemons are not spoken to by TLS
  -v, --version           Print version information and quit
";

fn list(text: &mut String, rows: impl Iterator<Item = (impl std::fmt::Display, impl std::fmt::Display)>) {
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
    for spec in TOP.iter().chain(OWN) {
        root = root.subcommand(node(spec, "hb"));
    }
    for group in GROUPS.iter().chain(OWN_GROUPS) {
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
        let mut names: Vec<&str> = TOP.iter().chain(OWN).flat_map(|spec| spec.names).copied().collect();
        names.extend(groups(Dialect::Docker).map(|group| group.name));
        names.extend(OWN_GROUPS.iter().map(|group| group.name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
