// SPDX-License-Identifier: MIT
//! Debian's `docker-registry`: what we push it serves, and what it serves we pull.

use std::io::Write as _;

use bytes::Bytes;
use hyperbox_core::image::manifest::{ParsedManifest, parse};
use hyperbox_core::image::media_type;
use hyperbox_core::seam::{Credentials, Descriptor, PushOutcome, Registry as _, RegistryFault};
use hyperbox_registry::DistributionClient;
use hyperbox_testkit::registry::{LocalRegistry, RegistryAccess, TEST_PASSWORD, TEST_USER};
use hyperbox_types::{Digest, ImageReference};

use crate::support::{Cut, Cutting, client, content, credentials, descriptor, drain, reference, sha256};

struct Image {
    manifest: Vec<u8>,
    blobs: Vec<(Descriptor, Vec<u8>)>,
}

fn image() -> Image {
    let blobs: Vec<(Descriptor, Vec<u8>)> = [content(5_000_000), content(1000), b"{}".to_vec()]
        .into_iter()
        .map(|bytes| (descriptor(&bytes), bytes))
        .collect();
    let described = |index: usize, media_type: &str| {
        let (descriptor, _) = &blobs[index];
        serde_json::json!({"mediaType": media_type, "digest": descriptor.digest, "size": descriptor.size})
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": described(2, media_type::OCI_CONFIG),
        "layers": [described(0, media_type::OCI_LAYER_GZIP), described(1, media_type::OCI_LAYER_GZIP)],
    });
    Image {
        manifest: manifest.to_string().into_bytes(),
        blobs,
    }
}

async fn push(
    client: &DistributionClient,
    name: &ImageReference,
    image: &Image,
    mount_from: &[String],
    credentials: Option<&Credentials>,
) -> Vec<PushOutcome> {
    let mut outcomes = Vec::new();
    for (descriptor, bytes) in &image.blobs {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        let outcome = client
            .push_blob(name, descriptor, file, Some(mount_from), credentials, &|_| {})
            .await;
        outcomes.push(outcome.expect("a pushed blob"));
    }
    let bytes = Bytes::from(image.manifest.clone());
    let digest = client
        .push_manifest(name, media_type::OCI_MANIFEST, bytes, credentials)
        .await
        .expect("a pushed manifest");
    assert_eq!(digest, sha256(&image.manifest));
    outcomes
}

async fn pull(client: &DistributionClient, name: &ImageReference, image: &Image, credentials: Option<&Credentials>) {
    let fetched = client.manifest(name, credentials).await.expect("a manifest");
    assert_eq!(fetched.bytes, image.manifest);
    let parsed = parse(&fetched.descriptor.media_type, &fetched.bytes).expect("an image");
    let ParsedManifest::Image(parsed) = parsed else {
        panic!("not an index");
    };
    for layer in parsed.layers.iter().chain([&parsed.config]) {
        let stream = client.blob(name, layer, 0, credentials).await.expect("a stream");
        let (bytes, error) = drain(stream).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(sha256(&bytes), layer.digest);
    }
}

#[tokio::test]
async fn push_then_pull() {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let client = client();
    let image = image();
    let name = reference(registry.host(), "some/where:v1");
    assert_eq!(
        push(&client, &name, &image, &[], None).await,
        [PushOutcome::Uploaded; 3]
    );
    assert_eq!(push(&client, &name, &image, &[], None).await, [PushOutcome::Existed; 3]);
    pull(&client, &name, &image, None).await;
    let by_digest = name.with_digest(sha256(&image.manifest));
    pull(&client, &by_digest, &image, None).await;
    let (large, bytes) = &image.blobs[0];
    let stream = client.blob(&name, large, 4_999_000, None).await.expect("a stream");
    assert!(drain(stream).await.0 == bytes[4_999_000..]);
}

#[tokio::test]
async fn tags_are_listed() {
    let registry = LocalRegistry::start(RegistryAccess::Password);
    let client = client();
    let image = image();
    let good = credentials(TEST_USER, TEST_PASSWORD);
    for tag in ["v1", "v2", "latest"] {
        let name = reference(registry.host(), &format!("some/where:{tag}"));
        push(&client, &name, &image, &[], Some(&good)).await;
    }
    let name = reference(registry.host(), "some/where");
    let tags = client.tags(&name, Some(&good)).await.expect("tags");
    let mut tags: Vec<&str> = tags.iter().map(hyperbox_types::Tag::as_str).collect();
    tags.sort_unstable();
    assert_eq!(tags, ["latest", "v1", "v2"]);
    let missing = reference(registry.host(), "no/such");
    let error = client.tags(&missing, Some(&good)).await.expect_err("no repository");
    assert_eq!(error.fault, RegistryFault::NotFound);
    assert_eq!(
        error.message,
        format!(
            "repository {}/no/such not found: name unknown: repository name not known to registry",
            registry.host()
        )
    );
    let error = client.tags(&name, None).await.expect_err("no access");
    assert_eq!(error.fault, RegistryFault::Unauthorized);
}

