// SPDX-License-Identifier: MIT
//! `hb version`

use std::fmt::Write as _;

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::template::{Template, Value};

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(
    VersionArgs,
    run,
    ["version"],
    "Show the version information",
    "[OPTIONS]"
);

fn run(context: &Context, arguments: VersionArgs) -> Outcome {
    let client = context.client()?;
    let docker_context = context.docker_context();
    let local = Value::map([
        ("Version", Value::from(env!("CARGO_PKG_VERSION"))),
        ("ApiVersion", client.api_version().into()),
        ("DefaultAPIVersion", hyperbox_client::API_VERSION.into()),
        ("Os", std::env::consts::OS.into()),
        ("Arch", architecture().into()),
        ("Context", docker_context.as_deref().unwrap_or("default").into()),
    ]);
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    // The client's part is shown also when there is no daemon.
    let answer = client.server_version();
    let server: Option<Value> = match &answer {
        Ok(text) => Some(serde_json::from_str(text.get()).map_err(|error| CliError::from_error(&error))?),
        Err(_) => None,
    };
    let missing = Value::Null(crate::template::Shape::Pointer);
    match template {
        Some(template) => {
            let all = Value::map([("Client", local), ("Server", server.unwrap_or(missing))]);
            context.print(&template.render(&all)?)?;
        }
        None => {
            let host = client.host().to_string();
            context.print(text(&local, server.as_ref(), &host).trim_end())?;
        }
    }
    answer?;
    Ok(0)
}

/// Go's name of this machine's architecture, as the daemon reports its own.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(local: &Value, server: Option<&Value>, host: &str) -> String {
    let mut text = "Client:\n".to_owned();
    let get = |value: &Value, name: &str| value.field(name).map(ToString::to_string).unwrap_or_default();
    let line = |text: &mut String, name: &str, value: &str| {
        let _ = writeln!(text, " {:<18} {value}", format!("{name}:")); // writing to a string cannot fail
    };
    line(&mut text, "Version", &get(local, "Version"));
    line(&mut text, "API version", &get(local, "ApiVersion"));
    line(
        &mut text,
        "OS/Arch",
        &format!("{}/{}", get(local, "Os"), get(local, "Arch")),
    );
    line(&mut text, "Host", host);
    let Some(server) = server else { return text };
    text.push_str("\nServer:\n");
    let name = server
        .field("Platform")
        .map(|platform| get(platform, "Name"))
        .filter(|name| !name.is_empty());
    line(&mut text, "Engine", &name.unwrap_or_else(|| "Docker Engine".to_owned()));
    line(&mut text, "Version", &get(server, "Version"));
    let minimum = get(server, "MinAPIVersion");
    line(
        &mut text,
        "API version",
        &format!("{} (minimum version {minimum})", get(server, "ApiVersion")),
    );
    line(
        &mut text,
        "OS/Arch",
        &format!("{}/{}", get(server, "Os"), get(server, "Arch")),
    );
    line(&mut text, "Kernel", &get(server, "KernelVersion"));
    if let Some(Value::List(components)) = server.field("Components") {
        for component in components.iter().filter(|component| get(component, "Name") != "Engine") {
            line(&mut text, &get(component, "Name"), &get(component, "Version"));
        }
    }
    text
}
