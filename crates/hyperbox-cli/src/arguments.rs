// SPDX-License-Identifier: MIT
//! The words of one command: clap does the parsing, this gives it Docker's habits and Docker's error texts.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::commands::Spec;
use crate::error::{CliError, EXIT_ENGINE};

/// What came out of the words.
pub(crate) enum Parsed {
    /// The command's arguments.
    Matches(ArgMatches),
    /// The user asked for help.
    Help(String),
}

/// Builds the clap definition of a command, called `path` by the user.
pub(crate) fn definition(spec: &Spec, path: &str) -> Command {
    let usage = if spec.usage.is_empty() {
        path.to_owned()
    } else {
        format!("{path} {}", spec.usage)
    };
    (spec.build)(Command::new(spec.names[0]))
        .about(spec.about)
        .long_about(None)
        .override_usage(usage)
        .help_template("Usage:  {usage}\n\n{about}\n\nOptions:\n{options}\n")
        // `-h` is Docker's hostname.
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .arg(
            Arg::new("help")
                .long("help")
                .action(ArgAction::Help)
                .help("Print usage"),
        )
}

/// Parses the words after the command.
pub(crate) fn parse(spec: &Spec, path: &str, words: &[OsString]) -> Result<Parsed, CliError> {
    let mut command = definition(spec, path).no_binary_name(true).bin_name(path);
    match command.try_get_matches_from_mut(words) {
        Ok(matches) => Ok(Parsed::Matches(matches)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Ok(Parsed::Help(error.render().to_string())),
        Err(error) => Err(explain(&error, spec, path, &command)),
    }
}

/// Says what is wrong with the words. As for Docker a wrong number of arguments is exit code 1, a wrong flag 125.
fn explain(error: &clap::Error, spec: &Spec, path: &str, command: &Command) -> CliError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(", "),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let (flag, value) = (
        argument.split([' ', '=', '[']).next().unwrap_or_default(),
        text(ContextKind::InvalidValue),
    );
    let mut code = EXIT_ENGINE;
    // Docker's own words for each kind of complaint.
    let mut look = "Run";
    let message = match error.kind() {
        ErrorKind::UnknownArgument if argument.starts_with("--") => format!("unknown flag: {flag}"),
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            let letter = flag.trim_start_matches('-');
            format!("unknown shorthand flag: '{letter}' in {flag}")
        }
        ErrorKind::UnknownArgument
        | ErrorKind::TooManyValues
        | ErrorKind::MissingRequiredArgument
        | ErrorKind::TooFewValues => {
            code = 1;
            let message = count_message(spec, path);
            if message.contains(" at ") {
                look = "See";
            }
            message
        }
        ErrorKind::InvalidValue if value.is_empty() => format!("flag needs an argument: {flag}"),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map_or_else(
                || {
                    error
                        .render()
                        .to_string()
                        .lines()
                        .next()
                        .unwrap_or_default()
                        .trim_start_matches("error: ")
                        .to_owned()
                },
                ToString::to_string,
            );
            format!(
                "invalid argument {value:?} for {:?} flag: {reason}",
                with_short(command, flag)
            )
        }
        _ => error
            .render()
            .to_string()
            .trim_start_matches("error: ")
            .trim_end()
            .to_owned(),
    };
    let usage = if spec.usage.is_empty() {
        String::new()
    } else {
        format!(" {}", spec.usage)
    };
    let error = CliError::new(format!(
        "{message}\n\nUsage:  {path}{usage}\n\n{look} '{path} --help' for more information"
    ))
    .with_code(code);
    if code == 1 { error.of_words() } else { error }
}

/// Names a flag as Docker does: `-m, --memory`.
fn with_short(command: &Command, flag: &str) -> String {
    let long = flag.trim_start_matches('-');
    let known = command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(long));
    match known.and_then(Arg::get_short) {
        Some(short) => format!("-{short}, {flag}"),
        None => flag.to_owned(),
    }
}

/// Says how many arguments the command takes, in Docker's words.
fn count_message(spec: &Spec, path: &str) -> String {
    // The usage names every argument: `[X]` may be left out, `X...` may be repeated.
    let words: Vec<&str> = spec
        .usage
        .split_whitespace()
        .filter(|word| *word != "[OPTIONS]")
        .collect();
    let least = words
        .iter()
        .filter(|word| !word.starts_with('[') && **word != "|")
        .count();
    let plural = if least == 1 { "" } else { "s" };
    if spec.usage.contains("...") {
        format!("'{path}' requires at least {least} argument{plural}")
    } else if words.len() > least {
        let most = words.len();
        let limits = if least == 0 {
            format!("at most {most}")
        } else {
            format!("at least {least} and at most {most}")
        };
        format!(
            "'{path}' requires {limits} argument{}",
            if most == 1 { "" } else { "s" }
        )
    } else if least == 0 {
        format!("'{path}' accepts no arguments")
    } else {
        format!("'{path}' requires {least} argument{plural}")
    }
}
