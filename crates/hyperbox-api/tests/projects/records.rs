// SPDX-License-Identifier: MIT
//! Opening, listing, telling, removing.

use serde_json::{Value, json};

use crate::world::{World, model, specification};

#[tokio::test]
async fn a_project_is_opened_listed_and_told_of() {
    let world = World::start().await;
    assert_eq!(world.one("GET", "", Value::Null).await, json!([]));
    let services = json!({ "web": { "ports": [{ "target": 80, "protocol": "tcp", "mode": "ingress" }] }, "db": {} });
    let summary = world.put("shop", model("shop", services)).await;
    assert_eq!(summary["state"], "empty");
    assert_eq!(summary["directory"], "/shop");
    assert_eq!(summary["ports"], json!({ "first": 10000, "last": 10999 }));
    world.run("/shop/up", json!({})).await;
    let list = world.one("GET", "", Value::Null).await;
    assert_eq!(list[0]["name"], "shop");
    assert_eq!((&list[0]["running"], &list[0]["state"]), (&json!(2), &json!("running")));
    let status = world.one("GET", "/shop", Value::Null).await;
    assert_eq!(status["services"][1]["name"], "web");
    assert_eq!(status["services"][1]["wanted"], 1);
    let container = &status["services"][1]["containers"][0];
    assert_eq!(
        (&container["name"], &container["state"]),
        (&json!("shop-web-1"), &json!("running"))
    );
    let port = &container["ports"][0];
    let host_port = port["host_port"].as_u64().unwrap();
    assert!((10000..11000).contains(&host_port), "{port}");
    assert_eq!(port["url"], format!("http://localhost:{host_port}"));
    assert_eq!(status["networks"][0]["key"], "default");
    assert_eq!(status["cgroup"], "/hyperbox/shop");
    assert_eq!(status["busy"], false);
}

#[tokio::test]
async fn opening_again_changes_only_what_changed() {
    let world = World::start().await;
    let first = world.put("shop", model("shop", json!({ "web": {} }))).await;
    let same = world.put("shop", model("shop", json!({ "web": {} }))).await;
    assert_eq!(same, first);
    let other = world.put("shop", model("shop", json!({ "web": {}, "db": {} }))).await;
    assert_eq!(other["created"], first["created"]);
    assert_eq!(other["ports"], first["ports"]);
    assert_ne!(other["changed"], first["changed"]);
}

#[tokio::test]
async fn up_opens_first_when_it_says_what_the_project_is() {
    let world = World::start().await;
    let wish = |name: &str, services: Value| json!({ "project": specification(name, model(name, services)) });
    let (status, _) = world.ask("POST", "/shop/up", json!({})).await;
    assert_eq!(status, 404);
    world.run("/shop/up", wish("shop", json!({ "web": {} }))).await;
    assert_eq!(world.names(), ["shop-web-1"]);
    assert_eq!(
        world.run("/shop/up", wish("shop", json!({ "web": {} }))).await,
        Vec::<String>::new()
    );
    let mut elsewhere = wish("shop", json!({ "web": {}, "db": {} }));
    elsewhere["project"]["directory"] = json!("/elsewhere");
    let (status, _) = world.ask("POST", "/shop/up", elsewhere).await;
    assert_eq!(status, 409);
    let (status, _) = world.ask("POST", "/other/up", wish("shop", json!({ "web": {} }))).await;
    assert_eq!(status, 400, "a specification of another name");
    let (status, _) = world
        .ask("POST", "/shop/plan", wish("shop", json!({ "web": {} })))
        .await;
    assert_eq!(status, 400, "a plan changes nothing");
    assert_eq!(world.names(), ["shop-web-1"]);
}

#[tokio::test]
async fn a_name_belongs_to_one_folder() {
    let world = World::start().await;
    world.put("shop", model("shop", json!({ "web": {} }))).await;
    let mut elsewhere = specification("shop", model("shop", json!({ "web": {} })));
    elsewhere["directory"] = json!("/elsewhere");
    let (status, refusal) = world.ask("PUT", "/shop", elsewhere.clone()).await;
    assert_eq!(status, 409);
    assert_eq!(
        refusal[0]["message"],
        "the name \"shop\" belongs to the project in /shop"
    );
    assert!(refusal[0]["hint"].as_str().unwrap().contains("-p NAME"), "{refusal:?}");
    // The client has seen that the folder is gone.
    let moved = world.one("PUT", "/shop?moved=1", elsewhere).await;
    assert_eq!(moved["directory"], "/elsewhere");
}

