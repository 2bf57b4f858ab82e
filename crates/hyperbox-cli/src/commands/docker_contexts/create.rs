// SPDX-License-Identifier: MIT
//! `docker context create`

use clap::Args;

use super::DEFAULT_DESCRIPTION;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context;
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Description of the context
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Set the docker endpoint: host=ADDRESS or from=CONTEXT
    #[arg(long, value_name = "KEY=VALUE", value_parser = Options::parse)]
    docker: Option<Options>,
    /// Create context from a named context
    #[arg(long, value_name = "CONTEXT")]
    from: Option<String>,
    #[arg(hide = true)]
    name: String,
}

pub(crate) const SPEC: Spec = spec!(CreateArgs, run, ["create"], "Create a context", "[OPTIONS] CONTEXT");

fn run(context: &Context, arguments: CreateArgs) -> Outcome {
    let config = context.config_directory();
    let name = &arguments.name;
    docker_context::check_name(name)?;
    if docker_context::is_there(&config, name) {
        return Err(docker_context::exists(name));
    }
    let (host, description) = match arguments.docker {
        Some(_) if arguments.from.is_some() => {
            return Err(CliError::new("cannot use --docker flag when --from is set").bare());
        }
        Some(options) => (options.host(context)?, String::new()),
        None => existing(context, arguments.from.clone())?,
    };
    let description = arguments.description.unwrap_or(description);
    docker_context::create(&config, name, &description, &host)?;
    context.print(name)?;
    context.note(&format!("Successfully created context \"{name}\""));
    Ok(0)
}

/// The value of `--docker`: keys with their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Options(Vec<(String, String)>);

impl Options {
    /// Takes the value apart.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let pair = |part: &str| match part.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(format!("{part} must be formatted as key=value")),
        };
        text.split(',').map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// Returns the address that they lead to.
    pub(super) fn host(self, context: &Context) -> Result<String, CliError> {
        match self.endpoint()? {
            Endpoint::Host(host) => Ok(host),
            Endpoint::From(other) => Ok(existing(context, Some(other))?.0),
        }
    }

    fn endpoint(self) -> Result<Endpoint, CliError> {
        let mut endpoint = None;
        for (key, value) in self.0 {
            match key.as_str() {
                "host" if !value.contains("://") => {
                    let text =
                        format!("unable to apply docker endpoint options: unable to parse docker host `{value}`");
                    return Err(refused(&text));
                }
                "host" => endpoint = Some(Endpoint::Host(value)),
                "from" => endpoint = Some(Endpoint::From(value)),
                "ca" | "cert" | "key" | "skip-tls-verify" => {
                    return Err(refused(&format!("{key}: daemons are not spoken to by TLS"))
                        .with_hint("reach a daemon elsewhere by forwarding its Unix socket, as with ssh -L"));
                }
                _ => return Err(refused(&format!("unrecognized config key: {key}"))),
            }
        }
        endpoint.ok_or_else(|| CliError::new("no host: --docker host=ADDRESS"))
    }
}

/// What `--docker` gives.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint {
    Host(String),
    From(String),
}

fn refused(reason: &str) -> CliError {
    CliError::new(format!("unable to create docker endpoint config: {reason}")).bare()
}

/// Returns address and description of a context; of the one in use where none is named.
fn existing(context: &Context, name: Option<String>) -> Result<(String, String), CliError> {
    match name
        .or_else(|| context.docker_context())
        .filter(|name| name != docker_context::DEFAULT)
    {
        None => Ok((context.default_host()?, DEFAULT_DESCRIPTION.to_owned())),
        Some(name) => {
            let config = context.config_directory();
            let metadata = docker_context::metadata(&config, &name)?;
            let description = metadata["Metadata"]["Description"].as_str().unwrap_or_default();
            Ok((docker_context::endpoint(&config, &name)?, description.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let wrong = "unable to create docker endpoint config: ";
        for (text, expected) in [
            ("host=unix:///x", Ok(Endpoint::Host("unix:///x".to_owned()))),
            ("from=a", Ok(Endpoint::From("a".to_owned()))),
            (
                "host=unix:///a,ca=b",
                Err(format!("{wrong}ca: daemons are not spoken to by TLS")),
            ),
            ("colour=red", Err(format!("{wrong}unrecognized config key: colour"))),
            (
                "host=1",
                Err(format!(
                    "{wrong}unable to apply docker endpoint options: unable to parse docker host `1`"
                )),
            ),
        ] {
            let options = Options::parse(text).expect("keys with values");
            assert_eq!(
                options.endpoint().map_err(|error| error.to_string()),
                expected,
                "{text}"
            );
        }
        for (text, expected) in [
            ("a", "a must be formatted as key=value"),
            ("", " must be formatted as key=value"),
        ] {
            assert_eq!(Options::parse(text).expect_err(text), expected);
        }
    }
}
