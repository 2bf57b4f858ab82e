// SPDX-License-Identifier: MIT
//! `GET /system/df`: what images, containers, volumes and builds occupy. What builds keep is listed too.

use std::sync::Arc;

use hyperbox_core::image::ImageRecord;
use hyperbox_core::time::Timestamp;
use serde_json::{Value, json};

use super::images::shown_name;
use crate::answer::{self, Answer};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};
use crate::translate::network::KnownNetworks;
use crate::translate::{image, summary, volume};
use crate::wire::container::Summary;
use crate::wire::image::ImageSummary;
use crate::wire::system::DiskUsage;
use crate::wire::volume::{UsageData, Volume};

pub(super) const ROUTES: &[Route] = &[route!(Get "/system/df" => disk_usage)];

/// Clients before this know nothing of types and get everything.
const TYPES: u16 = 42;

async fn disk_usage(call: Call) -> ApiResult<Answer> {
    let kinds = if call.version.at_least(TYPES) {
        call.query.all("type")
    } else {
        Vec::new()
    };
    if let Some(unknown) = kinds
        .iter()
        .find(|kind| !matches!(kind.as_str(), "container" | "image" | "volume" | "build-cache"))
    {
        return Err(ApiError::bad_request(format!("unknown object type: {unknown}")));
    }
    let wants = |kind: &str| kinds.is_empty() || kinds.iter().any(|wanted| wanted == kind);
    let mut usage = DiskUsage {
        layers_size: 0,
        images: None,
        containers: None,
        volumes: None,
        build_cache: None,
    };
    if wants("build-cache") {
        usage.build_cache = Some(build_cache(&call).await?);
    }
    if wants("image") {
        usage.layers_size = call.engine().images.disk_usage().await?.0;
        usage.images = Some(images(&call).await?);
    }
    if wants("container") {
        usage.containers = Some(containers(&call).await);
    }
    if wants("volume") {
        usage.volumes = Some(volumes(&call).await?);
    }
    Ok(answer::json(&usage))
}

async fn build_cache(call: &Call) -> ApiResult<Vec<Value>> {
    let Some(builder) = &call.door.builder else {
        return Ok(Vec::new());
    };
    let kept = builder.disk_usage().await?;
    let entries = kept.into_iter().map(|kept| {
        json!({
            "ID": kept.id,
            "Type": kept.kind.name(),
            "Description": kept.description,
            "InUse": kept.in_use,
            "Shared": kept.shared,
            "Size": kept.size.0,
            "CreatedAt": kept.created_at.to_string(),
            "LastUsedAt": kept.used_at.map(|moment| moment.to_string()),
            "UsageCount": kept.uses,
        })
    });
    Ok(entries.collect())
}

async fn images(call: &Call) -> ApiResult<Vec<ImageSummary>> {
    let engine = call.engine();
    let containers = engine.containers.list();
    let images: Vec<Arc<ImageRecord>> = engine
        .images
        .list()
        .into_iter()
        .filter(|image| !image.names().is_empty() || !engine.images.has_children(&image.id))
        .collect();
    let shared = engine.images.shared_between(&images).await?;
    let summaries = images.iter().zip(shared).map(|(record, shared)| {
        let users = containers.iter().filter(|container| container.image_id == record.id);
        let counts = image::Counts {
            containers: i64::try_from(users.count()).unwrap_or(i64::MAX),
            shared: i64::try_from(shared.0).unwrap_or(i64::MAX),
        };
        image::usage(record, counts, call.version)
    });
    Ok(summaries.collect())
}

async fn containers(call: &Call) -> Vec<Summary> {
    let engine = call.engine();
    let networks = KnownNetworks(engine.networks.list());
    let mut list = Vec::new();
    for record in engine.containers.list() {
        let size = engine.containers.usage(record.id.as_str()).await.ok();
        let mut line = summary::summary(&record, &networks, size, Timestamp::now());
        line.image = shown_name(engine, &record);
        list.push(line);
    }
    list
}

async fn volumes(call: &Call) -> ApiResult<Vec<Volume>> {
    let volumes = &call.engine().volumes;
    let mut list = Vec::new();
    for record in volumes.list() {
        let size = volumes.usage(record.name.as_str()).await?.0;
        let ref_count = volumes.users(&record.name).len();
        list.push(volume::volume(&record, Some(UsageData { ref_count, size })));
    }
    Ok(list)
}
