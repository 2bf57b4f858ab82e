// SPDX-License-Identifier: MIT
//! HTTP clients, one for each way to treat TLS and proxies.
//!
//! Each is made when first needed, so that a machine without root certificates can still speak with a loopback registry, and kept
//! with its pool of connections. Certificate directories are read once, when the first request to their host is made.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;

use crate::config::{Config, ProxyUse, is_loopback};
use crate::failure::Failure;
use crate::redirect::authority;

#[derive(Debug)]
pub(crate) struct Clients {
    config: Arc<Config>,
    made: Mutex<HashMap<Key, reqwest::Client>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    tls: Tls,
    direct: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Tls {
    /// For plain HTTP: trusts nobody.
    Unused,
    Verified,
    /// The platform's roots and those in the certificate directory of this host.
    WithCertificatesOf(String),
    Unverified,
}

impl Clients {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        // The process-wide default is what reqwest asks for; when another part of the process has set one, that one serves.
        drop(rustls::crypto::ring::default_provider().install_default());
        Self {
            config,
            made: Mutex::new(HashMap::new()),
        }
    }

    /// Returns the client for a URL.
    pub(crate) fn get(&self, url: &Url) -> Result<reqwest::Client, Failure> {
        let host = authority(url);
        let key = Key {
            tls: self.tls(url, &host),
            direct: self.config.proxy == ProxyUse::Never || is_loopback(&host),
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(&key).map_err(|source| Failure::Connection {
            host,
            established: false,
            permanent: true,
            unreached: None,
            source,
        })?;
        made.insert(key, client.clone());
        Ok(client)
    }

    fn tls(&self, url: &Url, host: &str) -> Tls {
        if url.scheme() == "http" {
            return Tls::Unused;
        }
        if self.config.is_insecure(host) {
            return Tls::Unverified;
        }
        let has_certificates = |directory: &Path| !host.is_empty() && directory.join(host).is_dir();
        match &self.config.certificates_dir {
            Some(directory) if has_certificates(directory) => Tls::WithCertificatesOf(host.to_owned()),
            _ => Tls::Verified,
        }
    }

    fn build(&self, key: &Key) -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
        let mut builder = reqwest::Client::builder()
            .user_agent(&self.config.user_agent)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.config.timeouts.connect);
        builder = match &key.tls {
            Tls::Unused => builder.tls_certs_only([]),
            Tls::Verified => builder,
            Tls::Unverified => builder.tls_danger_accept_invalid_certs(true),
            Tls::WithCertificatesOf(host) => builder.tls_certs_merge(self.certificates(host)?),
        };
        if key.direct {
            builder = builder.no_proxy();
        }
        Ok(builder.build()?)
    }

    fn certificates(&self, host: &str) -> Result<Vec<reqwest::Certificate>, Box<dyn Error + Send + Sync>> {
        let mut certificates = Vec::new();
        let Some(directory) = &self.config.certificates_dir else {
            return Ok(certificates);
        };
        for entry in std::fs::read_dir(directory.join(host))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "crt") {
                let pem = std::fs::read(&path)?;
                certificates.extend(reqwest::Certificate::from_pem_bundle(&pem)?);
            }
        }
        Ok(certificates)
    }
}
