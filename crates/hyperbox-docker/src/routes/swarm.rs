// SPDX-License-Identifier: MIT
//! Swarm and plugins: the answers of an engine that takes part in no swarm and has no plugins.

use http::StatusCode;

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/swarm/init" => no_swarm),
    route!(Post "/swarm/join" => no_swarm),
    route!(Post "/swarm/leave" => not_part),
    route!(Get "/swarm" => refuse),
    route!(Get "/swarm/unlockkey" => refuse),
    route!(Post "/swarm/update" => refuse),
    route!(Post "/swarm/unlock" => refuse),
    route!(Get "/nodes" => refuse),
    route!(Get "/nodes/{id}" => refuse),
    route!(Delete "/nodes/{id}" => refuse),
    route!(Post "/nodes/{id}/update" => refuse),
    route!(Get "/services" => refuse),
    route!(Post "/services/create" => refuse),
    route!(Get "/services/{id}" => refuse),
    route!(Delete "/services/{id}" => refuse),
    route!(Post "/services/{id}/update" => refuse),
    route!(Get "/services/{id}/logs" => refuse),
    route!(Get "/tasks" => refuse),
    route!(Get "/tasks/{id}" => refuse),
    route!(Get "/tasks/{id}/logs" => refuse),
    route!(Get "/secrets" => refuse),
    route!(Post "/secrets/create" => refuse),
    route!(Get "/secrets/{id}" => refuse),
    route!(Delete "/secrets/{id}" => refuse),
    route!(Post "/secrets/{id}/update" => refuse),
    route!(Get "/configs" => refuse),
    route!(Post "/configs/create" => refuse),
    route!(Get "/configs/{id}" => refuse),
    route!(Delete "/configs/{id}" => refuse),
    route!(Post "/configs/{id}/update" => refuse),
    route!(Put "/volumes/{name}" => no_cluster_volume),
    route!(Get "/plugins" => no_plugins),
    route!(Get "/plugins/{name:*}/json" => no_such_plugin),
    route!(Post "/plugins/pull" => unsupported_plugins),
    route!(Get "/plugins/privileges" => unsupported_plugins),
    route!(Post "/plugins/{name:*}/enable" => no_such_plugin),
    route!(Post "/plugins/{name:*}/disable" => no_such_plugin),
    route!(Post "/plugins/{name:*}/push" => no_such_plugin),
    route!(Post "/plugins/{name:*}/set" => no_such_plugin),
    route!(Post "/plugins/{name:*}/upgrade" => no_such_plugin),
    route!(Post "/plugins/create" => unsupported_plugins),
    route!(Delete "/plugins/{name:*}" => no_such_plugin),
];

/// Docker's refusal on a node that is no manager.
pub(super) fn not_a_manager() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
         swarm and try again.",
    )
}

async fn refuse(_: Call) -> ApiResult<Answer> {
    Err(not_a_manager())
}

async fn not_part(_: Call) -> ApiResult<Answer> {
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not part of a swarm",
    ))
}

async fn no_swarm(_: Call) -> ApiResult<Answer> {
    Err(ApiError::not_implemented("swarm mode is not supported by HyperBox"))
}

async fn no_cluster_volume(_: Call) -> ApiResult<Answer> {
    Err(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    ))
}

async fn no_plugins(_: Call) -> ApiResult<Answer> {
    Ok(json(&[(); 0]))
}

async fn no_such_plugin(call: Call) -> ApiResult<Answer> {
    Err(ApiError::not_found(format!(
        "plugin {:?} not found",
        call.parameter("name")
    )))
}

async fn unsupported_plugins(_: Call) -> ApiResult<Answer> {
    Err(ApiError::not_implemented("plugins are not supported by HyperBox"))
}
