// SPDX-License-Identifier: MIT
//! Containers in networks: what they wish, have and show. Statuses, texts and shapes are those of Docker Engine 28.5.2.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::client::Response;
use crate::world::{IMAGE, World};

/// Makes a network and returns its id.
pub(crate) async fn make(world: &World, body: Value) -> String {
    let created = world.post("/v1.51/networks/create", Some(body)).await;
    assert_eq!(created.status, StatusCode::CREATED, "{:?}", created.body);
    assert_eq!(created.json()["Warning"], "");
    created.json()["Id"].as_str().expect("an id").to_owned()
}

/// Makes a network of both families with subnets of the user's.
async fn make_dual(world: &World, name: &str) -> String {
    let config = json!([{ "Subnet": "10.62.0.0/24" }, { "Subnet": "fd97::/64" }]);
    let body = json!({ "Name": name, "EnableIPv6": true, "IPAM": { "Config": config } });
    make(world, body).await
}

/// Connects a container.
pub(crate) async fn join(world: &World, network: &str, container: &str, endpoint: Value) -> Response {
    let body = json!({ "Container": container, "EndpointConfig": endpoint });
    world.post(&format!("/networks/{network}/connect"), Some(body)).await
}

/// Disconnects a container.
pub(crate) async fn leave(world: &World, network: &str, container: &str, force: bool) -> Response {
    let body = json!({ "Container": container, "Force": force });
    world.post(&format!("/networks/{network}/disconnect"), Some(body)).await
}

/// Returns the inspected `NetworkSettings` of a container.
pub(crate) async fn settings(world: &World, container: &str) -> Value {
    let inspection = world.get(&format!("/containers/{container}/json")).await.json();
    inspection["NetworkSettings"].clone()
}

