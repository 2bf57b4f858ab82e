// SPDX-License-Identifier: MIT
//! `hb builder du`

use clap::Args;

use crate::commands::system::build_cache;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::decimal_size;

#[derive(Debug, Args)]
pub(crate) struct UsageArgs {
    /// Do not shorten
    #[arg(long)]
    verbose: bool,
    /// Format output using a custom template
    #[arg(long, value_name = "TEMPLATE")]
    format: Option<String>,
}

pub(crate) const SPEC: Spec = spec!(UsageArgs, run, ["du"], "Show what builds keep on the disk", "[OPTIONS]");

fn run(context: &Context, arguments: UsageArgs) -> Outcome {
    let mut caches = context.client()?.disk_usage()?.build_cache;
    caches.sort_by(build_cache::by_last_use);
    let rows: Vec<_> = caches
        .iter()
        .map(|cache| build_cache::row(cache, !arguments.verbose))
        .collect();
    build_cache::LIST.print(context, arguments.format.as_deref(), false, &rows)?;
    if arguments.format.is_none() {
        let own = caches.iter().filter(|cache| !cache.shared);
        let (free, all): (i64, i64) = own.fold((0, 0), |(free, all), cache| {
            let freed = if cache.in_use { 0 } else { cache.size };
            (free + freed, all + cache.size)
        });
        context.print(&format!(
            "Reclaimable:\t{}\nTotal:\t\t{}",
            decimal_size(free),
            decimal_size(all)
        ))?;
    }
    Ok(0)
}
