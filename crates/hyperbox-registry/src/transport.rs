// SPDX-License-Identifier: MIT
//! One HTTP request with its redirects and time limits, over pooled connections.
//!
//! Redirects are followed here, not by the HTTP library, because only this
//! crate knows which header is a secret. Cancel-safe: a dropped future closes its connection.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use reqwest::Url;

use crate::challenge::{Challenge, parse_challenges};
use crate::clients::Clients;
use crate::config::{Config, is_loopback};
use crate::failure::{Failure, StatusFailure, told, unreached};
use crate::redirect::{Stop, authority, is_redirect, next_hop, same_origin};
use crate::retry::parse_retry_after;

/// The most bytes of an error body that are read.
const ERROR_BODY_LIMIT: u64 = 64 * 1024;

/// A request that can be sent again: to another place after a redirect, or once more after a failure.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Sent only to the origin of `url`.
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) body: Bytes,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body: Bytes::new(),
        }
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    #[must_use]
    pub(crate) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// The header of an answer, with its body still to be read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: reqwest::Response,
    /// Who answered, for error messages.
    pub(crate) host: String,
    /// The URL that answered, after redirects.
    pub(crate) url: Url,
}

impl Answer {
    pub(crate) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.header(&CONTENT_LENGTH)?.parse().ok()
    }

    pub(crate) fn challenges(&self) -> Vec<Challenge> {
        let headers = self.response.headers().get_all(WWW_AUTHENTICATE);
        headers
            .iter()
            .take(8)
            .flat_map(|value| parse_challenges(&String::from_utf8_lossy(value.as_bytes())))
            .collect()
    }
}

/// Sends requests.
#[derive(Debug)]
pub(crate) struct Transport {
    config: Arc<Config>,
    /// Hosts that the operator named for plain HTTP.
    plain_hosts: BTreeSet<String>,
    clients: Clients,
}

impl Transport {
    pub(crate) fn new(config: Arc<Config>, plain_mirrors: impl IntoIterator<Item = String>) -> Self {
        let mut plain_hosts = config.insecure_hosts.clone();
        plain_hosts.extend(plain_mirrors);
        Self {
            clients: Clients::new(Arc::clone(&config)),
            config,
            plain_hosts,
        }
    }

