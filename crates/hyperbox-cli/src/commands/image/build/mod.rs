// SPDX-License-Identifier: MIT
//! `hb build`: arguments in, one session with the daemon, and what came of it. `service` builds images of a project's services by the same path.

mod answers;
mod call;
mod checks;
mod location;
mod output;
mod service;
mod session;
mod upload;

use std::collections::BTreeMap;
use std::fs;

use clap::Args;
use hyperbox_client::credentials::Credentials;
use hyperbox_client::{BuildSession, Client};
use hyperbox_types::build::{BuildCall, ContextPlace};

pub(crate) use self::call::credentials_of;
pub(crate) use self::service::{Order, build_service};

use self::location::Located;
use self::output::Destination;
use self::session::Built;
use crate::build_progress::Style;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::options;

#[derive(Debug, Default, Args)]
pub(crate) struct BuildArgs {
    /// Add a custom host-to-IP mapping (`host:ip`)
    #[arg(long, value_name = "HOST:IP")]
    add_host: Vec<String>,
    /// Allow extra privileges (`network.host`, `security.insecure`)
    #[arg(long, value_name = "ENTITLEMENT", value_delimiter = ',')]
    allow: Vec<String>,
    /// Set build-time variables
    #[arg(long, value_name = "NAME[=VALUE]")]
    build_arg: Vec<String>,
    /// Additional build contexts (`name=path`)
    #[arg(long, value_name = "NAME=PATH")]
    build_context: Vec<String>,
    /// External cache sources (`user/app:cache`, `type=local,src=path/to/dir`)
    #[arg(long, value_name = "SOURCE")]
    cache_from: Vec<String>,
    /// Cache export destinations (`type=inline`, `type=registry,ref=user/app:cache`, `type=local,dest=path`)
    #[arg(long, value_name = "TARGET")]
    cache_to: Vec<String>,
    /// Set method for evaluating build
    #[arg(long, value_enum, value_name = "METHOD", default_value_t = Call::Build)]
    call: Call,
    /// Set the parent cgroup for the `RUN` instructions during build
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
    /// Check the Dockerfile instead of building it (`--call=check`)
    #[arg(long)]
    check: bool,
    /// Name of the Dockerfile (default: `PATH/Dockerfile`)
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    iidfile: Option<String>,
    /// Set metadata for an image
    #[arg(long, value_name = "KEY=VALUE", value_parser = options::label)]
    label: Vec<String>,
    /// Keep the image in the store (the default unless `--output` says otherwise)
    #[arg(long)]
    load: bool,
    /// Write build result metadata to a file
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<String>,
    /// Set the networking mode for the `RUN` instructions during build
    #[arg(long, value_name = "MODE", default_value = "default")]
    network: String,
    /// Do not use cache when building the image
    #[arg(long)]
    no_cache: bool,
    /// Do not cache specified stages
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    no_cache_filter: Vec<String>,
    /// Output destination (`type=local,dest=path`, `type=tar`, `type=oci`, `type=docker`, `type=image`)
    #[arg(short, long, value_name = "DESTINATION")]
    output: Vec<String>,
    /// Set target platform for build
    #[arg(long, value_name = "OS/ARCHITECTURE")]
    platform: Option<String>,
    /// Set type of progress output
    #[arg(long, value_enum, default_value_t = Style::Auto)]
    progress: Style,
    /// Always attempt to pull all referenced images
    #[arg(long)]
    pull: bool,
    /// Push the image under its names
    #[arg(long)]
    push: bool,
    /// Suppress the build output and print image ID on success
    #[arg(short, long)]
    quiet: bool,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<String>,
    #[arg(long, hide = true)]
    force_rm: bool,
    /// Secret to expose to the build (`id=mysecret[,src=/local/secret]`, `id=TOKEN,env=TOKEN`)
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    /// Shared memory size for build containers
    #[arg(long, value_name = "BYTES", value_parser = options::parse_bytes)]
    shm_size: Option<i64>,
    /// SSH agent socket to expose to the build (`default`, `id=socket`)
    #[arg(long, value_name = "AGENT")]
    ssh: Vec<String>,
    /// Name of the image (`name[:tag]`)
    #[arg(short, long, value_name = "NAME")]
    tag: Vec<String>,
    /// Set the target build stage to build
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    #[arg(hide = true)]
    context: String,
}

