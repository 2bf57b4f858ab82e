// SPDX-License-Identifier: MIT
//! Images as objects: list, inspect, history, tag, remove, prune.

use http::StatusCode;
use hyperbox_core::image::{ImageRecord, RemoveImageOptions};
use hyperbox_core::time::Timestamp;
use hyperbox_types::ImageReference;

use super::container_filter::until;
use super::image_transfer::join_reference;
use crate::answer::{Answer, json, status};
use crate::call::Call;
use crate::error::ApiResult;
use crate::filters::Filters;
use crate::pattern::glob;
use crate::router::{Route, route};
use crate::translate::{graph_driver, image};
use crate::wire::image::ImagesPruned;

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/images/json" => list),
    route!(Post "/images/prune" => prune),
    route!(Get "/images/{name:*}/json" => inspect),
    route!(Get "/images/{name:*}/history" => history),
    route!(Post "/images/{name:*}/tag" => tag),
    route!(Delete "/images/{name:*}" => remove),
];

const ACCEPTED: [&str; 7] = ["dangling", "label", "label!", "before", "since", "reference", "until"];

async fn list(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &ACCEPTED)?;
    let dangling = filters.boolean("dangling")?;
    let until = until(&filters)?;
    let images = &call.engine().images;
    let moment = |name: &str| -> ApiResult<Option<Timestamp>> {
        let image = filters
            .values(name)
            .last()
            .map(|reference| images.get(reference))
            .transpose()?;
        Ok(image.map(|image| image.created_at.unwrap_or_default()))
    };
    let (before, since) = (moment("before")?, moment("since")?);
    let created = |image: &ImageRecord| image.created_at.unwrap_or_default();
    let containers = call.engine().containers.list();
    let lines: Vec<_> = images
        .list()
        .iter()
        .filter(|image| dangling.is_none_or(|dangling| image.references.is_empty() == dangling))
        .filter(|image| filters.labels(&image.config.labels))
        .filter(|image| before.is_none_or(|before| created(image) < before))
        .filter(|image| since.is_none_or(|since| created(image) > since))
        .filter(|image| until.is_none_or(|until| created(image) <= until))
        .filter(|image| filters.any("reference", |pattern| is_named(image, pattern)))
        .map(|image| {
            let users = containers
                .iter()
                .filter(|container| container.image_id == image.id)
                .count();
            image::summary(image, i64::try_from(users).unwrap_or(i64::MAX), call.version)
        })
        .collect();
    Ok(json(&lines))
}

/// Matches a pattern with the familiar name, with and without the tag.
fn is_named(image: &ImageRecord, pattern: &str) -> bool {
    let matches = |reference: &ImageReference| {
        glob(pattern, &reference.familiar()) || glob(pattern, &reference.repository().familiar())
    };
    image.references.iter().chain(&image.digests).any(matches)
}

/// Returns the name of the image, refusing what can be none.
fn name(call: &Call) -> ApiResult<&str> {
    let name = call.parameter("name");
    image::parse_reference(name).map(|_| name)
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let engine = call.engine();
    let record = engine.images.get(name(&call)?)?;
    let driver = engine.system.facts().storage_driver.clone();
    let storage = graph_driver::of_image(driver, engine.images.root(&record).as_ref());
    Ok(json(&image::inspect(&record, storage, call.version)))
}

async fn history(call: Call) -> ApiResult<Answer> {
    let record = call.engine().images.get(name(&call)?)?;
    Ok(json(&image::history(&record)))
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
