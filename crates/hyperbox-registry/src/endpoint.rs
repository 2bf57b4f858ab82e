// SPDX-License-Identifier: MIT
//! Which base URL speaks for a registry.
//!
//! - `docker.io` is served by `registry-1.docker.io`; any other host by itself, over HTTPS.
//! - A host that the operator called insecure is asked by HTTPS without verification first, then by plain HTTP, as Docker does.
//! - Loopback is asked by plain HTTP first and by (verified) HTTPS when that is no answer: local registries are plain nearly
//!   always, and a request without credentials to this machine tells nobody anything. Port 443 is HTTPS at once.
//!
//! The last two take one unauthenticated request to `/v2/`, remembered for the life of the client; a host that does not answer is
//! not remembered, so a registry that is started later, or differently, is found.
//!
//! A mirror that cannot be reached is left out for a while, so that a dead one costs its time limit once and not for each blob.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use reqwest::Url;

use crate::config::{Config, InvalidConfig, is_loopback};
use crate::failure::Failure;
use crate::redirect::authority;
use crate::transport::{Call, Transport};

/// How long an absent mirror is left out.
const MIRROR_REST: Duration = Duration::from_secs(60);

/// A base URL that serves a registry's repositories.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Ends with a slash.
    base: Url,
}

impl Endpoint {
    fn parse(url: &str) -> Option<Self> {
        let mut base = Url::parse(url).ok()?;
        let plain = base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none()
            && base.host_str().is_some();
        if !plain || !matches!(base.scheme(), "http" | "https") {
            return None;
        }
        let path = format!("{}/", base.path().trim_end_matches('/'));
        base.set_path(&path);
        Some(Self { base })
    }

    /// Returns the URL of something below `/v2/`; repository paths, tags and digests need no escaping by their grammars.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}v2/{path}", self.base.path()));
        url
    }

    /// Returns the base URL.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Tells whether it speaks plain HTTP.
    pub(crate) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }
}

/// Finds endpoints.
#[derive(Debug)]
pub(crate) struct Endpoints {
    mirrors: HashMap<String, Vec<Endpoint>>,
    insecure: Vec<String>,
    found: Mutex<HashMap<String, Endpoint>>,
    /// Base URLs of mirrors that could not be reached, and until when they are left out.
    absent: Mutex<HashMap<String, Instant>>,
}

impl Endpoints {
    pub(crate) fn new(config: &Config) -> Result<Self, InvalidConfig> {
        let mut mirrors: HashMap<String, Vec<Endpoint>> = HashMap::new();
        for (host, urls) in &config.mirrors {
            for url in urls {
                let endpoint = Endpoint::parse(url).ok_or_else(|| InvalidConfig::Mirror {
                    host: host.clone(),
                    url: url.clone(),
                })?;
                mirrors.entry(host.clone()).or_default().push(endpoint);
            }
        }
        Ok(Self {
            mirrors,
            insecure: config.insecure_hosts.iter().cloned().collect(),
            found: Mutex::new(HashMap::new()),
            absent: Mutex::new(HashMap::new()),
        })
    }

    /// Returns the mirrors of a registry, in their order, without those that were absent a moment ago.
    pub(crate) fn mirrors(&self, host: &str) -> Vec<Endpoint> {
        let Some(mirrors) = self.mirrors.get(host) else {
            return Vec::new();
        };
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let present = |mirror: &&Endpoint| absent.get(mirror.base.as_str()).is_none_or(|until| *until <= now);
        mirrors.iter().filter(present).cloned().collect()
    }

    /// Takes note of a mirror's failure.
    pub(crate) fn mirror_failed(&self, mirror: &Endpoint, failure: &Failure) {
        if failure.is_absence() {
            let until = Instant::now() + MIRROR_REST;
            let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
            absent.insert(mirror.base.as_str().to_owned(), until);
        }
        let mirror = authority(&mirror.base);
        tracing::debug!(%mirror, error = %failure, "mirror failed");
    }

    /// Returns all mirrors that are spoken to by plain HTTP.
    pub(crate) fn plain_mirrors(&self) -> Vec<String> {
        let all = self.mirrors.values().flatten();
        all.filter(|endpoint| endpoint.is_plain())
            .map(|endpoint| authority(endpoint.base()))
            .collect()
    }

