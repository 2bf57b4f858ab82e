// SPDX-License-Identifier: MIT
//! What goes wrong with one request, and how it is told. Pure.
//!
//! [`Failure`] is what happened on the wire; [`Operation`] knows what it was for and makes the sentence, in Docker's words where
//! Docker's clients match on them (`distribution/errors.go` of the engine, `errcode` of distribution).

use std::io::ErrorKind;
use std::time::Duration;

use http::{Method, StatusCode};
use hyperbox_core::seam::{RegistryError, RegistryFault};
use hyperbox_types::{Digest, ImageReference};
use reqwest::Url;
use serde::Deserialize;

use crate::challenge::{Challenge, Scheme};

#[cfg(test)]
mod tests;

/// Why one request did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{} {host}", if *established { "lost the connection to" } else { "cannot reach" })]
    Connection {
        host: String,
        /// It broke later than while it was made.
        established: bool,
        /// Trying again changes nothing: the certificate is wrong.
        permanent: bool,
        /// Why nothing was reached, in Go's words; unset when they say nothing of it.
        unreached: Option<String>,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("{host} sent nothing for {waited:?}")]
    Stalled { host: String, waited: Duration },
    #[error("{host} ended the transfer after {received} of {expected} bytes")]
    Truncated { host: String, received: u64, expected: u64 },
    #[error("{0}")]
    Status(StatusFailure),
    /// The registry knows nothing of an upload that it had begun.
    #[error("the upload was forgotten: {0}")]
    SessionLost(StatusFailure),
    #[error("{host} {reason}")]
    Protocol { host: String, reason: String },
    #[error("{reason}")]
    Refused { reason: String },
    #[error("no basic auth credentials")]
    NoCredentials { url: String },
    #[error("cannot read the content to push")]
    Content(#[source] std::io::Error),
}

impl Failure {
    pub(crate) fn protocol(host: &str, reason: impl Into<String>) -> Self {
        Self::Protocol {
            host: host.to_owned(),
            reason: reason.into(),
        }
    }

    /// Tells the query of a URL that was not reached, too: it is what the user typed.
    pub(crate) fn showing(mut self, url: &Url) -> Self {
        if let Self::Connection {
            unreached: Some(reason),
            ..
        } = &mut self
        {
            let mut bare = url.clone();
            bare.set_query(None);
            *reason = reason.replace(&format!("\"{bare}\""), &format!("\"{url}\""));
        }
        self
    }

    /// Tells whether the same request may succeed in a moment.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Connection { permanent, .. } => !permanent,
            Self::Stalled { .. } | Self::Truncated { .. } | Self::SessionLost(_) => true,
            Self::Status(failure) => matches!(failure.status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// Tells whether the other side is not there, rather than answering badly.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Connection { .. } | Self::Stalled { .. })
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(failure) => failure.retry_after,
            _ => None,
        }
    }

    fn fault(&self) -> RegistryFault {
        match self {
            Self::Connection { .. } | Self::Stalled { .. } | Self::Truncated { .. } | Self::SessionLost(_) => {
                RegistryFault::Unavailable
            }
            Self::Status(failure) => failure.fault(),
            Self::Protocol { .. } => RegistryFault::Protocol,
            Self::Refused { .. } | Self::Content(_) => RegistryFault::Refused,
            Self::NoCredentials { .. } => RegistryFault::Unauthorized,
        }
    }
}

/// Tells why a connection was not made, in the words of Go's `net` package, which Docker's clients print and people search for.
///
/// `url` is shown without its query, which may hold a signature ([`Failure::showing`]).
pub(crate) fn unreached(method: &Method, url: &Url, error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let host = url.host_str()?;
    let port = url.port_or_known_default()?;
    let causes = || std::iter::successors(Some(error), |error| error.source());
    let kind = causes()
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .find_map(|error| match error.kind() {
            ErrorKind::ConnectionRefused => Some("connect: connection refused"),
            ErrorKind::HostUnreachable => Some("connect: no route to host"),
            ErrorKind::NetworkUnreachable => Some("connect: network is unreachable"),
            ErrorKind::TimedOut => Some("i/o timeout"),
            _ => None,
        });
    let lookup = || causes().any(|error| error.to_string().contains("dns error"));
    let reason = match kind {
        Some(kind) => format!("dial tcp {host}:{port}: {kind}"),
        None if lookup() => format!("dial tcp: lookup {host}: no such host"),
        None => return None,
    };
    let method = method.as_str();
    let (first, rest) = method.split_at_checked(1)?;
    let mut shown = url.clone();
    shown.set_query(None);
    Some(format!("{first}{} \"{shown}\": {reason}", rest.to_ascii_lowercase()))
}

