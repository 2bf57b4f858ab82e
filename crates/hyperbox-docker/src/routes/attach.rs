// SPDX-License-Identifier: MIT
//! `POST /containers/{id}/attach` and the size of the terminal.

use hyperbox_core::container::AttachOptions;
use hyperbox_types::run::{Streams, TerminalSize};

use crate::answer::{Answer, status};
use crate::call::Call;
use crate::detach_keys::DetachKeys;
use crate::error::{ApiError, ApiResult};
use crate::hijack::{self, Input};
use crate::router::{Route, route};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/containers/{id}/attach" => attach),
    route!(Post "/containers/{id}/resize" => resize),
];

async fn attach(call: Call) -> ApiResult<Answer> {
    let query = &call.query;
    let streams = Streams {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
    };
    let options = AttachOptions {
        streams,
        logs: query.flag("logs"),
        stream: query.flag("stream"),
    };
    let record = call.engine().containers.get(call.parameter("id"))?;
    let detach_keys = DetachKeys::parse(query.text("detachKeys"))?;
    let attached = call.engine().containers.attach(call.parameter("id"), options).await?;
    let input = Input {
        attached: streams.stdin && options.stream,
        closes: record.spec.stdin_once,
        detach_keys: (attached.terminal && streams.stdin).then_some(detach_keys),
    };
    let media_type = hijack::media_type(&call, attached.terminal);
    hijack::hijack(call, media_type, move |client| async move {
        let ending = hijack::pump(client, attached.io, input).await;
        tracing::debug!(container = %record.id, ?ending, "attached client left");
    })
    .await
}

async fn resize(call: Call) -> ApiResult<Answer> {
    let size = size(&call)?;
    call.engine().containers.resize(call.parameter("id"), size).await?;
    Ok(status(http::StatusCode::OK))
}

/// Parses `h` and `w`.
///
/// # Errors
/// 400 when either is missing or no number.
pub(super) fn size(call: &Call) -> ApiResult<TerminalSize> {
    let number = |name: &str, what: &str| {
        let text = call.query.text(name);
        text.parse()
            .map_err(|_| ApiError::bad_request(format!("invalid resize {what} {text:?}: invalid syntax")))
    };
    Ok(TerminalSize {
        rows: number("h", "height")?,
        columns: number("w", "width")?,
    })
}
