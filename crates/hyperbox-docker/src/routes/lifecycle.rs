// SPDX-License-Identifier: MIT
//! A container's life: start, stop, restart, kill, pause, unpause, wait.

use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use hyperbox_core::container::{StopOptions, WaitCondition};
use hyperbox_types::Signal;

use crate::answer::{Answer, json_stream, no_content};
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::router::{Route, route};
use crate::translate::create::patience;
use crate::wire::container::{WaitError, WaitResponse};

pub(super) const ROUTES: &[Route] = &[
    route!(Post "/containers/{id}/start" => start),
    route!(Post "/containers/{id}/stop" => stop),
    route!(Post "/containers/{id}/restart" => restart),
    route!(Post "/containers/{id}/kill" => kill),
    route!(Post "/containers/{id}/pause" => pause),
    route!(Post "/containers/{id}/unpause" => unpause),
    route!(Post "/containers/{id}/wait" => wait),
];

async fn start(call: Call) -> ApiResult<Answer> {
    if !call.query.text("checkpoint").is_empty() {
        return Err(ApiError::not_implemented(
            "checkpoints are not supported by this version of HyperBox",
        ));
    }
    if has_settings(&call) {
        return Err(ApiError::bad_request(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    call.engine().containers.start(call.parameter("id")).await?;
    Ok(no_content())
}

/// As Docker finds out whether a body is more than `{}` or `null`, which old clients send, and line ends: by its length.
fn has_settings(call: &Call) -> bool {
    const NOTHING: u64 = 7;
    let length = call
        .header(CONTENT_LENGTH.as_str())
        .and_then(|text| text.parse::<u64>().ok());
    length.is_some_and(|length| length > NOTHING) || call.header(TRANSFER_ENCODING.as_str()).is_some()
}

async fn stop(call: Call) -> ApiResult<Answer> {
    let options = stop_options(&call, "stop")?;
    call.engine().containers.stop(call.parameter("id"), options).await?;
    Ok(no_content())
}

async fn restart(call: Call) -> ApiResult<Answer> {
    let options = stop_options(&call, "restart")?;
    call.engine().containers.restart(call.parameter("id"), options).await?;
    Ok(no_content())
}

fn stop_options(call: &Call, verb: &str) -> ApiResult<StopOptions> {
    Ok(StopOptions {
        signal: signal(call, verb)?,
        timeout: call.query.integer_by("Atoi", "t")?.map(patience),
    })
}

fn signal(call: &Call, verb: &str) -> ApiResult<Option<Signal>> {
    match call.query.text("signal") {
        "" => Ok(None),
        text => Signal::parse(text).map(Some).map_err(|error| {
            let reason = match text.parse::<i64>() {
                Ok(number) if verb == "kill" && number != 0 => {
                    format!("the linux daemon does not support signal {number}")
                }
                _ => error.to_string(),
            };
            ApiError::bad_request(format!("cannot {verb} container: {}: {reason}", call.parameter("id")))
        }),
    }
}

async fn kill(call: Call) -> ApiResult<Answer> {
    let signal = signal(&call, "kill")?;
    call.engine().containers.kill(call.parameter("id"), signal).await?;
    Ok(no_content())
}

async fn pause(call: Call) -> ApiResult<Answer> {
    call.engine().containers.pause(call.parameter("id")).await?;
    Ok(no_content())
}

async fn unpause(call: Call) -> ApiResult<Answer> {
    call.engine()
        .containers
        .unpause(call.parameter("id"))
        .await
        .map_err(|error| {
            let error = ApiError::from(error);
            // Docker's own oddity, which tests of its clients rely on.
            if error.status() == StatusCode::CONFLICT {
                error.with_status(StatusCode::INTERNAL_SERVER_ERROR)
            } else {
                error
            }
        })?;
    Ok(no_content())
}

/// Answers at once with the head: clients start the container only when they know that the wait is registered.
async fn wait(call: Call) -> ApiResult<Answer> {
    let condition = match call.query.text("condition") {
        // Older clients know no conditions.
        _ if !call.version.at_least(30) => WaitCondition::NotRunning,
        "" | "not-running" => WaitCondition::NotRunning,
        "next-exit" => WaitCondition::NextExit,
        "removed" => WaitCondition::Removed,
        other => return Err(ApiError::bad_request(format!("invalid condition: {other:?}"))),
    };
    let waiter = call.engine().containers.wait(call.parameter("id"), condition)?;
    Ok(json_stream(stream::once(async move {
        let result = waiter.finish().await;
        let error = result.error.map(|message| WaitError { message });
        let mut line = serde_json::to_vec(&WaitResponse {
            status_code: result.exit_code,
            error,
        })
        .unwrap_or_default();
        line.push(b'\n');
        Bytes::from(line)
    })))
}
