// SPDX-License-Identifier: MIT
//! What all operations share: authenticated exchanges, retries, and the limit of transfers per host.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::auth::{Access, Authenticator};
use crate::config::{Config, InvalidConfig};
use crate::endpoint::{Endpoint, Endpoints};
use crate::failure::Failure;
use crate::redirect::same_origin;
use crate::retry::{Attempts, jitter};
use crate::transport::{Answer, Call, Transport};

/// The most bytes of a refused answer that are read to keep its connection.
const DRAIN_LIMIT: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: Arc<Config>,
    pub(crate) transport: Transport,
    pub(crate) endpoints: Endpoints,
    pub(crate) auth: Authenticator,
    transfers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Session {
    pub(crate) fn new(config: Config) -> Result<Self, InvalidConfig> {
        if http::HeaderValue::from_str(&config.user_agent).is_err() {
            return Err(InvalidConfig::UserAgent(config.user_agent));
        }
        let endpoints = Endpoints::new(&config)?;
        let config = Arc::new(config);
        Ok(Self {
            transport: Transport::new(Arc::clone(&config), endpoints.plain_mirrors()),
            endpoints,
            auth: Authenticator::default(),
            config,
            transfers: Mutex::new(HashMap::new()),
        })
    }

    /// Returns the registry's own endpoint.
    pub(crate) async fn origin(&self, host: &str) -> Result<Endpoint, Failure> {
        self.endpoints.origin(host, &self.transport).await
    }

    /// Sends a call with the header that the registry wants; asks for a token when it says so. The answer has any status.
    pub(crate) async fn exchange(&self, access: Access<'_>, mut call: Call) -> Result<Answer, Failure> {
        let header = self.auth.header(access, &self.transport).await?;
        call.authorization.clone_from(&header);
        let answer = self.transport.send(&call).await?;
        // Challenges of storage servers behind a redirect are not meant for these credentials.
        if answer.status() != StatusCode::UNAUTHORIZED || !same_origin(&answer.url, &call.url) {
            return Ok(answer);
        }
        let challenges = answer.challenges();
        let better = self
            .auth
            .answer(access, &challenges, header.as_ref(), &self.transport)
            .await
            .map_err(|failure| match failure {
                Failure::NoCredentials { .. } => Failure::NoCredentials {
                    url: call.url.to_string(),
                },
                other => other,
            })?;
        if better.is_none() {
            return Ok(answer);
        }
        // Reading it to its end keeps the connection; failing to is no loss.
        drop(self.transport.read_body(answer, DRAIN_LIMIT).await);
        call.authorization = better;
        self.transport.send(&call).await
    }

    /// Like [`Session::exchange`], but any status other than `wanted` is a failure.
    pub(crate) async fn expect(
        &self,
        access: Access<'_>,
        call: Call,
        wanted: &[StatusCode],
    ) -> Result<Answer, Failure> {
        let answer = self.exchange(access, call).await?;
        if wanted.contains(&answer.status()) {
            Ok(answer)
        } else {
            Err(self.transport.status_failure(answer).await)
        }
    }

    /// Repeats a step while it fails in a way that may pass.
    pub(crate) async fn retry<T, Step>(&self, mut step: impl FnMut() -> Step + Send) -> Result<T, Failure>
    where
        Step: Future<Output = Result<T, Failure>> + Send,
    {
        let mut attempts = self.attempts();
        loop {
            match step().await {
                Ok(done) => return Ok(done),
                Err(failure) => self.pause(&mut attempts, failure).await?,
            }
        }
    }

    pub(crate) fn attempts(&self) -> Attempts {
        Attempts::new(self.config.retry)
    }

    /// Waits before another attempt; gives the failure back when there is to be none.
    pub(crate) async fn pause(&self, attempts: &mut Attempts, failure: Failure) -> Result<(), Failure> {
        let delay = failure
            .is_transient()
            .then(|| attempts.next_delay(failure.retry_after(), jitter()))
            .flatten();
        let Some(delay) = delay else {
            return Err(failure);
        };
        tracing::debug!(error = %failure, delay = ?delay, "trying again");
        tokio::time::sleep(delay).await;
        Ok(())
    }

    /// Waits for a turn to transfer a blob with a host.
    pub(crate) async fn transfer_permit(&self, host: &str) -> OwnedSemaphorePermit {
        let semaphore = {
            let mut transfers = self.transfers.lock().unwrap_or_else(PoisonError::into_inner);
            let limit = self.config.max_parallel_per_host.max(1);
            let semaphore = transfers
                .entry(host.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(limit)));
            Arc::clone(semaphore)
        };
        semaphore.acquire_owned().await.expect("this semaphore is never closed")
    }
}
