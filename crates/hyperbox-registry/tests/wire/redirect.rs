// SPDX-License-Identifier: MIT
//! Redirects: to storage servers without secrets, and not in circles.

use hyperbox_core::seam::{Registry as _, RegistryFault};

use crate::support::{Reply, Scripted, client, content, credentials, descriptor, drain, everything, reference};

#[tokio::test]
async fn secrets_stay_at_home() {
    let body = content(1000);
    let wanted = descriptor(&body);
    let storage = Scripted::start({
        let body = body.clone();
        move |request| (request.path() == "/storage").then(|| Reply::new(200).body(&body))
    })
    .await;
    let target = format!("http://{}/storage?signature=topsecret", storage.host());
    let registry = Scripted::start(move |request| {
        if request.header("authorization").is_empty() {
            return Some(Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let is_blob = request.path().contains("/blobs/");
        is_blob.then(|| Reply::new(307).header("Location", &target))
    })
    .await;
    let name = reference(registry.host(), "a:1");
    let stream = client()
        .blob(&name, &wanted, 0, Some(&credentials("me", "hush")))
        .await
        .expect("a stream");
    assert_eq!(drain(stream).await.0, body);
    assert_eq!(
        registry.seen_with("/blobs/").last().unwrap().header("authorization"),
        "Basic bWU6aHVzaA=="
    );
    let stored = storage.seen();
    assert_eq!(stored.len(), 1);
    assert_eq!(stored[0].header("authorization"), "");
    assert!(stored[0].target.ends_with("signature=topsecret"));
}

#[tokio::test]
async fn a_secret_does_not_come_back_with_a_redirect() {
    let registry = Scripted::start(|request| match request.path() {
        "/v2/a/manifests/1" => Some(Reply::new(307).header(
            "Location",
            &format!("http://localhost:{}/away", request.host.rsplit(':').next().unwrap()),
        )),
        "/away" => Some(Reply::new(307).header("Location", &format!("http://{}/back", request.host))),
        _ => None,
    })
    .await;
    let mut secret = credentials("", "");
    secret.registry_token = Some("hush".to_owned());
    let outcome = client()
        .manifest(&reference(registry.host(), "a:1"), Some(&secret))
        .await;
    assert_eq!(outcome.expect_err("404 at the end").fault, RegistryFault::NotFound);
    let authorizations: Vec<String> = registry
        .seen()
        .iter()
        .map(|request| format!("{} {}", request.path(), request.header("authorization")))
        .collect();
    assert_eq!(authorizations, ["/v2/a/manifests/1 Bearer hush", "/away ", "/back "]);
}

#[tokio::test]
async fn challenges_of_storage_are_not_answered() {
    let storage = Scripted::start(|_| Some(Reply::new(401).header("WWW-Authenticate", "Basic realm=\"phish\""))).await;
    let target = format!("http://{}/", storage.host());
    let registry = Scripted::start(move |request| {
        request
            .path()
            .contains("/blobs/")
            .then(|| Reply::new(302).header("Location", &target))
    })
    .await;
    let wanted = descriptor(b"x");
    let name = reference(registry.host(), "a:1");
    let outcome = client().blob(&name, &wanted, 0, Some(&credentials("me", "hush"))).await;
    assert!(outcome.is_err());
    assert!(
        storage
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn circles_and_nonsense_end() {
    for (location, fault, part) in [
        (
            Some("/v2/a/manifests/1"),
            RegistryFault::Protocol,
            "redirects in a loop",
        ),
        (Some("+"), RegistryFault::Protocol, "redirects too often"),
        (
            Some("file:///etc/passwd"),
            RegistryFault::Protocol,
            "no plain web address",
        ),
        (
            Some("http://registry.invalid/x"),
            RegistryFault::Refused,
            "plain http on registry.invalid",
        ),
        (None, RegistryFault::Protocol, "without saying where"),
    ] {
        let server = Scripted::start(move |request| {
            let reply = Reply::new(307);
            request.path().contains("/manifests/").then(|| match location {
                Some("+") => reply.header("Location", &format!("{}x", request.path())),
                Some(location) => reply.header("Location", location),
                None => reply,
            })
        })
        .await;
        let error = client()
            .manifest(&reference(server.host(), "a:1"), None)
            .await
            .expect_err(part);
        assert_eq!(error.fault, fault, "{error:?}");
        assert!(everything(&error).contains(part), "{error:?} says {part:?}");
    }
}
