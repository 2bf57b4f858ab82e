// SPDX-License-Identifier: MIT
//! Image records as clients see them.

use std::collections::HashMap;
use std::sync::Arc;

use hyperbox_core::image::{DockerFields, HistoryEntry, ImageConfig, ImageRecord, RemovedImage};
use hyperbox_types::{ByteSize, DiffId, ImageReference};
use serde_json::{Value, json};

use super::{health, since};
use crate::error::{ApiError, ApiResult};
use crate::version::ApiVersion;
use crate::wire::container::GraphDriver;
use crate::wire::image::{
    self, ContainerFields, HistoryItem, ImageInspect, ImageMetadata, ImageSummary, Removed, RootFs,
};
use crate::wire::{Empty, Set};

/// Parses a reference, with Docker's text for what is none.
///
/// # Errors
/// 400 `invalid reference format`.
pub(crate) fn parse_reference(text: &str) -> ApiResult<ImageReference> {
    ImageReference::parse_untagged(text).map_err(|error| {
        let message = if error.reason == "repository name must be lowercase" {
            let name = text.split(['@', ':']).next().unwrap_or(text);
            let library = if name.contains('/') { "" } else { "library/" };
            format!("invalid reference format: repository name ({library}{name}) must be lowercase")
        } else {
            "invalid reference format".to_owned()
        };
        ApiError::bad_request(message)
    })
}

/// Clients older than this want the size twice.
const ONE_SIZE: u16 = 44;
/// Clients older than this want nothing instead of empty lists, and `<none>:<none>` for an image without names.
const EMPTY_LISTS: u16 = 43;
/// Clients older than this want to know of the container that an image was made of.
const NO_CONTAINER: u16 = 45;
/// Clients older than this want the fields of a container's configuration in an image's.
const IMAGE_FIELDS: u16 = 50;

fn names(references: &[ImageReference]) -> Vec<String> {
    references.iter().map(ImageReference::familiar).collect()
}

fn or_none<T: Default + PartialEq + Clone>(value: &T) -> Option<T> {
    (*value != T::default()).then(|| value.clone())
}

/// What is counted for a list; -1 when nobody counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Containers of the image.
    pub containers: i64,
    /// Bytes in layers that other images have too.
    pub shared: i64,
}

/// Makes the line of a list with the names that were asked for.
pub(crate) fn summary(
    record: &ImageRecord,
    shown: impl Fn(&ImageReference) -> bool,
    counts: Counts,
    version: ApiVersion,
) -> ImageSummary {
    let of = |list: &[ImageReference]| -> Vec<String> {
        let shown = list.iter().filter(|reference| shown(reference));
        shown.map(ImageReference::familiar).collect()
    };
    let (tags, digests) = (of(&record.references), of(&record.digests));
    let (tags, digests) = if version.at_least(EMPTY_LISTS) {
        (Some(tags), Some(digests))
    } else if tags.is_empty() && digests.is_empty() {
        let none = |text: &str| Some(vec![text.to_owned()]);
        (none("<none>:<none>"), none("<none>@<none>"))
    } else {
        (or_none(&tags), or_none(&digests))
    };
    ImageSummary {
        repo_tags: tags,
        repo_digests: digests,
        ..usage(record, counts, version)
    }
}

/// Makes the line of a list of what is used.
pub(crate) fn usage(record: &ImageRecord, counts: Counts, version: ApiVersion) -> ImageSummary {
    let labels = &record.config.labels;
    ImageSummary {
        containers: counts.containers,
        created: record.created_at.map_or(0, |created| created.seconds()),
        id: record.id.to_string(),
        labels: (record.labels_given || !labels.is_empty()).then(|| labels.clone()),
        parent_id: record.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        repo_digests: or_none(&names(&record.digests)),
        repo_tags: or_none(&names(&record.references)),
        shared_size: counts.shared,
        size: record.size.0,
        virtual_size: (!version.at_least(ONE_SIZE)).then_some(record.size.0),
    }
}