/// Writes filters as a query has them.
pub(crate) fn encoded(filters: &Value) -> String {
    filters.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn networks(settings: &Value) -> Vec<&str> {
    let networks = settings["Networks"].as_object().expect("networks");
    networks.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn an_endpoint_from_creation_to_end() {
    let world = World::start().await;
    let network = make_dual(&world, "front").await;
    let endpoint = json!({
        "IPAMConfig": { "IPv4Address": "10.62.0.9" }, "Aliases": ["al"], "MacAddress": "02-42-0A-00-00-07",
        "DriverOpts": { "x": "y" }, "GwPriority": 3, "Links": ["db:d"],
    });
    let body = json!({
        "HostConfig": { "NetworkMode": "front" }, "NetworkingConfig": { "EndpointsConfig": { "front": endpoint } },
    });
    let id = world.create("web", body).await;
    let mut expected = json!({
        "IPAMConfig": { "IPv4Address": "10.62.0.9" }, "Links": ["db:d"], "Aliases": ["al"],
        "MacAddress": "02:42:0a:00:00:07", "DriverOpts": { "x": "y" }, "GwPriority": 3, "NetworkID": "", "EndpointID": "",
        "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0, "DNSNames": null,
    });
    let created = settings(&world, "web").await;
    assert_eq!((&created["Ports"], &created["SandboxKey"]), (&json!({}), &json!("")));
    assert_eq!(created["Networks"], json!({ "front": expected }));
    world.post("/containers/web/start", None).await;
    let running = settings(&world, "web").await;
    let endpoint_id = running["Networks"]["front"]["EndpointID"].clone();
    assert_eq!(endpoint_id.as_str().map(str::len), Some(64));
    let names = json!(["web", "al", &id[..12]]);
    for (field, value) in [
        ("NetworkID", json!(network)),
        ("EndpointID", endpoint_id.clone()),
        ("Gateway", json!("10.62.0.1")),
        ("IPAddress", json!("10.62.0.9")),
        ("IPPrefixLen", json!(24)),
        ("IPv6Gateway", json!("fd97::1")),
        ("GlobalIPv6Address", json!("fd97::2")),
        ("GlobalIPv6PrefixLen", json!(64)),
        ("DNSNames", names.clone()),
    ] {
        expected[field] = value;
    }
    assert_eq!(running["Networks"]["front"], expected);
    // The old fields are of the default bridge only.
    assert_eq!(
        (&running["IPAddress"], &running["MacAddress"]),
        (&json!(""), &json!(""))
    );
    let members = world.get("/networks/front").await.json()["Containers"].clone();
    let member = json!({
        "Name": "web", "EndpointID": endpoint_id, "MacAddress": "02:42:0a:00:00:07",
        "IPv4Address": "10.62.0.9/24", "IPv6Address": "fd97::2/64",
    });
    assert_eq!(members, json!({ id: member }));
    let listed = world.get("/containers/json").await.json()[0]["NetworkSettings"]["Networks"]["front"].clone();
    for field in ["Links", "Aliases", "DriverOpts", "DNSNames"] {
        assert_eq!(listed[field], Value::Null, "{field}");
    }
    assert_eq!(
        (&listed["IPAddress"], &listed["GwPriority"]),
        (&json!("10.62.0.9"), &json!(3))
    );
    let config = world.get("/containers/web/json").await.json()["Config"].clone();
    assert_eq!(config["MacAddress"], "02:42:0a:00:00:07");
    world.post("/containers/web/stop?t=0", None).await;
    let stopped = settings(&world, "web").await["Networks"]["front"].clone();
    for (field, value) in [
        ("NetworkID", json!(network)),
        ("EndpointID", json!("")),
        ("IPAddress", json!("")),
        ("MacAddress", json!("")),
        ("DNSNames", names),
        ("IPAMConfig", json!({ "IPv4Address": "10.62.0.9" })),
    ] {
        assert_eq!(stopped[field], value, "{field}");
    }
    let members = world.get("/networks/front").await.json()["Containers"].clone();
    assert_eq!(members, json!({}));
}

fn done(response: &Response) {
    assert_eq!(
        (response.status, response.body.len()),
        (StatusCode::OK, 0),
        "{:?}",
        response.body
    );
}

#[tokio::test]
async fn connections_follow_the_container() {
    let world = World::start().await;
    make_dual(&world, "front").await;
    let back = make(&world, json!({ "Name": "back" })).await;
    let host = json!({ "NetworkMode": "front" });
    let id = world.create("web", json!({ "HostConfig": host })).await;
    let wish = json!({ "Aliases": ["zz"], "GwPriority": 9 });
    done(&join(&world, "back", "web", wish).await);
    done(&join(&world, "back", "web", json!({})).await);
    let stopped = settings(&world, "web").await;
    assert_eq!(stopped["Networks"]["back"]["Aliases"], json!(["zz"]));
    world.post("/containers/web/start", None).await;
    let running = settings(&world, "web").await;
    assert_eq!(networks(&running), ["back", "front"]);
    assert_eq!(running["Networks"]["back"]["DNSNames"], json!(["web", "zz", &id[..12]]));
    let again = (403, "endpoint with name web already exists in network back".to_owned());
    assert_eq!(join(&world, &back, &id[..12], json!({})).await.failure(), again);
    done(&leave(&world, &back, "web", false).await);
    assert_eq!(networks(&settings(&world, "web").await), ["front"]);
    let gone = (500, format!("container {id} is not connected to network back"));
    assert_eq!(leave(&world, "back", "web", false).await.failure(), gone);
    assert_eq!(leave(&world, "back", "web", true).await.failure(), gone);
    done(&leave(&world, "front", "web", true).await);
    let alone = settings(&world, "web").await;
    assert_eq!((networks(&alone).len(), &alone["Ports"]), (0, &json!({})));
    let addresses = json!({ "IPv4Address": "10.62.0.44", "IPv6Address": "fd97::44", "LinkLocalIPs": ["fe80::34"] });
    done(&join(&world, "front", "web", json!({ "IPAMConfig": addresses })).await);
    let front = settings(&world, "web").await["Networks"]["front"].clone();
    assert_eq!(front["IPAMConfig"], addresses);
    assert_eq!(
        (&front["IPAddress"], &front["GlobalIPv6Address"]),
        (&json!("10.62.0.44"), &json!("fd97::44"))
    );
    world.post("/containers/web/stop?t=0", None).await;
    let gone = (500, format!("container {id} is not connected to the network back"));
    assert_eq!(leave(&world, "back", "web", false).await.failure(), gone);
}

#[tokio::test]
async fn connections_that_make_no_sense() {
    let world = World::start().await;
    make_dual(&world, "front").await;
    make(&world, json!({ "Name": "back" })).await;
    let shared =
        "container sharing network namespace with another container or host cannot be connected to any other network";
    let hosts = "cannot connect container to host network - container must be created in host network mode";
    let private = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
    for (mode, wished, message) in [
        ("host", &["front"][..], shared),
        ("host", &["host", "front"], shared),
        ("front", &["host"], hosts),
        ("none", &["none", "front"], private),
    ] {
        let body = json!({
            "Image": IMAGE, "HostConfig": { "NetworkMode": mode }, "NetworkingConfig": wishes(wished),
        });
        // As with Docker, it can be wished for, but not started.
        let id = world.post("/containers/create", Some(body)).await.json()["Id"].clone();
        let start = format!("/containers/{}/start", id.as_str().unwrap());
        let refused = world.post(&start, None).await;
        let text = format!("failed to set up container networking: {message}");
        assert_eq!(refused.failure(), (400, text), "{mode} {wished:?}");
    }
    world.running("web", json!({})).await;
    for mode in ["host", "none"] {
        world
            .running(mode, json!({ "HostConfig": { "NetworkMode": mode } }))
            .await;
    }
    let private = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
    let shared =
        "container sharing network namespace with another container or host cannot be connected to any other network";
    let hosts = "cannot connect container to host network - container must be created in host network mode";
    let range = "no configured subnet or ip-range contain the IP address";
    let chosen = "user specified IP address is supported only when connecting to networks with user configured subnets";
    let present = |name: &str| format!("endpoint with name {name} already exists in network {name}");
    let faults = |faults: &str| format!("invalid endpoint settings:\n{faults}");
    let ip = |address: &str| json!({ "IPAMConfig": { "IPv4Address": address } });
    let none = || json!({});
    for (network, container, endpoint, status, message) in [
        ("front", "nosuch", none(), 404, "No such container: nosuch".to_owned()),
        ("nosuch", "web", none(), 404, "network nosuch not found".to_owned()),
        ("host", "web", none(), 400, hosts.to_owned()),
        ("none", "web", none(), 400, private.to_owned()),
        ("front", "none", none(), 400, private.to_owned()),
        ("host", "none", none(), 400, hosts.to_owned()),
        ("none", "none", none(), 403, present("none")),
        ("front", "host", none(), 400, shared.to_owned()),
        ("host", "host", none(), 403, present("host")),
        (
            "front",
            "web",
            json!({ "MacAddress": "zz" }),
            400,
            "invalid MAC address zz".to_owned(),
        ),
        (
            "front",
            "web",
            ip("10.1.0.4"),
            400,
            faults(&format!("{range} 10.1.0.4")),
        ),
        ("back", "web", ip("10.1.0.4"), 400, faults(chosen)),
        (
            "front",
            "web",
            ip("x"),
            400,
            faults(&format!("* invalid IPv4 address: x\n* {range} x")),
        ),
    ] {
        let refused = join(&world, network, container, endpoint.clone()).await;
        assert_eq!(
            refused.failure(),
            (status, message),
            "{container} to {network} with {endpoint}"
        );
    }
    let host = "cannot disconnect container from host network - container was created in host network mode";
    for (network, container, force, status, message) in [
        ("front", "nosuch", false, 404, "No such container: nosuch"),
        ("front", "nosuch", true, 404, "endpoint nosuch not found"),
        ("nosuch", "web", false, 404, "network nosuch not found"),
        ("host", "host", false, 400, host),
    ] {
        let refused = leave(&world, network, container, force).await;
        assert_eq!(refused.failure(), (status, message.to_owned()));
    }
    done(&leave(&world, "none", "none", false).await);
}

fn wishes(names: &[&str]) -> Value {
    let map: Map<_, _> = names.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({ "EndpointsConfig": map })
}

#[tokio::test]
async fn networks_at_creation() {
    let world = World::start().await;
    let front = make_dual(&world, "front").await;
    make(&world, json!({ "Name": "back" })).await;
    for (mode, wished, expected, shown) in [
        ("", &[][..], &["bridge"][..], "bridge"),
        ("default", &["default"], &["bridge"], "bridge"),
        ("", &["front"], &["front"], "bridge"),
        ("front", &[], &["front"], "front"),
        ("front", &["back"], &["back"], "front"),
        ("front", &["front", "back"], &["back", "front"], "front"),
        (&front, &["front"], &["front"], &front),
        (&front[..8], &[], &["front"], &front),
        ("front", &[front.as_str()], &["front"], "front"),
        ("nosuch", &[], &["nosuch"], "nosuch"),
        ("host", &[], &["host"], "host"),
        ("none", &[], &["none"], "none"),
    ] {
        let body = json!({ "HostConfig": { "NetworkMode": mode }, "NetworkingConfig": wishes(wished) });
        world.create("web", body).await;
        let inspection = world.get("/containers/web/json").await.json();
        assert_eq!(networks(&inspection["NetworkSettings"]), expected, "{mode} {wished:?}");
        assert_eq!(inspection["HostConfig"]["NetworkMode"], shown);
        assert_eq!(world.delete("/containers/web").await.status, StatusCode::NO_CONTENT);
    }
    world
        .create("lost", json!({ "HostConfig": { "NetworkMode": "nosuch" } }))
        .await;
    let started = world.post("/containers/lost/start", None).await;
    let message = "failed to set up container networking: network nosuch not found";
    assert_eq!(started.failure(), (404, message.to_owned()));
    let two = json!({ "Image": IMAGE, "NetworkingConfig": wishes(&["front", "back"]) });
    let refused = world.post("/v1.43/containers/create", Some(two)).await;
    let message = "Container cannot be created with multiple network endpoints: back, front";
    assert_eq!(refused.failure(), (400, message.to_owned()));
}

#[tokio::test]
async fn a_network_that_is_gone_can_be_left() {
    let world = World::start().await;
    make(&world, json!({ "Name": "front" })).await;
    let id = world
        .create("web", json!({ "HostConfig": { "NetworkMode": "front" } }))
        .await;
    assert_eq!(world.delete("/networks/front").await.status, StatusCode::NO_CONTENT);
    let started = world.post("/containers/web/start", None).await;
    let message = "failed to set up container networking: network front not found";
    assert_eq!(started.failure(), (404, message.to_owned()));
    done(&leave(&world, "front", "web", false).await);
    let gone = (500, format!("container {id} is not connected to the network front"));
    assert_eq!(leave(&world, "front", "web", true).await.failure(), gone);
    done(&join(&world, "bridge", "web", json!({})).await);
    assert_eq!(
        world.post("/containers/web/start", None).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(networks(&settings(&world, "web").await), ["bridge"]);
}

#[tokio::test]
async fn containers_without_networks_of_their_own() {
    let world = World::start().await;
    let target = world.running("db", json!({})).await;
    let host = json!({ "NetworkMode": "container:db" });
    world.running("peer", json!({ "HostConfig": host })).await;
    let peer = world.get("/containers/peer/json").await.json();
    assert_eq!(peer["HostConfig"]["NetworkMode"], format!("container:{target}"));
    let shown = &peer["NetworkSettings"];
    assert_eq!((networks(shown).len(), &shown["SandboxID"]), (0, &json!("")));
    let disabled = world.running("dark", json!({ "NetworkDisabled": true })).await;
    let dark = world.get(&format!("/containers/{disabled}/json")).await.json();
    assert_eq!(dark["Config"]["NetworkDisabled"], true);
    assert_eq!(dark["HostConfig"]["NetworkMode"], "bridge");
    assert_eq!(networks(&dark["NetworkSettings"]).len(), 0);
}

#[tokio::test]
async fn links_of_the_default_bridge() {
    let world = World::start().await;
    world.running("db", json!({})).await;
    let linked = json!({ "HostConfig": { "Links": ["db:d", "/db"] } });
    world.running("web", linked).await;
    let shown = world.get("/containers/web/json").await.json()["HostConfig"]["Links"].clone();
    assert_eq!(shown, json!(["/db:/web/d", "/db:/web/db"]));
    make(&world, json!({ "Name": "front" })).await;
    let host = json!({ "NetworkMode": "front", "Links": ["nosuch:x"] });
    world.running("other", json!({ "HostConfig": host })).await;
    let shown = world.get("/containers/other/json").await.json()["HostConfig"]["Links"].clone();
    assert_eq!(shown, Value::Null);
    for (link, message) in [
        (
            "nosuch:x",
            "could not get container for nosuch: No such container: nosuch",
        ),
        ("db:a:b", "bad format for links: db:a:b"),
        ("", "empty string specified for links"),
    ] {
        let body = json!({ "Image": IMAGE, "HostConfig": { "Links": [link] } });
        let refused = world.post("/containers/create", Some(body)).await;
        assert_eq!(refused.failure(), (400, message.to_owned()));
    }
}
