// SPDX-License-Identifier: MIT
//! Chooses and runs the command.
//!
//! Only the clap definition of the chosen command is built: building all of them costs more than a request. Global options
//! stand before the command, as for Docker, and are few enough to be read by hand.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::arguments;
use crate::commands::{self, Entry, Spec};
use crate::context::{Context, GlobalOptions};
use crate::error::{CliError, Outcome};

/// Runs the program; returns its exit code.
pub(crate) fn run(arguments: impl Iterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = arguments.skip(1).collect();
    let outcome = dispatch(&words);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            drop(io::stderr().lock().write_all(error.report().as_bytes()));
            error.code()
        }
    }
}

fn dispatch(words: &[OsString]) -> Outcome {
    let (request, rest) = read_global(words)?;
    let options = match request {
        Request::Help => return show(&commands::help()),
        Request::Version => {
            return show(&format!("HyperBox version {}\n", env!("CARGO_PKG_VERSION")));
        }
        Request::Command(options) => options,
    };
    let Some((first, rest)) = rest.split_first() else {
        return show(&commands::help());
    };
    let name = first.to_string_lossy();
    match commands::find(&name) {
        None => Err(unknown(&name, "hb")),
        Some(Entry::Command(spec)) => execute(spec, &format!("hb {name}"), options, rest),
        Some(Entry::Group(group)) => match rest.split_first() {
            None => show(&group.help()),
            Some((word, _)) if word == "--help" || word == "-h" => show(&group.help()),
            Some((word, rest)) => {
                let word = word.to_string_lossy();
                let spec = group.find(&word).ok_or_else(|| unknown(&word, &format!("hb {name}")))?;
                execute(spec, &format!("hb {name} {word}"), options, rest)
            }
        },
    }
}

fn execute(spec: &Spec, path: &str, options: GlobalOptions, words: &[OsString]) -> Outcome {
    let matches = match arguments::parse(spec, path, words) {
        Ok(arguments::Parsed::Matches(matches)) => matches,
        Ok(arguments::Parsed::Help(text)) => return show(&text),
        Err(error) => return Err(error),
    };
    (spec.run)(&Context::new(options), &matches)
}

fn show(text: &str) -> Outcome {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(0)
}

fn unknown(name: &str, before: &str) -> CliError {
    if name.starts_with('-') {
        return CliError::new(format!(
            "unknown flag: {name}\n\nRun '{before} --help' for more information"
        ));
    }
    CliError::new(format!(
        "unknown command: {before} {name}\n\nRun '{before} --help' for more information"
    ))
}

/// What the words before the command ask for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Help,
    Version,
    Command(GlobalOptions),
}

fn read_global(words: &[OsString]) -> Result<(Request, &[OsString]), CliError> {
    let mut options = GlobalOptions::default();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let text = word.to_string_lossy();
        if !text.starts_with('-') || text == "-" {
            break;
        }
        rest = after;
        let (name, attached) = match text.split_once('=') {
            Some((name, value)) if text.starts_with("--") => (name, Some(value.to_owned())),
            _ if text.len() > 2 && text.starts_with("-H") => ("-H", Some(text[2..].trim_start_matches('=').to_owned())),
            _ => (text.as_ref(), None),
        };
        match name {
            "-h" | "--help" => return Ok((Request::Help, rest)),
            "-v" | "--version" => return Ok((Request::Version, rest)),
            "-D" | "--debug" => options.debug = true,
            "-H" | "--host" | "--config" => {
                let value = match attached {
                    Some(value) => value,
                    None => {
                        let (value, after) = rest
                            .split_first()
                            .ok_or_else(|| CliError::new(format!("flag needs an argument: {name}")))?;
                        rest = after;
                        value.to_string_lossy().into_owned()
                    }
                };
                if name == "--config" {
                    options.config = Some(PathBuf::from(value));
                } else {
                    options.host = Some(value);
                }
            }
            _ => return Err(unknown(name, "hb")),
        }
    }
    Ok((Request::Command(options), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_options() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            read_global(&words)
                .map(|(request, rest)| (request, rest.len()))
                .map_err(|error| error.to_string())
        };
        let host = |host: &str| {
            Request::Command(GlobalOptions {
                host: Some(host.to_owned()),
                ..GlobalOptions::default()
            })
        };
        for words in [
            &["-H", "a", "ps", "-a"][..],
            &["-Ha", "ps", "-a"],
            &["--host=a", "ps", "-a"],
            &["--host", "a", "ps", "-a"],
        ] {
            assert_eq!(read(words), Ok((host("a"), 2)), "{words:?}");
        }
        assert_eq!(read(&["--help"]), Ok((Request::Help, 0)));
        assert_eq!(read(&["-v", "x"]), Ok((Request::Version, 1)));
        assert_eq!(read(&["-H"]), Err("flag needs an argument: -H".to_owned()));
        assert!(
            read(&["--bogus", "ps"])
                .unwrap_err()
                .starts_with("unknown flag: --bogus")
        );
    }
}
