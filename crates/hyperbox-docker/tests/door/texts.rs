// SPDX-License-Identifier: MIT
//! Status and text of refusals, word by word as Docker Engine 28.5 gives them.

use http::Method;
use serde_json::{Value, json};

use crate::world::{IMAGE, World};

/// One request and how it is refused; `ID` stands for the id of the container that the path names.
type Case = (Method, &'static str, Value, u16, &'static str);

async fn check(world: &World, cases: Vec<Case>) {
    for (method, path, body, status, message) in cases {
        let container = path.split('/').nth(2).unwrap_or_default();
        let id = match world.engine.containers.get(container) {
            Ok(record) => record.id.to_string(),
            Err(_) => String::new(),
        };
        let body = (!body.is_null()).then_some(body);
        let response = world.call(method.clone(), path, body.as_ref()).await;
        assert_eq!(
            response.failure(),
            (status, message.replace("ID", &id)),
            "{method} {path} {body:?}"
        );
    }
}

#[tokio::test]
async fn what_a_phase_does_not_allow() {
    let world = World::start().await;
    world.create("idle", json!({})).await;
    world.running("busy", json!({})).await;
    world.running("frozen", json!({})).await;
    world.post("/containers/frozen/pause", None).await;
    let exec = json!({ "Cmd": ["true"] });
    let none = Value::Null;
    check(
        &world,
        vec![
            (
                Method::DELETE,
                "/containers/busy",
                none.clone(),
                409,
                "cannot remove container \"busy\": container is running: stop the container before removing or force remove",
            ),
            (
                Method::DELETE,
                "/containers/frozen",
                none.clone(),
                409,
                "cannot remove container \"frozen\": container is paused and must be unpaused first",
            ),
            (
                Method::POST,
                "/containers/nosuch/kill",
                none.clone(),
                404,
                "cannot kill container: nosuch: No such container: nosuch",
            ),
            (
                Method::POST,
                "/containers/idle/kill",
                none.clone(),
                409,
                "cannot kill container: idle: container ID is not running",
            ),
            (Method::POST, "/containers/idle/pause", none.clone(), 409, "container ID is not running"),
            (Method::POST, "/containers/frozen/pause", none.clone(), 409, "Container ID is already paused"),
            (Method::POST, "/containers/busy/unpause", none.clone(), 500, "Container ID is not paused"),
            (
                Method::POST,
                "/containers/frozen/start",
                none.clone(),
                409,
                "cannot start a paused container, try unpause instead",
            ),
            (
                Method::POST,
                "/containers/frozen/exec",
                exec.clone(),
                409,
                "Container frozen is paused, unpause the container before exec",
            ),
            (Method::POST, "/containers/idle/exec", exec, 409, "container ID is not running"),
        ],
    )
    .await;
    let short: String = world.engine.containers.get("busy").expect("busy").id.short().to_owned();
    let (_, message) = world.delete(&format!("/containers/{short}")).await.failure();
    assert!(
        message.starts_with(&format!("cannot remove container \"{short}\": ")),
        "{message}"
    );
}

#[tokio::test]
async fn an_exec_runs_once_and_not_in_a_paused_container() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let made = world
        .post("/containers/web/exec", Some(json!({ "Cmd": ["true"] })))
        .await
        .json();
    let exec = made["Id"].as_str().expect("an id");
    let start = format!("/exec/{exec}/start");
    world.post("/containers/web/pause", None).await;
    assert_eq!(
        world.post(&start, Some(json!({ "Detach": true }))).await.failure(),
        (
            409,
            format!("Container {id} is paused, unpause the container before exec")
        )
    );
    world.post("/containers/web/unpause", None).await;
    assert_eq!(world.post(&start, Some(json!({ "Detach": true }))).await.status, 200);
    assert_eq!(
        world.post(&start, Some(json!({ "Detach": true }))).await.failure(),
        (409, format!("exec command {exec} is already running"))
    );
    let running = world.task("web").await;
    running.exit_exec(&running.execs()[0], 0);
    hyperbox_testkit::wait_for_async("the end of the exec", async || {
        let view = world.get(&format!("/exec/{exec}/json")).await.json();
        view["ExitCode"]
            .is_number()
            .then_some(())
            .ok_or_else(|| view.to_string())
    })
    .await;
    assert_eq!(
        world.post(&start, Some(json!({ "Detach": true }))).await.failure(),
        (409, format!("exec command {exec} has already run"))
    );
}

#[tokio::test]
async fn processors_that_the_machine_has_not() {
    let world = World::start().await;
    world.create("idle", json!({})).await;
    world.running("busy", json!({})).await;
    for (field, value, message) in [
        (
            "CpusetCpus",
            "99",
            "Requested CPUs are not available - requested 99, available: 0-1",
        ),
        (
            "CpusetMems",
            "1",
            "Requested memory nodes are not available - requested 1, available: 0",
        ),
        ("CpusetCpus", "x", "Invalid value x for cpuset cpus: invalid format: x"),
        (
            "CpusetMems",
            "1-0",
            "Invalid value 1-0 for cpuset mems: invalid format: 1-0",
        ),
        (
            "CpusetCpus",
            "0-99999",
            "Invalid value 0-99999 for cpuset cpus: value of out range, maximum is 8192",
        ),
    ] {
        let refusal = (400, message.to_owned());
        let create = json!({ "Image": IMAGE, "HostConfig": { field: value } });
        assert_eq!(world.post("/containers/create", Some(create)).await.failure(), refusal);
        for container in ["idle", "busy"] {
            let path = format!("/containers/{container}/update");
            assert_eq!(
                world.post(&path, Some(json!({ field: value }))).await.failure(),
                refusal
            );
        }
    }
}

