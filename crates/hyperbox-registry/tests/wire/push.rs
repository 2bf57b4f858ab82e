// SPDX-License-Identifier: MIT
//! Pushes to registries that lose connections and sessions.

use std::io::Write as _;
use std::sync::Mutex;

use bytes::Bytes;
use hyperbox_core::image::media_type;
use hyperbox_core::seam::{PushOutcome, Registry as _, RegistryError, RegistryFault};

use crate::support::{
    Reply, Request, Scripted, client, content, credentials, descriptor, everything, manifest_bytes, reference, sha256,
};

const SIZE: usize = 1_000_000;

fn file(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(bytes).expect("written");
    file
}

async fn push(server: &Scripted, mounts: &[&str]) -> Result<PushOutcome, RegistryError> {
    let body = content(SIZE);
    let mounts: Vec<String> = mounts.iter().map(|mount| (*mount).to_owned()).collect();
    let last = Mutex::new(0);
    let progress = |sent: u64| *last.lock().expect("no test panicked here") = sent;
    let name = reference(server.host(), "a/b:1");
    let outcome = client()
        .push_blob(&name, &descriptor(&body), file(&body), Some(&mounts), None, &progress)
        .await;
    if outcome.as_ref().is_ok_and(|outcome| *outcome == PushOutcome::Uploaded) {
        assert_eq!(
            *last.lock().expect("no test panicked here"),
            SIZE as u64,
            "progress ends at the end"
        );
    }
    outcome
}

fn step(request: &Request) -> String {
    let target = request
        .target
        .replace(&descriptor(&content(SIZE)).digest.to_string(), "D");
    let target = target
        .replace("sha256%3A", "")
        .replace(descriptor(&content(SIZE)).digest.hex(), "D");
    format!("{} {target}", request.method)
}

fn steps(server: &Scripted) -> Vec<String> {
    server.seen().iter().map(step).collect()
}

/// The answers of a registry where everything goes well.
fn well(request: &Request) -> Reply {
    match request.method.as_str() {
        "HEAD" => Reply::new(404),
        "POST" => Reply::new(202).header("Location", "/session/1?state=0"),
        "PATCH" => Reply::new(202).header("Location", &format!("http://{}/session/1?state=1", request.host)),
        "PUT" => Reply::new(201),
        _ => Reply::new(405),
    }
}

#[tokio::test]
async fn locations_are_followed_as_given() {
    let server = Scripted::start(|request| (request.target != "/v2/").then(|| well(request))).await;
    assert_eq!(push(&server, &[]).await.expect("pushed"), PushOutcome::Uploaded);
    assert_eq!(
        steps(&server),
        [
            "HEAD /v2/a/b/blobs/D",
            "POST /v2/a/b/blobs/uploads/",
            "PATCH /session/1?state=0",
            "PUT /session/1?state=1&digest=D",
        ]
    );
    assert!(server.seen()[2].body == content(SIZE));
}

