// SPDX-License-Identifier: MIT
//! `hb system df`

use clap::Args;
use hyperbox_client::model::{DiskUsage, Volume, VolumeUsage};

use super::df_details;
use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::Outcome;
use crate::format::{List, decimal_size};
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

pub(crate) const SPEC: Spec = spec!(DfArgs, run, ["df"], "Show disk usage", "[OPTIONS]");

const LIST: List = List {
    row: "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    quiet: "{{.Type}}",
    titles: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

fn run(context: &Context, arguments: DfArgs) -> Outcome {
    let usage = context.client()?.disk_usage()?;
    let format = arguments.format.as_deref();
    if arguments.verbose {
        df_details::print(context, format, usage)?;
        return Ok(0);
    }
    let rows: Vec<Value> = summaries(&usage).iter().map(Summary::row).collect();
    LIST.print(context, format, false, &rows)?;
    Ok(0)
}

/// One kind of object.
#[derive(Debug, PartialEq, Eq)]
struct Summary {
    kind: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
    /// Docker shows no share for the build cache.
    with_share: bool,
}

impl Summary {
    fn row(&self) -> Value {
        let mut reclaimable = decimal_size(self.reclaimable);
        if self.with_share && self.size > 0 {
            let share = i128::from(self.reclaimable) * 100 / i128::from(self.size);
            reclaimable = format!("{reclaimable} ({share}%)");
        }
        Value::map([
            ("Active", Value::from(self.active.to_string())),
            ("Reclaimable", reclaimable.into()),
            ("Size", decimal_size(self.size).into()),
            ("TotalCount", self.total.to_string().into()),
            ("Type", self.kind.into()),
        ])
    }
}

fn summaries(usage: &DiskUsage) -> [Summary; 4] {
    [images(usage), containers(usage), volumes(usage), build_cache(usage)]
}

fn images(usage: &DiskUsage) -> Summary {
    let used = || usage.images.iter().filter(|image| image.containers > 0);
    // What used images need stays; the rest of the layers can go.
    let needed: i64 = used()
        .filter(|image| image.size >= 0 && image.shared_size >= 0)
        .map(|image| image.size.saturating_sub(image.shared_size))
        .fold(0, i64::saturating_add);
    Summary {
        kind: "Images",
        total: usage.images.len(),
        active: used().count(),
        size: usage.layers_size,
        reclaimable: usage.layers_size.saturating_sub(needed).max(0),
        with_share: true,
    }
}

fn containers(usage: &DiskUsage) -> Summary {
    let live = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let all = usage.containers.iter();
    let (active, idle): (Vec<_>, Vec<_>) = all.partition(|container| live(&container.state));
    let idle_size = sum(idle.iter().map(|container| container.size_rw));
    Summary {
        kind: "Containers",
        total: usage.containers.len(),
        active: active.len(),
        size: sum(active.iter().map(|container| container.size_rw)).saturating_add(idle_size),
        reclaimable: idle_size,
        with_share: true,
    }
}

fn volumes(usage: &DiskUsage) -> Summary {
    let of = |volume: &Volume, figure: fn(&VolumeUsage) -> i64| volume.usage_data.as_ref().map_or(0, figure);
    let (used, idle): (Vec<_>, Vec<_>) = usage
        .volumes
        .iter()
        .partition(|volume| of(volume, |usage| usage.ref_count) > 0);
    let size = |volumes: &[&Volume]| sum(volumes.iter().map(|volume| of(volume, |usage| usage.size)));
    Summary {
        kind: "Local Volumes",
        total: usage.volumes.len(),
        active: used.len(),
        size: size(&used).saturating_add(size(&idle)),
        reclaimable: size(&idle),
        with_share: true,
    }
}

fn build_cache(usage: &DiskUsage) -> Summary {
    // What is shared is counted with the images.
    let own = || usage.build_cache.iter().filter(|cache| !cache.shared);
    Summary {
        kind: "Build Cache",
        total: usage.build_cache.len(),
        active: usage.build_cache.iter().filter(|cache| cache.in_use).count(),
        size: sum(own().map(|cache| cache.size)),
        reclaimable: sum(own().filter(|cache| !cache.in_use).map(|cache| cache.size)),
        with_share: false,
    }
}

/// Adds sizes; unknown ones are negative.
fn sum(sizes: impl Iterator<Item = i64>) -> i64 {
    sizes.map(|size| size.max(0)).fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let usage: DiskUsage = serde_json::from_str(
            r#"{"LayersSize":300,"Images":[{"Containers":1,"Size":200,"SharedSize":50},{"Containers":0,"Size":100,"SharedSize":0}],
                "Containers":[{"State":"running","SizeRw":7},{"State":"exited","SizeRw":3}],
                "Volumes":[{"UsageData":{"Size":10,"RefCount":0}},{"UsageData":{"Size":-1,"RefCount":2}}],
                "BuildCache":[{"ID":"a","Size":5},{"ID":"b","Size":3,"InUse":true},{"ID":"c","Size":9,"Shared":true}]}"#,
        )
        .unwrap();
        let sums = summaries(&usage);
        let figures: Vec<_> = sums
            .iter()
            .map(|sum| (sum.total, sum.active, sum.size, sum.reclaimable))
            .collect();
        assert_eq!(figures, [(2, 1, 300, 150), (2, 1, 10, 3), (2, 1, 10, 10), (3, 1, 8, 5)]);
        let shown = |sum: &Summary| sum.row().field("Reclaimable").map(ToString::to_string);
        assert_eq!(shown(&sums[0]).as_deref(), Some("150B (50%)"));
        assert_eq!(shown(&sums[3]).as_deref(), Some("5B"));
        let nothing = summaries(&DiskUsage::default());
        assert_eq!(shown(&nothing[0]).as_deref(), Some("0B"));
    }
}
