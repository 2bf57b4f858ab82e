// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/check`: the store is checked, and mended with `repair=1` ([`hyperbox_types::check`]).
//!
//! One JSON document per line. A client that goes away ends the check.

use bytes::Bytes;
use futures_util::StreamExt;
use hyperbox_core::image::CheckOptions;

use crate::answer::{Answer, json_stream};
use crate::call::Call;
use crate::error::ApiResult;
use crate::registry_auth::from_config_header;
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[route!(Post "/hyperbox/v1/check" => check)];

/// The header with the credentials of several registries, as Docker's `POST /build` has it.
const CONFIG: &str = "x-registry-config";

async fn check(call: Call) -> ApiResult<Answer> {
    let options = CheckOptions {
        repair: call.query.flag("repair"),
        credentials: from_config_header(call.header(CONFIG)),
    };
    let engine = call.engine();
    let events = engine.images.check(options, engine.volumes.clone());
    Ok(json_stream(events.map(|event| {
        // Plain data always encodes.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Bytes::from(line)
    })))
}