#[tokio::test]
async fn keys_in_any_case_and_what_follows_a_document() {
    let world = World::start().await;
    let body = json!({ "image": IMAGE, "HOSTCONFIG": { "memory": 67_108_864 }, "labels": { "aB": "c" } });
    let made = world.post("/containers/create?name=web", Some(body)).await;
    assert_eq!(made.status, 201);
    let inspect = world.get("/containers/web/json").await.json();
    assert_eq!(inspect["HostConfig"]["Memory"], 67_108_864);
    assert_eq!(inspect["Config"]["Labels"]["aB"], "c");
    let update = json!({ "nanocpus": 500_000_000, "restartpolicy": { "name": "always" } });
    assert_eq!(world.post("/containers/web/update", Some(update)).await.status, 200);
    let inspect = world.get("/containers/web/json").await.json();
    assert_eq!(inspect["HostConfig"]["NanoCpus"], 500_000_000);
    assert_eq!(inspect["HostConfig"]["RestartPolicy"]["Name"], "always");
    for (body, message) in [
        ("{} {}", "unexpected content after JSON"),
        ("{", "invalid JSON: unexpected EOF"),
        ("null", "config cannot be empty in order to create a container"),
    ] {
        let request = http::Request::builder()
            .method("POST")
            .uri("/containers/create")
            .header("host", "d")
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(body.into()))
            .expect("request");
        let response = world.open(request).await;
        assert_eq!(response.status(), 400);
        let answer = http_body_util::BodyExt::collect(response.into_body())
            .await
            .expect("a body");
        let answer: Value = serde_json::from_slice(&answer.to_bytes()).expect("JSON");
        assert_eq!(answer["message"], message);
    }
}

#[tokio::test]
async fn containers_whose_namespaces_are_joined() {
    let world = World::start().await;
    let idle = world.create("idle", json!({})).await;
    let busy = world.running("busy", json!({})).await;
    let create = async |mode: &str, of: &str| {
        let body = json!({ "Image": IMAGE, "HostConfig": { mode: format!("container:{of}") } });
        world.post("/containers/create?name=web", Some(body)).await
    };
    for mode in ["PidMode", "IpcMode"] {
        assert_eq!(
            create(mode, "nosuch").await.failure(),
            (400, "No such container: nosuch".to_owned())
        );
    }
    for (mode, of, status, message) in [
        (
            "PidMode",
            "idle",
            500,
            format!("failed to join PID namespace: container {idle} is not running"),
        ),
        (
            "IpcMode",
            "idle",
            409,
            format!("failed to join IPC namespace: container {idle} is not running"),
        ),
        (
            "IpcMode",
            "busy",
            400,
            format!(
                "failed to join IPC namespace: container {busy}: non-shareable IPC (hint: use IpcMode:shareable for the donor \
                 container)"
            ),
        ),
        (
            "NetworkMode",
            "nosuch",
            500,
            "joining network namespace of container: No such container: nosuch".to_owned(),
        ),
        (
            "NetworkMode",
            "idle",
            409,
            "cannot join network namespace of a non running container: container idle is created".to_owned(),
        ),
    ] {
        assert_eq!(create(mode, of).await.status, 201, "{mode} {of}");
        let started = world.post("/containers/web/start", None).await.failure();
        assert_eq!(started, (status, message.clone()));
        let restarted = world.post("/containers/web/restart", None).await.failure();
        assert_eq!(restarted, (500, format!("Cannot restart container web: {message}")));
        let inspect = world.get("/containers/web/json").await.json();
        let kept = if of == "nosuch" {
            of
        } else {
            [&idle, &busy][usize::from(of == "busy")]
        };
        assert_eq!(inspect["HostConfig"][mode], format!("container:{kept}"));
        assert_eq!(world.delete("/containers/web").await.status, 204);
    }
}

#[tokio::test]
async fn names_signals_tags() {
    let world = World::start().await;
    world.running("web", json!({})).await;
    let none = Value::Null;
    check(
        &world,
        vec![
            (
                Method::POST,
                "/containers/nosuch/rename?name=x",
                none.clone(),
                404,
                "No such container: nosuch",
            ),
            (
                Method::POST,
                "/containers/web/rename?name=a%20b",
                none.clone(),
                400,
                "Error when allocating new name: Invalid container name (/a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            ),
            (
                Method::POST,
                "/containers/web/kill?signal=99",
                none.clone(),
                400,
                "cannot kill container: web: the linux daemon does not support signal 99",
            ),
            (
                Method::POST,
                "/containers/web/kill?signal=0",
                none.clone(),
                400,
                "cannot kill container: web: invalid signal: 0",
            ),
            (
                Method::POST,
                "/images/localhost:5000/app/tag?repo=x&tag=a%20b",
                none.clone(),
                400,
                "invalid tag format",
            ),
            (Method::GET, "/images/nosuch/get", none, 404, "No such image: nosuch"),
            (
                Method::POST,
                "/containers/nosuch/exec",
                json!({}),
                400,
                "No exec command specified",
            ),
        ],
    )
    .await;
}
