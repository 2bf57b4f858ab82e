// SPDX-License-Identifier: MIT
//! One request as a handler sees it: parameters, query, body, and the way out of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::upgrade::OnUpgrade;
use hyperbox_core::Engine;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{ApiError, ApiResult};
use crate::go_json::shape::{Document, Root};
use crate::go_json::{self, Malformed};
use crate::hijack::Takeover;
use crate::query::Query;
use crate::request_body::RequestBody;
use crate::router::Parameters;
use crate::version::ApiVersion;

/// The largest JSON document that is read.
pub(crate) const JSON_LIMIT: usize = 4 * 1024 * 1024;

/// What all requests of one door share.
#[derive(Debug)]
pub(crate) struct Door {
    /// The engine's services.
    pub engine: Engine,
    /// Builds images.
    pub builder: Option<hyperbox_build::Builder>,
    /// Speaks BuildKit's protocols.
    pub build_connections: Option<Arc<dyn crate::upgrades::BuildConnections>>,
    /// Builds that can be cancelled by their ids.
    pub builds: crate::build::running::RunningBuilds,
    /// Tasks that outlive their request: hijacked connections.
    pub sessions: TaskTracker,
    /// Cancelled when what is left of them is given up.
    pub abandon: CancellationToken,
}

impl Door {
    /// Runs a session beside HTTP until it ends or the door gives it up.
    pub(crate) fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) {
        let abandon = self.abandon.clone();
        self.sessions.spawn(async move {
            // A session that is given up detaches by being dropped.
            let _ = abandon.run_until_cancelled(session).await;
        });
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    /// The engine's services.
    pub door: Arc<Door>,
    /// The version that the client speaks.
    pub version: ApiVersion,
    /// What the route's placeholders matched.
    pub parameters: Parameters,
    /// The query string.
    pub query: Query,
    /// Method, headers and the like.
    pub head: Parts,
    /// The body, not read yet.
    pub body: RequestBody,
    /// The connection after `101 Switching Protocols`, when the client asked for that.
    pub upgrade: Option<OnUpgrade>,
    /// The connection for clients that hijack without asking.
    pub takeover: mpsc::Sender<Takeover>,
}

impl Call {
    /// Returns the engine's services.
    pub(crate) fn engine(&self) -> &Engine {
        &self.door.engine
    }

    /// Returns what a placeholder of the route matched.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name)
    }

    /// Returns a header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Reads a JSON body.
    ///
    /// # Errors
    /// 400 for another media type and for malformed JSON, 413 for a body that is too long.
    pub(crate) async fn json<T: DeserializeOwned + Document>(&mut self) -> ApiResult<T> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Err(malformed(&Malformed::Nothing));
        }
        self.require_json()?;
        go_json::document(&bytes).map_err(|error| malformed(&error))
    }

    /// Reads a JSON body that may be left out.
    pub(crate) async fn json_or_default<T: DeserializeOwned + Document + Default>(&mut self) -> ApiResult<T> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(T::default());
        }
        self.require_json()?;
        go_json::document(&bytes).map_err(|error| malformed(&error))
    }

    /// Reads a JSON body, which may be left out, only to refuse what is none of such a type.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub(crate) async fn judge_json(&mut self, root: &'static Root) -> ApiResult<()> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.require_json()?;
        go_json::judge(&bytes, root).map_err(|error| malformed(&error))
    }

    /// Reads a JSON body as it is, keeping parts of it as text.
    ///
    /// # Errors
    /// As [`Call::json`].
    pub(crate) async fn json_document<T: DeserializeOwned>(&mut self) -> ApiResult<T> {
        let bytes = self.bytes().await?;
        self.require_json()?;
        serde_json::from_slice(&bytes).map_err(|error| ApiError::bad_request(format!("invalid JSON: {error}")))
    }

    /// Reads a body as it is, at most [`JSON_LIMIT`] bytes.
    pub(crate) async fn bytes(&mut self) -> ApiResult<Bytes> {
        match Limited::new(&mut self.body, JSON_LIMIT).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the request body is longer than {JSON_LIMIT} bytes"),
            )),
            Err(error) => Err(ApiError::bad_request(format!("cannot read the request body: {error}"))),
        }
    }

    fn require_json(&self) -> ApiResult<()> {
        let media_type = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") {
            return Ok(());
        }
        if essence.is_empty() {
            // Only a request without a body may leave it out.
            return Err(ApiError::bad_request(
                "malformed Content-Type header (): mime: no media type",
            ));
        }
        Err(ApiError::bad_request(format!(
            "unsupported Content-Type header ({essence}): must be 'application/json'"
        )))
    }
}

/// Parses JSON as Docker does ([`go_json`]).
///
/// # Errors
/// 400 `invalid JSON: …`.
pub(crate) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> ApiResult<T> {
    go_json::from_slice(bytes).map_err(|error| malformed(&error))
}

/// Docker's answer to a body that is no such document.
fn malformed(error: &Malformed) -> ApiError {
    ApiError::bad_request(match error {
        Malformed::Nothing => "invalid JSON: got EOF while reading request body".to_owned(),
        Malformed::Trailing(_) => "unexpected content after JSON".to_owned(),
        Malformed::CutOff | Malformed::Syntax(_) | Malformed::Mismatch(_) => format!("invalid JSON: {error}"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        let error = parse_json::<Value>(deep.as_bytes()).expect_err("too deep");
        assert!(error.message().starts_with("invalid JSON: "));
        assert_eq!(
            parse_json::<Value>(b"{").expect_err("cut off").message(),
            "invalid JSON: unexpected EOF"
        );
    }
}
