// SPDX-License-Identifier: MIT
//! Files of web servers: what is not transferred when its entity tag is known.

use futures_util::StreamExt as _;
use hyperbox_core::seam::{Download, Registry as _};
use hyperbox_core::time::Timestamp;

use crate::support::{Reply, Scripted, client};

async fn bytes(mut download: Download) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = download.pieces.next().await {
        all.extend_from_slice(&piece.expect("a piece"));
    }
    all
}

#[tokio::test]
async fn a_file_comes_with_its_tag_and_its_date() {
    let server = Scripted::start(|request| match request.path() {
        "/both" => Some(
            Reply::new(200)
                .header("ETag", "W/\"x1\"")
                .header("Last-Modified", "Wed, 03 Jan 2024 01:02:03 GMT")
                .body("text"),
        ),
        "/rubbish" => Some(
            Reply::new(200)
                .header("ETag", "x1")
                .header("Last-Modified", "yesterday")
                .body("text"),
        ),
        "/moved" => Some(Reply::new(302).header("Location", "/both")),
        _ => None,
    })
    .await;
    for (path, tag, date) in [
        ("/both", Some("W/\"x1\""), Timestamp::parse("2024-01-03T01:02:03Z")),
        ("/moved", Some("W/\"x1\""), Timestamp::parse("2024-01-03T01:02:03Z")),
        ("/rubbish", None, None),
    ] {
        let url = format!("http://{}{path}", server.host());
        let download = client().download(&url, &[]).await.expect(path);
        assert_eq!(download.entity_tag.as_deref(), tag, "{path}");
        assert_eq!(download.modified_at, date, "{path}");
        assert!(!download.unchanged, "{path}");
        assert_eq!(bytes(download).await, b"text", "{path}");
    }
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.header("if-none-match").is_empty())
    );
}

#[tokio::test]
async fn what_is_known_is_not_transferred() {
    let server = Scripted::start(|request| {
        Some(match request.path() {
            "/304" => Reply::new(304).header("ETag", "\"b\""),
            "/silent" => Reply::new(304),
            // A server that ignores the condition, and has a long body.
            "/200" => Reply::new(200).header("ETag", "W/\"b\"").body(vec![0; 1 << 20]),
            "/new" => Reply::new(200).header("ETag", "\"c\"").body("new"),
            _ => return None,
        })
    })
    .await;
    let known = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    for (path, tags, expected) in [
        ("/304", known(&["\"a\"", "\"b\""]), Some("\"b\"")),
        ("/304", known(&["W/\"b\""]), Some("\"b\"")),
        ("/silent", known(&["\"b\""]), Some("\"b\"")),
        ("/200", known(&["\"b\""]), Some("W/\"b\"")),
        ("/new", known(&["\"b\""]), None),
    ] {
        let url = format!("http://{}{path}", server.host());
        let download = client().download(&url, &tags).await.expect(path);
        assert_eq!(download.unchanged, expected.is_some(), "{path}");
        if let Some(expected) = expected {
            assert_eq!(download.entity_tag.as_deref(), Some(expected), "{path}");
            assert!(bytes(download).await.is_empty(), "{path}");
        } else {
            assert_eq!(bytes(download).await, b"new", "{path}");
        }
        let seen = server.seen();
        let asked = seen.last().expect("a request").header("if-none-match");
        assert_eq!(asked, tags.join(", "), "{path}");
    }
    // Of several it is not told which it was.
    let url = format!("http://{}/silent", server.host());
    assert!(client().download(&url, &known(&["\"a\"", "\"b\""])).await.is_err());
    assert!(client().download(&url, &[]).await.is_err());
}
