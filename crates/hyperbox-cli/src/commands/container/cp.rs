// SPDX-License-Identifier: MIT
//! `hb cp`

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;

use clap::Args;
use hyperbox_client::Client;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::copying::local;
use crate::copying::place::{Present, Side, asserts_directory, follow, place, side, split};
use crate::error::{CliError, Outcome};

#[derive(Debug, Args)]
pub(crate) struct CpArgs {
    /// Archive mode (copy all uid/gid information)
    #[arg(short, long)]
    archive: bool,
    /// Always follow symbol link in SRC_PATH
    #[arg(short = 'L', long)]
    follow_link: bool,
    /// Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached
    #[arg(short, long)]
    quiet: bool,
    #[arg(hide = true, allow_hyphen_values = true)]
    source: String,
    #[arg(hide = true, allow_hyphen_values = true)]
    destination: String,
}

pub(crate) const SPEC: Spec = spec!(
    CpArgs,
    run,
    ["cp"],
    "Copy files/folders between a container and the local filesystem",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-"
);

fn run(context: &Context, arguments: CpArgs) -> Outcome {
    let (from, to) = (side(&arguments.source), side(&arguments.destination));
    match (from, to) {
        (Side::Container(container, path), Side::Local(destination)) => {
            copy_out(
                &context.client()?,
                &container,
                &path,
                &destination,
                arguments.follow_link,
            )?;
        }
        (Side::Local(source), Side::Container(container, path)) => {
            copy_in(&context.client()?, &source, &container, &path, &arguments)?;
        }
        (Side::Container(..), Side::Container(..)) => {
            return Err(CliError::new("copying between containers is not supported"));
        }
        (Side::Local(_), Side::Local(_)) => {
            return Err(CliError::new("must specify at least one container source"));
        }
    }
    if !arguments.quiet && arguments.destination != "-" && context.output_is_terminal() {
        context.note(&format!("Successfully copied to {}", arguments.destination));
    }
    Ok(0)
}

fn present(path: &str) -> Present {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Present::Directory,
        Ok(_) => Present::File,
        Err(_) => Present::Nothing,
    }
}

fn copy_out(client: &Client, container: &str, path: &str, destination: &str, follows: bool) -> Result<(), CliError> {
    if let Err(error) = fs::metadata(destination)
        && error.kind() == io::ErrorKind::NotADirectory
    {
        let directory = std::path::absolute(destination)?.display().to_string();
        return Err(CliError::new(format!("stat {directory}: not a directory")).bare());
    }
    if destination != "-" && present(destination) == Present::Nothing {
        let (directory, _) = split(destination);
        if present(&directory) != Present::Directory {
            let directory = std::path::absolute(&directory)?.display().to_string();
            return Err(CliError::new(format!(
                "invalid output path: directory {directory:?} does not exist"
            )));
        }
    }
    let mut path = path.to_owned();
    let mut own_name = None;
    // A path that is not there is refused below, with an explanation: the answer to a question about it has no room for one.
    if follows
        && let Ok(stat) = client.stat_container_path(container, &path)
        && stat.is_link()
    {
        own_name = Some(stat.name.clone());
        path = follow(&path, &stat.link_target);
    }
    let (stat, mut body) = client.copy_from_container(container, &path)?;
    if destination == "-" {
        if io::stdout().is_terminal() {
            return Err(CliError::new(
                "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            ));
        }
        let mut output = io::stdout().lock();
        io::copy(&mut body, &mut output)?;
        return Ok(output.flush()?);
    }
    let placement =
        place(stat.is_directory(), destination, present(destination)).map_err(|text| CliError::new(text.to_owned()))?;
    let rename = placement.rename.or(own_name);
    local::unpack(
        &mut body,
        Path::new(&placement.directory),
        &stat.name,
        rename.as_deref(),
    )
}

/// What is at the end of the destination, links followed.
fn destination_in(client: &Client, container: &str, path: &str) -> Result<(String, Present), CliError> {
    let mut path = path.to_owned();
    let Ok(mut stat) = client.stat_container_path(container, &path) else {
        // The daemon says later what is wrong, if anything is.
        return Ok((path, Present::Nothing));
    };
    if stat.is_link() {
        path = follow(&path, &stat.link_target);
        match client.stat_container_path(container, &path) {
            Ok(end) => stat = end,
            Err(_) => return Ok((path, Present::Nothing)),
        }
    }
    let present = if stat.is_directory() {
        Present::Directory
    } else {
        Present::File
    };
    Ok((path, present))
}

fn copy_in(client: &Client, source: &str, container: &str, path: &str, arguments: &CpArgs) -> Result<(), CliError> {
    let (target, there) = destination_in(client, container, path)?;
    if source == "-" {
        if there != Present::Directory {
            return Err(CliError::new(format!(
                "destination \"{container}:{path}\" must be a directory"
            )));
        }
        let mut input = io::stdin().lock();
        return Ok(client.copy_to_container(container, &target, arguments.archive, &mut input)?);
    }
    let missing = |error: io::Error| CliError::new(format!("lstat {source}: {error}"));
    let own = fs::symlink_metadata(source).map_err(missing)?;
    let followed = arguments.follow_link || asserts_directory(source);
    let real = if followed && own.is_symlink() {
        fs::canonicalize(source).map_err(missing)?
    } else {
        Path::new(source).to_path_buf()
    };
    let is_directory = fs::symlink_metadata(&real).map_err(missing)?.is_dir();
    if asserts_directory(source) && !is_directory {
        return Err(CliError::new(format!("lstat {source}: not a directory")));
    }
    let placement = place(is_directory, &target, there).map_err(|text| CliError::new(text.to_owned()))?;
    let content_only = source.ends_with("/.") || source == ".";
    let name = match (&placement.rename, content_only) {
        (Some(name), _) => name.clone(),
        (None, true) => ".".to_owned(),
        (None, false) => last_name(source)?,
    };
    let (mut reader, writer) = io::pipe()?;
    let packing = std::thread::spawn(move || local::pack(&real, &name, io::BufWriter::new(writer)));
    let mut counted: &mut dyn Read = &mut reader;
    let sent = client.copy_to_container(container, &placement.directory, arguments.archive, &mut counted);
    drop(reader);
    let packed = packing.join();
    sent?;
    match packed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(CliError::new(format!("cannot read {source}: {error}"))),
        Err(_) => Err(CliError::new(format!("cannot read {source}"))),
    }
}

/// The name of a path, also of one like `..`.
fn last_name(path: &str) -> Result<String, CliError> {
    let name = split(path).1;
    if !matches!(name.as_str(), "" | "." | "..") {
        return Ok(name);
    }
    let real = fs::canonicalize(path)?;
    Ok(real
        .file_name()
        .map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned()))
}
