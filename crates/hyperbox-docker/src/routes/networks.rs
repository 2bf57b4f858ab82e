// SPDX-License-Identifier: MIT
//! Networks: made, listed, inspected, removed, pruned; containers connected and disconnected.

use http::StatusCode;
use hyperbox_core::event::EventKind;
use hyperbox_core::network::NetworkRecord;

use super::container_filter::until;
use crate::answer::{Answer, json, json_with, no_content, status};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::router::{Route, route};
use crate::translate::endpoint_wish::wish;
use crate::translate::network::network;
use crate::translate::network_create::{parse_bool, translate};
use crate::wire::network::{ConnectBody, DisconnectBody, NetworkCreateBody, NetworkCreated, NetworksPruned};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/networks" => list),
    route!(Get "/networks/" => list),
    route!(Post "/networks/create" => create),
    route!(Post "/networks/prune" => prune),
    route!(Post "/networks/{id}/connect" => connect),
    route!(Post "/networks/{id}/disconnect" => disconnect),
    route!(Get "/networks/{id}" => inspect),
    route!(Delete "/networks/{id}" => remove),
];

const ACCEPTED: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];
const CONFIGURATION_ONLY: &str = "cannot create endpoint on configuration-only network";

async fn create(mut call: Call) -> ApiResult<Answer> {
    let mut body: NetworkCreateBody = call.json_or_default().await?;
    if !call.version.at_least(48) {
        // Came with that version; older ones always have IPv4.
        body.enable_ipv4 = None;
    }
    let name = body.name.clone();
    let created = call.engine().networks.create(&name, translate(body)?).await?;
    let answer = NetworkCreated {
        id: created.id.to_string(),
        warning: created.warning,
    };
    Ok(json_with(StatusCode::CREATED, &answer))
}

async fn list(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &ACCEPTED)?;
    let dangling = dangling(&filters)?;
    if let Some(kind) = filters
        .values("type")
        .iter()
        .find(|kind| !matches!(kind.as_str(), "builtin" | "custom"))
    {
        return Err(ApiError::bad_request(format!("invalid filter: 'type'='{kind}'")));
    }
    let engine = call.engine();
    let mut records = engine.networks.list();
    records.sort_by_key(|record| (record.created_at, record.name.to_string()));
    let kind = |record: &NetworkRecord| if record.is_predefined() { "builtin" } else { "custom" };
    let unused = |record: &NetworkRecord| !record.is_predefined() && !engine.networks.is_used(record);
    // Clients before 1.28 are told who is in which network.
    let containers = match call.version.at_least(28) {
        true => Vec::new(),
        false => engine.containers.list(),
    };
    let list: Vec<_> = records
        .iter()
        .filter(|record| filters.exact("driver", &record.spec.driver))
        .filter(|record| filters.pattern("id", record.id.as_str()))
        .filter(|record| filters.pattern("name", record.name.as_str()))
        .filter(|record| filters.labels(&record.spec.labels))
        .filter(|record| filters.exact("scope", "local") && filters.exact("type", kind(record)))
        .filter(|record| dangling.is_none_or(|dangling| unused(record) == dangling))
        .map(|record| network(record, &containers))
        .collect();
    Ok(json(&list))
}

fn dangling(filters: &Filters) -> ApiResult<Option<bool>> {
    let refuse = |text: &str| Err(ApiError::bad_request(text));
    match filters.values("dangling") {
        [] => Ok(None),
        [value] => match value.as_str() {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => refuse("invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")"),
        },
        _ => refuse("got more than one value for filter key \"dangling\""),
    }
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let verbose = call.query.text("verbose");
    if !verbose.is_empty() && parse_bool(verbose).is_none() {
        return Err(ApiError::bad_request(format!(
            "invalid value for verbose: {verbose}: strconv.ParseBool: parsing {verbose:?}: invalid syntax"
        )));
    }
    let engine = call.engine();
    let record = engine.networks.get(call.parameter("id"))?;
    if !matches!(call.query.text("scope"), "" | "local") {
        let message = format!("network {} not found", call.parameter("id"));
        return Err(ApiError::not_found(message));
    }
    Ok(json(&network(&record, &engine.containers.list())))
}

async fn remove(call: Call) -> ApiResult<Answer> {
    call.engine().networks.remove(call.parameter("id")).await?;
    Ok(no_content())
}

async fn prune(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &["until", "label", "label!"])?;
    let until = until(&filters)?;
    let wanted = move |record: &NetworkRecord| {
        !record.spec.config_only
            && filters.labels(&record.spec.labels)
            && until.is_none_or(|until| record.created_at <= until)
    };
    let engine = call.engine();
    let removed = engine.networks.prune(&wanted).await;
    let attributes = [("reclaimed".to_owned(), "0".to_owned())];
    engine
        .events
        .publish(EventKind::Network, "prune", "", attributes.into());
    Ok(json(&NetworksPruned {
        networks_deleted: (!removed.is_empty()).then_some(removed),
    }))
}

async fn connect(mut call: Call) -> ApiResult<Answer> {
    let body: ConnectBody = call.json_or_default().await?;
    let engine = call.engine();
    let container = engine.containers.get(&body.container)?;
    let network = engine.networks.get(call.parameter("id"))?;
    if network.spec.config_only {
        return Err(ApiError::new(StatusCode::FORBIDDEN, CONFIGURATION_ONLY));
    }
    let request = body.endpoint_config.unwrap_or_default();
    let wish = wish(network.name.as_str(), Some(&network), &request).map_err(ApiError::bad_request)?;
    let connected = engine
        .containers
        .connect(network.id.as_str(), container.id.as_str(), wish);
    connected.await?;
    Ok(status(StatusCode::OK))
}

async fn disconnect(mut call: Call) -> ApiResult<Answer> {
    let body: DisconnectBody = call.json_or_default().await?;
    let (engine, network) = (call.engine(), call.parameter("id"));
    let container = engine.containers.get(&body.container).map_err(|error| {
        let error = ApiError::from(error);
        if body.force && error.status() == StatusCode::NOT_FOUND {
            return ApiError::not_found(format!("endpoint {} not found", body.container));
        }
        error
    })?;
    let disconnected = engine.containers.disconnect(network, container.id.as_str(), body.force);
    disconnected.await?;
    Ok(status(StatusCode::OK))
}
