// SPDX-License-Identifier: MIT
//! Mirrors: asked first, never trusted with credentials, and left when they fail.

use hyperbox_core::image::media_type;
use hyperbox_core::seam::Registry as _;
use hyperbox_registry::{Config, DistributionClient};

use crate::support::{
    Reply, Scripted, content, credentials, descriptor, drain, impatient, manifest_bytes, reference, sha256,
};

fn manifest() -> Reply {
    Reply::new(200)
        .header("Content-Type", media_type::OCI_MANIFEST)
        .body(manifest_bytes())
}

fn mirrored(origin: &Scripted, mirrors: &[&Scripted]) -> DistributionClient {
    let mut config = impatient();
    let urls = mirrors.iter().map(|mirror| format!("http://{}/prefix", mirror.host()));
    config.mirrors.insert(origin.host().to_owned(), urls.collect());
    DistributionClient::new(config).expect("a valid configuration")
}

#[tokio::test]
async fn a_good_mirror_serves_alone_and_without_credentials() {
    let origin = Scripted::start(|_| None).await;
    let mirror = Scripted::start(|request| (request.path() == "/prefix/v2/a/manifests/1").then(manifest)).await;
    let client = mirrored(&origin, &[&mirror]);
    let mut secret = credentials("me", "hush");
    secret.registry_token = Some("hush".to_owned());
    let fetched = client.manifest(&reference(origin.host(), "a:1"), Some(&secret)).await;
    assert!(fetched.is_ok(), "{fetched:?}");
    assert!(origin.seen().is_empty());
    assert!(
        mirror
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn failing_mirrors_fall_through() {
    let origin = Scripted::start(|request| request.path().contains("/manifests/").then(manifest)).await;
    let name = format!("a@{}", sha256(&manifest_bytes()));
    for reply in [
        Reply::new(404),
        Reply::new(500),
        Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        Reply::silence(),
        Reply::new(200)
            .header("Content-Type", media_type::OCI_MANIFEST)
            .body("{\"schemaVersion\":2}"),
        Reply::new(200).body("<html>"),
    ] {
        let shown = format!("{reply:?}");
        let mirror = Scripted::start(move |_| Some(reply.clone())).await;
        let dead = Scripted::start(|_| Some(Reply::silence())).await;
        let client = mirrored(&origin, &[&dead, &mirror]);
        let fetched = client.manifest(&reference(origin.host(), &name), None).await;
        assert!(fetched.is_ok(), "{shown}: {fetched:?}");
        assert_eq!(mirror.seen().len(), 1, "a mirror gets one chance: {shown}");
    }
}

#[tokio::test]
async fn a_blob_goes_on_at_the_origin() {
    let body = content(100_000);
    let wanted = descriptor(&body);
    let mirror = Scripted::start({
        let body = body.clone();
        move |_| Some(Reply::new(200).body(&body).cut(30_000))
    })
    .await;
    let origin = Scripted::start({
        let body = body.clone();
        move |request| {
            let start = request.range_start()?;
            let range = format!("bytes {start}-99999/100000");
            Some(Reply::new(206).header("Content-Range", &range).body(&body[start..]))
        }
    })
    .await;
    let client = mirrored(&origin, &[&mirror]);
    let stream = client.blob(&reference(origin.host(), "a:1"), &wanted, 0, None).await;
    let (bytes, error) = drain(stream.expect("a stream")).await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == body);
    assert_eq!(origin.seen()[0].range_start(), Some(30_000));
}

#[test]
fn bad_configuration_is_refused() {
    let mut config = Config::default();
    config
        .mirrors
        .insert("docker.io".to_owned(), vec!["https://u:p@m".to_owned()]);
    let error = DistributionClient::new(config)
        .expect_err("credentials in a mirror")
        .to_string();
    assert!(error.contains("docker.io"), "{error}");
    let config = Config {
        user_agent: "two\nlines".to_owned(),
        ..Config::default()
    };
    assert!(DistributionClient::new(config).is_err());
}
