// SPDX-License-Identifier: MIT
//! What is done to projects.

use http_body_util::BodyExt;
use hyperbox_core::container::RemoveOptions;
use hyperbox_testkit::wait_for_async;
use serde_json::{Value, json};

use crate::world::{IMAGE, World, done, model};

#[tokio::test]
async fn up_makes_starts_and_then_does_nothing() {
    let world = World::start().await;
    let services = json!({ "web": { "depends_on": { "db": { "condition": "service_started" } } }, "db": {} });
    world.put("shop", model("shop", services)).await;
    let plan = world.one("POST", "/shop/plan", Value::Null).await;
    let text = plan["text"].as_str().unwrap();
    assert!(text.starts_with("1 create network shop_default (missing)\n"), "{text}");
    assert_eq!(plan["operations"][1]["service"], "db");
    assert_eq!(world.names(), Vec::<String>::new(), "a plan changes nothing");
    let did = world.run("/shop/up", json!({})).await;
    let at = |text: &str| did.iter().position(|known| known == text).unwrap();
    assert!(at("start shop-db-1") < at("start shop-web-1"), "{did:?}");
    assert_eq!(world.run("/shop/up", json!({})).await, Vec::<String>::new());
    let labels = world.engine.containers.get("shop-web-1").unwrap().spec.labels.clone();
    for (name, value) in [
        ("project", "shop"),
        ("service", "web"),
        ("container-number", "1"),
        ("oneoff", "False"),
        ("project.working_dir", "/shop"),
        ("project.config_files", "/shop/compose.yaml"),
        ("depends_on", "db:service_started:false"),
    ] {
        assert_eq!(labels[&format!("com.docker.compose.{name}")], value, "{name}");
    }
}

#[tokio::test]
async fn images_are_pulled_when_they_are_missing() {
    let world = World::start().await;
    let name = "localhost:5000/other:1";
    world.fakes.publish(name, &json!({ "Cmd": ["serve"] }));
    world
        .put("shop", model("shop", json!({ "web": { "image": name } })))
        .await;
    let plan = world.one("POST", "/shop/plan", Value::Null).await;
    assert_eq!(plan["missing_images"], json!([name]));
    let (_, events) = world.ask("POST", "/shop/up", json!({})).await;
    assert_eq!(events[0]["event"], "pull", "{events:?}");
    assert_eq!(events.last().unwrap()["event"], "done", "{events:?}");
    // What is built is the client's part, and what does not exist is said.
    let services = json!({ "built": { "image": "made:1", "build": { "context": "/shop" } }, "gone": { "image": "localhost:5000/no:1" } });
    world.put("shop", model("shop", services)).await;
    let plan = world.one("POST", "/shop/plan", Value::Null).await;
    assert_eq!(plan["builds"], json!(["built"]));
    let (_, events) = world.ask("POST", "/shop/up", json!({ "services": ["built"] })).await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["kind"]),
        (&json!("failed"), &json!("failed-precondition"))
    );
    let (_, events) = world.ask("POST", "/shop/up", json!({ "services": ["gone"] })).await;
    assert_eq!(events.last().unwrap()["event"], "failed", "{events:?}");
    assert_eq!(world.names(), ["shop-web-1"]);
}

#[tokio::test]
async fn a_change_replaces_and_keeps_anonymous_volumes() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    world.run("/shop/up", json!({})).await;
    let volume = |world: &World| {
        let volumes = world.engine.volumes.list();
        assert_eq!(volumes.len(), 1, "{volumes:?}");
        volumes[0].name.to_string()
    };
    let (before, id) = (
        volume(&world),
        world.engine.containers.get("shop-web-1").unwrap().id.clone(),
    );
    world
        .put("shop", model("shop", json!({ "web": { "working_dir": "/elsewhere" } })))
        .await;
    assert_eq!(
        world.run("/shop/up", json!({})).await,
        ["recreate shop-web-1", "start shop-web-1"]
    );
    assert_eq!(world.names(), ["shop-web-1"]);
    assert_ne!(world.engine.containers.get("shop-web-1").unwrap().id, id);
    assert_eq!(volume(&world), before);
    // Also when its network, and so the container, has to go first.
    let mut other = model("shop", json!({ "web": { "working_dir": "/elsewhere" } }));
    other["networks"]["default"]["internal"] = json!(true);
    world.put("shop", other).await;
    let did = world.run("/shop/up", json!({})).await;
    assert!(did.contains(&"remove network shop_default".to_owned()), "{did:?}");
    assert_eq!(world.names(), ["shop-web-1"]);
    assert_eq!(volume(&world), before);
    // It goes with the project's volumes although it was taken over.
    world.run("/shop/down", json!({ "volumes": true })).await;
    assert!(world.engine.volumes.list().is_empty());
}

