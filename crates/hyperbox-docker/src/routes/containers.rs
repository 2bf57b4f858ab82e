// SPDX-License-Identifier: MIT
//! Containers as objects: list, inspect, rename, update, remove, prune, changes.

use http::StatusCode;
use hyperbox_core::container::{ContainerRecord, RemoveOptions, UpdateOptions};
use hyperbox_core::time::Timestamp;
use serde_json::json;

use super::container_filter::{ContainerFilter, until};
use super::create::{invalid_name, parse_name};
use super::images::shown_name;
use crate::answer::{Answer, json as json_answer, no_content};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::router::{Route, route};
use crate::translate::create::restart_policy;
use crate::translate::document::DoorDocument;
use crate::translate::endpoint::{add_automatic_aliases, links};
use crate::translate::inspect::{Surroundings, inspect};
use crate::translate::network::KnownNetworks;
use crate::translate::{resources, summary};
use crate::wire::container::{Change, Pruned, UpdateBody};
use crate::wire::host_config::HostConfig;

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/containers/json" => list),
    route!(Get "/containers/{id}/json" => inspect_one),
    route!(Get "/containers/{id}/changes" => changes),
    route!(Post "/containers/prune" => prune),
    route!(Post "/containers/{id}/rename" => rename),
    route!(Post "/containers/{id}/update" => update),
    route!(Delete "/containers/{id}" => remove),
];