/// One entry of a registry's error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// Such as `MANIFEST_UNKNOWN`.
    pub(crate) code: String,
    pub(crate) message: String,
}

impl ApiError {
    fn new(code: &str, message: &str) -> Self {
        Self {
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.code.to_ascii_lowercase().replace('_', " ");
        if self.message.is_empty() {
            formatter.write_str(&code)
        } else {
            write!(formatter, "{code}: {}", self.message)
        }
    }
}

/// An answer with an unexpected status.
#[derive(Debug)]
pub(crate) struct StatusFailure {
    pub(crate) host: String,
    pub(crate) status: StatusCode,
    /// The first error that the registry told, in its challenge or its body.
    pub(crate) told: Option<ApiError>,
    pub(crate) retry_after: Option<Duration>,
}

impl StatusFailure {
    /// Tells whether an upload session is gone or out of step.
    pub(crate) fn is_unknown_session(&self) -> bool {
        matches!(self.status.as_u16(), 404 | 416)
    }

    fn fault(&self) -> RegistryFault {
        match self.status.as_u16() {
            404 => RegistryFault::NotFound,
            // With a token, but not for this: registries answer so for what does not exist as well.
            401 if self.told.as_ref().is_some_and(|told| told.code == "DENIED") => RegistryFault::NotFound,
            401 => RegistryFault::Unauthorized,
            403 => RegistryFault::Denied,
            429 => RegistryFault::RateLimited,
            408 | 500..=599 => RegistryFault::Unavailable,
            _ => RegistryFault::Protocol,
        }
    }

    /// Returns what the registry said, or what its status means where it said nothing.
    fn cause(&self) -> Option<ApiError> {
        let usual = match self.status.as_u16() {
            401 => Some(ApiError::new("UNAUTHORIZED", "authentication required")),
            403 => Some(ApiError::new("DENIED", "requested access to the resource is denied")),
            429 => Some(ApiError::new("TOOMANYREQUESTS", "too many requests")),
            _ => None,
        };
        self.told.clone().or(usual)
    }
}

impl std::fmt::Display for StatusFailure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.cause() {
            Some(cause) => cause.fmt(formatter),
            None => write!(
                formatter,
                "received unexpected HTTP status: {} from {}",
                self.status, self.host
            ),
        }
    }
}

/// Finds what a registry or token server told: an OAuth error in the challenge, or the first error in the body.
pub(crate) fn told(status: StatusCode, challenges: &[Challenge], body: &[u8]) -> Option<ApiError> {
    challenges
        .iter()
        .filter(|challenge| challenge.scheme == Scheme::Bearer)
        .find_map(oauth_error)
        .or_else(|| from_body(status, body))
        .map(|error| ApiError {
            code: printable(&error.code, 64),
            message: printable(&error.message, 512),
        })
}

/// Errors in challenges: RFC 6750 §3.1.
fn oauth_error(challenge: &Challenge) -> Option<ApiError> {
    let (code, usual) = match challenge.parameter("error")? {
        "invalid_token" => ("UNAUTHORIZED", "authentication required"),
        "insufficient_scope" => ("DENIED", "requested access to the resource is denied"),
        _ => return None,
    };
    let message = challenge.parameter("error_description").filter(|text| !text.is_empty());
    Some(ApiError::new(code, message.unwrap_or(usual)))
}

fn from_body(status: StatusCode, body: &[u8]) -> Option<ApiError> {
    #[derive(Deserialize)]
    struct Body {
        #[serde(default)]
        errors: Vec<Entry>,
        #[serde(default)]
        details: Option<String>,
        #[serde(default)]
        error: Option<String>,
        #[serde(default)]
        error_description: Option<String>,
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    if let Some(entry) = body.errors.into_iter().find(|entry| !entry.code.is_empty()) {
        return Some(ApiError {
            code: entry.code,
            message: entry.message.unwrap_or_default(),
        });
    }
    // Docker Hub's token server says `details`, OAuth servers `error` and `error_description`.
    let message = body.details.or(body.error_description).or(body.error)?;
    let code = match status.as_u16() {
        401 => "UNAUTHORIZED",
        403 => "DENIED",
        429 => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    };
    Some(ApiError {
        code: code.to_owned(),
        message,
    })
}

/// Foreign text ends on terminals: no control characters, not too long.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(limit)
        .collect()
}

