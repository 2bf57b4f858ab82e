// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/run`.

use hyperbox_testkit::fake::Script;
use hyperbox_types::Signal;
use hyperbox_types::run::{RunCommand, RunEvent, TerminalSize};
use hyperbox_types::stream::{Channel, header};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::client::{read_frame, read_head, read_rest};
use crate::world::{IMAGE, World};

async fn open(world: &World, name: &str, mut container: Value, attach: Value) -> UnixStream {
    container["Image"] = IMAGE.into();
    let request = json!({ "name": name, "container": container, "attach": attach });
    let mut stream = world.upgrade("/hyperbox/v1/run", &request.to_string()).await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    stream
}

async fn event(stream: &mut UnixStream) -> RunEvent {
    let (channel, payload) = read_frame(stream).await;
    assert_eq!(channel, 4, "{payload:?}");
    serde_json::from_slice(&payload).expect("an event")
}

async fn send(stream: &mut UnixStream, channel: Channel, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("short");
    stream.write_all(&header(channel, length)).await.expect("header");
    stream.write_all(payload).await.expect("payload");
}

fn output() -> Value {
    json!({ "stdout": true, "stderr": true })
}

#[tokio::test]
async fn everything_in_order() {
    let world = World::start().await;
    world.tasks.script_next(Script {
        stdout: b"out".to_vec(),
        stderr: b"err".to_vec(),
        exit: Some(3),
    });
    let mut stream = open(&world, "one", json!({ "HostConfig": { "AutoRemove": true } }), output()).await;
    let RunEvent::Created { id, .. } = event(&mut stream).await else {
        panic!("not created")
    };
    assert_eq!(event(&mut stream).await, RunEvent::Started);
    let mut channels = [read_frame(&mut stream).await, read_frame(&mut stream).await];
    channels.sort();
    assert_eq!(channels, [(1, b"out".to_vec()), (2, b"err".to_vec())]);
    assert_eq!(event(&mut stream).await, RunEvent::Exited { code: 3 });
    assert_eq!(read_rest(&mut stream).await, b"");
    assert!(
        world.engine.containers.get(id.as_str()).is_err(),
        "removed before its end is told"
    );
}

#[tokio::test]
async fn input_signals_and_sizes() {
    let world = World::start().await;
    let container = json!({ "OpenStdin": true, "StdinOnce": true, "Tty": true });
    let attach = json!({ "stdin": true, "stdout": true, "stderr": true });
    let mut stream = open(&world, "one", container, attach).await;
    event(&mut stream).await;
    assert_eq!(event(&mut stream).await, RunEvent::Started);
    let task = world.task("one").await;
    task.ignore(Signal::HUP);
    send(&mut stream, Channel::Stdin, b"typed").await;
    let size = TerminalSize { rows: 30, columns: 100 };
    let commands = [RunCommand::Resize(size), RunCommand::Signal { signal: Signal::HUP }];
    for command in commands {
        send(
            &mut stream,
            Channel::Control,
            &serde_json::to_vec(&command).expect("JSON"),
        )
        .await;
    }
    hyperbox_testkit::wait_for_async("the commands", || {
        let done = task.input() == b"typed" && task.signals() == [Signal::HUP] && task.sizes().contains(&size);
        std::future::ready(if done { Ok(()) } else { Err(format!("{task:?}")) })
    })
    .await;
    task.write_stdout(b"raw");
    assert_eq!(read_frame(&mut stream).await, (1, b"raw".to_vec()));
    task.exit(0);
    assert_eq!(event(&mut stream).await, RunEvent::Exited { code: 0 });
}

#[tokio::test]
async fn detached_and_left() {
    let world = World::start().await;
    let mut stream = open(&world, "one", json!({}), json!({})).await;
    event(&mut stream).await;
    assert_eq!(event(&mut stream).await, RunEvent::Started);
    drop(stream);
    let attach = json!({ "stdin": true, "stdout": true });
    let mut stream = open(&world, "two", json!({ "OpenStdin": true, "StdinOnce": true }), attach).await;
    event(&mut stream).await;
    assert_eq!(event(&mut stream).await, RunEvent::Started);
    drop(stream);
    for name in ["one", "two"] {
        world.task(name).await;
    }
}

#[tokio::test]
async fn failures() {
    let world = World::start().await;
    let request = json!({ "container": { "Image": "nosuch" }, "attach": {} }).to_string();
    let mut stream = world.upgrade("/hyperbox/v1/run", &request).await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 404 "));
    let plain = world.post("/hyperbox/v1/run", Some(json!({}))).await;
    assert_eq!(plain.failure().0, 400);
    world.fail_next_command();
    let mut stream = open(&world, "one", json!({}), output()).await;
    event(&mut stream).await;
    let RunEvent::Failed { message, .. } = event(&mut stream).await else {
        panic!("not failed")
    };
    assert!(message.contains("executable file not found in $PATH"), "{message}");
    assert_eq!(read_rest(&mut stream).await, b"");
}
