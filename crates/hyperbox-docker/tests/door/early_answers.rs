// SPDX-License-Identifier: MIT
//! Answers that are given before the request's body was read: the client may finish sending, whatever it is told.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::read_head;
use crate::world::World;

/// Larger than the buffers of a socket (`net.core.wmem_default`).
const BODY: usize = 700 * 1024;

/// Reads one answer with `Content-Length` and returns its status line.
async fn read_answer(stream: &mut UnixStream) -> String {
    let head = read_head(stream).await;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().expect(line))
    });
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await.expect("the body of the answer");
    head.lines().next().expect("a status line").to_owned()
}

/// Sends a body in pieces, so that it arrives long after the answer could have been sent.
async fn send_slowly(stream: &mut UnixStream, length: usize) {
    let piece = [b' '; 16 * 1024];
    let mut left = length;
    while left > 0 {
        let now = left.min(piece.len());
        stream.write_all(&piece[..now]).await.expect("the client may finish");
        left -= now;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_may_finish_sending_after_the_answer() {
    let world = World::start().await;
    for (request, status) in [
        ("POST /v1.51/plugins/create", "501"),
        ("POST /build", "501"),
        ("POST /grpc", "501"),
        ("PUT /containers/x/archive?path=/", "404"),
        ("POST /networks/bridge/connect/more", "404"),
        ("POST /nosuch", "404"),
        ("POST /v1.99/containers/create", "400"),
        ("POST /v1.10/containers/create", "400"),
        ("POST /containers/x/start", "400"),
        ("POST /containers/x/resize?h=x&w=1", "400"),
        ("DELETE /containers/x", "404"),
        ("OPTIONS /containers/create", "200"),
        ("POST /plugins/create", "501"),
        ("GET /version", "200"),
    ] {
        for _ in 0..20 {
            let mut stream = world
                .raw(&format!(
                    "{request} HTTP/1.1\r\nHost: d\r\nContent-Length: {BODY}\r\n\r\n"
                ))
                .await;
            let answer = read_answer(&mut stream).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status} ")),
                "{request}: {answer}"
            );
            send_slowly(&mut stream, BODY).await;
            // The connection has survived it.
            stream
                .write_all(b"GET /version HTTP/1.1\r\nHost: d\r\n\r\n")
                .await
                .expect("another request");
            assert_eq!(read_answer(&mut stream).await, "HTTP/1.1 200 OK", "{request}");
        }
    }
}

#[tokio::test]
async fn a_chunked_body_and_a_closing_client_get_their_answer() {
    let world = World::start().await;
    for headers in [
        "Transfer-Encoding: chunked\r\n",
        "Origin: null\r\nConnection: close\r\n",
    ] {
        for _ in 0..20 {
            let chunked = headers.starts_with("Transfer");
            let length = if chunked {
                String::new()
            } else {
                format!("Content-Length: {BODY}\r\n")
            };
            let mut stream = world
                .raw(&format!(
                    "POST /plugins/create HTTP/1.1\r\nHost: d\r\n{headers}{length}\r\n"
                ))
                .await;
            let answer = read_answer(&mut stream).await;
            if chunked {
                assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
                stream
                    .write_all(format!("{BODY:x}\r\n").as_bytes())
                    .await
                    .expect("the size");
                send_slowly(&mut stream, BODY).await;
                stream.write_all(b"\r\n0\r\n\r\n").await.expect("the end");
            } else {
                assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
                send_slowly(&mut stream, BODY).await;
                assert_eq!(stream.read(&mut [0]).await.expect("the end"), 0);
            }
        }
    }
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let world = World::start().await;
    let mut stream = world
        .raw("POST /plugins/create HTTP/1.1\r\nHost: d\r\nContent-Length: 99999999999\r\n\r\n")
        .await;
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
    let piece = vec![b' '; 64 * 1024];
    let mut sent = 0;
    while stream.write_all(&piece).await.is_ok() {
        sent += piece.len();
        assert!(sent < 16 << 20, "{sent} bytes were taken");
    }
    assert!(sent > BODY, "cut off after {sent} bytes");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_cut_off() {
    let world = World::start().await;
    let mut stream = world
        .raw("POST /plugins/create HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\nabc")
        .await;
    read_answer(&mut stream).await;
    let end = tokio::time::timeout(Duration::from_secs(60), stream.read(&mut [0])).await;
    // Unread bytes make it a reset.
    assert!(matches!(end.expect("cut off in time"), Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_body_that_waits_for_permission_is_not_asked_for() {
    let world = World::start().await;
    let mut stream = world
        .raw("POST /plugins/create HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
        .await;
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 501 "), "{answer}");
}
