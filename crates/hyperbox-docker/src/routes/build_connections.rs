// SPDX-License-Identifier: MIT
//! `POST /grpc` and `POST /session`: connections of BuildKit's clients, handed over after `101 Switching Protocols`.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use hyperbox_core::seam::AttachIo;

use crate::answer::Answer;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::hijack::{self, RAW};
use crate::router::{Route, route};
use crate::upgrades::BuildConnections;

pub(super) const ROUTES: &[Route] = &[route!(Post "/grpc" => control), route!(Post "/session" => session)];

/// The only protocol that follows: HTTP/2 in clear text.
const PROTOCOL: &str = "h2c";

async fn control(mut call: Call) -> ApiResult<Answer> {
    let connections = connections(&call)?;
    // Docker's own code for it.
    let upgrade = upgrade(&mut call, StatusCode::INTERNAL_SERVER_ERROR)?;
    call.door.spawn(async move {
        if let Some(connection) = upgraded(upgrade).await {
            connections.control(connection).await;
        }
    });
    Ok(switching())
}

async fn session(mut call: Call) -> ApiResult<Answer> {
    let connections = connections(&call)?;
    let upgrade = upgrade(&mut call, StatusCode::BAD_REQUEST)?;
    if let Some(reason) = connections.refusal(&call.head.headers) {
        return Err(ApiError::bad_request(reason));
    }
    let headers = std::mem::take(&mut call.head.headers);
    call.door.spawn(async move {
        if let Some(connection) = upgraded(upgrade).await {
            connections.session(headers, connection).await;
        }
    });
    Ok(switching())
}

pub(super) fn connections(call: &Call) -> ApiResult<Arc<dyn BuildConnections>> {
    let none =
        || ApiError::not_implemented("builds by BuildKit's protocols are not supported by this version of HyperBox");
    call.door.build_connections.clone().ok_or_else(none)
}

fn upgrade(call: &mut Call, code: StatusCode) -> ApiResult<OnUpgrade> {
    let protocol = call.header(UPGRADE.as_str()).unwrap_or_default().to_owned();
    match (call.upgrade.take(), protocol.as_str()) {
        (Some(upgrade), PROTOCOL) => Ok(upgrade),
        (_, "") | (None, _) => Err(ApiError::new(code, "no upgrade proto in request")),
        (Some(_), other) => Err(ApiError::new(code, format!("protocol {other} not supported"))),
    }
}

fn switching() -> Answer {
    let mut answer = hijack::switching(HeaderValue::from_static(PROTOCOL), RAW);
    answer.headers_mut().remove(CONTENT_TYPE);
    answer.extensions_mut().remove::<hyper::ext::ReasonPhrase>();
    answer
}

/// Waits until the answer was sent; what the client has sent already comes first.
async fn upgraded(upgrade: OnUpgrade) -> Option<Box<dyn AttachIo>> {
    match upgrade.await {
        Ok(upgraded) => Some(Box::new(TokioIo::new(upgraded))),
        Err(error) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "client left before its connection was upgraded"
            );
            None
        }
    }
}
