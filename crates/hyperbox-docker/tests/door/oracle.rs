// SPDX-License-Identifier: MIT
//! Answers have exactly the fields of Docker Engine 28.5's, recorded in `tests/data/engine`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{IMAGE, World};

fn recorded(text: &str) -> Value {
    serde_json::from_str(text).expect("a recording")
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect()
}

/// Compares the fields of two objects, but for those that are there only now and then.
fn assert_same_keys(ours: &Value, theirs: &Value, optional: &[&str], what: &str) {
    let differ: Vec<_> = keys(ours)
        .symmetric_difference(&keys(theirs))
        .copied()
        .filter(|key| !optional.contains(key))
        .collect();
    assert!(differ.is_empty(), "{what}: {differ:?}");
}

#[tokio::test]
async fn container_inspection() {
    let world = World::start().await;
    let host = json!({
        "Binds": ["data:/data"], "Tmpfs": { "/t": "size=64k" }, "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 2 },
        "Dns": [], "PortBindings": {}, "Devices": [], "Ulimits": [],
    });
    let health = json!({ "Test": ["CMD-SHELL", "true"], "Interval": 1_000_000_000 });
    world
        .running(
            "web",
            json!({ "HostConfig": host, "Healthcheck": health, "ExposedPorts": { "80/tcp": {} } }),
        )
        .await;
    let ours = world.get("/v1.51/containers/web/json").await.json();
    let theirs = recorded(include_str!("../data/engine/inspect-running.json"));
    assert_same_keys(&ours, &theirs, &[], "inspect");
    for part in ["State", "HostConfig", "Config", "NetworkSettings"] {
        assert_same_keys(&ours[part], &theirs[part], &[], part);
    }
    assert_same_keys(&ours["State"]["Health"], &theirs["State"]["Health"], &[], "Health");
    assert_same_keys(&ours["Mounts"][0], &theirs["Mounts"][0], &[], "Mounts");
    let endpoint = |inspect: &Value| inspect["NetworkSettings"]["Networks"]["bridge"].clone();
    assert_same_keys(&endpoint(&ours), &endpoint(&theirs), &[], "endpoint");
    for (part, field) in [("HostConfig", "LogConfig"), ("HostConfig", "RestartPolicy")] {
        assert_eq!(ours[part][field], theirs[part][field], "{field}");
    }
    // What is empty there is empty here in the same way.
    for field in [
        "CapAdd",
        "Dns",
        "ExtraHosts",
        "PortBindings",
        "Devices",
        "Ulimits",
        "PidsLimit",
        "ConsoleSize",
    ] {
        let (ours, theirs) = (
            &ours["HostConfig"][field],
            &recorded(include_str!("../data/engine/inspect-created.json"))["HostConfig"][field],
        );
        assert_eq!(ours, theirs, "{field}");
    }
}

#[tokio::test]
async fn container_list() {
    let world = World::start().await;
    world
        .running("web", json!({ "HostConfig": { "Binds": ["data:/data"] } }))
        .await;
    let ours = world.get("/v1.51/containers/json?size=1").await.json()[0].clone();
    let theirs = recorded(include_str!("../data/engine/list.json"));
    let theirs = theirs
        .as_array()
        .expect("a list")
        .iter()
        .find(|line| line["State"] == "running")
        .expect("running");
    assert_same_keys(&ours, theirs, &["SizeRw"], "list");
    for part in ["HostConfig", "NetworkSettings"] {
        assert_same_keys(&ours[part], &theirs[part], &[], part);
    }
}

#[tokio::test]
async fn images_volumes_networks() {
    let world = World::start().await;
    world.post("/volumes/create", Some(json!({ "Name": "data" }))).await;
    for (path, text, optional) in [
        (
            format!("/v1.51/images/{IMAGE}/json"),
            include_str!("../data/engine/image.json"),
            &[][..],
        ),
        (
            "/v1.51/volumes/data".to_owned(),
            include_str!("../data/engine/volume.json"),
            &[],
        ),
        (
            "/v1.51/networks/bridge".to_owned(),
            include_str!("../data/engine/network.json"),
            &[],
        ),
        (
            "/v1.51/version".to_owned(),
            include_str!("../data/engine/version.json"),
            &[],
        ),
        (
            "/v1.51/info".to_owned(),
            include_str!("../data/engine/info.json"),
            &["Containerd", "KernelMemoryTCP"],
        ),
        (
            "/v1.51/system/df".to_owned(),
            include_str!("../data/engine/df.json"),
            &[],
        ),
    ] {
        assert_same_keys(&world.get(&path).await.json(), &recorded(text), optional, &path);
    }
    let ours = world.get("/v1.51/images/json").await.json()[0].clone();
    assert_same_keys(
        &ours,
        &recorded(include_str!("../data/engine/images.json"))[0],
        &[],
        "images",
    );
    let ours = world.get(&format!("/v1.51/images/{IMAGE}/history")).await.json()[0].clone();
    assert_same_keys(
        &ours,
        &recorded(include_str!("../data/engine/history.json"))[0],
        &[],
        "history",
    );
}

#[tokio::test]
async fn statistics() {
    let world = World::start().await;
    let id = world.running("web", json!({})).await;
    let ours = world
        .get(&format!("/v1.51/containers/{id}/stats?stream=0&one-shot=1"))
        .await
        .json();
    let theirs = recorded(include_str!("../data/engine/stats.json"));
    assert_same_keys(&ours, &theirs, &["networks"], "stats");
    for part in ["cpu_stats", "blkio_stats", "pids_stats"] {
        assert_same_keys(&ours[part], &theirs[part], &[], part);
    }
    assert_same_keys(
        &ours["memory_stats"],
        &theirs["memory_stats"],
        &["max_usage", "stats", "failcnt"],
        "memory_stats",
    );
}
