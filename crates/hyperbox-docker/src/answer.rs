// SPDX-License-Identifier: MIT
//! Response bodies: nothing, JSON, text, and streams that are flushed as they come.

use std::convert::Infallible;
use std::error::Error as StdError;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;

use crate::error::ApiError;

/// Why a body could not be sent to its end; closes the connection.
pub(crate) type BodyError = Box<dyn StdError + Send + Sync>;

/// Any response body.
pub(crate) type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Any response.
pub(crate) type Answer = Response<Body>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A body without a byte.
pub(crate) fn no_body() -> Body {
    Empty::new().map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that is complete.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync()
}

/// A response without a body.
pub(crate) fn status(status: StatusCode) -> Answer {
    let mut response = Response::new(no_body());
    *response.status_mut() = status;
    response
}

/// `204 No Content`.
pub(crate) fn no_content() -> Answer {
    status(StatusCode::NO_CONTENT)
}

/// `200 OK` with JSON.
pub(crate) fn json(value: &impl Serialize) -> Answer {
    json_with(StatusCode::OK, value)
}

/// Any status with JSON.
pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Answer {
    let (status, bytes) = match serde_json::to_vec(value) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            (status, bytes)
        }
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            br#"{"message":"cannot encode the answer"}"#.to_vec(),
        ),
    };
    let mut response = Response::new(whole(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A response of one media type whose body comes piece by piece.
pub(crate) fn stream<S, E>(media_type: &'static str, pieces: S) -> Answer
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<BodyError>,
{
    let frames = pieces.map(|piece| piece.map(Frame::data).map_err(Into::into));
    let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// A response of JSON documents that come one by one.
pub(crate) fn json_stream<S>(pieces: S) -> Answer
where
    S: Stream<Item = Bytes> + Send + 'static,
{
    stream("application/json", pieces.map(Ok::<_, Infallible>))
}

#[derive(Serialize)]
struct Message<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a hyperbox_types::Hint>,
}

/// The response of an error.
pub(crate) fn failure(error: &ApiError) -> Answer {
    if matches!(error.status(), StatusCode::NOT_MODIFIED | StatusCode::NO_CONTENT) {
        return status(error.status());
    }
    if error.is_plain_text() {
        let mut response = Response::new(whole(format!("{}\n", error.message())));
        *response.status_mut() = error.status();
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        return response;
    }
    json_with(
        error.status(),
        &Message {
            message: error.message(),
            hint: error.hint(),
        },
    )
}

/// Turns the answer to a `GET` into the answer to a `HEAD`.
pub(crate) fn without_body(mut response: Answer) -> Answer {
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    *response.body_mut() = no_body();
    response
}
