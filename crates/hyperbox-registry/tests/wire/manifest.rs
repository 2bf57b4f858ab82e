// SPDX-License-Identifier: MIT
//! Manifests from servers that fail, lie and talk too much.

use hyperbox_core::image::{manifest, media_type};
use hyperbox_core::seam::{Registry as _, RegistryFault};
use hyperbox_types::ErrorKind;
use proptest::prelude::{any, proptest};

use crate::support::{Reply, Scripted, client, everything, manifest_bytes, reference, sha256};

fn good() -> Reply {
    Reply::new(200)
        .header("Content-Type", media_type::OCI_MANIFEST)
        .body(manifest_bytes())
}

#[tokio::test]
async fn a_manifest_comes_with_its_facts() {
    let server = Scripted::start(|request| (request.path() == "/v2/a/b/manifests/1").then(good)).await;
    let fetched = client()
        .manifest(&reference(server.host(), "a/b:1"), None)
        .await
        .expect("a manifest");
    assert_eq!(fetched.bytes, manifest_bytes());
    assert_eq!(fetched.descriptor.digest, sha256(&manifest_bytes()));
    assert_eq!(fetched.descriptor.media_type, media_type::OCI_MANIFEST);
    assert_eq!(fetched.descriptor.size.0, manifest_bytes().len() as u64);
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert!(seen[0].header("user-agent").starts_with("hyperbox/"));
}

#[tokio::test]
async fn passing_failures_are_tried_again() {
    for first in [
        Reply::new(500),
        Reply::new(502),
        Reply::new(503).header("Retry-After", "0"),
        Reply::new(504),
        Reply::error(429, "TOOMANYREQUESTS", "slow down").header("Retry-After", "0"),
        Reply::silence(),
        good().cut(10),
        good().cut(10).stalling(),
    ] {
        let shown = format!("{first:?}");
        let server = Scripted::start(move |request| {
            request
                .path()
                .ends_with("/manifests/1")
                .then(|| if request.nth == 0 { first.clone() } else { good() })
        })
        .await;
        let fetched = client().manifest(&reference(server.host(), "a:1"), None).await;
        assert!(fetched.is_ok(), "{shown}: {fetched:?}");
        assert_eq!(server.seen().len(), 2, "{shown}");
    }
}

#[tokio::test]
async fn lasting_failures_are_told_apart() {
    for (reply, fault, kind, requests, part) in [
        (
            Reply::new(401),
            RegistryFault::Unauthorized,
            ErrorKind::PermissionDenied,
            1,
            "unauthorized: authentication required",
        ),
        (
            Reply::new(403),
            RegistryFault::Denied,
            ErrorKind::PermissionDenied,
            1,
            "repository does not exist or may require 'docker login': denied",
        ),
        (
            Reply::new(404),
            RegistryFault::NotFound,
            ErrorKind::NotFound,
            1,
            "not found: manifest unknown: manifest unknown",
        ),
        (
            Reply::error(429, "TOOMANYREQUESTS", "pull rate limit"),
            RegistryFault::RateLimited,
            ErrorKind::ResourceExhausted,
            3,
            "toomanyrequests: pull rate limit",
        ),
        (
            Reply::new(429).header("Retry-After", "3600"),
            RegistryFault::RateLimited,
            ErrorKind::ResourceExhausted,
            1,
            "toomanyrequests",
        ),
        (
            Reply::new(503),
            RegistryFault::Unavailable,
            ErrorKind::Unavailable,
            3,
            "503 Service Unavailable",
        ),
        (
            Reply::new(418),
            RegistryFault::Protocol,
            ErrorKind::Unavailable,
            1,
            "418",
        ),
        (
            Reply::silence(),
            RegistryFault::Unavailable,
            ErrorKind::Unavailable,
            3,
            "lost the connection to",
        ),
        (
            Reply::new(200).body("x").cut(0).stalling(),
            RegistryFault::Unavailable,
            ErrorKind::Unavailable,
            3,
            "sent nothing for 200ms",
        ),
        (
            Reply::new(503).body("x".repeat(1 << 20)),
            RegistryFault::Unavailable,
            ErrorKind::Unavailable,
            3,
            "503",
        ),
    ] {
        let server =
            Scripted::start(move |request| request.path().contains("/manifests/").then(|| reply.clone())).await;
        let error = client()
            .manifest(&reference(server.host(), "a:1"), None)
            .await
            .expect_err(part);
        let told = everything(&error);
        assert_eq!(error.fault, fault, "{told}");
        assert_eq!(error.kind(), kind);
        assert!(told.contains(part), "{told:?} says {part:?}");
        // Docker tells a registry's refusal alone.
        let refused = matches!(
            fault,
            RegistryFault::Unauthorized | RegistryFault::Denied | RegistryFault::RateLimited
        );
        assert!(
            refused || told.contains(&format!("{}/a", server.host())),
            "{told:?} names the image"
        );
        assert_eq!(server.seen().len(), requests, "{told}");
    }
}