/// What a request was for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation<'a> {
    Resolve(&'a ImageReference),
    Fetch(&'a ImageReference, &'a Digest),
    PushBlob(&'a ImageReference, &'a Digest),
    PushManifest(&'a ImageReference),
    /// With the URL that was asked.
    Login(&'a str),
    /// With the host.
    Search(&'a str),
}

impl Operation<'_> {
    /// Makes the error that leaves this crate: fault, sentence, and the cause unless the sentence tells it already.
    pub(crate) fn error(self, failure: Failure) -> RegistryError {
        let fault = failure.fault();
        let message = match &failure {
            Failure::Status(status) => self.status_message(status),
            Failure::NoCredentials { url } => self.no_credentials(url),
            Failure::Connection {
                unreached: Some(reason),
                ..
            } => {
                return RegistryError {
                    fault,
                    message: reason.clone(),
                    source: None,
                };
            }
            _ => {
                return RegistryError {
                    fault,
                    message: self.attempt(),
                    source: Some(Box::new(failure)),
                };
            }
        };
        RegistryError {
            fault,
            message,
            source: None,
        }
    }

    fn attempt(self) -> String {
        match self {
            Self::Resolve(reference) => format!("failed to resolve reference \"{reference}\""),
            Self::Fetch(reference, digest) => format!("failed to fetch blob {digest} of {reference}"),
            Self::PushBlob(reference, digest) => format!("failed to push blob {digest} to {reference}"),
            Self::PushManifest(reference) => format!("failed to push {reference}"),
            Self::Login(url) => format!("login attempt to {url} failed"),
            Self::Search(host) => format!("failed to search {host}"),
        }
    }

    /// Docker names the request that a pull begins with, and nothing in a push.
    fn no_credentials(self, url: &str) -> String {
        let failure = Failure::NoCredentials { url: String::new() };
        match self {
            Self::Resolve(_) => format!("Head \"{url}\": {failure}"),
            Self::Login(_) => format!("Get \"{url}\": {failure}"),
            Self::PushBlob(..) | Self::PushManifest(_) => failure.to_string(),
            _ => format!("{}: {failure}", self.attempt()),
        }
    }

    fn status_message(self, failure: &StatusFailure) -> String {
        let code = failure.cause().map(|cause| cause.code).unwrap_or_default();
        match (self, code.as_str()) {
            (Self::Resolve(reference), "DENIED") => format!(
                "pull access denied for {}, repository does not exist or may require 'docker login': {failure}",
                reference.repository().familiar()
            ),
            (Self::Resolve(reference), "NAME_UNKNOWN") => {
                format!("repository {} not found: {failure}", reference.repository().familiar())
            }
            (Self::Resolve(reference), _) if failure.status == StatusCode::NOT_FOUND => {
                let unknown = ApiError::new("MANIFEST_UNKNOWN", "manifest unknown");
                let told = failure.told.as_ref().unwrap_or(&unknown);
                format!("manifest for {} not found: {told}", reference.familiar())
            }
            (Self::Fetch(..), _) if failure.status == StatusCode::NOT_FOUND && failure.told.is_none() => {
                format!("{}: blob unknown: blob unknown to registry", self.attempt())
            }
            // What refuses somebody is told alone.
            (
                Self::Resolve(_) | Self::PushBlob(..) | Self::PushManifest(_),
                "UNAUTHORIZED" | "DENIED" | "TOOMANYREQUESTS",
            ) => failure.to_string(),
            (Self::Search(_), _) if failure.told.is_none() => {
                format!("Unexpected status code {}", failure.status.as_u16())
            }
            (Self::Login(_), _) if failure.told.is_none() => {
                format!("{} with status: {}", self.attempt(), failure.status)
            }
            (Self::Login(url), _) => format!("Get \"{url}\": {failure}"),
            _ => format!("{}: {failure}", self.attempt()),
        }
    }
}
