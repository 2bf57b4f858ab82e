// SPDX-License-Identifier: MIT
//! Images as objects: list, inspect, history, tag, remove, prune.

use std::sync::Arc;

use http::StatusCode;
use hyperbox_core::Engine;
use hyperbox_core::container::ContainerRecord;
use hyperbox_core::image::{ImageRecord, RemoveImageOptions, shared_sizes};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{Architecture, ImageReference, Platform};

use super::container_filter::until;
use super::image_transfer::join_reference;
use crate::answer::{Answer, json, status};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::go_json::{self, Malformed};
use crate::pattern::{glob, is_glob};
use crate::router::{Route, route};
use crate::translate::{graph_driver, image};
use crate::wire::image::{ImagesPruned, PlatformDocument};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/images/json" => list),
    route!(Post "/images/prune" => prune),
    route!(Get "/images/{name:*}/json" => inspect),
    route!(Get "/images/{name:*}/history" => history),
    route!(Post "/images/{name:*}/tag" => tag),
    route!(Delete "/images/{name:*}" => remove),
];

const ACCEPTED: [&str; 6] = ["dangling", "label", "before", "since", "reference", "until"];

/// Clients before this are not told how many containers an image has.
const COUNTED: u16 = 51;
/// Clients before this cannot ask for what images share.
const SHARED: u16 = 42;

async fn list(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &ACCEPTED)?;
    let matching = matching(&call, &filters)?;
    let engine = call.engine();
    let shared = if call.query.flag("shared-size") && call.version.at_least(SHARED) {
        let sizes = shared_sizes(&matching, &engine.images.layer_sizes().await?);
        sizes
            .iter()
            .map(|size| i64::try_from(size.0).unwrap_or(i64::MAX))
            .collect()
    } else {
        vec![-1; matching.len()]
    };
    let containers = engine.containers.list();
    let users = |image: &ImageRecord| {
        if !call.version.at_least(COUNTED) {
            return -1;
        }
        let users = containers.iter().filter(|container| container.image_id == image.id);
        i64::try_from(users.count()).unwrap_or(i64::MAX)
    };
    let lines: Vec<_> = matching
        .iter()
        .zip(shared)
        .map(|(image, shared)| {
            let counts = image::Counts {
                containers: users(image),
                shared,
            };
            image::summary(image, |name| is_meant(&filters, name), counts, call.version)
        })
        .collect();
    Ok(json(&lines))
}

/// Returns the images of a list, by the rules of Docker's `daemon/images/images.go`.
fn matching(call: &Call, filters: &Filters) -> ApiResult<Vec<Arc<ImageRecord>>> {
    let dangling = filters.boolean("dangling")?;
    let until = until(filters)?;
    if filters.values("reference").iter().any(|pattern| !is_glob(pattern)) {
        return Err(ApiError::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "syntax error in pattern",
        ));
    }
    let images = &call.engine().images;
    let moment = |name: &str| -> ApiResult<Option<Timestamp>> {
        let image = filters
            .values(name)
            .last()
            .map(|reference| {
                image::parse_reference(reference)?;
                images.get(reference).map_err(ApiError::from)
            })
            .transpose()?;
        Ok(image.map(|image| image.created_at.unwrap_or_default()))
    };
    let (before, since) = (moment("before")?, moment("since")?);
    let created = |image: &ImageRecord| image.created_at.unwrap_or_default();
    let all = call.query.flag("all");
    let shown = |image: &ImageRecord| {
        let names = image.names();
        if !names.iter().any(|name| is_meant(filters, name)) {
            // A parent that lost its name is a step of a build.
            let step = images.has_children(&image.id) && (!all || dangling == Some(true));
            return names.is_empty() && !step && dangling != Some(false) && !filters.has("reference");
        }
        dangling.is_none_or(|dangling| image.references.is_empty() == dangling)
    };
    let mut list = images.list();
    list.retain(|image| {
        filters.labels(&image.config.labels)
            && before.is_none_or(|before| created(image) < before)
            && since.is_none_or(|since| created(image) > since)
            && until.is_none_or(|until| created(image) <= until)
            && shown(image)
    });
    Ok(list)
}

/// Matches a name with the filter, by its familiar form with and without tag or digest.
fn is_meant(filters: &Filters, reference: &ImageReference) -> bool {
    filters.any("reference", |pattern| {
        glob(pattern, &reference.familiar()) || glob(pattern, &reference.repository().familiar())
    })
}

/// Returns what a list of containers calls a container's image: the name that it was made with while that still means the image, else
/// its id (`refreshImage` in moby's `daemon/list.go`).
pub(super) fn shown_name(engine: &Engine, container: &ContainerRecord) -> String {
    let means = engine.images.get(&container.spec.image);
    match means {
        Ok(image) if image.id == container.image_id => container.spec.image.clone(),
        _ => container.image_id.to_string(),
    }
}

