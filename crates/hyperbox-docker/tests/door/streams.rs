// SPDX-License-Identifier: MIT
//! Attached streams and logs.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{read_frame, read_head, read_rest};
use crate::world::World;

const ATTACH: &str = "stream=1&stdin=1&stdout=1&stderr=1";

#[tokio::test]
async fn attach_before_the_start() {
    let world = World::start().await;
    let id = world
        .create("web", json!({ "OpenStdin": true, "StdinOnce": true }))
        .await;
    let mut stream = world
        .upgrade(&format!("/v1.51/containers/{id}/attach?{ATTACH}"), "")
        .await;
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    assert!(
        head.to_lowercase()
            .contains("content-type: application/vnd.docker.multiplexed-stream"),
        "{head}"
    );
    assert!(head.to_lowercase().contains("upgrade: tcp"), "{head}");
    world.post(&format!("/containers/{id}/start"), None).await;
    let task = world.task(&id).await;
    task.write_stdout(b"out");
    task.write_stderr(b"err");
    assert_eq!(read_frame(&mut stream).await, (1, b"out".to_vec()));
    assert_eq!(read_frame(&mut stream).await, (2, b"err".to_vec()));
    stream.write_all(b"typed").await.expect("write");
    // Half-closing ends the input; output goes on.
    stream.shutdown().await.expect("half close");
    hyperbox_testkit::wait_for_async("the input", || {
        let input = task.input();
        std::future::ready(if input == b"typed" {
            Ok(())
        } else {
            Err(format!("{input:?}"))
        })
    })
    .await;
    task.write_stdout(b"more");
    assert_eq!(read_frame(&mut stream).await, (1, b"more".to_vec()));
    task.exit(0);
    assert_eq!(read_rest(&mut stream).await, b"");
}

#[tokio::test]
async fn attach_without_asking_for_an_upgrade() {
    let world = World::start().await;
    let id = world.running("web", json!({ "Tty": true, "OpenStdin": true })).await;
    let mut stream = world
        .raw(&format!(
            "POST /v1.24/containers/{id}/attach?{ATTACH} HTTP/1.1\r\nHost: d\r\n\r\nearly"
        ))
        .await;
    let head = read_head(&mut stream).await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n"),
        "{head}"
    );
    let task = world.task(&id).await;
    stream.write_all(b" and late").await.expect("write");
    hyperbox_testkit::wait_for_async("the input", || {
        let input = task.input();
        std::future::ready(if input == b"early and late" {
            Ok(())
        } else {
            Err(format!("{input:?}"))
        })
    })
    .await;
    task.write_stdout(b"raw");
    task.exit(0);
    assert_eq!(read_rest(&mut stream).await, b"raw");
}

#[tokio::test]
async fn detach_keys_leave_the_container_alone() {
    let world = World::start().await;
    let id = world.running("web", json!({ "Tty": true, "OpenStdin": true })).await;
    let mut stream = world
        .upgrade(&format!("/containers/{id}/attach?{ATTACH}&detachKeys=ctrl-a,b"), "")
        .await;
    assert!(
        read_head(&mut stream)
            .await
            .contains("application/vnd.docker.raw-stream")
    );
    stream.write_all(b"x\x01b").await.expect("write");
    assert_eq!(read_rest(&mut stream).await, b"");
    let task = world.task(&id).await;
    hyperbox_testkit::wait_for_async("the input", || {
        let input = task.input();
        std::future::ready(if input == b"x" {
            Ok(())
        } else {
            Err(format!("{input:?}"))
        })
    })
    .await;
    let unknown = world
        .post(&format!("/containers/{id}/attach?detachKeys=ctrl-"), None)
        .await;
    assert_eq!(unknown.failure().0, 400);
}

#[tokio::test]
async fn logs() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let task = world.task(&id).await;
    task.write_stdout(b"one\n");
    task.write_stderr(b"two\n");
    let all = world.get(&format!("/containers/{id}/logs?stdout=1&stderr=1")).await;
    assert_eq!(all.headers["content-type"], "application/vnd.docker.multiplexed-stream");
    assert_eq!(&all.body[..], b"\x01\0\0\0\0\0\0\x04one\n\x02\0\0\0\0\0\0\x04two\n");
    let errors = world.get(&format!("/v1.41/containers/{id}/logs?stderr=1&tail=1")).await;
    assert_eq!(errors.headers["content-type"], "application/vnd.docker.raw-stream");
    assert_eq!(&errors.body[..], b"\x02\0\0\0\0\0\0\x04two\n");
    let none = world.get(&format!("/containers/{id}/logs")).await;
    assert_eq!(
        none.failure(),
        (400, "Bad parameters: you must choose at least one stream".to_owned())
    );
    let path = format!("/containers/{id}/logs?stdout=1&follow=1");
    let mut followed = world
        .raw(&format!("GET {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"))
        .await;
    read_head(&mut followed).await;
    task.write_stdout(b"three\n");
    task.exit(0);
    let rest = read_rest(&mut followed).await;
    assert!(rest.windows(6).any(|window| window == b"three\n"));
}

#[tokio::test]
async fn events_arrive_live_and_with_labels() {
    let world = World::start().await;
    let filters = "%7B%22event%22%3A%5B%22start%22%5D%7D";
    let mut events = world
        .raw(&format!("GET /events?filters={filters} HTTP/1.1\r\nHost: d\r\n\r\n"))
        .await;
    assert!(read_head(&mut events).await.starts_with("HTTP/1.1 200"));
    world.running("web", json!({ "Labels": { "app": "x" } })).await;
    let mut text = String::new();
    while !text.contains('}') || !text.ends_with("\r\n") {
        let mut buffer = [0; 4096];
        let length = tokio::io::AsyncReadExt::read(&mut events, &mut buffer)
            .await
            .expect("an event");
        text.push_str(std::str::from_utf8(&buffer[..length]).expect("text"));
    }
    assert!(
        text.contains("\"status\":\"start\"") && text.contains("\"app\":\"x\""),
        "{text}"
    );
    let past = world.get("/events?since=1&until=2").await;
    assert_eq!(past.body.len(), 0);
}

#[tokio::test]
async fn statistics() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let stats = hyperbox_types::shim::CgroupStats {
        cpu_total_ns: 5,
        memory_usage: 7,
        version2: true,
        ..Default::default()
    };
    world.task(&id).await.set_stats(stats);
    let once = world
        .get(&format!("/containers/{id}/stats?stream=0&one-shot=1"))
        .await
        .json();
    assert_eq!(
        (&once["name"], &once["memory_stats"]["usage"]),
        (&json!("/web"), &json!(7))
    );
    assert_eq!(once["precpu_stats"]["cpu_usage"]["total_usage"], 0);
    world.task(&id).await.exit(0);
    hyperbox_testkit::wait_for_async("the end", || async {
        let stopped = world.get(&format!("/containers/{id}/stats?stream=false")).await.json();
        if stopped["read"] == "0001-01-01T00:00:00Z" {
            Ok(())
        } else {
            Err(stopped.to_string())
        }
    })
    .await;
}
