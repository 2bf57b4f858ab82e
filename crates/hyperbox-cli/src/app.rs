// SPDX-License-Identifier: MIT
//! Chooses and runs the command.
//!
//! Only the clap definition of the chosen command is built: building all of them costs more than a request. Global options
//! stand before the command, as for Docker (`global_options`).
//!
//! Called `docker` (by a link) or with `docker` as its first word, the program takes Docker's command lines: the same commands,
//! all of Docker's global options, contexts, what `config.json` says, and plugins for words that are no commands of ours.

use std::ffi::OsString;
use std::io::{self, Write};

use crate::arguments;
use crate::commands::{self, Entry, Spec};
use crate::context::{Context, GlobalOptions};
use crate::dialect::Dialect;
use crate::error::{CliError, EXIT_ENGINE, Outcome};
use crate::global_options::{self, Request};
use crate::{docker_plugin, suggestion};

/// The version of Docker's command line whose words are understood: programs look for it in `docker --version`.
const DOCKER_VERSION: &str = "28.5.2";

/// Runs the program; returns its exit code.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let called = arguments.next().unwrap_or_default();
    let mut words: Vec<OsString> = arguments.collect();
    let mut dialect = Dialect::of_program(&called);
    if dialect == Dialect::Own && words.first().is_some_and(|first| first == "docker") {
        dialect = Dialect::Docker;
        words.remove(0);
    }
    let app = App { called, dialect, words };
    match app.dispatch() {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            drop(io::stderr().lock().write_all(error.report(dialect).as_bytes()));
            error.code()
        }
    }
}

/// One call of the program.
struct App {
    /// Its name, as the caller wrote it.
    called: OsString,
    dialect: Dialect,
    /// All words after it.
    words: Vec<OsString>,
}

impl App {
    fn dispatch(&self) -> Outcome {
        let (request, rest) = global_options::read(self.dialect, &self.words)?;
        let options = match request {
            Request::Help => return self.help(&Context::new(self.options())),
            Request::Version => return show(&self.version()),
            Request::Command(options) => options,
        };
        let context = Context::new(options);
        let Some((first, rest)) = rest.split_first() else {
            return self.help(&context);
        };
        let name = first.to_string_lossy();
        if name == "help" {
            return self.help_on(&context, rest);
        }
        let program = self.dialect.program();
        if let Some(words) = self.for_the_builder(&context, &name, rest)
            && let Some(outcome) = self.plugin(&context, context.docker_config().builder(), &words)
        {
            return outcome;
        }
        match commands::find(self.dialect, &name) {
            None => self
                .plugin(&context, &name, &self.words)
                .unwrap_or_else(|| Err(self.unknown(&name, program, commands::names(self.dialect)))),
            Some(Entry::Command(spec)) => execute(spec, &format!("{program} {name}"), &context, rest),
            Some(Entry::Group(group)) => match rest.split_first() {
                None => show(&self.dialect.help(&group.help())),
                Some((word, _)) if word == "--help" || word == "-h" => show(&self.dialect.help(&group.help())),
                Some((word, rest)) => {
                    let word = word.to_string_lossy();
                    let before = format!("{program} {name}");
                    let spec = group
                        .find(&word)
                        .ok_or_else(|| self.unknown(&word, &before, group.names()))?;
                    execute(spec, &format!("{before} {word}"), &context, rest)
                }
            },
        }
    }

    fn options(&self) -> GlobalOptions {
        GlobalOptions {
            as_docker: self.dialect == Dialect::Docker,
            ..GlobalOptions::default()
        }
    }

    fn version(&self) -> String {
        let own = env!("CARGO_PKG_VERSION");
        match self.dialect {
            Dialect::Own => format!("HyperBox version {own}\n"),
            Dialect::Docker => format!("Docker version {DOCKER_VERSION}, build HyperBox-{own}\n"),
        }
    }

    /// Shows the program's help; in the place of Docker's command line with its plugins.
    fn help(&self, context: &Context) -> Outcome {
        let plugins = match self.dialect {
            Dialect::Own => Vec::new(),
            Dialect::Docker => docker_plugin::list(&context.plugin_directories()),
        };
        show(&self.dialect.help(&commands::help(self.dialect, &plugins)))
    }

