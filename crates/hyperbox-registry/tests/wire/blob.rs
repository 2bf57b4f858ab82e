// SPDX-License-Identifier: MIT
//! Blob streams over connections that break, stall and lie.

use hyperbox_core::seam::{Registry as _, RegistryFault};
use hyperbox_types::ByteSize;

use crate::support::{Reply, Request, Scripted, client, content, descriptor, drain, everything, reference};

const SIZE: usize = 300_000;

/// What a proper server answers, with or without `Range`.
fn proper(request: &Request, body: &[u8]) -> Reply {
    match request.range_start() {
        Some(start) => Reply::new(206)
            .header(
                "Content-Range",
                &format!("bytes {start}-{}/{}", body.len() - 1, body.len()),
            )
            .body(&body[start..]),
        None => Reply::new(200).body(body),
    }
}

/// Fetches a blob from a server with this script; returns what came, the error text, and the server.
async fn fetch(
    offset: u64,
    script: impl Fn(&Request, &[u8]) -> Reply + Send + Sync + 'static,
) -> (Vec<u8>, Option<(RegistryFault, String)>, Scripted) {
    let body = content(SIZE);
    let wanted = descriptor(&body);
    let server =
        Scripted::start(move |request| request.path().contains("/blobs/").then(|| script(request, &body))).await;
    let outcome = client()
        .blob(&reference(server.host(), "a/b:1"), &wanted, offset, None)
        .await;
    let (bytes, error) = match outcome {
        Ok(stream) => drain(stream).await,
        Err(error) => (Vec::new(), Some(error)),
    };
    let error = error.map(|error| {
        let told = everything(&error);
        assert!(told.contains(&wanted.digest.to_string()), "{told:?} names the blob");
        (error.fault, told)
    });
    (bytes, error, server)
}

#[tokio::test]
async fn the_whole_and_a_part() {
    for offset in [0, 1, 299_999] {
        let (bytes, error, server) = fetch(offset, proper).await;
        assert!(error.is_none(), "{error:?}");
        assert!(bytes == content(SIZE)[usize::try_from(offset).unwrap()..]);
        assert_eq!(server.seen().len(), 1);
    }
    let (bytes, error, server) = fetch(300_000, proper).await;
    assert!(bytes.is_empty() && error.is_none() && server.seen().is_empty());
    let (_, error, _) = fetch(300_001, proper).await;
    assert_eq!(error.expect("beyond the end").0, RegistryFault::Refused);
}

#[tokio::test]
async fn broken_connections_are_resumed() {
    let (bytes, error, server) = fetch(0, |request, body| match request.nth {
        0 => proper(request, body).cut(100_000),
        1 => Reply::silence(),
        2 => proper(request, body).cut(50_000).stalling(),
        3 => Reply::new(503).header("Retry-After", "0"),
        _ => proper(request, body),
    })
    .await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == content(SIZE));
    let ranges: Vec<Option<usize>> = server.seen().iter().map(Request::range_start).collect();
    let (first, second) = (Some(100_000), Some(150_000));
    assert_eq!(ranges, [None, first, first, second, second]);
}

#[tokio::test]
async fn many_breaks_with_progress_are_fine() {
    let (bytes, error, server) = fetch(0, |request, body| proper(request, body).cut(20_000)).await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == content(SIZE));
    assert_eq!(server.seen().len(), 15);
}

#[tokio::test]
async fn ignored_ranges_do_not_repeat_bytes() {
    let (bytes, error, _server) = fetch(10, |request, body| {
        let whole = Reply::new(200).body(body);
        if request.nth == 0 { whole.cut(100_000) } else { whole }
    })
    .await;
    assert!(error.is_none(), "{error:?}");
    assert!(bytes == content(SIZE)[10..]);
}

