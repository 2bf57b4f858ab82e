// SPDX-License-Identifier: MIT
//! `GET /distribution/{name}/json`: what a registry says of an image.

use serde::Serialize;

use super::image_transfer::{AUTH, join_reference};
use crate::answer::{Answer, json};
use crate::call::Call;
use crate::error::ApiResult;
use crate::registry_auth::from_header;
use crate::router::{Route, route};
use hyperbox_core::image::DistributionPlatform;

pub(super) const ROUTES: &[Route] = &[route!(Get "/distribution/{name:*}/json" => inspect)];

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspection {
    descriptor: Descriptor,
    platforms: Vec<DistributionPlatform>,
}

/// A descriptor in the words of the image specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

async fn inspect(call: Call) -> ApiResult<Answer> {
    let reference = join_reference(call.parameter("name"), "")?;
    let credentials = from_header(call.header(AUTH));
    let images = &call.engine().images;
    let found = images.inspect_distribution(&reference, credentials.as_ref()).await?;
    Ok(json(&Inspection {
        descriptor: Descriptor {
            media_type: found.descriptor.media_type,
            digest: found.descriptor.digest.to_string(),
            size: found.descriptor.size.0,
        },
        platforms: found.platforms,
    }))
}