/// What is done with a Dockerfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Call {
    /// It is built.
    #[default]
    Build,
    /// It is checked.
    #[value(alias = "lint")]
    Check,
}

pub(crate) const SPEC: Spec = spec!(
    BuildArgs,
    run,
    ["build"],
    "Build an image from a Dockerfile",
    "[OPTIONS] PATH|URL|-"
);

fn run(context: &Context, arguments: BuildArgs) -> Outcome {
    let on_this_machine = context.host()?.socket_path().is_some();
    let destination = output::destination(&arguments.output, arguments.push, arguments.load)?;
    let located = location::locate(&arguments.context, arguments.file.as_deref(), on_this_machine)?;
    let call = call::call(context, &arguments, &located, &destination, on_this_machine)?;
    let names = call.tags.clone();
    let keys = answers::Keys::parse(&arguments.secret, &arguments.ssh, |name| context.environment(name))?;
    let built = build(context, &arguments, located, call, keys, &destination)?;
    if let Some(checked) = &built.checked {
        return checks::tell(context, checked);
    }
    tell(context, &arguments, &names, &built)?;
    Ok(0)
}

/// Builds, and once more with the context sent when the daemon sees another machine's files.
fn build(
    context: &Context,
    arguments: &BuildArgs,
    located: Located,
    call: BuildCall,
    keys: answers::Keys,
    destination: &Destination,
) -> Result<Built, CliError> {
    let credentials = call::credentials(context, &call)?;
    let (session, context_bytes) = begin(&context.client()?, &credentials, located, call, &keys)?;
    let style = if arguments.quiet {
        Style::Quiet
    } else {
        arguments.progress
    };
    session::drive(session, context_bytes, keys, style, destination)
}

/// Begins a build; returns what has to be sent as its context.
fn begin(
    client: &Client,
    credentials: &BTreeMap<String, Credentials>,
    located: Located,
    mut call: BuildCall,
    keys: &answers::Keys,
) -> Result<(BuildSession, Option<upload::Upload>), CliError> {
    call.secrets = keys.secret_ids();
    call.ssh = keys.agent_ids();
    let mut context_bytes = located.bytes;
    let session = match client.build(&call, credentials) {
        Err(error) if error.is_other_directory() && matches!(call.context, ContextPlace::Directory { .. }) => {
            let (place, bytes) = location::sent_instead(&call.context, located.text.as_ref())?;
            call.context = place;
            if let Some(dockerfile) = located.text {
                call.dockerfile = dockerfile;
            }
            context_bytes = Some(bytes);
            client.build(&call, credentials)?
        }
        Err(error) if error.is_unknown_route() => {
            return Err(
                CliError::new("the daemon is another engine, whose builder speaks another protocol")
                    .with_hint("use that engine's own command line to build, or start hyperboxd"),
            );
        }
        session => session?,
    };
    Ok((session, context_bytes))
}

/// `names` are those of the image, in full.
fn tell(context: &Context, arguments: &BuildArgs, names: &[String], built: &Built) -> Result<(), CliError> {
    let write = |path: &str, text: &str| {
        fs::write(path, text).map_err(|error| CliError::new(format!("cannot write {path}: {error}")))
    };
    let image = built.image.as_deref().unwrap_or_default();
    if let Some(path) = &arguments.iidfile {
        write(path, image)?;
    }
    if let Some(path) = &arguments.metadata_file {
        let mut facts = serde_json::Map::new();
        for (key, value) in [
            ("containerimage.config.digest", built.image.as_deref()),
            // An image that is not pushed has no manifest to name; Docker says the id then.
            (
                "containerimage.digest",
                built.digest.as_deref().or(built.image.as_deref()),
            ),
        ] {
            facts.extend(value.map(|value| (key.to_owned(), value.into())));
        }
        if !names.is_empty() {
            facts.insert("image.name".to_owned(), names.join(",").into());
        }
        let text = serde_json::to_string_pretty(&facts).map_err(|error| CliError::from_error(&error))?;
        write(path, &text)?;
    }
    if arguments.quiet && !image.is_empty() {
        context.print(image)?;
    }
    Ok(())
}
