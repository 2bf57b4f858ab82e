// SPDX-License-Identifier: MIT
//! Pushing a blob: look, mount, or upload.
//!
//! An upload is what Docker's own client does, as every registry takes that: `POST` opens a session, one `PATCH` streams all
//! bytes from the file, `PUT` with the digest commits. After a failure the session is asked how far it got and continued from
//! there (distribution-spec, "Pushing a blob in chunks"); when it is gone, the push starts over, after looking whether the blob
//! has arrived after all: the answer to the commit may have been lost. distribution 2.8 forgets each session that was cut within
//! a `PATCH`, other registries do not. Sessions that are left behind expire in the registry.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyperbox_core::seam::{Credentials, Descriptor, PushOutcome};
use hyperbox_types::ImageReference;
use reqwest::Url;
use tokio::time::Instant;

use crate::auth::Access;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::range::uploaded_bytes;
use crate::redirect::{authority, same_origin, upload_location};
use crate::scope::Scope;
use crate::session::Session;
use crate::transport::{Answer, Call};
use crate::upload_body;

/// How many repositories are tried to take a blob from.
const MAX_MOUNTS: usize = 4;
/// How often progress sets the count of attempts back.
const MAX_CONTINUATIONS: u32 = 1000;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// One blob to push.
pub(crate) struct Push<'a> {
    pub(crate) session: &'a Session,
    pub(crate) reference: &'a ImageReference,
    pub(crate) descriptor: &'a Descriptor,
    pub(crate) content: Arc<File>,
    pub(crate) mount_from: &'a [String],
    pub(crate) credentials: Option<&'a Credentials>,
    pub(crate) progress: &'a (dyn Fn(u64) + Send + Sync),
}

/// An upload session at the registry.
struct Upload {
    location: Url,
    /// Bytes that the registry has.
    offset: u64,
}

