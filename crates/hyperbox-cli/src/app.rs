// SPDX-License-Identifier: MIT
//! Chooses and runs the command.
//!
//! Only the clap definition of the chosen command is built: building all of them costs more than a request. Global options
//! stand before the command, as for Docker, and are few enough to be read by hand.
//!
//! Called `docker` (by a link) or with `docker` as its first word, the program takes Docker's command lines: the same commands, and
//! all of Docker's global options.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::arguments;
use crate::commands::{self, Entry, Spec};
use crate::context::{Context, GlobalOptions};
use crate::error::{CliError, Outcome};

/// Whose command lines the words are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Own,
    Docker,
}

impl Dialect {
    /// What the program calls itself.
    fn program(self) -> &'static str {
        match self {
            Self::Own => "hb",
            Self::Docker => "docker",
        }
    }

    /// Help texts name the program in front of commands.
    fn help(self, text: &str) -> String {
        match self {
            Self::Own => text.to_owned(),
            Self::Docker => text.replace("hb ", "docker "),
        }
    }
}

/// Runs the program; returns its exit code.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> u8 {
    let called = arguments.next().unwrap_or_default();
    let linked = Path::new(&called).file_stem().is_some_and(|name| name == "docker");
    let words: Vec<OsString> = arguments.collect();
    let outcome = match words.split_first() {
        _ if linked => dispatch(Dialect::Docker, &words),
        Some((first, rest)) if first == "docker" => dispatch(Dialect::Docker, rest),
        _ => dispatch(Dialect::Own, &words),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Standard error may be closed; the exit code still tells.
            drop(io::stderr().lock().write_all(error.report().as_bytes()));
            error.code()
        }
    }
}

fn dispatch(dialect: Dialect, words: &[OsString]) -> Outcome {
    let program = dialect.program();
    let (request, rest) = read_global(dialect, words)?;
    let options = match request {
        Request::Help => return show(&dialect.help(&commands::help())),
        Request::Version => {
            return show(&format!("HyperBox version {}\n", env!("CARGO_PKG_VERSION")));
        }
        Request::Command(options) => options,
    };
    let Some((first, rest)) = rest.split_first() else {
        return show(&dialect.help(&commands::help()));
    };
    let name = first.to_string_lossy();
    match commands::find(&name) {
        None => Err(unknown(&name, program)),
        Some(Entry::Command(spec)) => execute(spec, &format!("{program} {name}"), options, rest),
        Some(Entry::Group(group)) => match rest.split_first() {
            None => show(&dialect.help(&group.help())),
            Some((word, _)) if word == "--help" || word == "-h" => show(&dialect.help(&group.help())),
            Some((word, rest)) => {
                let word = word.to_string_lossy();
                let spec = group
                    .find(&word)
                    .ok_or_else(|| unknown(&word, &format!("{program} {name}")))?;
                execute(spec, &format!("{program} {name} {word}"), options, rest)
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

fn read_global(dialect: Dialect, words: &[OsString]) -> Result<(Request, &[OsString]), CliError> {
    let mut options = GlobalOptions {
        as_docker: dialect == Dialect::Docker,
        ..GlobalOptions::default()
    };
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let text = word.to_string_lossy();
        if !text.starts_with('-') || text == "-" {
            break;
        }
        rest = after;
        let (name, attached) = split_flag(&text, dialect);
        match name {
            "-h" | "--help" => return Ok((Request::Help, rest)),
            "-v" | "--version" => return Ok((Request::Version, rest)),
            "-D" | "--debug" => options.debug = attached.as_deref() != Some("false"),
            "--tls" | "--tlsverify" if dialect == Dialect::Docker => refuse_tls(name, attached.as_deref())?,
            _ if takes_value(name, dialect) => {
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
                set(&mut options, name, value)?;
            }
            _ => return Err(unknown(name, dialect.program())),
        }
    }
    if options.host.is_some() && options.docker_context.is_some() {
        return Err(CliError::new(
            "conflicting options: cannot specify both --host and --context",
        ));
    }
    Ok((Request::Command(options), rest))
}

/// Takes `--name=value` and `-Nvalue` apart.
fn split_flag(text: &str, dialect: Dialect) -> (&str, Option<String>) {
    if text.starts_with("--") {
        return match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
    }
    match text.split_at_checked(2) {
        Some((name, value)) if !value.is_empty() && takes_value(name, dialect) => {
            (name, Some(value.trim_start_matches('=').to_owned()))
        }
        _ => (text, None),
    }
}

fn takes_value(name: &str, dialect: Dialect) -> bool {
    match name {
        "-H" | "--host" | "--config" => true,
        "-c" | "--context" | "-l" | "--log-level" | "--tlscacert" | "--tlscert" | "--tlskey" => {
            dialect == Dialect::Docker
        }
        _ => false,
    }
}

fn set(options: &mut GlobalOptions, name: &str, value: String) -> Result<(), CliError> {
    const LEVELS: [&str; 5] = ["debug", "info", "warn", "error", "fatal"];
    match name {
        "-H" | "--host" => options.host = Some(value),
        "--config" => options.config = Some(PathBuf::from(value)),
        "-c" | "--context" => options.docker_context = Some(value),
        "-l" | "--log-level" if !LEVELS.contains(&value.as_str()) => {
            return Err(CliError::new(format!("unable to parse logging level: {value}")));
        }
        // Certificates matter only where TLS is asked for, which is refused; and there is no log to have a level.
        _ => {}
    }
    Ok(())
}

fn refuse_tls(name: &str, attached: Option<&str>) -> Result<(), CliError> {
    if matches!(attached, Some("false" | "0")) {
        return Ok(());
    }
    Err(CliError::new(format!("{name}: daemons are not spoken to by TLS"))
        .with_hint("reach a daemon elsewhere by forwarding its Unix socket, as with ssh -L"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn global_options() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            read_global(Dialect::Own, &words)
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

    #[test]
    fn global_options_of_docker() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let (request, rest) = read_global(Dialect::Docker, &words).map_err(|error| error.to_string())?;
            match request {
                Request::Command(options) => Ok((options.host, options.docker_context, rest.len())),
                other => Err(format!("{other:?}")),
            }
        };
        let context = Ok((None, Some("box".to_owned()), 1));
        for words in [
            &["-c", "box", "ps"][..],
            &["-cbox", "ps"],
            &["--context=box", "-l", "debug", "ps"],
            &["--context", "box", "--tls=false", "--tlscacert", "x", "-D", "ps"],
        ] {
            assert_eq!(read(words), context, "{words:?}");
        }
        for (words, expected) in [
            (
                &["-H", "a", "-c", "b", "ps"][..],
                "conflicting options: cannot specify both --host and --context",
            ),
            (&["--tlsverify", "ps"], "--tlsverify: daemons are not spoken to by TLS"),
            (&["-l", "loud", "ps"], "unable to parse logging level: loud"),
            (&["-c"], "flag needs an argument: -c"),
        ] {
            assert_eq!(read(words), Err(expected.to_owned()), "{words:?}");
        }
    }
}
