// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/build`: a whole build on one upgraded connection ([`hyperbox_types::build`]).
//!
//! Three things go on at a time: the build, sending what it tells, asks and gives out, and reading what the client sends. The client's
//! going, at any moment, ends all of them.

use std::sync::Arc;

use http::header::{HeaderValue, UPGRADE};
use hyperbox_types::build::BuildCall;

use super::build::builder;
use crate::answer::Answer;
use crate::build::{KnownCredentials, native, serve};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::hijack::{self, MULTIPLEXED};
use crate::registry_auth::from_config_header;
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[route!(Post "/hyperbox/v1/build" => build)];

async fn build(mut call: Call) -> ApiResult<Answer> {
    let Some(upgrade) = call.upgrade.take() else {
        return Err(ApiError::bad_request(
            "this request needs the headers Connection: Upgrade and Upgrade: hyperbox-build",
        ));
    };
    let wish: BuildCall = call.json_document().await?;
    let builder = builder(&call)?;
    native::check_directories(&wish)?;
    let credentials = KnownCredentials(from_config_header(call.header("x-registry-config")));
    let prepared = serve::prepare(&wish, credentials)?;
    let door = Arc::clone(&call.door);
    door.spawn(async move {
        if let Some(client) = hijack::upgraded(upgrade).await {
            serve::serve(builder, client, prepared).await;
        }
    });
    let protocol = call
        .head
        .headers
        .get(UPGRADE)
        .cloned()
        .unwrap_or(HeaderValue::from_static("hyperbox-build"));
    Ok(hijack::switching(protocol, MULTIPLEXED))
}
