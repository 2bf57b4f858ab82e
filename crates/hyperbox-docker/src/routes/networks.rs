// SPDX-License-Identifier: MIT
//! Networks: the predefined ones can be seen; user-defined ones come with a later version.

use http::StatusCode;
use serde_json::{Value, json as value};

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::filters::Filters;
use crate::router::{Route, route};
use crate::translate::network::network;

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/networks" => list),
    route!(Post "/networks/create" => unsupported),
    route!(Post "/networks/prune" since 25 => prune),
    route!(Post "/networks/{id}/connect" => unsupported),
    route!(Post "/networks/{id}/disconnect" => unsupported),
    route!(Get "/networks/{id}" => inspect),
    route!(Delete "/networks/{id}" => remove),
];

const ACCEPTED: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

async fn list(call: Call) -> ApiResult<Answer> {
    let filters = Filters::parse_accepting(call.query.text("filters"), &ACCEPTED)?;
    let dangling = filters.boolean("dangling")?;
    if let Some(kind) = filters
        .values("type")
        .iter()
        .find(|kind| !matches!(kind.as_str(), "builtin" | "custom"))
    {
        return Err(ApiError::bad_request(format!("invalid filter: 'type'='{kind}'")));
    }
    let list: Vec<_> = call
        .engine()
        .networks
        .list()
        .iter()
        .filter(|record| filters.exact("driver", &record.spec.driver))
        .filter(|record| filters.prefix("id", record.id.as_str()))
        .filter(|record| filters.pattern("name", record.name.as_str()))
        .filter(|record| filters.labels(&record.spec.labels))
        // All are predefined, and those never dangle.
        .filter(|_| filters.exact("scope", "local") && filters.exact("type", "builtin") && dangling != Some(true))
        .map(|record| network(record, &[]))
        .collect();
    Ok(json(&list))
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let engine = call.engine();
    let record = engine.networks.get(call.parameter("id"))?;
    let scope = call.query.text("scope");
    if !matches!(scope, "" | "local") {
        return Err(ApiError::not_found(format!(
            "network {} not found",
            call.parameter("id")
        )));
    }
    Ok(json(&network(&record, &engine.containers.list())))
}

async fn remove(call: Call) -> ApiResult<Answer> {
    let record = call.engine().networks.get(call.parameter("id"))?;
    let message = format!("{} is a pre-defined network and cannot be removed", record.name);
    Err(ApiError::new(StatusCode::FORBIDDEN, message))
}

async fn prune(_: Call) -> ApiResult<Answer> {
    Ok(json(&value!({ "NetworksDeleted": Value::Null })))
}

async fn unsupported(_: Call) -> ApiResult<Answer> {
    Err(
        ApiError::not_implemented("user-defined networks are not supported by this version of HyperBox")
            .with_hint("use the networks bridge, host or none"),
    )
}
