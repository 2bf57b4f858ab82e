// SPDX-License-Identifier: MIT
//! Stores of other HyperBoxes: core's `Peers` seam over HTTP on a Unix socket or TCP.
//!
//! The person who asks for a delta pull names the host, so plain HTTP is spoken with it. Redirects are not followed, no proxy is asked,
//! and nothing but the question is sent. Every wait has a limit, and so has every answer that is kept.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::StatusCode;
use hyperbox_core::seam::{BlobStream, Peers, RegistryError, RegistryFault};
use hyperbox_types::DiffId;

use crate::config::Timeouts;
use crate::failure::printable;

/// Answers are given after the other side has cut a whole layer into chunks.
const PREPARING: Duration = Duration::from_secs(300);
/// The most bytes of a refusal that are read.
const REFUSAL: usize = 16 * 1024;
/// The most bytes of it that are shown.
const SHOWN: usize = 300;

/// A client of other HyperBoxes; meant to be shared.
#[derive(Debug, Default)]
pub struct PeerClient {
    timeouts: Timeouts,
    made: Mutex<HashMap<Address, reqwest::Client>>,
}

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Address {
    Socket(PathBuf),
    /// `host:port`
    Tcp(String),
}

impl Address {
    fn parse(host: &str) -> Option<Self> {
        if let Some(path) = host.strip_prefix("unix://") {
            return (path.starts_with('/') && path.len() > 1).then(|| Self::Socket(path.into()));
        }
        let address = host.strip_prefix("tcp://")?.trim_end_matches('/');
        let (name, port) = address.rsplit_once(':')?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]%".contains(&byte);
        let is_host = !name.is_empty() && name.bytes().all(is_plain) && port.parse::<u16>().is_ok();
        is_host.then(|| Self::Tcp(address.to_owned()))
    }

    fn url(&self, path: &str) -> String {
        match self {
            Self::Socket(_) => format!("http://hyperbox{path}"),
            Self::Tcp(address) => format!("http://{address}{path}"),
        }
    }
}

impl PeerClient {
    /// Makes a client with the default limits of time. Nothing is connected yet.
    pub fn new() -> Self {
        // As for registries: the process-wide default is what reqwest asks for, though no TLS is spoken here.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self::default()
    }

    fn client(&self, address: &Address) -> Result<reqwest::Client, reqwest::Error> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(address) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .tls_certs_only([])
            .connect_timeout(self.timeouts.connect);
        if let Address::Socket(path) = address {
            builder = builder.unix_socket(path.clone());
        }
        let client = builder.build()?;
        made.insert(address.clone(), client.clone());
        Ok(client)
    }

    /// Sends a question; only `200 OK` is an answer.
    async fn ask(&self, host: &str, path: &str, body: Option<Bytes>) -> Result<reqwest::Response, RegistryError> {
        let Some(address) = Address::parse(host) else {
            let reason = format!("{}: expected unix:///path or tcp://host:port", printable(host, SHOWN));
            return Err(failure(RegistryFault::Refused, reason));
        };
        let lost = |error: reqwest::Error| unavailable(host, error);
        let client = self.client(&address).map_err(lost)?;
        let url = address.url(path);
        let request = match body {
            Some(body) => client.post(url).body(body),
            None => client.get(url),
        };
        let response = tokio::time::timeout(PREPARING, request.send()).await;
        let response = response.map_err(|_| stalled(host, PREPARING))?.map_err(lost)?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        Err(self.refusal(host, response).await)
    }

    async fn refusal(&self, host: &str, response: reqwest::Response) -> RegistryError {
        let status = response.status();
        let body = self.whole(host, response, REFUSAL).await.unwrap_or_default();
        let told: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        let told = told.as_ref().and_then(|value| value["message"].as_str());
        let reason = told.map_or_else(|| status.to_string(), |text| printable(text, SHOWN));
        let fault = match status.as_u16() {
            404 => RegistryFault::NotFound,
            401 => RegistryFault::Unauthorized,
            403 => RegistryFault::Denied,
            408 | 429 | 500.. => RegistryFault::Unavailable,
            _ => RegistryFault::Protocol,
        };
        failure(fault, format!("{host} answers: {reason}"))
    }

    /// Reads a body of at most so many bytes.
    async fn whole(&self, host: &str, mut response: reqwest::Response, limit: usize) -> Result<Bytes, RegistryError> {
        let mut bytes = BytesMut::new();
        while let Some(piece) = next(host, &mut response, self.timeouts.stall).await? {
            if bytes.len() + piece.len() > limit {
                return Err(failure(
                    RegistryFault::Protocol,
                    format!("{host} sent more than the allowed {limit} bytes"),
                ));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

#[async_trait]
impl Peers for PeerClient {
    async fn chunk_list(&self, host: &str, layer: &DiffId, limit: u64) -> Result<Bytes, RegistryError> {
        let response = self
            .ask(host, &format!("/hyperbox/v1/layers/{layer}/chunks"), None)
            .await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.whole(host, response, limit).await
    }

    async fn ranges(&self, host: &str, layer: &DiffId, ranges: Bytes) -> Result<BlobStream, RegistryError> {
        let path = format!("/hyperbox/v1/layers/{layer}/ranges");
        let response = self.ask(host, &path, Some(ranges)).await?;
        let (host, stall) = (host.to_owned(), self.timeouts.stall);
        let pieces = stream::unfold(Some(response), move |response| {
            let host = host.clone();
            async move {
                let mut response = response?;
                match next(&host, &mut response, stall).await {
                    Ok(Some(bytes)) => Some((Ok(bytes), Some(response))),
                    Ok(None) => None,
                    Err(error) => Some((Err(error), None)),
                }
            }
        });
        Ok(Box::pin(pieces))
    }
}

async fn next(host: &str, response: &mut reqwest::Response, stall: Duration) -> Result<Option<Bytes>, RegistryError> {
    match tokio::time::timeout(stall, response.chunk()).await {
        Ok(piece) => piece.map_err(|error| unavailable(host, error)),
        Err(_) => Err(stalled(host, stall)),
    }
}

fn failure(fault: RegistryFault, message: String) -> RegistryError {
    RegistryError {
        fault,
        message,
        source: None,
    }
}

fn unavailable(host: &str, error: reqwest::Error) -> RegistryError {
    let what = if error.is_connect() {
        "cannot reach"
    } else {
        "lost the connection to"
    };
    RegistryError {
        fault: RegistryFault::Unavailable,
        message: format!("{what} {host}"),
        source: Some(Box::new(error.without_url())),
    }
}

fn stalled(host: &str, waited: Duration) -> RegistryError {
    failure(
        RegistryFault::Unavailable,
        format!("{host} sent nothing for {waited:?}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_docker_host() {
        for (host, url) in [
            ("unix:///run/s.sock", Some("http://hyperbox/x")),
            ("tcp://127.0.0.1:2375", Some("http://127.0.0.1:2375/x")),
            ("tcp://[::1]:2375/", Some("http://[::1]:2375/x")),
            ("tcp://name.example:1", Some("http://name.example:1/x")),
            ("unix://relative", None),
            ("unix:///", None),
            ("tcp://name", None),
            ("tcp://:80", None),
            ("tcp://user@name:80", None),
            ("tcp://name/path:80", None),
            ("http://name:80", None),
            ("", None),
        ] {
            assert_eq!(
                Address::parse(host).map(|address| address.url("/x")).as_deref(),
                url,
                "{host}"
            );
        }
    }
}
