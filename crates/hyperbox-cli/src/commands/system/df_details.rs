// SPDX-License-Identifier: MIT
//! `hb system df --verbose`: every image, container, volume and build cache with its size.

use std::io::Write;

use hyperbox_client::model::DiskUsage;

use super::build_cache;
use crate::commands::{container, image, volume};
use crate::context::Context;
use crate::error::CliError;
use crate::format::{List, decimal_size};
use crate::template::{Template, Value};

const IMAGES: List = List {
    row: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
    quiet: "{{.ID}}",
    titles: &[
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("ID", "IMAGE ID"),
        ("CreatedSince", "CREATED"),
        ("Size", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("Containers", "CONTAINERS"),
    ],
};
const CONTAINERS: List = List {
    row: "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
    quiet: "{{.ID}}",
    titles: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Names", "NAMES"),
    ],
};
const VOLUMES: List = List {
    row: "{{.Name}}\t{{.Links}}\t{{.Size}}",
    quiet: "{{.Name}}",
    titles: &[("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")],
};

/// Writes the details as tables, or with a template that sees `.Images`, `.Containers`, `.Volumes` and `.BuildCache`.
pub(super) fn print(context: &Context, format: Option<&str>, usage: DiskUsage) -> Result<(), CliError> {
    let format = format.unwrap_or_default();
    let text = if matches!(format, "" | "table") {
        tables(&Rows::new(usage, true))?
    } else {
        let template = if format == "json" { "{{json .}}" } else { format };
        let template = Template::parse(&template.replace("\\t", "\t").replace("\\n", "\n"))?;
        template.render(&Rows::new(usage, false).into_value())? + "\n"
    };
    let mut output = context.output();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

struct Rows {
    images: Vec<Value>,
    containers: Vec<Value>,
    volumes: Vec<Value>,
    caches: Vec<Value>,
    /// Bytes of build caches that belong to nothing else.
    cache_size: i64,
}

impl Rows {
    fn new(mut usage: DiskUsage, truncate: bool) -> Self {
        usage.build_cache.sort_by(build_cache::by_last_use);
        for container in &mut usage.containers {
            // The image's part is in the list of images.
            container.size_root_fs = 0;
        }
        let own = usage.build_cache.iter().filter(|cache| !cache.shared);
        Self {
            cache_size: own.map(|cache| cache.size.max(0)).fold(0, i64::saturating_add),
            images: usage
                .images
                .iter()
                .map(|image| image::list::single_row(image, truncate))
                .collect(),
            containers: usage
                .containers
                .iter()
                .map(|container| container::list::row(container, truncate, true))
                .collect(),
            volumes: usage.volumes.iter().map(volume::list::row).collect(),
            caches: usage
                .build_cache
                .iter()
                .map(|cache| build_cache::row(cache, truncate))
                .collect(),
        }
    }

    fn into_value(self) -> Value {
        Value::map([
            ("Images", Value::List(self.images)),
            ("Containers", Value::List(self.containers)),
            ("Volumes", Value::List(self.volumes)),
            ("BuildCache", Value::List(self.caches)),
        ])
    }
}

fn tables(rows: &Rows) -> Result<String, CliError> {
    Ok([
        "Images space usage:\n\n".to_owned(),
        IMAGES.render(None, false, &rows.images)?,
        "\nContainers space usage:\n\n".to_owned(),
        CONTAINERS.render(None, false, &rows.containers)?,
        "\nLocal Volumes space usage:\n\n".to_owned(),
        VOLUMES.render(None, false, &rows.volumes)?,
        format!("\nBuild cache usage: {}\n\n", decimal_size(rows.cache_size)),
        build_cache::LIST.render(None, false, &rows.caches)?,
    ]
    .concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_tables_have_titles() {
        let text = tables(&Rows::new(DiskUsage::default(), true)).unwrap();
        let lines = [
            "Images space usage:",
            "",
            "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS",
            "",
            "Containers space usage:",
            "",
            "CONTAINER ID   IMAGE     COMMAND   LOCAL VOLUMES   SIZE      CREATED   STATUS    NAMES",
            "",
            "Local Volumes space usage:",
            "",
            "VOLUME NAME   LINKS     SIZE",
            "",
            "Build cache usage: 0B",
            "",
            "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED",
            "",
        ];
        assert_eq!(text, lines.join("\n"));
    }
}
