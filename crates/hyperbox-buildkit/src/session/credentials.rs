// SPDX-License-Identifier: MIT
//! Credentials of registries that a client knows.
//!
//! Clients can also fetch tokens themselves (`FetchToken`), so that a password never leaves them; the engine's registry client fetches
//! its tokens, and every client gives credentials, too.

use std::time::Duration;

use async_trait::async_trait;
use hyperbox_build::StepError;
use hyperbox_build::request::RegistryAccess;
use hyperbox_core::seam::Credentials;
use hyperbox_types::ImageReference;
use tokio::time::timeout;

use super::client::{Line, step_error};
use crate::proto::auth::{CredentialsRequest, CredentialsResponse};
use crate::transport::status::{Code, Status};

const CREDENTIALS: &str = "/moby.filesync.v1.Auth/Credentials";

/// A client may ask a program or a person, but not for ever (`sessionAuthTimeout` in `session/auth/auth.go` of moby/buildkit).
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks the client of a session.
#[derive(Debug)]
pub(super) struct ClientCredentials(pub(super) Line);

#[async_trait]
impl RegistryAccess for ClientCredentials {
    async fn credentials(&self, image: &ImageReference) -> Result<Option<Credentials>, StepError> {
        let host = asked_for(&image.repository().host().to_string());
        let request = CredentialsRequest { host };
        let answer = self.0.unary::<_, CredentialsResponse>(CREDENTIALS, &request);
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(credentials(answer)),
            Ok(Err(status)) if status.code == Code::Unimplemented => Ok(None),
            Ok(Err(status)) => Err(step_error(status)),
            Err(_) => Err(step_error(Status::new(
                Code::DeadlineExceeded,
                "resolving credentials from session: context deadline exceeded",
            ))),
        }
    }
}

/// Returns what clients look a registry up by: Docker's own has the name of its server there.
fn asked_for(host: &str) -> String {
    match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        host => host,
    }
    .to_owned()
}

/// Reads an answer: a secret without a user is an identity token.
fn credentials(answer: CredentialsResponse) -> Option<Credentials> {
    match (answer.username.is_empty(), answer.secret.is_empty()) {
        (true, true) => None,
        (true, false) => Some(Credentials {
            identity_token: Some(answer.secret),
            ..Credentials::default()
        }),
        (false, _) => Some(Credentials {
            username: answer.username,
            password: answer.secret,
            ..Credentials::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let read = |username: &str, secret: &str| {
            let (username, secret) = (username.to_owned(), secret.to_owned());
            let found = credentials(CredentialsResponse { username, secret });
            found.map(|found| (found.username, found.password, found.identity_token))
        };
        assert_eq!(read("", ""), None);
        assert_eq!(read("u", "p"), Some(("u".into(), "p".into(), None)));
        assert_eq!(read("", "t"), Some((String::new(), String::new(), Some("t".into()))));
        assert_eq!(asked_for("docker.io"), "registry-1.docker.io");
        assert_eq!(asked_for("localhost:5000"), "localhost:5000");
    }
}
