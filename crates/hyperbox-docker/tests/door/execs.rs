// SPDX-License-Identifier: MIT
//! Execs.

use http::StatusCode;
use hyperbox_testkit::fake::{FakeTask, Script};
use hyperbox_types::ExecId;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{read_frame, read_head, read_rest};
use crate::world::World;

/// Waits until an exec was started: its client is answered before.
async fn started(task: &FakeTask, exec: &ExecId) {
    hyperbox_testkit::wait_for_async("the start", || {
        let started = task.execs().contains(exec);
        std::future::ready(started.then_some(()).ok_or_else(|| "not started".to_owned()))
    })
    .await;
}

#[tokio::test]
async fn the_head_goes_out_before_the_process_starts() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let task = world.task(&id).await;
    task.script_execs(Script {
        stdout: b"quick".to_vec(),
        stderr: Vec::new(),
        exit: Some(0),
    });
    for (upgrade, head_start) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 UPGRADED\r\n"),
        ("", "HTTP/1.1 200 OK\r\n"),
    ] {
        task.hold_execs(true);
        let body = json!({ "Cmd": ["ls"], "AttachStdout": true });
        let created = world.post(&format!("/containers/{id}/exec"), Some(body)).await.json();
        let exec = created["Id"].as_str().expect("an id").to_owned();
        let mut stream = world
            .raw(&format!(
                "POST /v1.51/exec/{exec}/start HTTP/1.1\r\nHost: d\r\n{upgrade}Content-Type: \
                 application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            ))
            .await;
        let head = read_head(&mut stream).await;
        assert!(head.starts_with(head_start), "{head}");
        let exec_id = ExecId::parse(&exec).expect("an id");
        assert!(!task.execs().contains(&exec_id), "the process waits for the head");
        task.hold_execs(false);
        assert_eq!(read_frame(&mut stream).await, (1, b"quick".to_vec()));
        assert_eq!(read_rest(&mut stream).await, b"");
        let inspect = world.get(&format!("/exec/{exec}/json")).await.json();
        assert_eq!(inspect["ExitCode"], 0);
    }
}

#[tokio::test]
async fn attached() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let body = json!({ "Cmd": ["ls", "-l"], "AttachStdout": true, "AttachStdin": true, "User": "1:2" });
    let created = world.post(&format!("/containers/{id}/exec"), Some(body)).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let exec = created.json()["Id"].as_str().expect("an id").to_owned();
    let inspect = world.get(&format!("/exec/{exec}/json")).await.json();
    assert_eq!(
        (&inspect["Running"], &inspect["ExitCode"], &inspect["Pid"]),
        (&json!(false), &json!(null), &json!(0))
    );
    assert_eq!(inspect["ProcessConfig"]["entrypoint"], "ls");
    assert_eq!(inspect["ProcessConfig"]["arguments"], json!(["-l"]));
    let mut stream = world
        .upgrade(&format!("/v1.51/exec/{exec}/start"), "{\"Detach\":false,\"Tty\":false}")
        .await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 101 UPGRADED\r\n"));
    let task = world.task(&id).await;
    let exec_id = ExecId::parse(&exec).expect("an id");
    started(&task, &exec_id).await;
    task.write_exec_stdout(&exec_id, b"file");
    assert_eq!(read_frame(&mut stream).await, (1, b"file".to_vec()));
    stream.write_all(b"in").await.expect("write");
    task.exit_exec(&exec_id, 3);
    assert_eq!(read_rest(&mut stream).await, b"");
    hyperbox_testkit::wait_for_async("the exit code", || async {
        let code = world.get(&format!("/exec/{exec}/json")).await.json()["ExitCode"].clone();
        if code == 3 { Ok(()) } else { Err(code.to_string()) }
    })
    .await;
    // Docker answers the attached start before it looks: the refusal is output. The detached one is refused.
    let again = world.post(&format!("/exec/{exec}/start"), Some(json!({}))).await;
    assert_eq!(again.status, StatusCode::OK);
    let refusal = format!("exec command {exec} has already run");
    let mut frame = vec![1, 0, 0, 0, 0, 0, 0, u8::try_from(refusal.len() + 2).expect("short")];
    frame.extend_from_slice(format!("{refusal}\r\n").as_bytes());
    assert_eq!(again.body, frame);
    let detached = json!({ "Detach": true });
    let detached = world.post(&format!("/exec/{exec}/start"), Some(detached)).await;
    assert_eq!(detached.failure(), (409, refusal));
}

#[tokio::test]
async fn refusals() {
    let world = World::start().await;
    world.create("idle", json!({})).await;
    let id = world.running("web", json!({})).await;
    let empty = world.post(&format!("/containers/{id}/exec"), Some(json!({}))).await;
    assert_eq!(empty.failure(), (400, "No exec command specified".to_owned()));
    let idle = world
        .post("/containers/idle/exec", Some(json!({ "Cmd": ["ls"] })))
        .await
        .failure();
    assert_eq!(idle.0, 409);
    assert!(idle.1.ends_with("is not running"), "{}", idle.1);
    let unknown = world.get("/exec/nosuch/json").await.failure();
    assert_eq!(unknown, (404, "No such exec instance: nosuch".to_owned()));
    let detached = world
        .post(&format!("/containers/{id}/exec"), Some(json!({ "Cmd": ["ls"] })))
        .await
        .json();
    let exec = detached["Id"].as_str().expect("an id");
    let started = world
        .post(&format!("/exec/{exec}/start"), Some(json!({ "Detach": true })))
        .await;
    assert_eq!(started.status, StatusCode::OK);
}
