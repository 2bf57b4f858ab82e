// SPDX-License-Identifier: MIT
//! Manifests: fetched and verified, or uploaded as the commit point of a push.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use hyperbox_core::image::manifest::{self, MANIFEST_LIMIT, media_type};
use hyperbox_core::seam::{Credentials, Descriptor, FetchedManifest};
use hyperbox_types::{ByteSize, Digest, DigestAlgorithm, ImageReference};

use crate::auth::Access;
use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hashing::digest;
use crate::scope::Scope;
use crate::session::Session;
use crate::transport::Call;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Fetches a manifest from the first mirror that gives a good one, or from the registry.
pub(crate) async fn fetch_manifest(
    session: &Session,
    reference: &ImageReference,
    credentials: Option<&Credentials>,
) -> Result<FetchedManifest, Failure> {
    let host = reference.repository().host().as_str();
    for mirror in session.endpoints.mirrors(host) {
        match fetch_from(session, &mirror, reference, None).await {
            Ok(manifest) => return Ok(manifest),
            Err(failure) => session.endpoints.mirror_failed(&mirror, &failure),
        }
    }
    session
        .retry(|| async {
            let origin = session.origin(host).await?;
            fetch_from(session, &origin, reference, credentials).await
        })
        .await
}

async fn fetch_from(
    session: &Session,
    endpoint: &Endpoint,
    reference: &ImageReference,
    credentials: Option<&Credentials>,
) -> Result<FetchedManifest, Failure> {
    let path = reference.repository().path();
    let scope = Scope::pull(path);
    let access = Access {
        endpoint,
        scope: &scope,
        credentials,
    };
    let name = reference
        .digest()
        .map_or_else(|| tag_of(reference), |digest| Ok(digest.to_string()))?;
    let mut call = Call::new(Method::GET, endpoint.url(&format!("{path}/manifests/{name}")));
    for accepted in media_type::ACCEPTED {
        call = call.with_header(ACCEPT, HeaderValue::from_static(accepted));
    }
    let answer = session.expect(access, call, &[StatusCode::OK]).await?;
    let host = answer.host.clone();
    let stated = answer.header(&CONTENT_TYPE).unwrap_or_default().to_owned();
    let claimed = answer.header(&CONTENT_DIGEST).map(ToOwned::to_owned);
    let Some(bytes) = session.transport.read_body(answer, MANIFEST_LIMIT.0).await? else {
        return Err(Failure::protocol(
            &host,
            format!("sent a manifest longer than {MANIFEST_LIMIT}"),
        ));
    };
    let digest = verify(&host, reference.digest(), claimed.as_deref(), &bytes)?;
    let media_type = manifest::detect(&stated, &bytes).map_err(|error| Failure::Refused {
        reason: error.to_string(),
    })?;
    Ok(FetchedManifest {
        descriptor: Descriptor {
            media_type,
            digest,
            size: ByteSize(bytes.len() as u64),
            annotations: std::collections::BTreeMap::new(),
        },
        bytes,
    })
}

/// Compares bytes with the digest that was asked for and the one that the registry claims; returns their digest.
fn verify(host: &str, wanted: Option<&Digest>, claimed: Option<&str>, bytes: &[u8]) -> Result<Digest, Failure> {
    let matches = |expected: &Digest| {
        let actual = digest(expected.algorithm(), bytes);
        if actual == *expected {
            return Ok(());
        }
        Err(Failure::protocol(
            host,
            format!("sent a manifest with digest {actual} instead of {expected}"),
        ))
    };
    if let Some(wanted) = wanted {
        matches(wanted)?;
        return Ok(wanted.clone());
    }
    // A claim in an algorithm that is not registered cannot be checked, and nobody asked for it.
    if let Some(claimed) = claimed.and_then(|claimed| Digest::parse(claimed.trim()).ok()) {
        matches(&claimed)?;
    }
    Ok(digest(DigestAlgorithm::Sha256, bytes))
}

/// Uploads a manifest under the reference's tag, or its digest when it has no tag.
pub(crate) async fn push_manifest(
    session: &Session,
    reference: &ImageReference,
    media_type: &str,
    bytes: Bytes,
    credentials: Option<&Credentials>,
) -> Result<Digest, Failure> {
    let path = reference.repository().path();
    let algorithm = reference.digest().map_or(DigestAlgorithm::Sha256, Digest::algorithm);
    let actual = digest(algorithm, &bytes);
    if let Some(wanted) = reference.digest().filter(|wanted| **wanted != actual) {
        return Err(Failure::Refused {
            reason: format!("the manifest has digest {actual}, not {wanted}"),
        });
    }
    let content_type = HeaderValue::from_str(media_type).map_err(|_| Failure::Refused {
        reason: format!("{media_type:?} is no media type"),
    })?;
    let name = tag_of(reference).or_else(|missing| {
        let digest = reference.digest().map(ToString::to_string);
        digest.ok_or(missing)
    })?;
    let scope = Scope::push(path);
    session
        .retry(|| async {
            let endpoint = session.origin(reference.repository().host().as_str()).await?;
            let access = Access {
                endpoint: &endpoint,
                scope: &scope,
                credentials,
            };
            let call = Call::new(Method::PUT, endpoint.url(&format!("{path}/manifests/{name}")))
                .with_header(CONTENT_TYPE, content_type.clone())
                .with_body(bytes.clone());
            let wanted = [StatusCode::CREATED, StatusCode::OK, StatusCode::ACCEPTED];
            let answer = session.expect(access, call, &wanted).await?;
            let claimed = answer.header(&CONTENT_DIGEST).and_then(|text| Digest::parse(text).ok());
            match claimed.filter(|claimed| claimed.algorithm() == algorithm && *claimed != actual) {
                Some(claimed) => Err(Failure::protocol(
                    &answer.host,
                    format!("stored the manifest as {claimed} instead of {actual}"),
                )),
                None => Ok(()),
            }
        })
        .await?;
    Ok(actual)
}

fn tag_of(reference: &ImageReference) -> Result<String, Failure> {
    match reference.tag() {
        Some(tag) => Ok(tag.as_str().to_owned()),
        None => Err(Failure::Refused {
            reason: format!("{reference} has neither tag nor digest"),
        }),
    }
}
