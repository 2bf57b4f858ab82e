// SPDX-License-Identifier: MIT
//! Pushing a blob: look, mount ([`Claim`], unless that was in vain already), or upload.
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

use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyperbox_core::seam::PushOutcome;
use reqwest::Url;
use tokio::time::Instant;

use crate::auth::Access;
use crate::claim::{Answered, Claim, location};
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::range::uploaded_bytes;
use crate::redirect::{authority, same_origin};
use crate::scope::Scope;
use crate::transport::{Answer, Call};
use crate::upload_body;

/// How often progress sets the count of attempts back.
const MAX_CONTINUATIONS: u32 = 1000;
/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

/// One blob to push.
pub(crate) struct Push<'a> {
    pub(crate) claim: Claim<'a>,
    pub(crate) content: Arc<File>,
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
        let claim = &self.claim;
        let host = claim.reference.repository().host().as_str();
        let permit = claim.session.transfer_permit(host).await;
        let length = self.content.metadata().map_err(Failure::Content)?.len();
        if length != self.claim.descriptor.size.0 {
            return Err(Failure::Refused {
                reason: format!("the content has {length} bytes, not {}", self.claim.descriptor.size.0),
            });
        }
        let endpoint = claim.endpoint().await?;
        let upload = match claim.ask(&endpoint).await? {
            Answered::There(outcome) => return Ok(outcome),
            Answered::Session(location) => Some(Upload { location, offset: 0 }),
            Answered::Nothing => None,
        };
        self.upload_somehow(&endpoint, upload).await?;
        (self.progress)(self.claim.descriptor.size.0);
        drop(permit);
        Ok(PushOutcome::Uploaded)
    }

    /// Uploads with as many sessions and continuations as it takes, within the bounds of the retry policy.
    async fn upload_somehow(&self, endpoint: &Endpoint, mut upload: Option<Upload>) -> Result<(), Failure> {
        let mut attempts = self.claim.session.attempts();
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
            self.claim.session.pause(&mut attempts, failure).await?;
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
                None if self.claim.exists(endpoint).await.unwrap_or(false) => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// Opens a session unless there is one, sends what it lacks, commits.
    async fn upload(&self, endpoint: &Endpoint, upload: &mut Option<Upload>) -> Result<(), Failure> {
        let scope = Scope::push(self.claim.path());
        let access = self.claim.access(endpoint, &scope);
        let current = match upload {
            Some(current) => current,
            None => {
                let url = endpoint.url(&format!("{}/blobs/uploads/", self.claim.path()));
                let call = Call::new(Method::POST, url);
                let answer = self.claim.session.expect(access, call, &[StatusCode::ACCEPTED]).await?;
                upload.insert(Upload {
                    location: location(&answer)?,
                    offset: 0,
                })
            }
        };
        if current.offset < self.claim.descriptor.size.0 {
            let answer = self.send_content(access, current).await?;
            *current = Upload {
                location: location(&answer)?,
                offset: self.claim.descriptor.size.0,
            };
        }
        let mut url = current.location.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.claim.descriptor.digest.to_string());
        let wanted = [StatusCode::CREATED, StatusCode::NO_CONTENT, StatusCode::OK];
        self.expect_there(access, Call::new(Method::PUT, url), &wanted).await?;
        Ok(())
    }

    async fn send_content(&self, access: Access<'_>, upload: &Upload) -> Result<Answer, Failure> {
        let header = self
            .claim
            .session
            .auth
            .header(access, &self.claim.session.transport)
            .await?;
        let answer = self.stream(access, upload, header.clone()).await?;
        if answer.status() == StatusCode::UNAUTHORIZED && same_origin(&upload.location, access.endpoint.base()) {
            let challenges = answer.challenges();
            let transport = &self.claim.session.transport;
            let better = self
                .claim
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
            _ => Err(self.claim.session.transport.status_failure(answer).await),
        }
    }

    /// Streams the rest of the file, telling progress and watching that some is made.
    async fn stream(
        &self,
        access: Access<'_>,
        upload: &Upload,
        authorization: Option<HeaderValue>,
    ) -> Result<Answer, Failure> {
        let size = self.claim.descriptor.size.0;
        let headers = content_headers(
            upload,
            size,
            authorization.filter(|_| same_origin(&upload.location, access.endpoint.base())),
        );
        let position = Arc::new(AtomicU64::new(upload.offset));
        let body = upload_body::body(Arc::clone(&self.content), upload.offset, size, Arc::clone(&position));
        let sending = self
            .claim
            .session
            .transport
            .send_body(Method::PATCH, &upload.location, headers, body);
        let mut sending = std::pin::pin!(sending);
        let timeouts = self.claim.session.config.timeouts;
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
        let scope = Scope::push(self.claim.path());
        let call = Call::new(Method::GET, upload.location);
        let wanted = [StatusCode::NO_CONTENT, StatusCode::OK];
        let answer = self
            .expect_there(self.claim.access(endpoint, &scope), call, &wanted)
            .await
            .ok()?;
        let offset = answer.header(&RANGE).and_then(uploaded_bytes)?;
        let location = location(&answer).unwrap_or(answer.url);
        (offset <= self.claim.descriptor.size.0).then_some(Upload { location, offset })
    }

    /// Sends a call to where a session lives: with credentials only when that is the registry itself.
    async fn expect_there(&self, access: Access<'_>, call: Call, wanted: &[StatusCode]) -> Result<Answer, Failure> {
        if same_origin(&call.url, access.endpoint.base()) {
            return self.claim.session.expect(access, call, wanted).await;
        }
        let answer = self.claim.session.transport.send(&call).await?;
        if wanted.contains(&answer.status()) {
            Ok(answer)
        } else {
            Err(self.claim.session.transport.status_failure(answer).await)
        }
    }
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