/// Makes the inspection.
pub(crate) fn inspect(
    record: &ImageRecord,
    fields: DockerFields,
    graph_driver: GraphDriver,
    version: ApiVersion,
) -> ImageInspect {
    let old = !version.at_least(NO_CONTAINER);
    ImageInspect {
        id: record.id.to_string(),
        repo_tags: names(&record.references),
        repo_digests: names(&record.digests),
        parent: record.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        comment: record.comment.clone(),
        created: record.created_at.map(|created| created.to_string()),
        container: fields.container.filter(|id| old && !id.is_empty()),
        container_config: old.then(|| fields.container_config.unwrap_or_else(no_container)),
        docker_version: fields.docker_version.unwrap_or_default(),
        author: record.author.clone(),
        architecture: record.platform.architecture.as_str().to_owned(),
        variant: record.platform.variant.clone(),
        os: record.platform.os.clone(),
        size: record.size.0,
        virtual_size: (!version.at_least(ONE_SIZE)).then_some(record.size.0),
        graph_driver,
        root_fs: RootFs {
            kind: "layers",
            layers: record.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
        },
        metadata: ImageMetadata {
            last_tag_time: since::moment(record.tagged_at),
        },
        config: image::ImageConfig {
            of_a_container: (!version.at_least(IMAGE_FIELDS)).then(ContainerFields::default),
            ..config(&record.config)
        },
    }
}

/// The configuration of no container, as Go writes it.
fn no_container() -> Value {
    json!({
        "Hostname": "", "Domainname": "", "User": "",
        "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false,
        "Env": null, "Cmd": null, "Image": "", "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null,
        "Labels": null,
    })
}

fn config(config: &ImageConfig) -> image::ImageConfig {
    let set = |names: &[String]| names.iter().map(|name| (name.clone(), Empty {})).collect::<Set>();
    image::ImageConfig {
        cmd: or_none(&config.command),
        entrypoint: or_none(&config.entrypoint),
        env: or_none(&config.env),
        exposed_ports: set(&config.exposed_ports),
        healthcheck: config.health.as_ref().map(health::to_wire),
        labels: or_none(&config.labels),
        on_build: or_none(&config.on_build),
        shell: or_none(&config.shell),
        stop_signal: config.stop_signal.clone(),
        user: config.user.clone(),
        volumes: Some(set(&config.volumes)).filter(|volumes| !volumes.is_empty()),
        working_dir: config.working_dir.clone(),
        of_a_container: None,
    }
}

/// Shows how an image was built, the last step first. `lineage` is the image with those it was made of; each of them is known by
/// its id and tags.
pub(crate) fn history(lineage: &[Arc<ImageRecord>], sizes: &HashMap<DiffId, ByteSize>) -> Vec<HistoryItem> {
    let Some(record) = lineage.first() else {
        return Vec::new();
    };
    let mut layers = record.layers.iter();
    let mut size = |entry: &HistoryEntry| {
        let layer = if entry.empty_layer { None } else { layers.next() };
        layer
            .and_then(|layer| sizes.get(&layer.diff_id))
            .map_or(0, |size| size.0)
    };
    let mut items: Vec<HistoryItem> = record.history.iter().map(|entry| item(entry, size(entry))).collect();
    items.reverse();
    for (item, image) in items.iter_mut().zip(lineage) {
        item.id = image.id.to_string();
        item.tags = or_none(&names(&image.references));
    }
    items
}

fn item(entry: &HistoryEntry, size: u64) -> HistoryItem {
    HistoryItem {
        comment: entry.comment.clone(),
        created: entry.created_at.map_or(0, |created| created.seconds()),
        created_by: entry.created_by.clone(),
        id: "<missing>".to_owned(),
        size,
        tags: None,
    }
}

/// Shows what a removal did.
pub(crate) fn removed(removed: Vec<RemovedImage>) -> Vec<Removed> {
    let translate = |removed| match removed {
        RemovedImage::Untagged(name) => Removed::Untagged(name),
        RemovedImage::Deleted(id) => Removed::Deleted(id),
    };
    removed.into_iter().map(translate).collect()
}
