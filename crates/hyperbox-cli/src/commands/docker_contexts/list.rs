// SPDX-License-Identifier: MIT
//! `docker context ls`

use clap::Args;

use super::DEFAULT_DESCRIPTION;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context::{self, DEFAULT};
use crate::error::{CliError, Outcome};
use crate::format::List;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only show context names
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(ListArgs, run, ["ls", "list"], "List contexts", "[OPTIONS]");

const LIST: List = List {
    row: "{{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
    quiet: "{{.Name}}",
    titles: &[
        // No context is called so: the title has no mark.
        ("Current", ""),
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
    ],
};

fn run(context: &Context, arguments: ListArgs) -> Outcome {
    let config = context.config_directory();
    let current = context.docker_context().unwrap_or_else(|| DEFAULT.to_owned());
    let default = context.default_host()?;
    let mut names = docker_context::names(&config)?;
    names.push(DEFAULT.to_owned());
    if !names.contains(&current) {
        names.push(current.clone());
    }
    names.sort();
    let rows: Vec<Value> = names
        .iter()
        .map(|name| {
            if name == DEFAULT {
                row(name, *name == current, DEFAULT_DESCRIPTION, &default, "")
            } else {
                described(name, *name == current, docker_context::metadata(&config, name))
            }
        })
        .collect();
    LIST.print(context, arguments.format.as_deref(), arguments.quiet, &rows)?;
    if context.has_docker_host() && !arguments.quiet {
        context.note(
            "Warning: DOCKER_HOST environment variable overrides the active context. To use a context, either set the global \
             --context flag, or unset DOCKER_HOST environment variable.",
        );
    }
    Ok(0)
}

fn described(name: &str, current: bool, metadata: Result<serde_json::Value, CliError>) -> Value {
    match metadata {
        Ok(metadata) => {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let description = text(&metadata["Metadata"]["Description"]);
            let host = text(&metadata["Endpoints"]["docker"]["Host"]);
            row(name, current, &description, &host, "")
        }
        Err(error) => row(name, current, "", "", &error.to_string()),
    }
}

fn row(name: &str, current: bool, description: &str, host: &str, error: &str) -> Value {
    Value::map([
        ("Current", Value::from(current)),
        ("Description", description.into()),
        ("DockerEndpoint", host.into()),
        ("Error", error.into()),
        ("Name", name.into()),
    ])
}
