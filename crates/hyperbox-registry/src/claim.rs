// SPDX-License-Identifier: MIT
//! Blobs that a registry has, or takes over from another of its repositories: they need not be sent.

use http::header::LOCATION;
use http::{Method, StatusCode};
use hyperbox_core::seam::{Credentials, Descriptor, PushOutcome};
use hyperbox_types::ImageReference;
use reqwest::Url;

use crate::auth::Access;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::redirect::{same_origin, upload_location};
use crate::scope::Scope;
use crate::session::Session;
use crate::transport::{Answer, Call};

/// How many repositories are tried to take a blob from.
const MAX_MOUNTS: usize = 4;

/// One blob that a repository is to have.
pub(crate) struct Claim<'a> {
    pub(crate) session: &'a Session,
    pub(crate) reference: &'a ImageReference,
    pub(crate) descriptor: &'a Descriptor,
    /// `None` when it is known already that the registry has to be sent it.
    pub(crate) mount_from: Option<&'a [String]>,
    pub(crate) credentials: Option<&'a Credentials>,
}

/// What asking the registry came to.
pub(crate) enum Answered {
    /// The repository has the blob.
    There(PushOutcome),
    /// It has not; the registry opened an upload session instead of mounting it.
    Session(Url),
    Nothing,
}

impl Claim<'_> {
    /// Looks, and tries to mount; `None` when the blob has to be uploaded. No session is left open.
    pub(crate) async fn run(&self) -> Result<Option<PushOutcome>, Failure> {
        let host = self.reference.repository().host().as_str();
        let _permit = self.session.transfer_permit(host).await;
        let endpoint = self.endpoint().await?;
        Ok(match self.ask(&endpoint).await? {
            Answered::There(outcome) => Some(outcome),
            Answered::Session(unused) => {
                self.cancel(&endpoint, unused).await;
                None
            }
            Answered::Nothing => None,
        })
    }

    /// Looks, and tries to mount, unless the answer is known.
    pub(crate) async fn ask(&self, endpoint: &Endpoint) -> Result<Answered, Failure> {
        let Some(mount_from) = self.mount_from else {
            return Ok(Answered::Nothing);
        };
        if self.session.retry(|| self.exists(endpoint)).await? {
            return Ok(Answered::There(PushOutcome::Existed));
        }
        Ok(self.mount(endpoint, mount_from).await)
    }

    /// Returns where the registry itself is: mirrors take nothing.
    pub(crate) async fn endpoint(&self) -> Result<Endpoint, Failure> {
        let host = self.reference.repository().host().as_str();
        self.session.retry(|| self.session.origin(host)).await
    }

    /// Tells whether the registry has the blob in this repository.
    ///
    /// # Errors
    /// Those of asking once; the caller asks again.
    pub(crate) async fn exists(&self, endpoint: &Endpoint) -> Result<bool, Failure> {
        let path = format!("{}/blobs/{}", self.path(), self.descriptor.digest);
        let scope = Scope::push(self.path());
        let call = Call::new(Method::HEAD, endpoint.url(&path));
        let wanted = [StatusCode::OK, StatusCode::NOT_FOUND];
        let answer = self
            .session
            .expect(self.access(endpoint, &scope), call, &wanted)
            .await?;
        Ok(answer.status() == StatusCode::OK)
    }

    /// Tries to have the blob taken over; failing is no reason not to upload it.
    async fn mount(&self, endpoint: &Endpoint, mount_from: &[String]) -> Answered {
        let mut session = Answered::Nothing;
        for from in mount_from.iter().take(MAX_MOUNTS) {
            if let Answered::Session(unused) = std::mem::replace(&mut session, Answered::Nothing) {
                self.cancel(endpoint, unused).await;
            }
            let scope = Scope::push(self.path()).union(&Scope::pull(from));
            let mut url = endpoint.url(&format!("{}/blobs/uploads/", self.path()));
            url.query_pairs_mut()
                .append_pair("mount", &self.descriptor.digest.to_string())
                .append_pair("from", from);
            let wanted = [StatusCode::CREATED, StatusCode::ACCEPTED];
            let access = self.access(endpoint, &scope);
            let answer = self.session.expect(access, Call::new(Method::POST, url), &wanted).await;
            match answer {
                Ok(answer) if answer.status() == StatusCode::CREATED => return Answered::There(PushOutcome::Mounted),
                Ok(answer) => session = location(&answer).map_or(Answered::Nothing, Answered::Session),
                Err(failure) => tracing::debug!(%from, error = %failure, "blob cannot be mounted"),
            }
        }
        session
    }

    async fn cancel(&self, endpoint: &Endpoint, location: Url) {
        let scope = Scope::push(self.path());
        let call = Call::new(Method::DELETE, location);
        if same_origin(&call.url, endpoint.base()) {
            // Sessions expire anyway.
            drop(self.session.exchange(self.access(endpoint, &scope), call).await);
        }
    }

    pub(crate) fn access<'b>(&'b self, endpoint: &'b Endpoint, scope: &'b Scope) -> Access<'b> {
        Access {
            endpoint,
            scope,
            credentials: self.credentials,
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.reference.repository().path()
    }
}

/// Returns where an upload session lives.
pub(crate) fn location(answer: &Answer) -> Result<Url, Failure> {
    answer
        .header(&LOCATION)
        .and_then(|location| upload_location(&answer.url, location))
        .ok_or_else(|| Failure::protocol(&answer.host, "does not say where to upload to"))
}
