// SPDX-License-Identifier: MIT
//! Routes of Docker's that this version does not serve: a clear refusal instead of `page not found`.

use http_body_util::BodyExt;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/build" => build),
    route!(Post "/build/prune" => build),
    route!(Post "/build/cancel" => build),
    route!(Post "/grpc" => build_session),
    route!(Post "/session" => build_session),
    route!(Post "/commit" => commit),
    route!(Get "/containers/{id}/archive" => copy),
    route!(Put "/containers/{id}/archive" => copy),
    route!(Get "/containers/{id}/export" => export),
    route!(Get "/containers/{id}/attach/ws" => web_socket),
    route!(Get "/containers/{id}/checkpoints" => checkpoints),
    route!(Post "/containers/{id}/checkpoints" => checkpoints),
    route!(Delete "/containers/{id}/checkpoints/{name}" => checkpoints),
    route!(Get "/distribution/{name:*}/json" => distribution),
];

fn refusal(what: &str) -> ApiResult<Answer> {
    Err(ApiError::not_implemented(format!(
        "{what} not supported by this version of HyperBox"
    )))
}

/// How much of a refused upload is read before the answer.
const DRAINED: usize = 64 << 20;

/// Reads an upload to its end, within limits: a client that is cut off while it sends reports the connection, not the answer.
async fn drain(call: Call) {
    let mut body = call.body;
    let mut left = DRAINED;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, bytes::Bytes::len);
        match left.checked_sub(length) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

async fn build(call: Call) -> ApiResult<Answer> {
    drain(call).await;
    refusal("building images is")
}

/// Without a body to wait for: an upgraded connection has no end.
async fn build_session(_: Call) -> ApiResult<Answer> {
    refusal("building images is")
}

async fn commit(_: Call) -> ApiResult<Answer> {
    refusal("committing containers is")
}

async fn copy(call: Call) -> ApiResult<Answer> {
    drain(call).await;
    refusal("copying files from and to containers is")
}

async fn export(_: Call) -> ApiResult<Answer> {
    refusal("exporting containers is")
}

async fn web_socket(_: Call) -> ApiResult<Answer> {
    refusal("attaching by WebSocket is")
}

async fn checkpoints(_: Call) -> ApiResult<Answer> {
    refusal("checkpoints are")
}

async fn distribution(_: Call) -> ApiResult<Answer> {
    refusal("inspecting images in a registry is")
}
