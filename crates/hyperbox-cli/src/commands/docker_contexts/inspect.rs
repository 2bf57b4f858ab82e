// SPDX-License-Identifier: MIT
//! `docker context inspect`

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::docker_context::{self, DEFAULT};
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Format output: 'json' or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    #[arg(hide = true)]
    names: Vec<String>,
}

pub(crate) const SPEC: Spec = spec!(
    InspectArgs,
    run,
    ["inspect"],
    "Display detailed information on one or more contexts",
    "[OPTIONS] [CONTEXT] [CONTEXT...]"
);

fn run(context: &Context, mut arguments: InspectArgs) -> Outcome {
    if arguments.names.is_empty() {
        let current = context.docker_context();
        arguments.names.push(current.unwrap_or_else(|| DEFAULT.to_owned()));
    }
    crate::commands::inspect::show(context, arguments.format.as_deref(), &arguments.names, |name| {
        describe(context, name)
    })
}

fn describe(context: &Context, name: &str) -> Result<Box<RawValue>, CliError> {
    let (metadata, storage) = if name == DEFAULT {
        let host = context.default_host()?;
        let metadata = json!({
            "Metadata": {},
            "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": false } },
        });
        (metadata, ("<IN MEMORY>".to_owned(), "<IN MEMORY>".to_owned()))
    } else {
        let config = context.config_directory();
        let (place, certificates) = docker_context::storage(&config, name);
        let storage = (place.display().to_string(), certificates.display().to_string());
        (docker_context::metadata(&config, name)?, storage)
    };
    // Maps of serde_json are sorted; the order here is Docker's.
    let text = format!(
        "{{\"Name\":{},\"Metadata\":{},\"Endpoints\":{},\"TLSMaterial\":{{}},\"Storage\":{{\"MetadataPath\":{},\"TLSPath\":{}}}}}",
        json!(name),
        metadata["Metadata"],
        metadata["Endpoints"],
        json!(storage.0),
        json!(storage.1)
    );
    RawValue::from_string(text).map_err(|error| CliError::from_error(&error))
}
