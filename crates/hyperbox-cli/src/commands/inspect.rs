// SPDX-License-Identifier: MIT
//! `hb inspect`

use std::io::Write;

use clap::Args;
use hyperbox_client::{Client, ClientError};
use serde_json::value::RawValue;

use super::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::indent;
use crate::template::{Template, Value};

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    #[arg(required = true, value_name = "NAME|ID", hide = true)]
    names: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Return low-level information on objects",
    "[OPTIONS] NAME|ID [NAME|ID...]"
);

/// The kinds of objects, in the order in which a name is looked up.
const KINDS: &[&str] = &["container", "image", "network", "volume"];

fn run(context: &Context, arguments: InspectArgs) -> Outcome {
    let kind = arguments.r#type.as_deref();
    if let Some(kind) = kind
        && !KINDS.contains(&kind)
    {
        let known: Vec<String> = KINDS.iter().map(|kind| format!("{kind:?}")).collect();
        return Err(CliError::new(format!(
            "unknown type: {kind:?}: must be one of {}",
            known.join(", ")
        )));
    }
    let client = context.client()?;
    show(
        context,
        arguments.format.as_deref(),
        &arguments.names,
        |name| match kind {
            Some(kind) => Ok(get(&client, kind, name, arguments.size)?),
            None => search(&client, name, arguments.size),
        },
    )
}

fn get(client: &Client, kind: &str, name: &str, size: bool) -> Result<Box<RawValue>, ClientError> {
    match kind {
        "container" => client.inspect_container(name, size),
        "image" => client.inspect_image(name, None),
        "network" => client.inspect_network(name, false),
        _ => client.inspect_volume(name),
    }
}

fn search(client: &Client, name: &str, size: bool) -> Result<Box<RawValue>, CliError> {
    for kind in KINDS {
        match get(client, kind, name, size) {
            Ok(found) => return Ok(found),
            Err(error) if error.is_not_found() => {}
            // A name that is malformed for one kind may be right for the next.
            Err(error) if error.kind() == hyperbox_types::ErrorKind::InvalidArgument => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(CliError::new(format!("no such object: {name}")).docker_says(format!("Error: No such object: {name}")))
}

/// Shows objects: what was found goes to standard output, then what was not is reported.
pub(crate) fn show(
    context: &Context,
    format: Option<&str>,
    names: &[String],
    get: impl Fn(&str) -> Result<Box<RawValue>, CliError>,
) -> Outcome {
    let template = match format {
        None | Some("" | "json") => None,
        Some(format) => Some(Template::parse(&format.replace("\\t", "\t").replace("\\n", "\n"))?),
    };
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for name in names {
        match get(name) {
            Ok(object) => found.push(object),
            Err(error) if error.ends_the_command() => return Err(error),
            Err(error) => failures.push(error),
        }
    }
    let mut output = context.output();
    match &template {
        None => output.write_all(array(&found, format == Some("json")).as_bytes())?,
        Some(template) => {
            for object in &found {
                let value: Value = serde_json::from_str(object.get()).map_err(|error| CliError::from_error(&error))?;
                writeln!(output, "{}", template.render(&value)?)?;
            }
            if found.is_empty() {
                writeln!(output)?;
            }
        }
    }
    output.flush()?;
    for failure in &failures {
        context.complain(failure);
    }
    Ok(u8::from(!failures.is_empty()))
}

fn array(objects: &[Box<RawValue>], compact: bool) -> String {
    let texts: Vec<&str> = objects.iter().map(|object| object.get().trim()).collect();
    let array = format!("[{}]", texts.join(","));
    if compact {
        format!("{array}\n")
    } else {
        format!("{}\n", indent(&array, 4, 0))
    }
}
