// SPDX-License-Identifier: MIT
//! Routes of Docker's that this version does not serve: a clear refusal instead of `page not found`.

use crate::answer::Answer;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/build" => build),
    route!(Post "/build/prune" => build),
    route!(Post "/build/cancel" => build),
    route!(Post "/grpc" => build),
    route!(Post "/session" => build),
];

fn refusal(what: &str) -> ApiResult<Answer> {
    Err(ApiError::not_implemented(format!(
        "{what} not supported by this version of HyperBox"
    )))
}

async fn build(mut call: Call) -> ApiResult<Answer> {
    call.body.is_upload();
    refusal("building images is")
}