async fn list(call: Call) -> ApiResult<Answer> {
    let engine = call.engine();
    let filter = ContainerFilter::parse(call.query.text("filters"), engine)?;
    let limit = call
        .query
        .integer_by("Atoi", "limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let all = call.query.flag("all") || limit.is_some() || filter.implies_all();
    let networks = KnownNetworks(engine.networks.list());
    let now = Timestamp::now();
    let mut lines = Vec::new();
    for record in engine.containers.list() {
        if lines.len() == limit.unwrap_or(usize::MAX) {
            break;
        }
        if !(all || record.state.phase.is_alive()) || !filter.accepts(&record) {
            continue;
        }
        let size = match call.query.flag("size") {
            // A container that goes while it is measured is simply not listed with a size.
            true => engine.containers.usage(record.id.as_str()).await.ok(),
            false => None,
        };
        let mut line = summary::summary(&record, &networks, size, now);
        line.image = shown_name(call.engine(), &record);
        lines.push(line);
    }
    Ok(json_answer(&lines))
}

/// Since that version of the API, the names that a container has anyway are told apart from its aliases.
const APART: u16 = 45;

async fn inspect_one(call: Call) -> ApiResult<Answer> {
    let engine = call.engine();
    let record = engine.containers.get(call.parameter("id"))?;
    let id = record.id.as_str();
    let size = match call.query.flag("size") {
        true => Some(engine.containers.usage(id).await?),
        false => None,
    };
    let around = Surroundings {
        exec_ids: engine
            .execs
            .of_container(&record.id)
            .iter()
            .map(ToString::to_string)
            .collect(),
        networks: KnownNetworks(engine.networks.list()),
        links: links(&record, |target| {
            engine.containers.get(target).ok().map(|target| target.name.to_string())
        }),
        directory: engine.containers.directory(&record.id),
        log_path: engine.containers.log_path(id)?,
        storage_driver: engine.system.facts().storage_driver.clone(),
        root: engine.containers.root(&record),
        size,
    };
    let mut inspection = inspect(&record, around);
    if !call.version.at_least(APART) {
        add_automatic_aliases(&mut inspection.network_settings.networks, &record);
    }
    Ok(json_answer(&inspection))
}

async fn changes(call: Call) -> ApiResult<Answer> {
    let changes = call.engine().containers.changes(call.parameter("id")).await?;
    let changes: Vec<Change> = changes
        .into_iter()
        .map(|change| Change {
            path: change.path.to_string_lossy().into_owned(),
            kind: change.kind as u8,
        })
        .collect();
    // Docker sends `null` for none.
    Ok(json_answer(&(!changes.is_empty()).then_some(changes)))
}

async fn rename(call: Call) -> ApiResult<Answer> {
    let allocating = |error: &ApiError| format!("Error when allocating new name: {}", error.message());
    let text = call.query.text("name");
    if !text.is_empty() {
        call.engine().containers.get(call.parameter("id"))?;
    }
    let shown = format!("/{}", text.strip_prefix('/').unwrap_or(text));
    let name = match (text, parse_name(&shown)) {
        ("", _) => return Err(ApiError::bad_request("Neither old nor new names may be empty")),
        (_, Err(error)) => return Err(ApiError::bad_request(allocating(&error))),
        (_, Ok(None)) => return Err(ApiError::bad_request(allocating(&invalid_name("/")))),
        (_, Ok(Some(name))) => name,
    };
    call.engine()
        .containers
        .rename(call.parameter("id"), name)
        .await
        .map_err(|error| {
            let error = ApiError::from(error);
            match error.status() {
                StatusCode::CONFLICT => ApiError::new(StatusCode::CONFLICT, allocating(&error)),
                _ => error,
            }
        })?;
    Ok(no_content())
}

async fn update(mut call: Call) -> ApiResult<Answer> {
    let mut body: UpdateBody = call.json_or_default().await?;
    let restart = match body.restart_policy.name.as_str() {
        "" => None,
        _ => Some(restart_policy(&body.restart_policy)?),
    };
    let mut resources = resources::from_wire(&body.resources)?;
    // A creation without a limit sets none; an update takes one away.
    resources.pids = body.resources.pids_limit.map(|limit| limit.max(0));
    body.resources.pids_limit = resources.pids;
    call.engine().containers.judge_update(&resources)?;
    // What makes no sense is told of containers that do not exist, too.
    let record = call.engine().containers.get(call.parameter("id"))?;
    let mut document = DoorDocument::from_record(&record);
    remember(&mut document.host_config, &body)?;
    let options = UpdateOptions {
        resources,
        restart,
        door_document: Some(document.to_value()),
    };
    let warnings = call.engine().containers.update(record.id.as_str(), options).await?;
    Ok(json_answer(
        &json!({ "Warnings": (!warnings.is_empty()).then_some(warnings) }),
    ))
}

/// Puts what an update sets into the configuration that inspect echoes.
fn remember(host: &mut HostConfig, body: &UpdateBody) -> ApiResult<()> {
    let failure = |error: serde_json::Error| ApiError::bad_request(format!("invalid JSON: {error}"));
    let sent = serde_json::to_value(&body.resources).map_err(failure)?;
    let mut kept = serde_json::to_value(&host.resources).map_err(failure)?;
    if let (Some(sent), Some(kept)) = (sent.as_object(), kept.as_object_mut()) {
        for (name, value) in sent {
            let unset = value.is_null()
                || (*value == json!(0) && name != "PidsLimit")
                || *value == json!("")
                || value.as_array().is_some_and(Vec::is_empty)
                || (name == "OomKillDisable" && *value == json!(false));
            if !unset {
                kept.insert(name.clone(), value.clone());
            }
        }
    }
    host.resources = serde_json::from_value(drop_nulls(kept)).map_err(failure)?;
    if !body.restart_policy.name.is_empty() {
        host.restart_policy = body.restart_policy.clone();
    }
    Ok(())
}

fn drop_nulls(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    value
}

async fn remove(call: Call) -> ApiResult<Answer> {
    if call.query.flag("link") {
        call.engine().containers.get(call.parameter("id"))?;
        let message = "Conflict, cannot remove the default link name of the container";
        return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message));
    }
    let options = RemoveOptions {
        force: call.query.flag("force"),
        volumes: call.query.flag("v"),
    };
    call.engine().containers.remove(call.parameter("id"), options).await?;
    Ok(no_content())
}

async fn prune(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["until", "label", "label!"])?;
    let until = until(&filters)?;
    let wanted = |record: &ContainerRecord| {
        until.is_none_or(|until| record.created_at <= until) && filters.labels(&record.spec.labels)
    };
    let pruned = call.engine().containers.prune(&wanted).await?;
    Ok(json_answer(&Pruned {
        containers_deleted: (!pruned.removed.is_empty()).then_some(pruned.removed),
        space_reclaimed: pruned.reclaimed.0,
    }))
}