    /// `help`, `help COMMAND`, `help GROUP COMMAND`.
    fn help_on(&self, context: &Context, words: &[OsString]) -> Outcome {
        let Some((first, rest)) = words.split_first() else {
            return self.help(context);
        };
        let name = first.to_string_lossy();
        let topic = || CliError::new(format!("unknown help topic: {name}")).bare();
        let before = self.dialect.program();
        let ask = [OsString::from("--help")];
        match (commands::find(self.dialect, &name), rest.first()) {
            (None, _) => self.plugin(context, &name, &self.words).unwrap_or_else(|| Err(topic())),
            (Some(Entry::Command(spec)), _) => execute(spec, &format!("{before} {name}"), context, &ask),
            (Some(Entry::Group(group)), None) => show(&self.dialect.help(&group.help())),
            (Some(Entry::Group(group)), Some(word)) => {
                let word = word.to_string_lossy();
                let spec = group.find(&word).ok_or_else(topic)?;
                execute(spec, &format!("{before} {name} {word}"), context, &ask)
            }
        }
    }

    /// Returns the words of `docker buildx build …` for `docker build …`, and so on, as Docker's command line does where it has buildx.
    fn for_the_builder(&self, context: &Context, name: &str, rest: &[OsString]) -> Option<Vec<OsString>> {
        if self.dialect != Dialect::Docker {
            return None;
        }
        let position = self.words.len() - rest.len() - 1;
        let builder = || OsString::from(context.docker_config().builder());
        let mut words = self.words.clone();
        match (name, rest.first().and_then(|word| word.to_str())) {
            ("build", _) => words.insert(position, builder()),
            ("image", Some("build")) | ("builder", _) => words[position] = builder(),
            _ => return None,
        }
        Some(words)
    }

    /// Runs a plugin of Docker's command line, if there is one of this name.
    fn plugin(&self, context: &Context, name: &str, words: &[OsString]) -> Option<Outcome> {
        if self.dialect != Dialect::Docker {
            return None;
        }
        let plugin = docker_plugin::find(&context.plugin_directories(), name)?;
        Some(
            context
                .host_for_plugins()
                .and_then(|host| plugin.run(words, &self.called, host.as_deref())),
        )
    }

    fn unknown(&self, name: &str, before: &str, known: impl Iterator<Item = &'static str>) -> CliError {
        let more = format!("\n\nRun '{before} --help' for more information");
        if name.starts_with('-') {
            return CliError::new(format!("unknown flag: {name}{more}"));
        }
        if let Some(reason) = commands::absent(name) {
            return CliError::new(format!("{before} {name}: {reason}")).of_words();
        }
        let usage = if before == Dialect::Docker.program() || self.dialect == Dialect::Own {
            String::new()
        } else {
            format!("\n\nUsage:  {before}")
        };
        let error = CliError::new(format!("unknown command: {before} {name}{usage}{more}")).of_words();
        let plain = before == Dialect::Own.program();
        match suggestion::nearest(name, known) {
            Some(meant) => error.with_hint(format!("did you mean `{before} {meant}`?")),
            None if plain && name == "compose" => error.with_hint(
                "`hb up`, `hb down` and `hb project` run Compose files; `hb docker compose` runs Docker's plugin",
            ),
            None => error,
        }
    }
}

fn execute(spec: &Spec, path: &str, context: &Context, words: &[OsString]) -> Outcome {
    match arguments::parse(spec, path, words)? {
        arguments::Parsed::Matches(matches) => (spec.run)(context, &matches).map_err(|error| match spec.names {
            // Mistakes of the command line that end with 1 are told plainly.
            [command @ ("run" | "create"), ..] if spec.usage.contains("IMAGE") && error.code() >= EXIT_ENGINE => {
                error.of_docker_command(command)
            }
            _ => error,
        }),
        arguments::Parsed::Help(text) => show(&text),
    }
}

fn show(text: &str) -> Outcome {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}