#[tokio::test]
async fn what_is_there_is_not_sent() {
    let server = Scripted::start(|request| (request.target != "/v2/").then(|| Reply::new(200))).await;
    assert_eq!(push(&server, &["c"]).await.expect("there"), PushOutcome::Existed);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn mounts_are_tried_in_order() {
    let server = Scripted::start(|request| {
        Some(match request.target.split("from=").nth(1) {
            None => return (request.target != "/v2/").then(|| well(request)),
            Some("refused") => Reply::new(403),
            Some("unknown") => Reply::new(202).header("Location", "/session/unused"),
            Some(_) => Reply::new(201),
        })
    })
    .await;
    let outcome = push(&server, &["refused", "unknown", "x/y"]).await.expect("mounted");
    assert_eq!(outcome, PushOutcome::Mounted);
    assert_eq!(
        steps(&server),
        [
            "HEAD /v2/a/b/blobs/D",
            "POST /v2/a/b/blobs/uploads/?mount=D&from=refused",
            "POST /v2/a/b/blobs/uploads/?mount=D&from=unknown",
            "DELETE /session/unused",
            "POST /v2/a/b/blobs/uploads/?mount=D&from=x%2Fy",
        ]
    );
    // The session that the last failed mount opened is used.
    let server = Scripted::start(|request| (request.target != "/v2/").then(|| well(request))).await;
    assert_eq!(push(&server, &["x"]).await.expect("pushed"), PushOutcome::Uploaded);
    assert_eq!(
        steps(&server)[1..3],
        ["POST /v2/a/b/blobs/uploads/?mount=D&from=x", "PATCH /session/1?state=0"]
    );
}

#[tokio::test]
async fn a_claim_sends_nothing_and_leaves_no_session() {
    let name = |server: &Scripted| reference(server.host(), "a/b:1");
    let claim = async |server: &Scripted, mounts: &[&str]| {
        let mounts: Vec<String> = mounts.iter().map(|mount| (*mount).to_owned()).collect();
        client()
            .claim_blob(&name(server), &descriptor(&content(SIZE)), &mounts, None)
            .await
            .expect("an answer")
    };
    let has_it = Scripted::start(|request| (request.target != "/v2/").then(|| Reply::new(200))).await;
    assert_eq!(claim(&has_it, &["x"]).await, Some(PushOutcome::Existed));
    assert_eq!(steps(&has_it), ["HEAD /v2/a/b/blobs/D"]);

    let mounts = Scripted::start(|request| {
        Some(match request.method.as_str() {
            _ if request.target == "/v2/" => return None,
            "POST" => Reply::new(201),
            _ => Reply::new(404),
        })
    })
    .await;
    assert_eq!(claim(&mounts, &["x"]).await, Some(PushOutcome::Mounted));

    let has_nothing = Scripted::start(|request| (request.target != "/v2/").then(|| well(request))).await;
    assert_eq!(claim(&has_nothing, &["x"]).await, None);
    assert_eq!(claim(&has_nothing, &[]).await, None);
    assert_eq!(
        steps(&has_nothing),
        [
            "HEAD /v2/a/b/blobs/D",
            "POST /v2/a/b/blobs/uploads/?mount=D&from=x",
            "DELETE /session/1?state=0",
            "HEAD /v2/a/b/blobs/D",
        ]
    );
}

#[tokio::test]
async fn what_was_claimed_in_vain_is_sent_without_asking() {
    let server = Scripted::start(|request| (request.target != "/v2/").then(|| well(request))).await;
    let (name, body) = (reference(server.host(), "a/b:1"), content(SIZE));
    let outcome = client()
        .push_blob(&name, &descriptor(&body), file(&body), None, None, &|_| {})
        .await;
    assert_eq!(outcome.expect("pushed"), PushOutcome::Uploaded);
    assert_eq!(steps(&server)[0], "POST /v2/a/b/blobs/uploads/");
}

#[tokio::test]
async fn an_interrupted_upload_goes_on() {
    let server = Scripted::start(|request| {
        Some(match (request.method.as_str(), request.nth) {
            _ if request.target == "/v2/" => return None,
            ("PATCH", 0) => Reply::drop_after_reading(300_000),
            ("GET", _) => Reply::new(204)
                .header("Range", "0-249999")
                .header("Location", "/session/1?state=r"),
            _ => well(request),
        })
    })
    .await;
    assert_eq!(push(&server, &[]).await.expect("pushed"), PushOutcome::Uploaded);
    let patches: Vec<Request> = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .collect();
    assert_eq!(patches.len(), 2);
    assert_eq!(patches[1].target, "/session/1?state=r");
    assert_eq!(patches[1].header("content-range"), "250000-999999");
    assert!(patches[1].body == content(SIZE)[250_000..]);
}

#[tokio::test]
async fn a_lost_session_starts_over() {
    let server = Scripted::start(|request| {
        Some(match (request.method.as_str(), request.nth) {
            _ if request.target == "/v2/" => return None,
            ("PATCH", 0) => Reply::drop_after_reading(300_000),
            ("GET", _) => Reply::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
            _ => well(request),
        })
    })
    .await;
    assert_eq!(push(&server, &[]).await.expect("pushed"), PushOutcome::Uploaded);
    let second = server
        .seen()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .nth(1);
    assert!(second.expect("a second attempt").body == content(SIZE));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_noticed() {
    let server = Scripted::start(|request| {
        Some(match (request.method.as_str(), request.nth) {
            _ if request.target == "/v2/" => return None,
            ("HEAD", 1) => Reply::new(200),
            ("PUT", _) => Reply::silence(),
            ("GET", _) => Reply::new(404),
            _ => well(request),
        })
    })
    .await;
    assert_eq!(push(&server, &[]).await.expect("pushed"), PushOutcome::Uploaded);
    assert_eq!(steps(&server).last().map(String::as_str), Some("HEAD /v2/a/b/blobs/D"));
}

#[tokio::test]
async fn failures_end_after_some_attempts() {
    for (method, reply, fault) in [
        ("POST", Reply::new(503), RegistryFault::Unavailable),
        ("POST", Reply::new(403), RegistryFault::Denied),
        ("POST", Reply::new(202), RegistryFault::Protocol),
        ("PATCH", Reply::new(500), RegistryFault::Unavailable),
        ("PATCH", Reply::silence(), RegistryFault::Unavailable),
        ("PATCH", Reply::new(404), RegistryFault::Unavailable),
        (
            "PUT",
            Reply::error(400, "DIGEST_INVALID", "provided digest did not match"),
            RegistryFault::Protocol,
        ),
        ("HEAD", Reply::new(401), RegistryFault::Unauthorized),
    ] {
        let server = Scripted::start(move |request| {
            (request.target != "/v2/").then(|| {
                if request.method == method {
                    reply.clone()
                } else {
                    well(request)
                }
            })
        })
        .await;
        let error = push(&server, &[]).await.expect_err(method);
        let told = everything(&error);
        assert_eq!(error.fault, fault, "{method}: {told}");
        // Docker tells a registry's refusal alone.
        let refused = matches!(fault, RegistryFault::Unauthorized | RegistryFault::Denied);
        assert!(refused || told.contains(&format!("{}/a/b:1", server.host())), "{told}");
    }
}

#[tokio::test]
async fn storage_elsewhere_gets_no_credentials() {
    let storage = Scripted::start(|request| Some(well(request))).await;
    let session = format!("http://{}/upload?signature=s", storage.host());
    let registry = Scripted::start(move |request| {
        Some(match request.method.as_str() {
            _ if request.header("authorization") != "Basic bWU6aHVzaA==" => {
                Reply::new(401).header("WWW-Authenticate", "Basic realm=\"x\"")
            }
            "POST" => Reply::new(202).header("Location", &session),
            _ => Reply::new(404),
        })
    })
    .await;
    let body = content(SIZE);
    let name = reference(registry.host(), "a:1");
    let secret = credentials("me", "hush");
    let outcome = client()
        .push_blob(
            &name,
            &descriptor(&body),
            file(&body),
            Some(&[]),
            Some(&secret),
            &|_| {},
        )
        .await;
    assert_eq!(outcome.expect("pushed"), PushOutcome::Uploaded);
    assert_eq!(storage.seen().len(), 2);
    assert!(
        storage
            .seen()
            .iter()
            .all(|request| request.header("authorization").is_empty())
    );
}

#[tokio::test]
async fn content_of_another_length_is_not_sent() {
    let server = Scripted::start(|_| None).await;
    let name = reference(server.host(), "a:1");
    let outcome = client()
        .push_blob(&name, &descriptor(b"four"), file(b"three"), Some(&[]), None, &|_| {})
        .await;
    assert_eq!(outcome.expect_err("refused").fault, RegistryFault::Refused);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn manifests_are_put_under_tag_or_digest() {
    let digest = sha256(&manifest_bytes());
    for (name, target) in [
        ("a:1".to_owned(), "/v2/a/manifests/1".to_owned()),
        (format!("a@{digest}"), format!("/v2/a/manifests/{digest}")),
    ] {
        let server = Scripted::start(|request| {
            (request.method == "PUT").then(|| {
                if request.nth == 0 {
                    Reply::new(502)
                } else {
                    Reply::new(201)
                }
            })
        })
        .await;
        let pushed = client()
            .push_manifest(
                &reference(server.host(), &name),
                media_type::OCI_MANIFEST,
                Bytes::from(manifest_bytes()),
                None,
            )
            .await;
        assert_eq!(pushed.expect("pushed"), digest);
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].target, target);
        assert_eq!(seen[1].header("content-type"), media_type::OCI_MANIFEST);
        assert!(seen[1].body == manifest_bytes());
    }
    let server =
        Scripted::start(|_| Some(Reply::new(201).header("Docker-Content-Digest", &sha256(b"x").to_string()))).await;
    let name = reference(server.host(), "a:1");
    let bytes = Bytes::from(manifest_bytes());
    let lied = client()
        .push_manifest(&name, media_type::OCI_MANIFEST, bytes, None)
        .await;
    assert_eq!(lied.expect_err("a lie").fault, RegistryFault::Protocol);
}

#[tokio::test]
async fn a_token_that_expires_before_the_content_is_replaced() {
    let server = Scripted::start(|request| {
        if request.path() == "/token" {
            return Some(Reply::new(200).body(format!(r#"{{"token":"t{}"}}"#, request.nth)));
        }
        let sent = request.header("authorization");
        let fine = match request.method.as_str() {
            "HEAD" | "POST" => sent == "Bearer t0",
            _ => sent == "Bearer t1",
        };
        let realm = format!("Bearer realm=\"http://{}/token\"", request.host);
        (request.target != "/v2/").then(|| {
            if fine {
                well(request)
            } else {
                Reply::new(401).header("WWW-Authenticate", &realm)
            }
        })
    })
    .await;
    assert_eq!(push(&server, &[]).await.expect("pushed"), PushOutcome::Uploaded);
    let patches = server.seen().into_iter().filter(|request| request.method == "PATCH");
    assert_eq!(patches.count(), 2);
    let tokens = server.seen_with("/token");
    assert!(tokens[0].target.contains("scope=repository%3Aa%2Fb%3Apull%2Cpush"));
    assert_eq!(tokens.len(), 2);
}