/// Refuses an image that is not for the platform that the client asks for.
fn check_platform(call: &Call, image: &ImageRecord, since: u16) -> ApiResult<()> {
    let text = call.query.text("platform");
    if text.is_empty() || !call.version.at_least(since) {
        return Ok(());
    }
    require_platform(text, call.parameter("name"), image)
}

/// Refuses an image that is not for the platform of a JSON text.
///
/// # Errors
/// 400 for what is no platform, 404 for another one than the image's.
pub(super) fn require_platform(text: &str, name: &str, image: &ImageRecord) -> ApiResult<()> {
    let wanted = platform_of(text)?;
    if wanted.rank(&image.platform).is_some() {
        return Ok(());
    }
    Err(ApiError::not_found(format!(
        "image with reference {name} was found but its platform ({}) does not match the specified platform ({wanted})",
        image.platform
    )))
}

/// Reads a platform in the form of the image specification.
///
/// # Errors
/// 400 for what is none.
pub(super) fn platform_of(text: &str) -> ApiResult<Platform> {
    let document: PlatformDocument = go_json::only_document(text.as_bytes()).map_err(|error| {
        let reason = match error {
            Malformed::Nothing | Malformed::CutOff => "unexpected end of JSON input".to_owned(),
            other => other.to_string(),
        };
        ApiError::bad_request(format!("failed to parse platform: {reason}"))
    })?;
    if document.os.is_empty() || document.architecture.is_empty() {
        return Err(ApiError::bad_request("both OS and Architecture must be provided"));
    }
    Ok(Platform {
        os: document.os,
        architecture: Architecture::new(&document.architecture),
        variant: document.variant.filter(|variant| !variant.is_empty()),
    })
}

/// Returns the name of the image, refusing what can be none.
fn name(call: &Call) -> ApiResult<&str> {
    let name = call.parameter("name");
    image::parse_reference(name).map(|_| name)
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    /// Clients before this cannot ask for a platform.
    const PLATFORM: u16 = 49;
    let engine = call.engine();
    let text = call.query.text("platform");
    if call.version.at_least(PLATFORM) && !text.is_empty() {
        if call.query.flag("manifests") {
            return Err(ApiError::bad_request(
                "conflicting options: manifests and platform options cannot both be set",
            ));
        }
        platform_of(text)?;
    }
    let record = engine.images.get(name(&call)?)?;
    check_platform(&call, &record, PLATFORM)?;
    let driver = engine.system.facts().storage_driver.clone();
    let storage = graph_driver::of_image(driver, engine.images.root(&record).as_ref());
    let fields = engine.images.docker_fields(&record).await;
    Ok(json(&image::inspect(&record, fields, storage, call.version)))
}

async fn history(call: Call) -> ApiResult<Answer> {
    /// Clients before this cannot ask for a platform.
    const PLATFORM: u16 = 48;
    let images = &call.engine().images;
    let record = images.get(name(&call)?)?;
    check_platform(&call, &record, PLATFORM)?;
    let sizes = images.layer_sizes().await?;
    Ok(json(&image::history(&images.lineage(&record), &sizes)))
}

async fn tag(call: Call) -> ApiResult<Answer> {
    // Without a target Docker answers that all is well, and does nothing.
    if call.query.text("repo").is_empty() {
        return Ok(status(StatusCode::OK));
    }
    let target = join_reference(call.query.text("repo"), call.query.text("tag"))?;
    call.engine().images.tag(name(&call)?, target).await?;
    Ok(status(StatusCode::CREATED))
}

async fn remove(call: Call) -> ApiResult<Answer> {
    /// Clients before this cannot ask for platforms.
    const PLATFORMS: u16 = 50;
    if call.version.at_least(PLATFORMS) {
        for platform in call.query.all("platforms") {
            let reference = name(&call)?;
            let image = call.engine().images.get(reference)?;
            require_platform(&platform, reference, &image)?;
        }
    }
    let options = RemoveImageOptions {
        force: call.query.flag("force"),
        no_prune: call.query.flag("noprune"),
    };
    let removed = call.engine().images.remove(name(&call)?, options).await?;
    Ok(json(&image::removed(removed)))
}

async fn prune(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["dangling", "until", "label", "label!"])?;
    let dangling = filters.boolean("dangling")?.unwrap_or(true);
    let until = until(&filters)?;
    let wanted = |image: &ImageRecord| {
        until.is_none_or(|until| image.created_at.unwrap_or_default() <= until) && filters.labels(&image.config.labels)
    };
    let (removed, reclaimed) = call.engine().images.prune(!dangling, &wanted).await?;
    Ok(json(&ImagesPruned {
        images_deleted: (!removed.is_empty()).then(|| image::removed(removed)),
        space_reclaimed: reclaimed.0,
    }))
}