#[tokio::test]
async fn no_progress_is_an_end() {
    let (bytes, error, server) = fetch(0, |request, body| {
        if request.nth == 0 {
            proper(request, body).cut(1000)
        } else {
            proper(request, body).cut(0)
        }
    })
    .await;
    let (fault, told) = error.expect("gives up");
    assert_eq!(fault, RegistryFault::Unavailable, "{told}");
    assert!(bytes == content(SIZE)[..1000], "what came first was good");
    assert_eq!(server.seen().len(), 3);
    // A server that starts over each time never gets further either.
    let (_, error, _) = fetch(0, |_, body| Reply::new(200).body(body).cut(1000)).await;
    assert_eq!(error.expect("gives up").0, RegistryFault::Unavailable);
    // A complete answer that is too short is the same.
    let (_, error, _) = fetch(0, |request, body| match request.range_start() {
        None => Reply::new(200).body(&body[..1000]),
        Some(_) => Reply::new(200).body(&body[..1000]),
    })
    .await;
    assert!(error.expect("gives up").1.contains("after 1000 of 300000 bytes"));
}

#[tokio::test]
async fn lies_are_protocol_errors() {
    let longer = |body: &[u8]| [body, b"x"].concat();
    let part = |range: &str, body: &[u8]| Reply::new(206).header("Content-Range", range).body(body);
    type Script = Box<dyn Fn(&Request, &[u8]) -> Reply + Send + Sync>;
    let scripts: Vec<(Script, &str)> = vec![
        (Box::new(move |_, body| Reply::new(200).body(longer(body))), "more than"),
        (
            Box::new(move |_, body| Reply::new(200).body(longer(body)).without_length()),
            "more than",
        ),
        (
            Box::new(move |_, body| part("bytes 11-299999/300000", &body[11..])),
            "another part",
        ),
        (
            Box::new(move |_, body| part("bytes 10-300000/300001", &body[10..])),
            "more than",
        ),
        (
            Box::new(move |_, body| part("nonsense", &body[10..])),
            "without saying which",
        ),
        (Box::new(|_, _| Reply::new(206)), "without saying which"),
        (Box::new(|_, _| Reply::new(416)), "416"),
    ];
    for (script, part) in scripts {
        let (_, error, server) = fetch(10, script).await;
        let (fault, told) = error.expect(part);
        assert_eq!(fault, RegistryFault::Protocol, "{told}");
        assert!(told.contains(part), "{told:?} says {part:?}");
        assert_eq!(server.seen().len(), 1, "trying again would change nothing");
    }
}

#[tokio::test]
async fn a_missing_blob_is_an_error_at_once() {
    let (_, error, server) = fetch(0, |_, _| Reply::new(404)).await;
    let (fault, told) = error.expect("missing");
    assert_eq!(fault, RegistryFault::NotFound);
    assert!(told.contains("blob unknown"), "{told}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_empty_blob_needs_no_request() {
    let mut wanted = descriptor(b"");
    wanted.size = ByteSize(0);
    let server = Scripted::start(|_| None).await;
    let stream = client()
        .blob(&reference(server.host(), "a:1"), &wanted, 0, None)
        .await
        .expect("an empty stream");
    assert!(drain(stream).await.0.is_empty());
}

#[tokio::test]
async fn transfers_per_host_are_limited() {
    let body = content(1000);
    let wanted = descriptor(&body);
    let server =
        Scripted::start(move |request| request.path().contains("/blobs/").then(|| proper(request, &body))).await;
    let mut config = crate::support::impatient();
    config.max_parallel_per_host = 1;
    let client = hyperbox_registry::DistributionClient::new(config).expect("a valid configuration");
    let name = reference(server.host(), "a:1");
    let first = client.blob(&name, &wanted, 0, None).await.expect("a stream");
    let second = tokio::spawn({
        let (client, name, wanted) = (client.clone(), name.clone(), wanted.clone());
        async move { client.blob(&name, &wanted, 0, None).await.map(drop) }
    });
    tokio::task::yield_now().await;
    assert_eq!(server.seen().len(), 1, "the second waits for its turn");
    drop(first);
    second.await.expect("no panic").expect("its turn came");
    assert_eq!(server.seen().len(), 2);
}