    /// Returns the registry's own endpoint.
    pub(crate) async fn origin(&self, host: &str, transport: &Transport) -> Result<Endpoint, Failure> {
        if let Some(found) = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(host) {
            return Ok(found.clone());
        }
        let endpoint = match candidates(host, self.insecure.iter().any(|insecure| insecure == host)) {
            Candidates::One(url) => parse_base(host, &url)?,
            Candidates::Either(first, second) => {
                let first = parse_base(host, &first)?;
                match probe(&first, transport).await {
                    Ok(()) => first,
                    Err(first_failure) => {
                        let second = parse_base(host, &second)?;
                        match probe(&second, transport).await {
                            Ok(()) => {}
                            // Somebody is there who wants the other scheme, so how that failed is what matters.
                            Err(failure) if !first_failure.is_absence() => return Err(failure),
                            Err(_) => return Err(first_failure),
                        }
                        second
                    }
                }
            }
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(found.entry(host.to_owned()).or_insert(endpoint).clone())
    }
}

/// Returns the base URL of a host that is no registry and always speaks HTTPS.
pub(crate) fn https_only(host: &str) -> Result<Url, Failure> {
    parse_base(host, &format!("https://{host}/")).map(|endpoint| endpoint.base)
}

fn parse_base(host: &str, url: &str) -> Result<Endpoint, Failure> {
    Endpoint::parse(url).ok_or_else(|| Failure::Refused {
        reason: format!("{host} is no host that can be asked"),
    })
}

#[derive(Debug, PartialEq, Eq)]
enum Candidates {
    One(String),
    Either(String, String),
}

fn candidates(host: &str, insecure: bool) -> Candidates {
    let real = match host {
        "docker.io" | "index.docker.io" => "registry-1.docker.io",
        other => other,
    };
    let https = format!("https://{real}/");
    let http = format!("http://{real}/");
    if insecure {
        Candidates::Either(https, http)
    } else if is_loopback(host) && !host.ends_with(":443") {
        Candidates::Either(http, https)
    } else {
        Candidates::One(https)
    }
}

/// Asks whether anything answers there in this scheme.
async fn probe(endpoint: &Endpoint, transport: &Transport) -> Result<(), Failure> {
    let answer = transport.send(&Call::new(Method::GET, endpoint.url(""))).await?;
    // What servers that expect TLS answer to plain HTTP.
    if endpoint.is_plain() && answer.status() == StatusCode::BAD_REQUEST {
        return Err(transport.status_failure(answer).await);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes() {
        let one = |url: &str| Candidates::One(url.to_owned());
        let either = |first: &str, second: &str| Candidates::Either(first.to_owned(), second.to_owned());
        for (host, insecure, expected) in [
            ("docker.io", false, one("https://registry-1.docker.io/")),
            ("ghcr.io", false, one("https://ghcr.io/")),
            ("10.0.0.1:5000", false, one("https://10.0.0.1:5000/")),
            (
                "10.0.0.1:5000",
                true,
                either("https://10.0.0.1:5000/", "http://10.0.0.1:5000/"),
            ),
            (
                "localhost:5000",
                false,
                either("http://localhost:5000/", "https://localhost:5000/"),
            ),
            ("[::1]:5000", false, either("http://[::1]:5000/", "https://[::1]:5000/")),
            ("localhost:443", false, one("https://localhost:443/")),
        ] {
            assert_eq!(candidates(host, insecure), expected, "{host}");
        }
    }

    #[test]
    fn mirror_urls() {
        for (url, expected) in [
            ("https://m", Some("https://m/v2/a/manifests/b")),
            ("https://m/prefix", Some("https://m/prefix/v2/a/manifests/b")),
            ("http://m:5000/", Some("http://m:5000/v2/a/manifests/b")),
            ("https://u:p@m/", None),
            ("https://m/?q", None),
            ("ftp://m/", None),
            ("m", None),
            ("", None),
        ] {
            let built = Endpoint::parse(url).map(|endpoint| endpoint.url("a/manifests/b").to_string());
            assert_eq!(built.as_deref(), expected, "{url}");
        }
    }
}
