// SPDX-License-Identifier: MIT
//! `hb system df`

use clap::Args;

use crate::commands::{Spec, spec};
use crate::context::Context;
use crate::error::{CliError, Outcome};
use crate::format::{List, decimal_size};
use crate::template::Value;

#[derive(Debug, Args)]
pub(crate) struct DfArgs {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
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
    let answer = context.client()?.disk_usage()?;
    let usage: Value = serde_json::from_str(answer.get()).map_err(|error| CliError::from_error(&error))?;
    let rows: Vec<Value> = summaries(&usage).iter().map(Summary::row).collect();
    LIST.print(context, arguments.format.as_deref(), false, &rows)?;
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
    /// Docker leaves the share out for some kinds.
    with_share: bool,
}

impl Summary {
    fn row(&self) -> Value {
        let mut reclaimable = decimal_size(self.reclaimable);
        let share = if self.size > 0 {
            self.reclaimable.saturating_mul(100) / self.size
        } else {
            0
        };
        if self.with_share || self.size > 0 {
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

fn summaries(usage: &Value) -> Vec<Summary> {
    let list = |name: &str| match usage.field(name) {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    let number = |value: &Value, name: &str| -> i64 {
        value
            .field(name)
            .map(ToString::to_string)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or_default()
    };
    let images = list("Images");
    let used = |image: &&Value| number(image, "Containers") > 0;
    let layers = number(usage, "LayersSize");
    // What used images need stays; the rest of the layers can go.
    let needed: i64 = images
        .iter()
        .filter(used)
        .filter(|image| number(image, "SharedSize") >= 0)
        .map(|image| number(image, "Size") - number(image, "SharedSize"))
        .sum();
    let containers = list("Containers");
    let live = |container: &&Value| {
        container
            .field("State")
            .and_then(Value::as_str)
            .is_some_and(|state| matches!(state, "running" | "paused" | "restarting"))
    };
    let sum = |items: &[&Value], name: &str| items.iter().map(|item| number(item, name).max(0)).sum::<i64>();
    let all: Vec<&Value> = containers.iter().collect();
    let idle: Vec<&Value> = containers.iter().filter(|container| !live(container)).collect();
    let volumes = list("Volumes");
    let usage_of = |volume: &Value, name: &str| volume.field("UsageData").map_or(0, |usage| number(usage, name).max(0));
    let in_use = |volume: &&Value| usage_of(volume, "RefCount") > 0;
    let caches: Vec<&Value> = list("BuildCache").iter().collect();
    let active_cache = caches
        .iter()
        .filter(|cache| matches!(cache.field("InUse"), Some(Value::Bool(true))))
        .count();
    vec![
        Summary {
            kind: "Images",
            total: images.len(),
            active: images.iter().filter(used).count(),
            size: layers,
            reclaimable: if images.iter().any(|image| used(&image)) {
                (layers - needed).max(0)
            } else {
                layers
            },
            with_share: !images.is_empty(),
        },
        Summary {
            kind: "Containers",
            total: containers.len(),
            active: containers.len() - idle.len(),
            size: sum(&all, "SizeRw"),
            reclaimable: sum(&idle, "SizeRw"),
            with_share: false,
        },
        Summary {
            kind: "Local Volumes",
            total: volumes.len(),
            active: volumes.iter().filter(in_use).count(),
            size: volumes.iter().map(|volume| usage_of(volume, "Size")).sum(),
            reclaimable: volumes
                .iter()
                .filter(|volume| !in_use(volume))
                .map(|volume| usage_of(volume, "Size"))
                .sum(),
            with_share: false,
        },
        Summary {
            kind: "Build Cache",
            total: caches.len(),
            active: active_cache,
            size: sum(&caches, "Size"),
            reclaimable: sum(&caches, "Size"),
            with_share: false,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums() {
        let usage: Value = serde_json::from_str(
            r#"{"LayersSize":300,"Images":[{"Containers":1,"Size":200,"SharedSize":50},{"Containers":0,"Size":100,"SharedSize":0}],
                "Containers":[{"State":"running","SizeRw":7},{"State":"exited","SizeRw":3}],
                "Volumes":[{"UsageData":{"Size":10,"RefCount":0}},{"UsageData":{"Size":-1,"RefCount":2}}],"BuildCache":null}"#,
        )
        .unwrap();
        let sums = summaries(&usage);
        let figures: Vec<_> = sums
            .iter()
            .map(|sum| (sum.total, sum.active, sum.size, sum.reclaimable))
            .collect();
        assert_eq!(figures, [(2, 1, 300, 150), (2, 1, 10, 3), (2, 1, 10, 10), (0, 0, 0, 0)]);
        assert_eq!(
            sums[0].row().field("Reclaimable").and_then(Value::as_str),
            Some("150B (50%)")
        );
    }
}
