// SPDX-License-Identifier: MIT
//! Containers: what clients ask and what they are told.

use http::StatusCode;
use serde_json::json;

use crate::client::read_head;
use crate::world::World;

#[tokio::test]
async fn life() {
    let world = World::start().await;
    let id = world.create("web", json!({ "Labels": { "app": "x" } })).await;
    assert_eq!(world.get("/containers/json").await.json(), json!([]));
    assert_eq!(world.get("/containers/json?all=1").await.json()[0]["Status"], "Created");
    assert_eq!(
        world.post("/containers/web/start", None).await.status,
        StatusCode::NO_CONTENT
    );
    let again = world.post("/containers/web/start", None).await;
    assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let line = world.get("/containers/json").await.json()[0].clone();
    assert_eq!((&line["Id"], &line["Names"]), (&json!(id), &json!(["/web"])));
    assert_eq!(line["Command"], "serve 'two words'");
    assert_eq!(line["Labels"], json!({ "app": "x", "from": "image" }));
    assert_eq!(line["NetworkSettings"]["Networks"]["bridge"]["Aliases"], json!(null));
    assert_eq!(
        world.post("/containers/web/pause", None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(world.get("/containers/web/json").await.json()["State"]["Paused"], true);
    assert_eq!(
        world.post("/containers/web/unpause", None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        world.post("/containers/web/rename?name=db", None).await.status,
        StatusCode::NO_CONTENT
    );
    let (status, message) = world.delete("/containers/db").await.failure();
    assert_eq!(status, 409, "{message}");
    assert_eq!(
        world.post("/containers/db/kill", None).await.status,
        StatusCode::NO_CONTENT
    );
    let stopped = world.post("/containers/db/stop?t=0", None).await;
    assert_eq!(stopped.status, StatusCode::NOT_MODIFIED);
    let state = world.get("/containers/db/json").await.json()["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&json!("exited"), &json!(137)));
    assert_eq!(world.delete("/containers/db?v=1").await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        world.get("/containers/db/json").await.failure(),
        (404, "No such container: db".to_owned())
    );
}

#[tokio::test]
async fn inspection_echoes_the_host_configuration() {
    let world = World::start().await;
    let host = json!({
        "Mounts": [{ "Type": "tmpfs", "Target": "/long" }],
        "Memory": 67_108_864, "NanoCpus": 500_000_000, "CapAdd": ["NET_ADMIN"], "Binds": ["data:/data"],
        "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 }, "Tmpfs": { "/t": "size=64k" },
    });
    world
        .create(
            "web",
            json!({ "HostConfig": host, "AttachStdout": true, "StopSignal": "INT", "StopTimeout": 3 }),
        )
        .await;
    let inspect = world.get("/v1.51/containers/web/json?size=1").await.json();
    let echoed = &inspect["HostConfig"];
    for field in ["Memory", "NanoCpus", "CapAdd", "Binds", "RestartPolicy", "Tmpfs"] {
        assert_eq!(echoed[field], host[field], "{field}");
    }
    assert_eq!(echoed["MemorySwap"], 2 * 67_108_864);
    assert_eq!(inspect["Config"]["AttachStdout"], true);
    assert_eq!(inspect["Config"]["StopSignal"], "INT");
    assert_eq!(inspect["Config"]["StopTimeout"], 3);
    assert_eq!(inspect["Config"]["Cmd"], json!(["serve", "two words"]));
    assert_eq!(inspect["State"]["StartedAt"], "0001-01-01T00:00:00Z");
    assert_eq!(inspect["Mounts"][0]["Name"], "data");
    let kinds: Vec<_> = inspect["Mounts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|mount| mount["Type"].clone())
        .collect();
    assert_eq!(kinds, ["volume", "tmpfs"]);
    assert_eq!(echoed["Runtime"], "hyperbox");
    assert!(inspect["SizeRootFs"].is_u64());
    let update = json!({ "Memory": 134_217_728, "MemorySwap": 268_435_456, "RestartPolicy": { "Name": "always" } });
    assert_eq!(
        world.post("/containers/web/update", Some(update)).await.json(),
        json!({ "Warnings": null })
    );
    let echoed = world.get("/containers/web/json").await.json()["HostConfig"].clone();
    assert_eq!(
        (&echoed["Memory"], &echoed["RestartPolicy"]["Name"]),
        (&json!(134_217_728), &json!("always"))
    );
    assert_eq!(echoed["CapAdd"], host["CapAdd"]);
}

#[tokio::test]
async fn refusals() {
    let world = World::start().await;
    world.create("web", json!({})).await;
    let image = crate::world::IMAGE;
    for (path, body, status, message) in [
        (
            "/containers/create",
            json!({}),
            400,
            "config cannot be empty in order to create a container",
        ),
        (
            "/containers/create",
            json!({ "Image": "nosuch" }),
            404,
            "No such image: nosuch:latest",
        ),
        (
            "/containers/create?name=-zz",
            json!({ "Image": image }),
            400,
            "Invalid container name (-zz), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        (
            "/containers/create",
            json!({ "Image": image, "HostConfig": { "VolumesFrom": ["nosuch"] } }),
            400,
            "No such container: nosuch",
        ),
        (
            "/containers/create?platform=bogus/",
            json!({ "Image": image }),
            400,
            "\"\" is an invalid component of \"bogus/\": platform specifier component must match \
             \"^[A-Za-z0-9_.-]+$\": invalid argument",
        ),
        (
            "/containers/web/rename",
            json!({}),
            400,
            "Neither old nor new names may be empty",
        ),
        (
            "/containers/web/wait?condition=bogus",
            json!({}),
            400,
            "invalid condition: \"bogus\"",
        ),
        (
            "/containers/web/kill?signal=BOGUS",
            json!({}),
            400,
            "cannot kill container: web: invalid signal: BOGUS",
        ),
        (
            "/containers/web/resize?h=x&w=1",
            json!({}),
            400,
            "invalid resize height \"x\": invalid syntax",
        ),
    ] {
        let response = world.post(path, Some(body)).await;
        assert_eq!(response.failure(), (status, message.to_owned()), "{path}");
    }
    let taken = world
        .post("/containers/create?name=web", Some(json!({ "Image": image })))
        .await;
    let (status, message) = taken.failure();
    assert_eq!(status, 409);
    assert!(
        message.starts_with("Conflict. The container name \"/web\" is already in use by container \""),
        "{message}"
    );
    let (status, message) = world.post("/containers/web/kill", None).await.failure();
    assert_eq!(status, 409);
    assert!(
        message.starts_with("cannot kill container: web: container "),
        "{message}"
    );
    for (filters, message) in [
        ("{\"bogus\":[\"x\"]}", "invalid filter 'bogus'"),
        (
            "{\"status\":[\"nope\"]}",
            "invalid filter 'status=nope': invalid value for state (nope): must be one of created, running, paused, \
             restarting, removing, exited, dead",
        ),
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = world.get(&format!("/containers/json?filters={encoded}")).await;
        assert_eq!(response.failure(), (400, message.to_owned()));
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::start().await;
    world.create("one", json!({ "Labels": { "app": "a" } })).await;
    world.running("two", json!({ "Labels": { "app": "b" } })).await;
    world
        .create(
            "three",
            json!({ "HostConfig": { "NetworkMode": "none", "Binds": ["data:/d"] } }),
        )
        .await;
    for (filters, all, names) in [
        (json!({}), true, vec!["/three", "/two", "/one"]),
        (json!({ "status": ["created"] }), false, vec!["/three", "/one"]),
        (json!({ "label": { "app": true } }), true, vec!["/two", "/one"]),
        (json!({ "label": ["app=b"] }), true, vec!["/two"]),
        (json!({ "name": ["^/t"] }), true, vec!["/three", "/two"]),
        (json!({ "name": ["^o"] }), true, vec!["/one"]),
        (json!({ "before": ["two"] }), true, vec!["/one"]),
        (json!({ "since": ["two"] }), true, vec!["/three"]),
        (json!({ "before": ["three"] }), false, vec!["/two"]),
        (json!({ "since": ["two"] }), false, vec![]),
        (json!({ "network": ["none"] }), true, vec!["/three"]),
        (json!({ "volume": ["data"] }), true, vec!["/three"]),
        (json!({ "volume": ["/d"] }), true, vec!["/three"]),
        (
            json!({ "ancestor": ["localhost:5000/app"] }),
            true,
            vec!["/three", "/two", "/one"],
        ),
        (json!({ "ancestor": ["nosuch"] }), true, vec![]),
        (json!({ "exited": ["0"] }), false, vec![]),
        (json!({ "health": ["none"] }), false, vec!["/two"]),
    ] {
        let encoded: String = filters.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let list = world
            .get(&format!("/containers/json?all={}&filters={encoded}", u8::from(all)))
            .await
            .json();
        let found: Vec<&str> = list
            .as_array()
            .expect("a list")
            .iter()
            .map(|line| line["Names"][0].as_str().expect("a name"))
            .collect();
        assert_eq!(found, names, "{filters}");
    }
    assert_eq!(
        world
            .get("/containers/json?limit=1")
            .await
            .json()
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[tokio::test]
async fn wait_answers_its_head_before_the_end() {
    let world = World::start().await;
    world
        .create("web", json!({ "HostConfig": { "AutoRemove": true } }))
        .await;
    let mut waiting = world
        .raw("POST /containers/web/wait?condition=removed HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        .await;
    assert!(read_head(&mut waiting).await.starts_with("HTTP/1.1 200"));
    assert_eq!(
        world.post("/containers/web/start", None).await.status,
        StatusCode::NO_CONTENT
    );
    world.task("web").await.exit(7);
    let rest = crate::client::read_rest(&mut waiting).await;
    let text = String::from_utf8(rest).expect("text");
    assert!(text.contains("{\"StatusCode\":7}"), "{text}");
    assert_eq!(world.get("/containers/web/json").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn clean_up() {
    let world = World::start().await;
    let kept = world.running("kept", json!({})).await;
    let old = world.create("old", json!({ "Labels": { "app": "a" } })).await;
    let filters = "%7B%22label%22%3A%5B%22app%22%5D%7D";
    let pruned = world
        .post(&format!("/containers/prune?filters={filters}"), None)
        .await
        .json();
    assert_eq!(pruned["ContainersDeleted"], json!([old]));
    let again = world.post("/containers/prune", None).await.json();
    assert_eq!(again["ContainersDeleted"], json!(null));
    assert_eq!(world.get("/containers/json").await.json()[0]["Id"], json!(kept));
}