#[tokio::test]
async fn blobs_are_mounted_across_repositories() {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let client = client();
    let image = image();
    push(&client, &reference(registry.host(), "one:1"), &image, &[], None).await;
    let other = reference(registry.host(), "two:1");
    let outcomes = push(&client, &other, &image, &["none".to_owned(), "one".to_owned()], None).await;
    assert_eq!(outcomes, [PushOutcome::Mounted; 3]);
    pull(&client, &other, &image, None).await;
}

#[tokio::test]
async fn what_is_missing_is_told_in_dockers_words() {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let host = registry.host();
    let error = client()
        .manifest(&reference(host, "no/such:1"), None)
        .await
        .expect_err("missing");
    assert_eq!(error.fault, RegistryFault::NotFound);
    assert_eq!(
        error.message,
        format!("manifest for {host}/no/such:1 not found: manifest unknown: manifest unknown")
    );
    let missing = client()
        .blob(&reference(host, "no/such:1"), &descriptor(b"x"), 0, None)
        .await
        .err()
        .expect("missing");
    assert_eq!(missing.fault, RegistryFault::NotFound);
}

#[tokio::test]
async fn a_password_is_asked_for_and_taken() {
    let registry = LocalRegistry::start(RegistryAccess::Password);
    let client = client();
    let image = image();
    let name = reference(registry.host(), "private:1");
    let good = credentials(TEST_USER, TEST_PASSWORD);
    let wrong = credentials(TEST_USER, "wrong");
    push(&client, &name, &image, &[], Some(&good)).await;
    pull(&client, &name, &image, Some(&good)).await;
    for bad in [None, Some(&wrong)] {
        let error = client.manifest(&name, bad).await.expect_err("no access");
        assert_eq!(error.fault, RegistryFault::Unauthorized, "{error:?}");
        let (layer, bytes) = &image.blobs[1];
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("written");
        let error = client.push_blob(&name, layer, file, Some(&[]), bad, &|_| {}).await;
        assert_eq!(error.expect_err("no access").fault, RegistryFault::Unauthorized);
    }
    assert_eq!(client.login(registry.host(), &good).await.expect("logged in"), None);
    let error = client.login(registry.host(), &wrong).await.expect_err("wrong password");
    assert_eq!(error.fault, RegistryFault::Unauthorized);
    let message = error.message;
    assert!(
        message.contains("401 Unauthorized") || message.contains("unauthorized"),
        "{message}"
    );
}

#[tokio::test]
async fn wrong_digests_are_not_taken() {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let name = reference(registry.host(), "a:1");
    let mut wrong = descriptor(b"content");
    wrong.digest = Digest::from_sha256([7; 32]);
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(b"content").expect("written");
    let error = client()
        .push_blob(&name, &wrong, file, Some(&[]), None, &|_| {})
        .await
        .expect_err("refused by the registry");
    assert!(error.message.contains("digest invalid"), "{error}");
}

#[tokio::test]
async fn transfers_survive_cut_connections() {
    let registry = LocalRegistry::start(RegistryAccess::Anyone);
    let image = image();
    let cut = Cut {
        after: 1_500_000,
        times: 2,
    };
    // distribution 2.8 forgets an interrupted session (its state holds the offset), so these uploads start over.
    let uplink = Cutting::start(registry.host(), cut).await;
    let outcomes = push(&client(), &reference(uplink.host(), "a:1"), &image, &[], None).await;
    assert_eq!(outcomes, [PushOutcome::Uploaded; 3]);
    assert_eq!(uplink.left(), 0, "the upload was cut");
    let downlink = Cutting::start(registry.host(), cut).await;
    pull(&client(), &reference(downlink.host(), "a:1"), &image, None).await;
    assert_eq!(downlink.left(), 0, "the download was cut");
    pull(&client(), &reference(registry.host(), "a:1"), &image, None).await;
}
