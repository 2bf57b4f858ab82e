// SPDX-License-Identifier: MIT
//! Volumes.

use http::StatusCode;
use hyperbox_core::volume::{CreateVolume, VolumeRecord};
use hyperbox_types::VolumeName;

use crate::answer::{Answer, json, json_with, no_content};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::router::{Route, route};
use crate::translate::mounts::volume_name;
use crate::translate::volume::volume;
use crate::wire::volume::{VolumeCreateBody, VolumeList, VolumesPruned};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/volumes" => list),
    route!(Post "/volumes/create" => create),
    route!(Post "/volumes/prune" => prune),
    route!(Get "/volumes/{name}" => inspect),
    route!(Delete "/volumes/{name}" => remove),
];

async fn list(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["dangling", "name", "driver", "label"])
        .map_err(|error| match error.message() {
            "invalid filter" => ApiError::bad_request("error reading volume filters: invalid filter"),
            _ => error,
        })?;
    let dangling = filters.boolean("dangling")?;
    let volumes = &call.engine().volumes;
    let list = volumes
        .list()
        .iter()
        .filter(|record| dangling.is_none_or(|dangling| volumes.users(&record.name).is_empty() == dangling))
        .filter(|record| filters.pattern("name", record.name.as_str()))
        .filter(|record| filters.exact("driver", &record.driver))
        .filter(|record| filters.labels(&record.labels))
        .map(|record| volume(record, None))
        .collect();
    Ok(json(&VolumeList {
        volumes: list,
        warnings: None,
    }))
}

async fn create(mut call: Call) -> ApiResult<Answer> {
    let body: VolumeCreateBody = call.json_or_default().await?;
    if body.cluster_volume_spec.is_some() {
        return Err(super::swarm::not_a_manager());
    }
    let name: Option<VolumeName> = match body.name.as_str() {
        "" => None,
        name => Some(volume_name(name)?),
    };
    let request = CreateVolume {
        name,
        driver: body.driver,
        labels: body.labels,
        options: body.driver_opts,
    };
    let record = call.engine().volumes.create(request).await?;
    Ok(json_with(StatusCode::CREATED, &volume(&record, None)))
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let name = call.parameter("name");
    if name.is_empty() {
        return Err(ApiError::not_found("get: no such volume"));
    }
    let record = call.engine().volumes.get(name)?;
    Ok(json(&volume(&record, None)))
}

async fn remove(call: Call) -> ApiResult<Answer> {
    let force = call.query.flag("force");
    match call
        .engine()
        .volumes
        .remove(call.parameter("name"), force)
        .await
        .map_err(ApiError::from)
    {
        // With force, a volume that is gone already is what was wished for.
        Err(error) if !(force && error.status() == StatusCode::NOT_FOUND) => Err(error),
        _ => Ok(no_content()),
    }
}

async fn prune(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["label", "label!", "all"])?;
    // Since 1.42, volumes with names are left alone unless `all` is asked for.
    let all = filters
        .boolean("all")
        .map_err(|error| no_boolean(&filters).unwrap_or(error))?;
    let all = all.unwrap_or(!call.version.at_least(42));
    let wanted = |record: &VolumeRecord| filters.labels(&record.labels);
    let pruned = call.engine().volumes.prune(all, &wanted).await?;
    Ok(json(&VolumesPruned {
        volumes_deleted: pruned.removed,
        space_reclaimed: pruned.reclaimed.0,
    }))
}

/// Docker reads this one filter with another function, and says so.
fn no_boolean(filters: &Filters) -> Option<ApiError> {
    let [value] = filters.values("all") else { return None };
    let message = format!("invalid filter 'all': strconv.ParseBool: parsing {value:?}: invalid syntax");
    Some(ApiError::bad_request(message))
}
