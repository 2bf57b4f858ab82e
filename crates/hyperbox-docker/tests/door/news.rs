// SPDX-License-Identifier: MIT
//! Events around a run, in Docker's order and with its attributes.

use hyperbox_core::time::Timestamp;
use serde_json::{Value, json};

use crate::world::World;

/// Returns all events so far.
async fn events(world: &World) -> Vec<Value> {
    let now = Timestamp::now().0;
    let until = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
    world.get(&format!("/v1.51/events?since=1&until={until}")).await.lines()
}

/// Returns `type action` of each, without those of images and networks.
fn actions(events: &[Value]) -> Vec<String> {
    let kinds = events
        .iter()
        .filter(|event| event["Type"] == "container" || event["Type"] == "volume");
    kinds
        .map(|event| {
            let (kind, action) = (&event["Type"], &event["Action"]);
            format!("{} {}", kind.as_str().expect("text"), action.as_str().expect("text"))
        })
        .collect()
}

#[tokio::test]
async fn volumes_are_mounted_and_unmounted() {
    let world = World::start().await;
    let id = world
        .running("web", json!({ "HostConfig": { "Binds": ["data:/data:ro"] } }))
        .await;
    world.post("/containers/web/kill", None).await;
    let events = events(&world).await;
    assert_eq!(
        actions(&events),
        [
            "volume create",
            "container create",
            "volume mount",
            "container start",
            "container kill",
            "volume unmount",
            "container die",
        ]
    );
    let attributes = |action: &str| {
        let event = events.iter().find(|event| event["Action"] == action).expect(action);
        assert_eq!(event["Actor"]["ID"], "data");
        event["Actor"]["Attributes"].clone()
    };
    assert_eq!(
        attributes("mount"),
        json!({ "container": id, "destination": "/data", "driver": "local", "propagation": "", "read/write": "false" })
    );
    assert_eq!(attributes("unmount"), json!({ "container": id, "driver": "local" }));
}

#[tokio::test]
async fn a_start_that_fails_lets_volumes_go() {
    let world = World::start().await;
    world
        .create("web", json!({ "HostConfig": { "Binds": ["data:/data"] } }))
        .await;
    world.fail_next_command();
    assert_eq!(world.post("/containers/web/start", None).await.status, 400);
    assert_eq!(
        actions(&events(&world).await),
        ["volume create", "container create", "volume mount", "volume unmount"]
    );
}

#[tokio::test]
async fn out_of_memory() {
    let world = World::start().await;
    world.running("web", json!({})).await;
    world.task("web").await.exit_out_of_memory();
    world.post("/containers/web/wait", None).await;
    let actions = actions(&events(&world).await);
    let end: Vec<&str> = actions.iter().map(String::as_str).skip(2).collect();
    assert_eq!(end, ["container oom", "container die"]);
    let state = world.get("/containers/web/json").await.json()["State"].clone();
    assert_eq!((&state["OOMKilled"], &state["ExitCode"]), (&json!(true), &json!(137)));
}
