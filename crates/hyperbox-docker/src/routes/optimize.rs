// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/optimize`: files that several layers have are stored once ([`hyperbox_types::optimize`]).

use hyperbox_core::image::OptimizeOptions;

use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::ApiResult;
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[route!(Post "/hyperbox/v1/optimize" => optimize)];

async fn optimize(call: Call) -> ApiResult<Answer> {
    let options = OptimizeOptions {
        undo: call.query.flag("undo"),
        release_blobs: call.query.flag("release-blobs"),
    };
    Ok(json(&call.engine().images.optimize(options).await?))
}
