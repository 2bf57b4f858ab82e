// SPDX-License-Identifier: MIT
//! `hb network ls`

use clap::Args;
use hyperbox_client::model::NetworkSummary;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, natural};
use crate::options::filter;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

pub(crate) const SPEC: Spec = spec!(ListArgs, run, ["ls", "list"], "List networks", "[OPTIONS]");

const LIST: List = List {
    row: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
    titles: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
};

fn run(context: &Context, arguments: ListArgs) -> Outcome {
    let mut networks = context.client()?.list_networks(&filter::parse(&arguments.filter))?;
    networks.sort_by(|left, right| natural(&left.name, &right.name));
    let rows: Vec<Value> = networks
        .iter()
        .map(|network| row(network, !arguments.no_trunc))
        .collect();
    let format = context.list_format(arguments.format, "networksFormat", arguments.quiet);
    LIST.print(context, format.as_deref(), arguments.quiet, &rows)?;
    Ok(0)
}

fn row(network: &NetworkSummary, truncate: bool) -> Value {
    let labels: Vec<String> = network
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let methods = network
        .labels
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let id: String = network
        .id
        .chars()
        .take(if truncate { 12 } else { usize::MAX })
        .collect();
    Value::map([
        ("CreatedAt", Value::from(created(&network.created))),
        ("Driver", network.driver.as_str().into()),
        ("ID", id.into()),
        ("IPv4", network.enable_ipv4.to_string().into()),
        ("IPv6", network.enable_ipv6.to_string().into()),
        ("Internal", network.internal.to_string().into()),
        ("Labels", labels.join(",").into()),
        ("Name", network.name.as_str().into()),
        ("Scope", network.scope.as_str().into()),
        ("\0Label", Value::map(methods)),
    ])
}

/// Shows a time as Go prints it: `2026-01-02 03:04:05.000000006 +0000 UTC`.
fn created(text: &str) -> String {
    let parsed = Pieces::parse(text).ok().and_then(|pieces| {
        let offset = pieces.to_numeric_offset()?;
        Some((pieces.date().to_datetime(pieces.time()?), offset))
    });
    let Some((moment, offset)) = parsed else {
        return text.to_owned();
    };
    let moment = moment.strftime("%Y-%m-%d %H:%M:%S%.f");
    // Go knows no name of a zone that is only an offset.
    if offset == Offset::UTC {
        return format!("{moment} +0000 UTC");
    }
    let (sign, minutes) = (
        if offset.seconds() < 0 { '-' } else { '+' },
        offset.seconds().abs() / 60,
    );
    let digits = format!("{sign}{:02}{:02}", minutes / 60, minutes % 60);
    format!("{moment} {digits} {digits}")
}

#[cfg(test)]
mod tests {
    use super::created;

    #[test]
    fn times() {
        for (text, shown) in [
            ("2026-01-02T03:04:05.12Z", "2026-01-02 03:04:05.12 +0000 UTC"),
            (
                "2026-01-02T03:04:05.000000006Z",
                "2026-01-02 03:04:05.000000006 +0000 UTC",
            ),
            ("2026-01-02T03:04:05Z", "2026-01-02 03:04:05 +0000 UTC"),
            ("2026-01-02T03:04:05.5+02:00", "2026-01-02 03:04:05.5 +0200 +0200"),
            ("2026-01-02T03:04:05-03:30", "2026-01-02 03:04:05 -0330 -0330"),
            ("soon", "soon"),
        ] {
            assert_eq!(created(text), shown);
        }
    }
}
