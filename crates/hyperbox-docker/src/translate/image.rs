// SPDX-License-Identifier: MIT
//! Image records as clients see them.

use hyperbox_core::image::{HistoryEntry, ImageConfig, ImageRecord, RemovedImage};
use hyperbox_types::ImageReference;

use super::{health, since};
use crate::error::{ApiError, ApiResult};
use crate::version::ApiVersion;
use crate::wire::container::GraphDriver;
use crate::wire::image::{self, HistoryItem, ImageInspect, ImageMetadata, ImageSummary, Removed, RootFs};
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

/// Clients older than this want the size twice, and `<none>:<none>` for an image without names.
const MODERN: u16 = 44;

fn names(references: &[ImageReference]) -> Vec<String> {
    references.iter().map(ImageReference::familiar).collect()
}

fn or_none<T: Default + PartialEq + Clone>(value: &T) -> Option<T> {
    (*value != T::default()).then(|| value.clone())
}

/// Makes the line of a list; `containers` is -1 when nobody counted.
pub(crate) fn summary(record: &ImageRecord, containers: i64, version: ApiVersion) -> ImageSummary {
    let mut repo_tags = names(&record.references);
    let mut repo_digests = names(&record.digests);
    if !version.at_least(43) {
        let unnamed = |list: &mut Vec<String>, text: &str| {
            if list.is_empty() {
                list.push(text.to_owned());
            }
        };
        unnamed(&mut repo_tags, "<none>:<none>");
        unnamed(&mut repo_digests, "<none>@<none>");
    }
    ImageSummary {
        containers,
        created: record.created_at.map_or(0, |created| created.seconds()),
        id: record.id.to_string(),
        labels: or_none(&record.config.labels),
        parent_id: "",
        repo_digests,
        repo_tags,
        shared_size: -1,
        size: record.size.0,
        virtual_size: (!version.at_least(MODERN)).then_some(record.size.0),
    }
}

/// Makes the inspection.
pub(crate) fn inspect(record: &ImageRecord, graph_driver: GraphDriver, version: ApiVersion) -> ImageInspect {
    ImageInspect {
        id: record.id.to_string(),
        repo_tags: names(&record.references),
        repo_digests: names(&record.digests),
        parent: "",
        comment: record.comment.clone(),
        created: record.created_at.map(|created| created.to_string()),
        docker_version: "",
        author: record.author.clone(),
        architecture: record.platform.architecture.as_str().to_owned(),
        variant: record.platform.variant.clone(),
        os: record.platform.os.clone(),
        size: record.size.0,
        virtual_size: (!version.at_least(MODERN)).then_some(record.size.0),
        graph_driver,
        root_fs: RootFs {
            kind: "layers",
            layers: record.layers.iter().map(|layer| layer.diff_id.to_string()).collect(),
        },
        metadata: ImageMetadata {
            last_tag_time: since::moment(Some(record.tagged_at)),
        },
        config: config(&record.config),
    }
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
    }
}

/// Shows how an image was built, the last step first.
pub(crate) fn history(record: &ImageRecord) -> Vec<HistoryItem> {
    let mut layers = record.layers.iter();
    let size = |layers: &mut std::slice::Iter<'_, _>, empty: bool| match empty {
        true => 0,
        false => layers
            .next()
            .map_or(0, |layer: &hyperbox_core::image::ImageLayer| layer.blob.size.0),
    };
    let mut items: Vec<HistoryItem> = record
        .history
        .iter()
        .map(|entry| item(entry, size(&mut layers, entry.empty_layer)))
        .collect();
    // Layers that the history does not tell of.
    let untold: Vec<u64> = layers.map(|layer| layer.blob.size.0).collect();
    items.extend(untold.into_iter().map(|size| item(&HistoryEntry::default(), size)));
    items.reverse();
    if let Some(newest) = items.first_mut() {
        newest.id = record.id.to_string();
        newest.tags = or_none(&names(&record.references));
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