impl Push<'_> {
    pub(crate) async fn run(&self) -> Result<PushOutcome, Failure> {
        let host = self.reference.repository().host().as_str();
        let permit = self.session.transfer_permit(host).await;
        let length = self.content.metadata().map_err(Failure::Content)?.len();
        if length != self.descriptor.size.0 {
            return Err(Failure::Refused {
                reason: format!("the content has {length} bytes, not {}", self.descriptor.size.0),
            });
        }
        let endpoint = self.session.retry(|| self.session.origin(host)).await?;
        if self.session.retry(|| self.exists(&endpoint)).await? {
            return Ok(PushOutcome::Existed);
        }
        let upload = match self.mount(&endpoint).await {
            Mounting::Mounted => return Ok(PushOutcome::Mounted),
            Mounting::Session(location) => Some(Upload { location, offset: 0 }),
            Mounting::Nothing => None,
        };
        self.upload_somehow(&endpoint, upload).await?;
        (self.progress)(self.descriptor.size.0);
        drop(permit);
        Ok(PushOutcome::Uploaded)
    }

    /// Uploads with as many sessions and continuations as it takes, within the bounds of the retry policy.
    async fn upload_somehow(&self, endpoint: &Endpoint, mut upload: Option<Upload>) -> Result<(), Failure> {
        let mut attempts = self.session.attempts();
        let mut continuations = 0;
        let mut furthest = 0;
        while let Err(failure) = self.upload(endpoint, &mut upload).await {
            let failure = match failure {
                Failure::Status(status) if upload.is_some() && status.is_unknown_session() => {
                    upload = None;
                    Failure::SessionLost(status)
                }
                failure => failure,
            };
            self.session.pause(&mut attempts, failure).await?;
            if let Some(interrupted) = upload.take() {
                upload = self.continued(endpoint, interrupted).await;
            }
            match &upload {
                // What arrived is progress, but a registry that takes a byte each time must come to an end.
                Some(upload) if upload.offset > furthest && continuations < MAX_CONTINUATIONS => {
                    furthest = upload.offset;
                    continuations += 1;
                    attempts.reset();
                }
                Some(_) => {}
                None if self.exists(endpoint).await.unwrap_or(false) => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    async fn exists(&self, endpoint: &Endpoint) -> Result<bool, Failure> {
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
    async fn mount(&self, endpoint: &Endpoint) -> Mounting {
        let mut session = Mounting::Nothing;
        for from in self.mount_from.iter().take(MAX_MOUNTS) {
            if let Mounting::Session(unused) = std::mem::replace(&mut session, Mounting::Nothing) {
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
                Ok(answer) if answer.status() == StatusCode::CREATED => return Mounting::Mounted,
                Ok(answer) => session = location(&answer).map_or(Mounting::Nothing, Mounting::Session),
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

    /// Opens a session unless there is one, sends what it lacks, commits.
    async fn upload(&self, endpoint: &Endpoint, upload: &mut Option<Upload>) -> Result<(), Failure> {
        let scope = Scope::push(self.path());
        let access = self.access(endpoint, &scope);
        let current = match upload {
            Some(current) => current,
            None => {
                let url = endpoint.url(&format!("{}/blobs/uploads/", self.path()));
                let call = Call::new(Method::POST, url);
                let answer = self.session.expect(access, call, &[StatusCode::ACCEPTED]).await?;
                upload.insert(Upload {
                    location: location(&answer)?,
                    offset: 0,
                })
            }
        };
        if current.offset < self.descriptor.size.0 {
            let answer = self.send_content(access, current).await?;
            *current = Upload {
                location: location(&answer)?,
                offset: self.descriptor.size.0,
            };
        }
        let mut url = current.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.descriptor.digest.to_string());
        let wanted = [StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::OK];
        self.expect_there(access, Call::new(Method::PUT, url), &wanted).await?;
        Ok(())
    }

    async fn send_content(&self, access: Access<'_>, upload: &Upload) -> Result<Answer, Failure> {
        let header = self.session.auth.header(access, &self.session.transport).await?;
        let answer = self.stream(access, upload, header.clone()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && same_origin(&upload.location, access.endpoint.base()) {
            let challenges = answer.challenges();
            let transport = &self.session.transport;
            let better = self
                .session
                .auth
                .answer(access, &challenges, header.as_ref(), transport);
            if let Some(better) = better.await? {
                let answer = self.stream(access, upload, Some(better)).await?;
                return self.accepted(answer).await;
            }
        }
        self.accepted(answer).await
    }

    async fn accepted(&self, answer: Answer) -> Result<Answer, Failure> {
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::CREATED => Ok(answer),
            _ => Err(self.session.transport.status_failure(answer).await),
        }
    }

    /// Streams the rest of the file, telling progress and watching that some is made.
    async fn stream(
        &self,
        access: Access<'_>,
        upload: &Upload,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        let size = self.descriptor.size.0;
        let headers = content_headers(
            upload,
            size,
            authorization.filter(|_| same_origin(&upload.location, access.endpoint.base())),
        );
        let position = Arc::new(AtomicU64::new(upload.offset));
        let body = upload_body::body(Arc::clone(&self.content), upload.offset, size, Arc::clone(&position));
        let sending = self
            .session
            .transport
            .send_body(Method::PATCH, &upload.location, headers, body);
        let mut sending = std::pin::pin!(sending);
        let timeouts = self.session.config.timeouts;
        let (mut last, mut since) = (upload.offset, Instant::now());
        loop {
            tokio::select! {
                answer = &mut sending => return answer,
                () = tokio::time::sleep(TICK.min(timeouts.stall / 4)) => {}
            }
            let now = position.load(Ordering::Relaxed);
            if now != last {
                (last, since) = (now, Instant::now());
                (self.progress)(now);
            }
            let limit = if now < size {
                timeouts.stall
            } else {
                timeouts.response.max(timeouts.stall)
            };
            if since.elapsed() > limit {
                return Err(Failure::Stalled {
                    host: authority(&upload.location),
                    waited: limit,
                });
            }
        }
    }

    /// Asks an interrupted session how far it got; `None` when it is gone or does not tell.
    async fn continued(&self, endpoint: &Endpoint, upload: Upload) -> Option<Upload> {
        let scope = Scope::push(self.path());
        let call = Call::new(Method::GET, upload.location);
        let wanted = [StatusCode::NO_CONTENT, StatusCode::OK];
        let answer = self
            .expect_there(self.access(endpoint, &scope), call, &wanted)
            .await
            .ok()?;
        let offset = answer.header(&RANGE).and_then(uploaded_bytes)?;
        let location = location(&answer).unwrap_or(answer.url);
        (offset <= self.descriptor.size.0).then_some(Upload { location, offset })
    }

    /// Sends a call to where a session lives: with credentials only when that is the registry itself.
    async fn expect_there(&self, access: Access<'_>, call: Call, wanted: &[StatusCode]) -> Result<Answer, Failure> {
        if same_origin(&call.url, access.endpoint.base()) {
            return self.session.expect(access, call, wanted).await;
        }
        let answer = self.session.transport.send(&call).await?;
        if wanted.contains(&answer.status()) {
            Ok(answer)
        } else {
            Err(self.session.transport.status_failure(answer).await)
        }
    }

    fn access<'b>(&'b self, endpoint: &'b Endpoint, scope: &'b Scope) -> Access<'b> {
        Access {
            endpoint,
            scope,
            credentials: self.credentials,
        }
    }

    fn path(&self) -> &str {
        self.reference.repository().path()
    }
}

/// What trying to mount came to.
enum Mounting {
    Mounted,
    /// Not mounted, but the registry opened an upload session instead.
    Session(Url),
    Nothing,
}

fn location(answer: &Answer) -> Result<Url, Failure> {
    answer
        .header(&LOCATION)
        .and_then(|location| upload_location(&answer.url, location))
        .ok_or_else(|| Failure::protocol(&answer.host, "does not say where to upload to"))
}

fn content_headers(upload: &Upload, size: u64, authorization: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size - upload.offset));
    if upload.offset > 0 {
        let range = HeaderValue::from_str(&format!("{}-{}", upload.offset, size - 1));
        headers.insert(CONTENT_RANGE, range.expect("digits may be in a header"));
    }
    if let Some(authorization) = authorization {
        headers.insert(AUTHORIZATION, authorization);
    }
    headers
}
