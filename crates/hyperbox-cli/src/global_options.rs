// SPDX-License-Identifier: MIT
//! The options before the command, as for Docker: few enough to be read by hand. Pure.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::context::GlobalOptions;
use crate::dialect::Dialect;
use crate::error::CliError;

/// What the words before the command ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// To do something.
    Command(GlobalOptions),
}

pub(crate) fn read(dialect: Dialect, words: &[OsString]) -> Result<(Request, &[OsString]), CliError> {
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
            _ => {
                return Err(CliError::new(format!(
                    "unknown flag: {name}\n\nRun '{} --help' for more information",
                    dialect.program()
                )));
            }
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
    fn of_hb() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            super::read(Dialect::Own, &words)
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
    fn of_docker() {
        let read = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            let (request, rest) = super::read(Dialect::Docker, &words).map_err(|error| error.to_string())?;
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