#[tokio::test]
async fn an_interrupted_replacement_is_finished() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    world.run("/shop/up", json!({})).await;
    let record = world.engine.containers.get("shop-web-1").unwrap();
    let preliminary = format!("{}_shop-web-1", &record.id.as_str()[..12]);
    let preliminary = hyperbox_types::ContainerName::parse(&preliminary).unwrap();
    world.engine.containers.rename("shop-web-1", preliminary).await.unwrap();
    assert_eq!(world.run("/shop/up", json!({})).await, Vec::<String>::new());
    assert_eq!(world.names(), ["shop-web-1"]);
    assert_eq!(world.engine.containers.get("shop-web-1").unwrap().id, record.id);
}

#[tokio::test]
async fn services_are_scaled_stopped_started_and_brought_down() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {}, "db": {} }))).await;
    world.run("/shop/up", json!({ "scale": { "web": 3 } })).await;
    assert_eq!(world.names(), ["shop-db-1", "shop-web-1", "shop-web-2", "shop-web-3"]);
    let mut did = world.run("/shop/up", json!({ "scale": { "web": 1 } })).await;
    did.sort();
    assert_eq!(
        did,
        [
            "remove shop-web-2",
            "remove shop-web-3",
            "stop shop-web-2",
            "stop shop-web-3"
        ]
    );
    assert_eq!(
        world.run("/shop/pause", json!({ "services": ["db"] })).await,
        ["pause shop-db-1"]
    );
    let status = world.one("GET", "/shop", Value::Null).await;
    assert_eq!(status["services"][0]["containers"][0]["state"], "paused");
    assert_eq!(world.run("/shop/unpause", json!({})).await.len(), 2);
    assert_eq!(
        world.run("/shop/stop", json!({ "services": ["web"] })).await,
        ["stop shop-web-1"]
    );
    let summary = world.one("GET", "", Value::Null).await;
    assert_eq!(summary[0]["state"], "partial");
    assert_eq!(
        world.run("/shop/start", json!({ "wait": true })).await,
        ["start shop-web-1"]
    );
    let restarted = world.run("/shop/restart", json!({ "services": ["db"] })).await;
    assert_eq!(restarted, ["restart shop-db-1"]);
    let killed = world
        .run("/shop/kill", json!({ "services": ["db"], "signal": "KILL" }))
        .await;
    assert_eq!(killed, ["send KILL to shop-db-1"]);
    world.run("/shop/down", json!({ "services": ["db"] })).await;
    assert_eq!(world.names(), ["shop-web-1"]);
    world.run("/shop/down", json!({})).await;
    assert_eq!(world.names(), Vec::<String>::new());
    assert!(world.engine.networks.get("shop_default").is_err());
    assert_eq!(world.one("GET", "", Value::Null).await[0]["opened"], true);
}

