// SPDX-License-Identifier: MIT
//! Searching, by the API of registries before version 2 that Docker Hub still has: `GET /v1/search?q=…&n=…`.

use http::{Method, StatusCode};
use hyperbox_core::seam::{Credentials, RegistryError, SearchResult};
use serde::Deserialize;

use crate::endpoint::https_only;
use crate::failure::{Failure, Operation};
use crate::session::Session;
use crate::token::basic_header;
use crate::transport::Call;

/// The longest answer that is read: a hundred results with long descriptions are a tenth of it.
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// Docker Hub's index, which is another host than its registry.
const HUB: &str = "index.docker.io";

#[derive(Deserialize, Default)]
#[serde(default)]
struct Found {
    results: Vec<SearchResult>,
}

/// Searches `host` for repositories whose names or descriptions match `term`.
pub(crate) async fn search(
    session: &Session,
    host: &str,
    term: &str,
    limit: u16,
    credentials: Option<&Credentials>,
) -> Result<Vec<SearchResult>, RegistryError> {
    let found = session
        .retry(|| ask(session, host, term, limit, credentials))
        .await
        .map_err(|failure| Operation::Search(host).error(failure))?;
    Ok(found.results)
}

async fn ask(
    session: &Session,
    host: &str,
    term: &str,
    limit: u16,
    credentials: Option<&Credentials>,
) -> Result<Found, Failure> {
    let mut url = match host {
        "docker.io" => https_only(HUB)?,
        other => session.origin(other).await?.base().clone(),
    };
    url.set_path(&format!("{}v1/search", url.path()));
    url.query_pairs_mut()
        .append_pair("q", term)
        .append_pair("n", &limit.to_string());
    let mut call = Call::new(Method::GET, url);
    call.authorization = credentials
        .filter(|credentials| !credentials.username.is_empty())
        .map(basic_header);
    let answer = session.transport.send(&call).await;
    let answer = answer.map_err(|failure| failure.showing(&call.url))?;
    if answer.status() != StatusCode::OK {
        return Err(session.transport.status_failure(answer).await);
    }
    let body = session.transport.read_body(answer, ANSWER_LIMIT).await?;
    let body = body.ok_or_else(|| Failure::protocol(host, "answered a search with more than a mebibyte"))?;
    serde_json::from_slice(&body).map_err(|_| Failure::protocol(host, "answered a search with something else"))
}
