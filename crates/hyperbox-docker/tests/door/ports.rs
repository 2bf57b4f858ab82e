// SPDX-License-Identifier: MIT
//! Published and exposed ports in inspections, lists and filters, as Docker Engine 28.5.2 shows them.

use serde_json::{Value, json};

use crate::endpoints::{encoded, settings};
use crate::world::{IMAGE, World};

fn binding(address: &str, port: &str) -> Value {
    json!({ "HostIp": address, "HostPort": port })
}

async fn world_with_ports() -> World {
    let world = World::start().await;
    let bindings = json!({
        "80/tcp": [{ "HostPort": "18081" }, { "HostIp": "127.0.0.1", "HostPort": "18080" }],
        "81/tcp": [{ "HostPort": "" }],
    });
    let exposed = json!({ "80/tcp": {}, "81/tcp": {}, "53/udp": {} });
    let body = json!({ "ExposedPorts": exposed, "HostConfig": { "PortBindings": bindings } });
    world.running("web", body).await;
    world
}

#[tokio::test]
async fn ports_are_shown_while_the_container_runs() {
    let world = world_with_ports().await;
    let inspection = world.get("/containers/web/json").await.json();
    let ports = json!({
        "53/udp": null,
        "80/tcp": [binding("127.0.0.1", "18080"), binding("0.0.0.0", "18081"), binding("::", "18081")],
        "81/tcp": [binding("0.0.0.0", "32768"), binding("::", "32768")],
    });
    assert_eq!(inspection["NetworkSettings"]["Ports"], ports);
    let echoed = json!({
        "80/tcp": [binding("", "18081"), binding("127.0.0.1", "18080")], "81/tcp": [binding("", "")],
    });
    assert_eq!(inspection["HostConfig"]["PortBindings"], echoed);
    let public = |address: &str, private: u16, port: u16| json!({ "IP": address, "PrivatePort": private, "PublicPort": port, "Type": "tcp" });
    let listed = world.get("/containers/json").await.json()[0]["Ports"].clone();
    let expected = json!([
        { "PrivatePort": 53, "Type": "udp" },
        public("127.0.0.1", 80, 18080), public("0.0.0.0", 80, 18081), public("::", 80, 18081),
        public("0.0.0.0", 81, 32768), public("::", 81, 32768),
    ]);
    assert_eq!(listed, expected);
    world.post("/containers/web/stop?t=0", None).await;
    assert_eq!(settings(&world, "web").await["Ports"], json!({}));
    let listed = world.get("/containers/json?all=1").await.json()[0]["Ports"].clone();
    assert_eq!(listed, json!([]));
}

#[tokio::test]
async fn lists_are_filtered_by_ports_and_networks() {
    let world = world_with_ports().await;
    for (filter, found) in [
        (json!({ "publish": ["18080"] }), 1),
        (json!({ "publish": ["18000-18100/tcp"] }), 1),
        (json!({ "publish": ["80"] }), 0),
        (json!({ "publish": ["18080/udp"] }), 0),
        (json!({ "expose": ["53/udp"] }), 1),
        (json!({ "expose": ["53"] }), 0),
        (json!({ "expose": ["80/icmp"] }), 0),
        (json!({ "expose": ["53"], "publish": ["18080"] }), 1),
        (json!({ "network": ["bridge"] }), 1),
        (json!({ "network": ["host"] }), 0),
    ] {
        let request = format!("/containers/json?filters={}", encoded(&filter));
        let list = world.get(&request).await.json();
        assert_eq!(list.as_array().map(Vec::len), Some(found), "{filter}");
    }
    let request = format!("/containers/json?filters={}", encoded(&json!({ "publish": ["x"] })));
    let message = "error while looking up for publish x: strconv.ParseUint: parsing \"x\": invalid syntax";
    assert_eq!(world.get(&request).await.failure(), (400, message.to_owned()));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_of_the_start() {
    let world = world_with_ports().await;
    let bindings = json!({ "80/tcp": [{ "HostPort": "18081" }] });
    world
        .create("late", json!({ "HostConfig": { "PortBindings": bindings } }))
        .await;
    let (status, message) = world.post("/containers/late/start", None).await.failure();
    assert!(status >= 400, "{status}");
    let expected =
        "failed to set up container networking: driver failed programming external connectivity on endpoint late";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(settings(&world, "late").await["Ports"], json!({}));
}

#[tokio::test]
async fn all_ports_and_ports_of_the_host() {
    let world = World::start().await;
    let all = json!({ "ExposedPorts": { "90": {} }, "HostConfig": { "PublishAllPorts": true } });
    world.running("all", all).await;
    let ports = settings(&world, "all").await["Ports"].clone();
    assert_eq!(ports["90/tcp"].as_array().map(Vec::len), Some(2));
    let bindings = json!({ "80/tcp": [{ "HostPort": "8080" }] });
    let host = json!({ "NetworkMode": "host", "PortBindings": bindings });
    let body = json!({ "Image": IMAGE, "ExposedPorts": { "80/tcp": {} }, "HostConfig": host });
    let created = world.post("/containers/create?name=hosts", Some(body)).await.json();
    let warning = "Published ports are discarded when using host network mode";
    assert_eq!(created["Warnings"], json!([warning]));
    world.post("/containers/hosts/start", None).await;
    let settings = settings(&world, "hosts").await;
    assert_eq!(settings["Ports"], json!({}));
    assert_eq!(settings["Networks"]["host"]["IPAddress"], "");
    assert_eq!(
        settings["Networks"]["host"]["NetworkID"].as_str().map(str::len),
        Some(64)
    );
}
