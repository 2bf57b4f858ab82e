// SPDX-License-Identifier: MIT
//! News of projects: lines, and messages of a WebSocket.

use http_body_util::BodyExt;
use hyperbox_types::project::OPENAPI_PATH;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::world::{World, model};

/// What a project that comes up and goes down is told of.
const EXPECTED: [&str; 6] = [
    "opened",
    "run_began",
    "container_created",
    "container_started",
    "run_ended",
    "removed",
];

async fn live(world: &World) {
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    world.run("/shop/up", json!({})).await;
    let (status, _) = world.ask("DELETE", "/shop", Value::Null).await;
    assert_eq!(status, 200);
}

/// Adds one of the news; tells whether all that is expected has come.
fn note(text: &str, seen: &mut Vec<String>) -> bool {
    let news: Value = serde_json::from_str(text).unwrap();
    assert_eq!(news["name"], "shop", "{news}");
    if news["what"] == "container_started" {
        assert_eq!(
            (&news["service"], &news["container"]),
            (&json!("web"), &json!("shop-web-1"))
        );
    }
    seen.push(news["what"].as_str().unwrap().to_owned());
    EXPECTED.iter().all(|what| seen.iter().any(|known| known == what))
}

#[tokio::test]
async fn lines() {
    let world = World::start().await;
    let mut answer = world.open("GET", "/events", &Value::Null).await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    live(&world).await;
    let (mut seen, mut pending) = (Vec::new(), String::new());
    loop {
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        pending.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        let whole = pending.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = pending.drain(..whole).collect();
        let mut complete = false;
        for line in lines.lines() {
            complete = note(line, &mut seen);
        }
        if complete {
            break;
        }
    }
}

async fn frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let head = [stream.read_u8().await.unwrap(), stream.read_u8().await.unwrap()];
    let length = match head[1] {
        126 => usize::from(stream.read_u16().await.unwrap()),
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await.unwrap();
    (head[0], payload)
}

#[tokio::test]
async fn messages_of_a_web_socket() {
    let world = World::start().await;
    let mut stream = UnixStream::connect(&world.socket).await.unwrap();
    let request = "GET /hyperbox/v1/projects/events HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{head:?}");
    // A ping, masked by zeros, is answered in between.
    stream.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'?']).await.unwrap();
    assert_eq!(frame(&mut stream).await, (0x8a, b"?".to_vec()));
    live(&world).await;
    let mut seen = Vec::new();
    loop {
        let (kind, payload) = frame(&mut stream).await;
        assert_eq!(kind, 0x81, "text, in one frame");
        if note(std::str::from_utf8(&payload).unwrap(), &mut seen) {
            break;
        }
    }
    // The client closes.
    stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8]).await.unwrap();
    loop {
        let (kind, payload) = frame(&mut stream).await;
        if kind == 0x88 {
            assert_eq!(payload, 1000_u16.to_be_bytes());
            break;
        }
    }
}

#[tokio::test]
async fn a_handshake_that_is_none() {
    let world = World::start().await;
    let mut stream = UnixStream::connect(&world.socket).await.unwrap();
    let request =
        "GET /hyperbox/v1/projects/events HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = vec![0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(head, b"HTTP/1.1 400");
}

#[tokio::test]
async fn the_openapi_document_is_served() {
    let world = World::start().await;
    let answer = world.send("GET", OPENAPI_PATH, &Value::Null).await;
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].as_bytes()),
        (200, &b"application/json"[..])
    );
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    let served: Value = serde_json::from_slice(&bytes).unwrap();
    // The test of the document holds this file against the types of the wire.
    let written = include_str!("../../../../docs/openapi-projects.json");
    assert_eq!(served, serde_json::from_str::<Value>(written).unwrap());
    assert_eq!(
        served["paths"][OPENAPI_PATH]["get"]["responses"]["200"]["description"],
        "This document."
    );
    let refused = world.send("POST", OPENAPI_PATH, &Value::Null).await;
    assert_eq!(refused.status().as_u16(), 404);
}
