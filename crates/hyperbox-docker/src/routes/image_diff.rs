// SPDX-License-Identifier: MIT
//! `GET /hyperbox/v1/image-diff`: in what two images differ ([`hyperbox_types::image_diff`]).

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[route!(Get "/hyperbox/v1/image-diff" => difference)];

async fn difference(call: Call) -> ApiResult<Answer> {
    let (left, right) = (call.query.text("left"), call.query.text("right"));
    if left.is_empty() || right.is_empty() {
        return Err(ApiError::bad_request("the query needs 'left' and 'right'"));
    }
    Ok(json(&call.engine().images.difference(left, right).await?))
}
