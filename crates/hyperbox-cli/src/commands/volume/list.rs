// SPDX-License-Identifier: MIT
//! `hb volume ls`

use clap::Args;
use hyperbox_client::model::Volume;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, decimal_size, natural};
use crate::options::filter;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(ListArgs, run, ["ls", "list"], "List volumes", "[OPTIONS]");

const LIST: List = List {
    row: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
    titles: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
    ],
};

fn run(context: &Context, arguments: ListArgs) -> Outcome {
    let mut list = context.client()?.list_volumes(&filter::parse(&arguments.filter))?;
    list.volumes.sort_by(|left, right| natural(&left.name, &right.name));
    let rows: Vec<Value> = list.volumes.iter().map(row).collect();
    let format = context.list_format(arguments.format, "volumesFormat", arguments.quiet);
    LIST.print(context, format.as_deref(), arguments.quiet, &rows)?;
    for warning in list.warnings {
        context.note(&format!("WARNING: {warning}"));
    }
    Ok(0)
}

/// Returns the row of a volume.
pub(crate) fn row(volume: &Volume) -> Value {
    let labels: Vec<String> = volume
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let methods = volume
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let usage = volume.usage_data.as_ref();
    let known = |number: Option<i64>, show: fn(i64) -> String| {
        number.filter(|number| *number >= 0).map_or("N/A".to_owned(), show)
    };
    Value::map([
        ("Availability", Value::from("N/A")),
        ("Driver", volume.driver.as_str().into()),
        ("Group", "N/A".into()),
        ("Labels", labels.join(",").into()),
        (
            "Links",
            known(usage.map(|usage| usage.ref_count), |count| count.to_string()).into(),
        ),
        ("Mountpoint", volume.mountpoint.as_str().into()),
        ("Name", volume.name.as_str().into()),
        ("Scope", volume.scope.as_str().into()),
        ("Size", known(usage.map(|usage| usage.size), decimal_size).into()),
        ("Status", "N/A".into()),
        ("\0Label", Value::map(methods)),
    ])
}
