// SPDX-License-Identifier: MIT
//! Delta pulls, both sides: `POST /hyperbox/v1/pull` begins one, `/hyperbox/v1/layers/…` is what it asks another HyperBox.
//!
//! Lists and ranges are in the forms of `hyperbox_chunks`; a layer is named by its diff id.

use bytes::Bytes;
use hyperbox_types::{DiffId, Digest, ImageReference};

use super::create::parse_platform;
use super::image_transfer::AUTH;
use crate::answer::{Answer, json_stream, stream, whole};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::progress::lines;
use crate::registry_auth::from_header;
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/hyperbox/v1/pull" => pull),
    route!(Get "/hyperbox/v1/layers/{id}/chunks" => list),
    route!(Post "/hyperbox/v1/layers/{id}/ranges" => ranges),
];

async fn pull(call: Call) -> ApiResult<Answer> {
    let query = &call.query;
    let reference = ImageReference::parse(query.text("reference"))
        .map_err(|error| ApiError::bad_request(format!("invalid reference: {error}")))?;
    let host = query.text("delta-from");
    if host.is_empty() {
        return Err(ApiError::bad_request("the query needs 'delta-from'"));
    }
    let platform = parse_platform(query.text("platform"))?;
    let credentials = from_header(call.header(AUTH));
    let images = &call.engine().images;
    let progress = images.pull_delta(reference, platform, credentials, host).await?;
    Ok(json_stream(lines(progress, false)))
}

fn layer(call: &Call) -> ApiResult<DiffId> {
    let id = Digest::parse(call.parameter("id"));
    id.map(DiffId)
        .map_err(|error| ApiError::bad_request(format!("invalid layer: {error}")))
}

async fn list(call: Call) -> ApiResult<Answer> {
    let list = call.engine().images.layer_chunks(&layer(&call)?).await?;
    Ok(Answer::new(whole(Bytes::from(list))))
}

async fn ranges(mut call: Call) -> ApiResult<Answer> {
    let wanted = call.bytes().await?;
    let pieces = call.engine().images.layer_ranges(&layer(&call)?, &wanted).await?;
    Ok(stream("application/zstd", pieces))
}
