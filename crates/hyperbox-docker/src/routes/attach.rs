// SPDX-License-Identifier: MIT
//! `POST /containers/{id}/attach` and the size of the terminal.

use std::sync::Arc;

use hyperbox_core::container::{AttachOptions, ContainerRecord};
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

/// What a client wants to be attached to, and how.
pub(super) struct Wish {
    /// The container.
    pub record: Arc<ContainerRecord>,
    /// What is wished for.
    pub options: AttachOptions,
    detach_keys: DetachKeys,
}

impl Wish {
    /// Says how the client's input is treated.
    pub(super) fn input(&self, terminal: bool) -> Input {
        let stdin = self.options.streams.stdin;
        Input {
            attached: stdin && self.options.stream,
            closes: self.record.spec.stdin_once,
            detach_keys: (terminal && stdin).then(|| self.detach_keys.clone()),
        }
    }
}

/// Reads the query.
///
/// # Errors
/// 404 for an unknown container, 400 for keys that are none.
pub(super) fn wish(call: &Call) -> ApiResult<Wish> {
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
    Ok(Wish {
        record: call.engine().containers.get(call.parameter("id"))?,
        options,
        detach_keys: DetachKeys::parse(query.text("detachKeys"))?,
    })
}

async fn attach(call: Call) -> ApiResult<Answer> {
    let wish = wish(&call)?;
    let attached = call
        .engine()
        .containers
        .attach(call.parameter("id"), wish.options)
        .await?;
    let input = wish.input(attached.terminal);
    let media_type = hijack::media_type(&call, attached.terminal);
    hijack::hijack(call, media_type, move |client| async move {
        let ending = hijack::pump(client, attached.io, input).await;
        tracing::debug!(container = %wish.record.id, ?ending, "attached client left");
    })
    .await
}

async fn resize(call: Call) -> ApiResult<Answer> {
    let size = size(&call)?;
    let (id, containers) = (call.parameter("id"), &call.engine().containers);
    let record = containers.get(id)?;
    // Without a terminal there is nothing to do, and Docker says nothing.
    if record.spec.terminal || !record.state.phase.is_alive() {
        containers.resize(id, size).await?;
    }
    Ok(status(http::StatusCode::OK))
}

/// Parses `h` and `w`.
///
/// # Errors
/// 400 when either is missing or no number.
pub(super) fn size(call: &Call) -> ApiResult<TerminalSize> {
    let number = |name: &str, what: &str| {
        let text = call.query.text(name);
        // Go reads no sign here, and a negative number into too small a type.
        let parsed = text.parse().ok().filter(|_| !text.starts_with('+'));
        parsed.ok_or_else(|| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let why = if number { "value out of range" } else { "invalid syntax" };
            ApiError::bad_request(format!("invalid resize {what} {text:?}: {why}"))
        })
    };
    Ok(TerminalSize {
        rows: number("h", "height")?,
        columns: number("w", "width")?,
    })
}
