// SPDX-License-Identifier: MIT
//! Attaching by WebSocket.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::client::{read_head, read_rest};
use crate::world::World;

const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const QUERY: &str = "stream=1&stdin=1&stdout=1&stderr=1";

async fn open(world: &World, version: &str, id: &str) -> UnixStream {
    let mut stream = world
        .raw(&format!(
            "GET {version}/containers/{id}/attach/ws?{QUERY} HTTP/1.1\r\nHost: d\r\n{HANDSHAKE}\r\n"
        ))
        .await;
    let head = read_head(&mut stream).await.to_lowercase();
    assert!(head.starts_with("http/1.1 101 switching protocols\r\n"), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{head}"
    );
    stream
}

async fn read_frame(stream: &mut UnixStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await.expect("a head");
    let mut payload = vec![0; usize::from(head[1])];
    stream.read_exact(&mut payload).await.expect("a payload");
    (head[0], payload)
}

/// A masked frame; a mask of zeros changes nothing.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("short");
    [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

#[tokio::test]
async fn both_directions_pings_and_the_end() {
    let world = World::start().await;
    let id = world
        .running("web", json!({ "OpenStdin": true, "StdinOnce": true }))
        .await;
    let mut stream = open(&world, "", &id).await;
    let task = world.task(&id).await;
    task.write_stdout(b"out");
    assert_eq!(read_frame(&mut stream).await, (0x82, b"out".to_vec()));
    task.write_stderr(b"err");
    assert_eq!(read_frame(&mut stream).await, (0x82, b"err".to_vec()));
    let pieces = [frame(0x02, b"ty"), frame(0x89, b"?"), frame(0x80, b"ped")].concat();
    stream.write_all(&pieces).await.expect("write");
    assert_eq!(read_frame(&mut stream).await, (0x8a, b"?".to_vec()));
    hyperbox_testkit::wait_for_async("the input", || {
        let input = task.input();
        std::future::ready(if input == b"typed" {
            Ok(())
        } else {
            Err(format!("{input:?}"))
        })
    })
    .await;
    task.exit(0);
    assert_eq!(read_frame(&mut stream).await, (0x88, 1000_u16.to_be_bytes().to_vec()));
    assert_eq!(read_rest(&mut stream).await, b"");
}

#[tokio::test]
async fn old_clients_get_text_and_what_is_no_frame_ends_it() {
    let world = World::start().await;
    let id = world.running("web", json!({ "Tty": true, "OpenStdin": true })).await;
    let mut stream = open(&world, "/v1.27", &id).await;
    let task = world.task(&id).await;
    task.write_stdout(b"out");
    assert_eq!(read_frame(&mut stream).await, (0x81, b"out".to_vec()));
    stream.write_all(b"\x82\x01x").await.expect("write");
    assert_eq!(read_frame(&mut stream).await, (0x88, 1002_u16.to_be_bytes().to_vec()));
    // Saying goodbye is answered, and the container goes on.
    let mut stream = open(&world, "", &id).await;
    stream.write_all(&frame(0x88, b"")).await.expect("write");
    assert_eq!(read_frame(&mut stream).await, (0x88, 1000_u16.to_be_bytes().to_vec()));
    assert_eq!(
        world.get(&format!("/containers/{id}/json")).await.json()["State"]["Running"],
        true
    );
}

#[tokio::test]
async fn handshakes_that_are_none() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let missing = world.get("/containers/nosuch/attach/ws").await;
    assert_eq!(missing.failure(), (404, "No such container: nosuch".to_owned()));
    let plain = world.get(&format!("/containers/{id}/attach/ws")).await;
    assert_eq!(
        (plain.status.as_u16(), &plain.body[..]),
        (400, &b"not websocket protocol"[..])
    );
    let mut stream = world
        .raw(&format!(
            "GET /containers/{id}/attach/ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ))
        .await;
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
    assert!(head.to_lowercase().contains("sec-websocket-version: 13"), "{head}");
}
