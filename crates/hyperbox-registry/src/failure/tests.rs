// SPDX-License-Identifier: MIT
//! The sentences that users and Docker's clients see, by status and body.

use super::*;
use crate::challenge::parse_challenges;

fn status(code: u16, header: &str, body: &str) -> Failure {
    let status = StatusCode::from_u16(code).expect("status");
    Failure::Status(StatusFailure {
        host: "example.org".to_owned(),
        status,
        told: told(status, &parse_challenges(header), body.as_bytes()),
        retry_after: None,
    })
}

#[test]
fn sentences_of_a_pull() {
    let reference = ImageReference::parse("nosuch:1").expect("reference");
    for (code, header, body, fault, sentence) in [
        (
            401,
            r#"Bearer realm="x",error="insufficient_scope""#,
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
            RegistryFault::NotFound,
            "pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ),
        (
            403,
            "",
            r#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied","detail":{}}]}"#,
            RegistryFault::Denied,
            "pull access denied for nosuch, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ),
        (
            404,
            "",
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}"#,
            RegistryFault::NotFound,
            "manifest for nosuch:1 not found: manifest unknown: manifest unknown",
        ),
        (
            404,
            "",
            "",
            RegistryFault::NotFound,
            "manifest for nosuch:1 not found: manifest unknown: manifest unknown",
        ),
        (
            404,
            "",
            r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#,
            RegistryFault::NotFound,
            "repository nosuch not found: name unknown: repository name not known to registry",
        ),
        (
            401,
            r#"Bearer realm="x""#,
            "<html>",
            RegistryFault::Unauthorized,
            "unauthorized: authentication required",
        ),
        (
            401,
            "",
            r#"{"details":"incorrect username or password"}"#,
            RegistryFault::Unauthorized,
            "unauthorized: incorrect username or password",
        ),
        (
            429,
            "",
            r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#,
            RegistryFault::RateLimited,
            "toomanyrequests: You have reached your pull rate limit.",
        ),
        (
            503,
            "",
            "",
            RegistryFault::Unavailable,
            "failed to resolve reference \"docker.io/library/nosuch:1\": received unexpected HTTP status: 503 Service Unavailable from example.org",
        ),
        (
            400,
            "",
            "{\"errors\":[{\"code\":\"UNKNOWN\",\"message\":\"\\u001b[31mred\"}]}",
            RegistryFault::Protocol,
            "failed to resolve reference \"docker.io/library/nosuch:1\": unknown: [31mred",
        ),
    ] {
        let error = Operation::Resolve(&reference).error(status(code, header, body));
        assert_eq!(error.message, sentence);
        assert_eq!(error.fault, fault, "{sentence}");
        assert!(error.source.is_none());
    }
}

#[test]
fn other_operations_name_their_object() {
    let reference = ImageReference::parse("example.org/a:1").expect("reference");
    let digest = Digest::parse(&format!("sha256:{}", "a".repeat(64))).expect("digest");
    let login = Operation::Login("http://example.org/v2/").error(status(401, "Basic", ""));
    assert_eq!(
        login.message,
        "login attempt to http://example.org/v2/ failed with status: 401 Unauthorized"
    );
    let blob = Operation::Fetch(&reference, &digest).error(status(404, "", "")).message;
    assert!(
        blob.contains(&digest.to_string()) && blob.contains("example.org/a:1"),
        "{blob}"
    );
    let push = Operation::PushManifest(&reference).error(status(403, "", "")).message;
    assert_eq!(push, "denied: requested access to the resource is denied");
    let refused = || Failure::NoCredentials {
        url: "http://example.org/v2/a/manifests/1".to_owned(),
    };
    let plain = Operation::PushBlob(&reference, &digest).error(refused());
    assert_eq!(plain.message, "no basic auth credentials");
    let pull = Operation::Resolve(&reference).error(refused());
    assert_eq!(
        pull.message,
        "Head \"http://example.org/v2/a/manifests/1\": no basic auth credentials"
    );
}

#[test]
fn causes_are_sources_unless_told() {
    let reference = ImageReference::parse("a").expect("reference");
    let error = Operation::Resolve(&reference).error(Failure::protocol("h", "redirects in a loop"));
    assert_eq!(
        error.message,
        "failed to resolve reference \"docker.io/library/a:latest\""
    );
    let source = error.source.expect("a cause").to_string();
    assert_eq!(source, "h redirects in a loop");
}

#[test]
fn what_is_not_reached_reads_as_go_tells_it() {
    let url = Url::parse("https://example.org/v2/?secret=x").expect("a URL");
    for (kind, expected) in [
        (
            ErrorKind::ConnectionRefused,
            Some("Get \"https://example.org/v2/\": dial tcp example.org:443: connect: connection refused"),
        ),
        (
            ErrorKind::TimedOut,
            Some("Get \"https://example.org/v2/\": dial tcp example.org:443: i/o timeout"),
        ),
        (ErrorKind::InvalidData, None),
    ] {
        let error = std::io::Error::from(kind);
        assert_eq!(unreached(&Method::GET, &url, &error).as_deref(), expected);
    }
    // Whoever asks says whether a query may be shown; its path does not.
    let search = Url::parse("https://example.org/v1/search?q=x&n=25").expect("a URL");
    let refused = || std::io::Error::from(ErrorKind::ConnectionRefused);
    let hidden = unreached(&Method::GET, &search, &refused());
    let failure = Failure::Connection {
        host: "example.org".to_owned(),
        established: false,
        permanent: false,
        unreached: hidden.clone(),
        source: Box::new(refused()),
    };
    let Failure::Connection { unreached: shown, .. } = failure.showing(&search) else {
        panic!("another failure");
    };
    for (told, url) in [
        (hidden, "https://example.org/v1/search"),
        (shown, "https://example.org/v1/search?q=x&n=25"),
    ] {
        let expected = format!("Get \"{url}\": dial tcp example.org:443: connect: connection refused");
        assert_eq!(told, Some(expected));
    }
    let lookup = std::io::Error::other("dns error: failed to lookup address information");
    assert_eq!(
        unreached(&Method::HEAD, &url, &lookup).as_deref(),
        Some("Head \"https://example.org/v2/\": dial tcp: lookup example.org: no such host")
    );
}
