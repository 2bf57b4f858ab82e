// SPDX-License-Identifier: MIT
//! What the operator decides about registries.
//!
//! Plain data, filled by the composition root; nothing here is read from the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use hyperbox_types::{ErrorKind, RegistryHost};

/// Settings of a [`DistributionClient`](crate::DistributionClient).
#[derive(Debug, Clone)]
pub struct Config {
    /// Base URLs to ask before a registry (by its name in references, such as `docker.io`), in this order. Only pulls use
    /// mirrors, always anonymously: credentials belong to the registry. An `http://` URL written here is consent to plain HTTP.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts (with port, as in references) that may be spoken to by plain HTTP or with an unverifiable certificate.
    pub insecure_hosts: BTreeSet<String>,
    /// Directory laid out like `/etc/docker/certs.d`: certificates in `HOST/*.crt` are trusted for that host, too.
    pub certificates_dir: Option<PathBuf>,
    /// What to send as `User-Agent`.
    pub user_agent: String,
    /// Whether requests to other machines go through the proxy that the process environment names.
    pub proxy: ProxyUse,
    /// Time limits.
    pub timeouts: Timeouts,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// How many blobs are transferred at once with one host; further ones wait. A waiting or idle stream counts, so whoever opens
    /// more streams than this must read them concurrently.
    pub max_parallel_per_host: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mirrors: BTreeMap::new(),
            insecure_hosts: BTreeSet::new(),
            certificates_dir: None,
            user_agent: concat!("hyperbox/", env!("CARGO_PKG_VERSION")).to_owned(),
            proxy: ProxyUse::Environment,
            timeouts: Timeouts::default(),
            retry: RetryPolicy::default(),
            max_parallel_per_host: 8,
        }
    }
}

/// How proxies are used. Loopback is always spoken to directly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyUse {
    /// As `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the process say.
    Environment,
    /// Never.
    Never,
}

/// Time limits of single steps; there is none for a whole transfer, which may be large.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// To establish a connection, TLS included.
    pub connect: Duration,
    /// From a request that was sent until the header of its answer.
    pub response: Duration,
    /// Without a single byte while a body is transferred, in either direction.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            response: Duration::from_secs(60),
            stall: Duration::from_secs(30),
        }
    }
}

/// When and how often a step is tried again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// How often a step is tried in all before it fails; bytes that arrive set a blob's count back.
    pub attempts: u32,
    /// Pause before the second attempt; it doubles each time, and a random part of it is waited.
    pub base_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
    /// The longest `Retry-After` that is obeyed; a registry that asks for more has failed.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            base_delay: Duration::from_millis(250),
            max_delay: Duration::from_secs(10),
            max_retry_after: Duration::from_secs(60),
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    /// A mirror is no base URL.
    #[error("mirror {url:?} of {host} is not an http or https URL without credentials, query and fragment")]
    Mirror {
        /// The registry that it mirrors.
        host: String,
        /// The refused text.
        url: String,
    },
    /// The user agent cannot be sent.
    #[error("user agent {0:?} cannot be sent as an HTTP header")]
    UserAgent(String),
}

impl InvalidConfig {
    /// Returns the class.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl Config {
    /// Tells whether plain HTTP or an unverifiable certificate is acceptable for a host that was named by the operator.
    pub(crate) fn is_insecure(&self, host: &str) -> bool {
        self.insecure_hosts.contains(host)
    }
}

/// Tells whether `host[:port]` is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    RegistryHost::parse(host).is_ok_and(|host| host.is_loopback())
}