#[tokio::test]
async fn what_is_no_project_is_refused() {
    let world = World::start().await;
    let good = || specification("shop", model("shop", json!({ "web": {} })));
    let with = |key: &str, value: Value| {
        let mut body = good();
        body[key] = value;
        body
    };
    for (path, body, status, message) in [
        ("/Shop", good(), 400, "invalid project name \"Shop\""),
        ("/other", good(), 400, "the body names project \"shop\""),
        ("/shop", with("directory", json!("")), 400, "directory is missing"),
        (
            "/shop",
            with("model", json!({ "name": "shop", "services": 1 })),
            400,
            "invalid model: ",
        ),
        (
            "/shop",
            with("model", json!({ "name": "other" })),
            400,
            "the model is that of project \"other\"",
        ),
        ("/shop", with("unknown", json!(1)), 400, "invalid JSON: unknown field"),
        ("/shop", json!("text"), 400, "invalid JSON: "),
    ] {
        let (found, refusal) = world.ask("PUT", path, body).await;
        let text = refusal[0]["message"].as_str().unwrap();
        assert_eq!(found, status, "{text}");
        assert!(text.contains(message), "{text}");
    }
    assert_eq!(world.one("GET", "", Value::Null).await, json!([]));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::start().await;
    for (method, path) in [
        ("GET", "/shop"),
        ("DELETE", "/shop"),
        ("POST", "/shop/plan"),
        ("POST", "/shop/up"),
        ("POST", "/shop/down"),
        ("POST", "/shop/stop"),
    ] {
        let (status, refusal) = world.ask(method, path, Value::Null).await;
        assert_eq!(status, 404, "{method} {path}");
        assert_eq!(refusal[0]["message"], "no such project: shop", "{method} {path}");
    }
    for (method, path) in [
        ("POST", "/shop/nothing"),
        ("PATCH", "/shop"),
        ("GET", "/shop/up"),
        ("PUT", "/a/b/c"),
    ] {
        let (status, refusal) = world.ask(method, path, Value::Null).await;
        assert_eq!(
            (status, &refusal[0]["message"]),
            (404, &json!("page not found")),
            "{method} {path}"
        );
    }
    // Beside the path, not below it.
    let (status, _) = world.ask("GET", "x", Value::Null).await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn records_outlive_the_daemon() {
    let world = World::start().await;
    let before = world.put("shop", model("shop", json!({ "web": {} }))).await;
    world.put("other", model("other", json!({ "web": {} }))).await;
    let world = world.restart().await;
    let list = world.one("GET", "", Value::Null).await;
    assert_eq!((&list[0]["name"], &list[1]["name"]), (&json!("other"), &json!("shop")));
    assert_eq!(list[1], before);
    assert_eq!(
        world.run("/shop/up", json!({})).await,
        ["create network shop_default", "create shop-web-1", "start shop-web-1"]
    );
}

#[tokio::test]
async fn removal_gives_everything_back() {
    let world = World::start().await;
    let first = world.put("shop", model("shop", json!({ "web": {} }))).await;
    world.run("/shop/up", json!({})).await;
    assert!(world.groups.limits().contains_key("/hyperbox/shop"));
    let (status, events) = world.ask("DELETE", "/shop?volumes=1", Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(events.last().unwrap()["event"], "done");
    assert_eq!(world.names(), Vec::<String>::new());
    assert!(world.engine.networks.get("shop_default").is_err());
    assert!(world.engine.volumes.list().is_empty());
    assert_eq!(world.one("GET", "", Value::Null).await, json!([]));
    assert!(world.groups.limits().is_empty());
    let next = world.put("next", model("next", json!({ "web": {} }))).await;
    assert_eq!(next["ports"], first["ports"]);
    // Nothing comes back with the next daemon.
    let world = world.restart().await;
    assert_eq!(world.one("GET", "", Value::Null).await[0]["name"], "next");
}
