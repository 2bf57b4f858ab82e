// SPDX-License-Identifier: MIT
//! `hb search`

use clap::Args;
use hyperbox_client::model::FoundRepository;
use hyperbox_types::ImageReference;

use super::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, ellipsis};
use crate::options::filter;
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::pair)]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    limit: Option<i64>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(hide = true)]
    term: String,
}

pub(crate) const SPEC: Spec = spec!(
    SearchArgs,
    run,
    ["search"],
    "Search a registry for images, Docker Hub unless TERM begins with another host",
    "[OPTIONS] TERM"
);

const LIST: List = List {
    row: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    quiet: "{{.Name}}",
    titles: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
    ],
};

/// More of a description is not shown in a table.
const DESCRIPTION: usize = 45;

fn run(context: &Context, arguments: SearchArgs) -> Outcome {
    let term = &arguments.term;
    // A term that is no name of an image needs no credentials.
    let credentials = match ImageReference::parse(term) {
        Ok(reference) => context.registry_header(reference.repository().host())?,
        Err(_) => None,
    };
    let filters = filter::parse(&arguments.filter);
    let found = context
        .client()?
        .search_images(term, arguments.limit, &filters, credentials.as_deref())?;
    let rows: Vec<Value> = found.iter().map(|found| row(found, !arguments.no_trunc)).collect();
    LIST.print(context, arguments.format.as_deref(), false, &rows)?;
    Ok(0)
}

fn row(found: &FoundRepository, truncate: bool) -> Value {
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if truncate {
        ellipsis(&description, DESCRIPTION)
    } else {
        description
    };
    let mark = if found.is_official { "[OK]" } else { "" };
    Value::map([
        ("Description", Value::from(description)),
        ("IsOfficial", mark.into()),
        ("Name", found.name.as_str().into()),
        ("StarCount", found.star_count.to_string().into()),
    ])
}
