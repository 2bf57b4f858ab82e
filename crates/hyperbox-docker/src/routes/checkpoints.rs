// SPDX-License-Identifier: MIT
//! Checkpoints: Docker's answer of a daemon without experimental features, whatever container is meant.

use crate::answer::Answer;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Get "/containers/{id}/checkpoints" => refuse),
    route!(Post "/containers/{id}/checkpoints" => refuse),
    route!(Delete "/containers/{id}/checkpoints/{name}" => refuse),
];

async fn refuse(_: Call) -> ApiResult<Answer> {
    Err(ApiError::not_implemented(
        "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
    ))
}