#[tokio::test]
async fn nobody_at_home_is_a_clear_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = client()
        .manifest(&reference(&host, "a:1"), None)
        .await
        .expect_err("nobody listens");
    assert_eq!(error.fault, RegistryFault::Unavailable);
    let expected = format!("Get \"http://{host}/v2/\": dial tcp {host}: connect: connection refused");
    assert_eq!(error.message, expected);
}

#[tokio::test]
async fn bytes_must_match_the_digest() {
    let digest = sha256(&manifest_bytes());
    let other = sha256(b"other");
    for (name, header, fine) in [
        (format!("a@{digest}"), None, true),
        (format!("a:1@{digest}"), Some(other.to_string()), true),
        (format!("a@{other}"), None, false),
        (format!("a@{other}"), Some(other.to_string()), false),
        ("a:1".to_owned(), Some(digest.to_string()), true),
        ("a:1".to_owned(), Some(other.to_string()), false),
        ("a:1".to_owned(), Some("md5:abc".to_owned()), true),
    ] {
        let claimed = header.clone();
        let server = Scripted::start(move |_| {
            let reply = good();
            Some(match &claimed {
                Some(claimed) => reply.header("Docker-Content-Digest", claimed),
                None => reply,
            })
        })
        .await;
        let fetched = client().manifest(&reference(server.host(), &name), None).await;
        match fetched {
            Ok(fetched) => {
                assert!(fine, "{name} {header:?}");
                assert_eq!(fetched.descriptor.digest, digest);
            }
            Err(error) => {
                assert!(!fine, "{name} {header:?}: {error:?}");
                assert_eq!(error.fault, RegistryFault::Protocol);
                assert!(everything(&error).contains("instead of"), "{error:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_usable_manifest_is_refused() {
    let huge = 4 * 1024 * 1024 + 1;
    for (reply, fault, part) in [
        (
            Reply::new(200).body(vec![b' '; huge]),
            RegistryFault::Protocol,
            "longer than 4MiB",
        ),
        (
            Reply::new(200).body(vec![b' '; huge]).without_length(),
            RegistryFault::Protocol,
            "longer than 4MiB",
        ),
        (Reply::new(200).body("{"), RegistryFault::Refused, "malformed manifest"),
        (
            Reply::new(200).body([0xff, 0xfe]),
            RegistryFault::Refused,
            "malformed manifest",
        ),
        (
            Reply::new(200)
                .header(
                    "Content-Type",
                    "application/vnd.docker.distribution.manifest.v1+prettyjws",
                )
                .body("{}"),
            RegistryFault::Refused,
            "schema version 1",
        ),
        (
            Reply::new(200)
                .header("Content-Type", "text/html")
                .body("<html>log in to the hotel</html>"),
            RegistryFault::Refused,
            "malformed manifest",
        ),
        (
            Reply::new(200)
                .header("Content-Type", media_type::DOCKER_INDEX)
                .body(manifest_bytes()),
            RegistryFault::Refused,
            "calls itself",
        ),
    ] {
        let server =
            Scripted::start(move |request| request.path().contains("/manifests/").then(|| reply.clone())).await;
        let error = client()
            .manifest(&reference(server.host(), "a:1"), None)
            .await
            .expect_err(part);
        assert_eq!(error.fault, fault, "{error:?}");
        assert!(everything(&error).contains(part), "{error:?} says {part:?}");
        assert_eq!(server.seen().len(), 1, "trying again would change nothing");
    }
}

#[tokio::test]
async fn plain_http_is_not_spoken_with_strangers() {
    let error = client()
        .manifest(&reference("registry.invalid:1", "a:1"), None)
        .await
        .expect_err("no such host");
    // Only HTTPS was tried: the name does not resolve, and nothing was refused or sent in the clear.
    assert_eq!(error.fault, RegistryFault::Unavailable);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        media_type in "|application/json|application/vnd\\.oci\\.image\\.(index|manifest)\\.v1\\+json",
        bytes in any::<Vec<u8>>(),
        position in any::<proptest::sample::Index>(),
    ) {
        drop(manifest::parse(&media_type, &bytes));
        // A valid document with a few bytes replaced gets further than noise.
        let mut mutated = manifest_bytes();
        let start = position.index(mutated.len());
        for (place, byte) in mutated[start..].iter_mut().zip(&bytes) {
            *place = *byte;
        }
        drop(manifest::parse(&media_type, &mutated));
    }
}
