// SPDX-License-Identifier: MIT
//! `hb info`

use std::fmt::Write as _;

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::template::{Template, Value};

#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(InfoArgs, run, ["info"], "Display system-wide information", "[OPTIONS]");

fn run(context: &Context, arguments: InfoArgs) -> Outcome {
    let template = match arguments.format.as_deref() {
        None | Some("") => None,
        Some("json") => Some(Template::parse("{{json .}}")?),
        Some(format) => Some(Template::parse(format)?),
    };
    let client = context.client()?;
    let answer = client.info()?;
    let info: Value = serde_json::from_str(answer.get()).map_err(|error| CliError::from_error(&error))?;
    match template {
        Some(template) => context.print(&template.render(&info)?)?,
        None => {
            context.print(text(&info, &client.host().to_string()).trim_end())?;
            if let Some(Value::List(warnings)) = info.field("Warnings") {
                for warning in warnings {
                    context.note(&warning.to_string());
                }
            }
        }
    }
    Ok(0)
}

/// The lines, each with the field that it shows.
const LINES: &[(&str, &str)] = &[
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Runtimes", "Runtimes"),
    ("Default Runtime", "DefaultRuntime"),
    ("Security Options", "SecurityOptions"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
    ("Experimental", "ExperimentalBuild"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
];

fn text(info: &Value, host: &str) -> String {
    let mut text = format!(
        "Client:\n Version: {}\n Host: {host}\n\nServer:\n",
        env!("CARGO_PKG_VERSION")
    );
    for (name, field) in LINES {
        let Some(value) = info.field(field) else { continue };
        let shown = match value {
            Value::Map(fields) => fields
                .iter()
                .map(|(name, _)| name.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            Value::List(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Value::Number(digits) if *field == "MemTotal" => digits
                .parse()
                .map(hyperbox_types::ByteSize)
                .map(hyperbox_types::ByteSize::binary)
                .unwrap_or_default(),
            other => other.to_string(),
        };
        let _ = writeln!(text, " {name}: {shown}"); // writing to a string cannot fail
        if *field == "Driver"
            && let Some(Value::List(pairs)) = info.field("DriverStatus")
        {
            for pair in pairs {
                if let Value::List(pair) = pair
                    && let [name, value] = pair.as_slice()
                {
                    let _ = writeln!(text, "  {name}: {value}"); // as above
                }
            }
        }
    }
    text
}
