// SPDX-License-Identifier: MIT
//! `hb ps`, `hb container ls`

use clap::{ArgAction, Args};
use hyperbox_client::model::ContainerSummary;

use super::ports;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, ago, ellipsis, local_time, three_digits};
use crate::options::filter;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "NUMBER", allow_negative_numbers = true)]
    last: Option<i64>,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t, hide_default_value = true, action = ArgAction::Set)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

pub(crate) const SPEC: Spec = spec!(ListArgs, run, ["ls", "list", "ps"], "List containers", "[OPTIONS]");
pub(crate) const SPEC_PS: Spec = spec!(ListArgs, run, ["ps"], "List containers", "[OPTIONS]");

const TITLES: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
];

const ROW: &str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const ROW_WITH_SIZE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

fn run(context: &Context, arguments: ListArgs) -> Outcome {
    let filters = filter::parse(&arguments.filter);
    let limit = if arguments.latest {
        Some(1)
    } else {
        arguments.last.filter(|last| *last > 0)
    };
    let format = context.list_format(arguments.format, "psFormat", arguments.quiet);
    let format = format.as_deref();
    // A template that shows the size makes the daemon compute it.
    let size = arguments.size || format.is_some_and(|format| format.contains(".Size") && !arguments.quiet);
    let containers = context
        .client()?
        .list_containers(arguments.all, limit, size, &filters)?;
    let rows: Vec<Value> = containers
        .iter()
        .map(|container| row(container, !arguments.no_trunc, size))
        .collect();
    let list = List {
        row: if arguments.size { ROW_WITH_SIZE } else { ROW },
        quiet: "{{.ID}}",
        titles: TITLES,
    };
    list.print(context, format, arguments.quiet, &rows)?;
    Ok(0)
}

/// Returns the row of a container.
pub(crate) fn row(container: &ContainerSummary, truncate: bool, size: bool) -> Value {
    let short = |id: &str| id.chars().take(12).collect::<String>();
    let id = if truncate {
        short(&container.id)
    } else {
        container.id.clone()
    };
    let command = if truncate {
        ellipsis(&container.command, 20)
    } else {
        container.command.clone()
    };
    let labels: Vec<String> = container
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let methods = container
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let networks: Vec<&str> = container.network_settings.networks.keys().map(String::as_str).collect();
    let local = container.mounts.iter().filter(|mount| mount.driver == "local").count();
    Value::map([
        ("Command", Value::from(format!("\"{command}\""))),
        ("CreatedAt", local_time(container.created).into()),
        ("ID", id.into()),
        ("Image", image(container, truncate).into()),
        ("Labels", labels.join(",").into()),
        ("LocalVolumes", local.to_string().into()),
        ("Mounts", mounts(container, truncate).into()),
        ("Names", names(container, truncate).into()),
        ("Networks", networks.join(",").into()),
        ("Ports", ports::show(&container.ports).into()),
        ("RunningFor", ago(container.created).into()),
        ("Size", sizes(container, size).into()),
        ("State", container.state.as_str().into()),
        ("Status", container.status.as_str().into()),
        ("\0Label", Value::map(methods)),
    ])
}

/// The names without slashes; names of links have a second slash and are left out when truncating.
fn names(container: &ContainerSummary, truncate: bool) -> String {
    let names = container.names.iter().map(|name| name.trim_start_matches('/'));
    names
        .filter(|name| !truncate || !name.contains('/'))
        .collect::<Vec<_>>()
        .join(",")
}

fn image(container: &ContainerSummary, truncate: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    // An image that lost its name is shown by its id.
    let bare = container.image.strip_prefix("sha256:").unwrap_or(&container.image);
    let is_id = bare.len() == 64 && bare.bytes().all(|byte| byte.is_ascii_hexdigit());
    if truncate && is_id {
        bare[..12].to_owned()
    } else {
        container.image.clone()
    }
}

fn mounts(container: &ContainerSummary, truncate: bool) -> String {
    let names = container.mounts.iter().map(|mount| {
        let name = if mount.name.is_empty() {
            &mount.source
        } else {
            &mount.name
        };
        if truncate { ellipsis(name, 15) } else { name.clone() }
    });
    names.collect::<Vec<_>>().join(",")
}

fn sizes(container: &ContainerSummary, known: bool) -> String {
    if !known {
        return "0B".to_owned();
    }
    let own = three_digits(container.size_rw);
    if container.size_root_fs > 0 {
        format!("{own} (virtual {})", three_digits(container.size_root_fs))
    } else {
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameless_images() {
        let id = "a".repeat(64);
        let container = ContainerSummary {
            image: format!("sha256:{id}"),
            ..ContainerSummary::default()
        };
        assert_eq!(image(&container, true), "a".repeat(12));
        assert_eq!(image(&ContainerSummary::default(), true), "<no image>");
    }
}