    /// Sends a call and follows redirects; the answer may have any other status.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let mut visited = vec![call.url.clone()];
        loop {
            let url = visited[visited.len() - 1].clone();
            // Once away, the secret stays away, even when a later hop comes back.
            let at_home = visited.iter().all(|visited| same_origin(visited, &call.url));
            let mut headers = call.headers.clone();
            if let Some(authorization) = call.authorization.as_ref().filter(|_| at_home) {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let body = reqwest::Body::from(call.body.clone());
            let limit = self.config.timeouts.connect + self.config.timeouts.response;
            let sending = self.send_body(call.method.clone(), &url, headers, body);
            let answer = tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
                Err(Failure::Stalled {
                    host: authority(&url),
                    waited: limit,
                })
            })?;
            if !is_redirect(answer.status()) {
                return Ok(answer);
            }
            let next = next_hop(
                &call.method,
                &visited,
                answer.status(),
                answer.header(&LOCATION),
                |host| self.plain_hosts.contains(host),
            );
            match next {
                Ok(next) if !call.body.is_empty() && !same_origin(&next, &call.url) => {
                    return Err(Failure::protocol(
                        &answer.host,
                        "redirects a request with content to another host",
                    ));
                }
                Ok(next) => visited.push(next),
                Err(Stop::Protocol(reason)) => return Err(Failure::protocol(&answer.host, reason)),
                Err(Stop::Refused(reason)) => return Err(Failure::Refused { reason }),
            }
        }
    }

    /// Sends one request without following anything and without a time limit: the caller watches it.
    pub(crate) async fn send_body(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Answer, Failure> {
        let host = authority(url);
        if url.scheme() == "http" && !is_loopback(&host) && !self.plain_hosts.contains(&host) {
            return Err(Failure::Refused {
                reason: format!("plain http to {host} is not allowed: name it as an insecure registry to allow it"),
            });
        }
        self.send_anywhere(method, url, headers, body).await
    }

    /// Gets what a person named by its URL, with its redirects; the answer may have any other status. The headers go to every host on
    /// the way.
    pub(crate) async fn fetch(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Failure> {
        let mut visited = vec![url.clone()];
        loop {
            let url = visited[visited.len() - 1].clone();
            let limit = self.config.timeouts.connect + self.config.timeouts.response;
            let sending = self.send_anywhere(Method::GET, &url, headers.clone(), reqwest::Body::default());
            let answer = tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
                Err(Failure::Stalled {
                    host: authority(&url),
                    waited: limit,
                })
            })?;
            if !is_redirect(answer.status()) {
                return Ok(answer);
            }
            let location = answer.header(&LOCATION);
            let plain = url.scheme() == "http";
            match next_hop(&Method::GET, &visited, answer.status(), location, |host| {
                plain && !is_loopback(host)
            }) {
                Ok(next) => visited.push(next),
                Err(Stop::Protocol(reason)) => return Err(Failure::protocol(&answer.host, reason)),
                Err(Stop::Refused(reason)) => return Err(Failure::Refused { reason }),
            }
        }
    }

    async fn send_anywhere(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Answer, Failure> {
        let host = authority(url);
        let client = self.clients.get(url)?;
        let has_body = !matches!(method, Method::GET | Method::HEAD);
        let mut request = client.request(method.clone(), url.clone()).headers(headers);
        if has_body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|error| {
            let reason = unreached(&method, url, &error).filter(|_| error.is_connect());
            connection_failure(&host, error, reason)
        })?;
        Ok(Answer {
            response,
            host,
            url: url.clone(),
        })
    }

    /// Reads a whole body of at most `limit` bytes, which must be there within the time for an answer; `None` when it is longer.
    pub(crate) async fn read_body(&self, answer: Answer, limit: u64) -> Result<Option<Bytes>, Failure> {
        let waited = self.config.timeouts.response;
        let host = answer.host.clone();
        tokio::time::timeout(waited, self.read_up_to(answer, limit))
            .await
            .unwrap_or(Err(Failure::Stalled { host, waited }))
    }

    async fn read_up_to(&self, mut answer: Answer, limit: u64) -> Result<Option<Bytes>, Failure> {
        if answer.content_length().is_some_and(|length| length > limit) {
            return Ok(None);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next_chunk(&mut answer).await? {
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Ok(None);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(body.freeze()))
    }

    /// Reads the next piece of a body, which must come within the stall limit.
    pub(crate) async fn next_chunk(&self, answer: &mut Answer) -> Result<Option<Bytes>, Failure> {
        let waited = self.config.timeouts.stall;
        match tokio::time::timeout(waited, answer.response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| connection_failure(&answer.host, error, None)),
            Err(_) => Err(Failure::Stalled {
                host: answer.host.clone(),
                waited,
            }),
        }
    }

    /// Makes the failure of an answer with an unwanted status, reading what it tells.
    pub(crate) async fn status_failure(&self, answer: Answer) -> Failure {
        let host = answer.host.clone();
        let status = answer.status();
        let retry_after = answer
            .header(&RETRY_AFTER)
            .and_then(|value| parse_retry_after(value, Timestamp::now()));
        let challenges = answer.challenges();
        // The status counts even when its explanation cannot be read.
        let body = self
            .read_body(answer, ERROR_BODY_LIMIT)
            .await
            .ok()
            .flatten()
            .unwrap_or_default();
        Failure::Status(StatusFailure {
            host,
            status,
            told: told(status, &challenges, &body),
            retry_after,
        })
    }
}

/// Wraps an error of the HTTP library without the URL, whose query may hold a signature.
fn connection_failure(host: &str, error: reqwest::Error, unreached: Option<String>) -> Failure {
    let error = error.without_url();
    Failure::Connection {
        host: host.to_owned(),
        established: !error.is_connect() && !error.is_builder(),
        permanent: error.is_builder() || is_certificate_error(&error),
        unreached,
        source: Box::new(error),
    }
}

/// Tells whether the peer's certificate is the reason: `io::Error` hides what it wraps from `source`.
fn is_certificate_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inner = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = inner.or_else(|| error.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        cause = error.source();
    }
    false
}
