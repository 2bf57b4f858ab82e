// SPDX-License-Identifier: MIT
//! Checking credentials, as `docker login` does: `GET /v2/` until it answers 200.

use http::{Method, StatusCode};
use hyperbox_core::seam::{Credentials, RegistryError};
use hyperbox_types::RegistryHost;

use crate::auth::{Demand, fetch_token};
use crate::endpoint::Endpoint;
use crate::failure::{Failure, Operation, StatusFailure};
use crate::scope::Scope;
use crate::session::Session;
use crate::token::{TokenUse, basic_header};
use crate::transport::{Answer, Call};

/// Checks credentials; returns a refresh token where the registry gives one.
pub(crate) async fn login(
    session: &Session,
    server: &str,
    credentials: &Credentials,
) -> Result<Option<String>, RegistryError> {
    let unreachable = |failure| Operation::Login(server).error(failure);
    let host = host_of(server).map_err(unreachable)?;
    let endpoint = session.retry(|| session.origin(&host)).await.map_err(unreachable)?;
    let url = endpoint.url("").to_string();
    session
        .retry(|| check(session, &endpoint, credentials))
        .await
        .map_err(|failure| Operation::Login(&url).error(failure))
}

/// Returns the registry's host of what users and Docker's configuration call it: `https://index.docker.io/v1/` is Docker Hub.
fn host_of(server: &str) -> Result<String, Failure> {
    let bare = server
        .strip_prefix("https://")
        .or_else(|| server.strip_prefix("http://"))
        .unwrap_or(server);
    let host = match bare.split('/').next().unwrap_or_default() {
        "" | "index.docker.io" | "registry-1.docker.io" => "docker.io",
        host => host,
    };
    let parsed = RegistryHost::parse(host).map_err(|error| Failure::Refused {
        reason: error.to_string(),
    })?;
    Ok(parsed.as_str().to_owned())
}

async fn check(session: &Session, endpoint: &Endpoint, credentials: &Credentials) -> Result<Option<String>, Failure> {
    let transport = &session.transport;
    let mut call = Call::new(Method::GET, endpoint.url(""));
    let answer = transport.send(&call).await?;
    if answer.status() != StatusCode::UNAUTHORIZED {
        return accepted(session, answer).await.map(|()| None);
    }
    let challenges = answer.challenges();
    match Demand::choose(&challenges, endpoint)? {
        None => Err(transport.status_failure(answer).await),
        Some(Demand::Basic) if credentials.username.is_empty() => Err(Failure::NoCredentials {
            url: call.url.to_string(),
        }),
        Some(Demand::Basic) => {
            call.authorization = Some(basic_header(credentials));
            let checked = accepted(session, transport.send(&call).await?).await;
            checked.map(|()| None).map_err(without_words)
        }
        Some(Demand::Bearer(server)) => {
            let asked = challenges.iter().filter_map(|challenge| challenge.parameter("scope"));
            let scope = asked.fold(Scope::default(), |scope, more| scope.union(&Scope::parse(more)));
            let token = fetch_token(&server, &scope, Some(credentials), TokenUse::Login, transport).await?;
            call.authorization = Some(token.header);
            accepted(session, transport.send(&call).await?).await?;
            Ok(token.refresh.map(|refresh| refresh.reveal().clone()))
        }
    }
}

/// Docker tells of a refused password by the status alone; a token server's words are told.
fn without_words(failure: Failure) -> Failure {
    match failure {
        Failure::Status(status) => Failure::Status(StatusFailure { told: None, ..status }),
        other => other,
    }
}

async fn accepted(session: &Session, answer: Answer) -> Result<(), Failure> {
    if answer.status() == StatusCode::OK {
        Ok(())
    } else {
        Err(session.transport.status_failure(answer).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_as_users_write_them() {
        for (server, host) in [
            ("https://index.docker.io/v1/", Some("docker.io")),
            ("", Some("docker.io")),
            ("ghcr.io", Some("ghcr.io")),
            ("http://localhost:5000/", Some("localhost:5000")),
            ("https://example.org/v2/", Some("example.org")),
            ("bad host", None),
            ("a@b", None),
        ] {
            assert_eq!(host_of(server).ok().as_deref(), host, "{server}");
        }
    }
}
