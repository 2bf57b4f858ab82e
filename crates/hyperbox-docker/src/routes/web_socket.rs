// SPDX-License-Identifier: MIT
//! `GET /containers/{id}/attach/ws`: attaching by WebSocket.
//!
//! A page in a browser cannot use it: requests with an `Origin` are refused before they get here.

use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Response, StatusCode};

use super::attach;
use crate::answer::{Answer, no_body, whole};
use crate::call::Call;
use crate::error::ApiResult;
use crate::hijack;
use crate::router::{Route, route};
use crate::web_socket::{self, Accepted, Kind};

pub(super) const ROUTES: &[Route] = &[route!(Get "/containers/{id}/attach/ws" => attach)];

async fn attach(mut call: Call) -> ApiResult<Answer> {
    let wish = attach::wish(&call)?;
    let accepted = match web_socket::accept(&call.head.headers) {
        Ok(accepted) => accepted,
        Err(reason) => return Ok(refusal(reason)),
    };
    let Some(upgrade) = call.upgrade.take() else {
        return Ok(refusal("not websocket protocol"));
    };
    let attached = call
        .engine()
        .containers
        .attach(call.parameter("id"), wish.options)
        .await?;
    let input = wish.input(attached.terminal);
    let kind = if call.version.at_least(28) {
        Kind::Binary
    } else {
        Kind::Text
    };
    let answer = switching(&accepted);
    call.door.spawn(async move {
        if let Some(client) = hijack::upgraded(upgrade).await {
            let ending = web_socket::pump(client, attached, kind, input).await;
            tracing::debug!(container = %wish.record.id, ?ending, "attached web socket left");
        }
    });
    Ok(answer)
}

pub(crate) fn switching(accepted: &Accepted) -> Answer {
    let mut response = Response::new(no_body());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    let proof = HeaderValue::try_from(accepted.accept.as_str());
    headers.extend(proof.ok().map(|proof| (SEC_WEBSOCKET_ACCEPT, proof)));
    // It came in a header, so it fits into one.
    let protocol = accepted
        .protocol
        .as_deref()
        .and_then(|protocol| HeaderValue::try_from(protocol).ok());
    headers.extend(protocol.map(|protocol| (SEC_WEBSOCKET_PROTOCOL, protocol)));
    response
}

/// Docker's answer to a handshake that is none: bare text.
pub(crate) fn refusal(reason: &'static str) -> Answer {
    let mut response = Response::new(whole(reason));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    if reason.ends_with("Version") {
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    }
    response
}