#[tokio::test]
async fn services_that_there_are_not_are_refused_at_once() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    for path in ["/shop/up", "/shop/down", "/shop/stop", "/shop/plan"] {
        let (status, refusal) = world.ask("POST", path, json!({ "services": ["no"] })).await;
        assert_eq!(
            (status, &refusal[0]["message"]),
            (400, &json!("no such service: no")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_port_that_another_project_has_is_named() {
    let world = World::start().await;
    let services =
        || json!({ "web": { "ports": [{ "target": 80, "published": "8080", "protocol": "tcp", "mode": "ingress" }] } });
    for name in ["first", "second"] {
        world.put(name, model(name, services())).await;
    }
    world.run("/first/up", json!({})).await;
    let (_, events) = world.ask("POST", "/second/up", json!({})).await;
    let last = events.last().unwrap();
    assert_eq!(
        (&last["event"], &last["kind"]),
        (&json!("failed"), &json!("conflict")),
        "{last}"
    );
    assert!(last["message"].as_str().unwrap().contains("first"), "{last}");
    assert_eq!(world.names(), ["first-web-1"], "nothing was made");
    let (_, events) = world.ask("POST", "/second/up", json!({ "remap": true })).await;
    assert_eq!(events.last().unwrap()["event"], "done", "{events:?}");
    let status = world.one("GET", "/second", Value::Null).await;
    let port = status["services"][0]["containers"][0]["ports"][0]["host_port"]
        .as_u64()
        .unwrap();
    assert!((11000..12000).contains(&port), "{port}");
}

/// What `docker compose` made has no record here.
#[tokio::test]
async fn projects_of_others_are_seen_and_brought_down() {
    let world = World::start().await;
    world
        .put(
            "shop",
            model("shop", json!({ "web": { "depends_on": { "db": {} } }, "db": {} })),
        )
        .await;
    world.run("/shop/up", json!({})).await;
    let (_, events) = world.ask("POST", "/shop/stop", Value::Null).await;
    assert_eq!(done(&events), ["stop shop-web-1", "stop shop-db-1"]);
    // The record goes, the containers stay.
    let rows = hyperbox_core::seam::Records::load(&world.fakes.records, hyperbox_core::seam::Table::Projects).unwrap();
    let removal = hyperbox_core::seam::Change::Remove {
        table: hyperbox_core::seam::Table::Projects,
        key: rows[0].0.clone(),
    };
    hyperbox_core::seam::Records::apply(&world.fakes.records, &[removal]).unwrap();
    let world = world.restart().await;
    let list = world.one("GET", "", Value::Null).await;
    assert_eq!(
        (&list[0]["opened"], &list[0]["directory"]),
        (&json!(false), &json!("/shop"))
    );
    assert_eq!(
        world.run("/shop/start", Value::Null).await,
        ["start shop-db-1", "start shop-web-1"]
    );
    let (status, _) = world.ask("POST", "/shop/up", Value::Null).await;
    assert_eq!(status, 404);
    world.run("/shop/down", json!({})).await;
    assert_eq!(world.names(), Vec::<String>::new());
    assert_eq!(world.one("GET", "", Value::Null).await, json!([]));
}

#[tokio::test]
async fn a_client_that_goes_cancels_its_run() {
    let world = World::start().await;
    let check = json!({ "test": ["CMD", "check"], "interval": "1h", "retries": 1000 });
    let services = json!({
        "db": { "healthcheck": check },
        "web": { "depends_on": { "db": { "condition": "service_healthy" } } },
    });
    world.put("shop", model("shop", services)).await;
    let mut answer = world.open("POST", "/shop/up", &json!({})).await;
    let mut seen = String::new();
    while !seen.contains("\"progress\"") {
        let frame = answer.body_mut().frame().await.unwrap().unwrap();
        seen.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert_eq!(world.one("GET", "/shop", Value::Null).await["busy"], true);
    drop(answer);
    wait_for_async("the run to end", || async {
        let busy = world.one("GET", "/shop", Value::Null).await["busy"].clone();
        if busy == false { Ok(()) } else { Err(busy.to_string()) }
    })
    .await;
    let web = world.engine.containers.get("shop-web-1").unwrap();
    assert_eq!(web.state.phase, hyperbox_core::container::Phase::Created);
    // The next run is not in its way.
    world.run("/shop/down", json!({ "timeout": 0 })).await;
}

/// The command never ends, and nobody would see it.
#[tokio::test]
async fn a_hook_ends_with_the_run_that_waits_for_it() {
    let world = World::start().await;
    let services = json!({ "web": { "post_start": [{ "command": ["hang"] }] } });
    world.put("shop", model("shop", services)).await;
    let answer = world.open("POST", "/shop/up", &json!({})).await;
    let hooks = || {
        let record = world.engine.containers.get("shop-web-1");
        record.map_or_else(|_| Vec::new(), |record| world.engine.execs.of_container(&record.id))
    };
    wait_for_async("the hook", || async {
        let tasks = world.fakes.tasks.clone();
        let record = world
            .engine
            .containers
            .get("shop-web-1")
            .map_err(|error| error.to_string())?;
        let execs = tasks.task(&record.id).map(|task| task.execs());
        match execs.is_some_and(|execs| !execs.is_empty()) {
            true => Ok(()),
            false => Err("not started".to_owned()),
        }
    })
    .await;
    drop(answer);
    wait_for_async("the run to end", || async {
        let busy = world.one("GET", "/shop", Value::Null).await["busy"].clone();
        if busy == false { Ok(()) } else { Err(busy.to_string()) }
    })
    .await;
    assert_eq!(hooks(), Vec::new(), "it was killed");
    world.run("/shop/down", json!({ "timeout": 0 })).await;
}

/// A container that stays keeps its port: the next one of its service is refused before anything is made.
#[tokio::test]
async fn a_port_that_the_project_has_itself_is_named() {
    let world = World::start().await;
    let services = json!({
        "web": { "ports": [{ "target": 80, "published": "8080", "protocol": "tcp", "mode": "ingress" }] },
        "host": { "network_mode": "host", "ports": [{ "target": 80, "published": "8080", "protocol": "tcp" }] },
    });
    let mut document = model("shop", services);
    document["services"]["host"].as_object_mut().unwrap().remove("networks");
    world.put("shop", document).await;
    world.run("/shop/up", json!({})).await;
    let (_, events) = world.ask("POST", "/shop/up", json!({ "scale": { "web": 2 } })).await;
    let last = events.last().unwrap();
    assert_eq!(last["kind"], "conflict", "{last}");
    assert!(
        last["message"].as_str().unwrap().contains("container shop-web-1"),
        "{last}"
    );
    assert_eq!(world.names(), ["shop-host-1", "shop-web-1"]);
    world
        .run("/shop/up", json!({ "scale": { "web": 2 }, "remap": true }))
        .await;
    // What is replaced gives its port to its successor.
    let did = world
        .run("/shop/up", json!({ "recreate": "always", "services": ["web"] }))
        .await;
    assert_eq!(
        did.iter().filter(|text| text.starts_with("recreate")).count(),
        1,
        "{did:?}"
    );
}

#[tokio::test]
async fn counts_that_cannot_be_are_refused() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    let (status, _) = world
        .ask("POST", "/shop/plan", json!({ "scale": { "web": u32::MAX } }))
        .await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn an_image_that_is_another_one_renews_its_containers() {
    let world = World::start().await;
    world
        .put(
            "shop",
            model("shop", json!({ "web": {}, "db": { "image": "localhost:5000/other" } })),
        )
        .await;
    let first = world.fakes.publish("localhost:5000/other", &json!({ "Cmd": ["one"] }));
    world.run("/shop/up", json!({})).await;
    world.fakes.publish(&first.to_string(), &json!({ "Cmd": ["two"] }));
    let did = world
        .run("/shop/up", json!({ "pull": "always", "services": ["db"] }))
        .await;
    assert_eq!(did, ["recreate shop-db-1", "start shop-db-1"]);
    // Somebody removed a container by hand.
    let options = RemoveOptions {
        force: true,
        volumes: true,
    };
    world.engine.containers.remove("shop-web-1", options).await.unwrap();
    assert_eq!(
        world.run("/shop/up", json!({})).await,
        ["create shop-web-1", "start shop-web-1"]
    );
    assert!(world.engine.images.get(IMAGE).is_ok());
}
