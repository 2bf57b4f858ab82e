// SPDX-License-Identifier: MIT
//! Clients with short times, references, and servers that follow a script.

mod cutting;
mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use hyperbox_core::image::media_type;
use hyperbox_core::seam::{BlobStream, Credentials, Descriptor, RegistryError};
use hyperbox_registry::{Config, DistributionClient, ProxyUse, RetryPolicy, Timeouts};
use hyperbox_types::{ByteSize, Digest, ImageReference};
use sha2::Digest as _;

pub(crate) use cutting::{Cut, Cutting};
pub(crate) use scripted::{Reply, Request, Scripted};

/// A configuration that gives up quickly and waits hardly at all.
pub(crate) fn impatient() -> Config {
    Config {
        proxy: ProxyUse::Never,
        timeouts: Timeouts {
            connect: Duration::from_secs(5),
            response: Duration::from_secs(5),
            stall: Duration::from_millis(200),
        },
        retry: RetryPolicy {
            attempts: 3,
            base_delay: Duration::from_millis(2),
            max_delay: Duration::from_millis(10),
            max_retry_after: Duration::from_secs(2),
        },
        ..Config::default()
    }
}

pub(crate) fn client() -> DistributionClient {
    DistributionClient::new(impatient()).expect("a valid configuration")
}

pub(crate) fn reference(host: &str, rest: &str) -> ImageReference {
    ImageReference::parse(&format!("{host}/{rest}")).expect("a valid reference")
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type::OCI_LAYER_GZIP.to_owned(),
        digest: sha256(bytes),
        size: ByteSize(bytes.len() as u64),
        annotations: BTreeMap::new(),
    }
}

/// Bytes that differ everywhere, so that a wrong offset shows.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes())
        .take(length)
        .collect()
}

pub(crate) fn credentials(username: &str, password: &str) -> Credentials {
    Credentials {
        username: username.to_owned(),
        password: password.to_owned(),
        ..Credentials::default()
    }
}

/// A small image manifest.
pub(crate) fn manifest_bytes() -> Vec<u8> {
    let config = descriptor(b"{}");
    serde_json::to_vec(&serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": config.digest, "size": config.size},
        "layers": [],
    }))
    .expect("JSON")
}

/// Reads a stream to its end or its error.
pub(crate) async fn drain(mut stream: BlobStream) -> (Vec<u8>, Option<RegistryError>) {
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

/// The whole chain of an error, as a log would show it, and its debug form: what must not hold a secret.
pub(crate) fn everything(error: &RegistryError) -> String {
    let mut text = format!("{error:?} {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
