// SPDX-License-Identifier: MIT
//! Native routes of another crate behind this door: what is below `/hyperbox/v1/projects`.
//!
//! The door keeps what is HTTP to itself: it keeps browsers out, reads bodies, maps classes of errors, and sends lines either as
//! `application/x-ndjson` or, to a client that asks for a WebSocket, as messages of text. Who answers sees plain values only.
//!
//! A client that goes away drops the stream of lines.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header::UPGRADE;
use http::{Method, StatusCode};
use hyperbox_core::ServiceError;

use crate::answer::{Answer, json_with, stream};
use crate::build::KnownCredentials;
use crate::call::Call;
use crate::error::{ApiError, ApiResult};
use crate::hijack;
use crate::registry_auth::from_config_header;
use crate::routes::web_socket::{refusal, switching};
use crate::web_socket;

/// The header with the credentials of several registries.
const CONFIG: &str = "x-registry-config";
const LINES: &str = "application/x-ndjson";

/// Lines of an answer, each a JSON document without its line feed.
pub type Lines = Pin<Box<dyn Stream<Item = Vec<u8>> + Send>>;

/// Answers requests.
#[async_trait]
pub trait NativeRoutes: Send + Sync + std::fmt::Debug {
    /// Tells whether a path (decoded, without version) is one of these routes, with whatever method.
    fn has(&self, path: &str) -> bool;

    /// Answers a request; dropped when the client goes away before the answer is there.
    ///
    /// # Errors
    /// Those of the request; their class decides on the status.
    async fn answer(&self, request: NativeRequest) -> Result<NativeAnswer, ServiceError>;
}

/// A request, complete.
#[derive(Debug)]
pub struct NativeRequest {
    /// The method; `HEAD` comes as `GET`.
    pub method: Method,
    /// The path, decoded, without version.
    pub path: String,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// Credentials of registries.
    pub credentials: KnownCredentials,
}

impl NativeRequest {
    /// Tells whether a parameter of the query is there and not `0`, `no`, `false` or `none`.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.query.iter().find(|(key, _)| key == name);
        value.is_some_and(|(_, value)| !matches!(value.as_str(), "" | "0" | "no" | "false" | "none"))
    }
}

/// An answer.
pub enum NativeAnswer {
    /// One JSON document.
    Document(serde_json::Value),
    /// Nothing but that it is done.
    Nothing,
    /// JSON documents, one by one.
    Lines(Lines),
}

impl std::fmt::Debug for NativeAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Document(document) => formatter.debug_tuple("Document").field(document).finish(),
            Self::Nothing => formatter.write_str("Nothing"),
            Self::Lines(_) => formatter.write_str("Lines"),
        }
    }
}

/// Lets another crate answer.
pub(crate) async fn answer(routes: &Arc<dyn NativeRoutes>, mut call: Call, path: &str) -> ApiResult<Answer> {
    let body = call.bytes().await?;
    let method = match &call.head.method {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    let request = NativeRequest {
        method,
        path: path.to_owned(),
        query: call.query.pairs().to_vec(),
        body,
        credentials: KnownCredentials(from_config_header(call.header(CONFIG))),
    };
    match routes.answer(request).await.map_err(ApiError::from)? {
        NativeAnswer::Document(document) => Ok(json_with(StatusCode::OK, &document)),
        NativeAnswer::Nothing => Ok(crate::answer::no_content()),
        NativeAnswer::Lines(lines) if call.header(UPGRADE.as_str()).is_some() => Ok(messages(call, lines)),
        NativeAnswer::Lines(lines) => Ok(stream(
            LINES,
            lines.map(|mut line| {
                line.push(b'\n');
                Ok::<_, std::convert::Infallible>(Bytes::from(line))
            }),
        )),
    }
}

/// Sends lines as messages of a WebSocket.
fn messages(mut call: Call, lines: Lines) -> Answer {
    let accepted = match web_socket::accept(&call.head.headers) {
        Ok(accepted) => accepted,
        Err(reason) => return refusal(reason),
    };
    let Some(upgrade) = call.upgrade.take() else {
        return refusal("not websocket protocol");
    };
    let answer = switching(&accepted);
    call.door.spawn(async move {
        if let Some(client) = hijack::upgraded(upgrade).await {
            let ending = web_socket::tell(client, lines).await;
            tracing::debug!(?ending, "web socket of lines left");
        }
    });
    answer
}
