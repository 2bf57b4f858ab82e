// SPDX-License-Identifier: MIT
//! Networks that users make. Statuses, texts and shapes are those of Docker Engine 28.5.2.

use http::{Method, StatusCode};
use hyperbox_core::time::Timestamp;
use serde_json::{Value, json};

use crate::endpoints::{encoded, join, leave, make, settings};
use crate::world::World;

async fn names(world: &World, filters: &Value) -> Vec<String> {
    let path = format!("/networks?filters={}", encoded(filters));
    let list = world.get(&path).await.json();
    let list = list.as_array().unwrap_or_else(|| panic!("{filters}: {list}"));
    let names = list
        .iter()
        .map(|network| network["Name"].as_str().unwrap_or_default().to_owned());
    names.collect()
}

#[tokio::test]
async fn a_network_is_shown_as_it_was_wished() {
    let world = World::start().await;
    let body = json!({
        "Name": "front", "CheckDuplicate": true, "Internal": true, "Attachable": true,
        "Options": { "foo": "bar" }, "Labels": { "a": "b" },
        "IPAM": { "Options": { "x": "y" }, "Config": [
            { "Subnet": "10.98.0.0/24", "IPRange": "10.98.0.64/26", "Gateway": "10.98.0.9", "AuxiliaryAddresses": { "r": "10.98.0.4" } },
        ] },
    });
    let id = make(&world, body.clone()).await;
    let mut shown = world.get(&format!("/v1.51/networks/{}", &id[..12])).await.json();
    assert!(shown["Created"].as_str().is_some_and(|moment| moment.ends_with('Z')));
    shown["Created"] = Value::Null;
    let expected = json!({
        "Name": "front", "Id": id, "Created": null, "Scope": "local", "Driver": "bridge", "EnableIPv4": true, "EnableIPv6": false,
        "IPAM": { "Driver": "default", "Options": { "x": "y" }, "Config": body["IPAM"]["Config"] },
        "Internal": true, "Attachable": true, "Ingress": false, "ConfigFrom": { "Network": "" }, "ConfigOnly": false,
        "Containers": {}, "Options": { "foo": "bar" }, "Labels": { "a": "b" },
    });
    assert_eq!(shown, expected);
    let again = world.post("/networks/create", Some(json!({ "Name": "front" }))).await;
    assert_eq!(
        again.failure(),
        (409, "network with name front already exists".to_owned())
    );
    for (driver, status, message) in [
        ("nosuch", 404, "plugin \"nosuch\" not found"),
        ("host", 403, "only one instance of \"host\" network is allowed"),
        ("null", 403, "only one instance of \"null\" network is allowed"),
    ] {
        let body = json!({ "Name": "other", "Driver": driver });
        let refused = world.post("/networks/create", Some(body)).await;
        assert_eq!(refused.failure(), (status, message.to_owned()));
    }
    let old = json!({ "Name": "old", "EnableIPv4": false });
    let created = world.post("/v1.47/networks/create", Some(old)).await;
    assert_eq!(created.status, StatusCode::CREATED, "1.47 does not know EnableIPv4");
    assert_eq!(world.get("/v1.47/networks/old").await.json()["EnableIPv4"], true);
    for (name, driver) in [("host", "host"), ("none", "null")] {
        let predefined = world.get(&format!("/networks/{name}")).await.json();
        let ipam = json!({ "Driver": "default", "Options": null, "Config": null });
        assert_eq!((&predefined["Driver"], &predefined["IPAM"]), (&json!(driver), &ipam));
        assert_eq!(predefined["Options"], json!({}));
    }
}

#[tokio::test]
async fn lists_are_filtered() {
    let world = World::start().await;
    let used = make(&world, json!({ "Name": "used", "Labels": { "a": "b" } })).await;
    make(&world, json!({ "Name": "idle", "Labels": { "a": "c" } })).await;
    world
        .running("web", json!({ "HostConfig": { "NetworkMode": "used" } }))
        .await;
    for (filters, expected) in [
        (json!({}), &["bridge", "host", "none", "used", "idle"][..]),
        (json!({ "dangling": ["true"] }), &["idle"]),
        (json!({ "dangling": ["0"] }), &["bridge", "host", "none", "used"]),
        (json!({ "driver": ["null", "x"] }), &["none"]),
        (json!({ "id": [used[5..15]] }), &["used"]),
        (json!({ "label": ["a=b"] }), &["used"]),
        (json!({ "label": ["a=b", "a=c"] }), &[]),
        (json!({ "name": { "^us": true } }), &["used"]),
        (json!({ "scope": ["swarm"] }), &[]),
        (json!({ "type": ["custom"] }), &["used", "idle"]),
        (json!({ "type": ["custom"], "name": ["e"] }), &["used", "idle"]),
    ] {
        assert_eq!(names(&world, &filters).await, expected, "{filters}");
    }
    for (filters, message) in [
        ("x", "invalid filter"),
        (r#"{"bogus":["x"]}"#, "invalid filter 'bogus'"),
        (r#"{"type":["x"]}"#, "invalid filter: 'type'='x'"),
        (
            r#"{"dangling":["x"]}"#,
            "invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")",
        ),
        (
            r#"{"dangling":["true","false"]}"#,
            "got more than one value for filter key \"dangling\"",
        ),
    ] {
        let encoded: String = filters.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let refused = world.get(&format!("/networks?filters={encoded}")).await;
        assert_eq!(refused.failure(), (400, message.to_owned()));
    }
    let members = |version: &'static str| {
        let list = world.get(version);
        async move {
            let list = list.await.json();
            let list = list.as_array().cloned().unwrap_or_default();
            let used = list
                .into_iter()
                .find(|network| network["Name"] == "used")
                .expect("used");
            used["Containers"].as_object().map(serde_json::Map::len)
        }
    };
    assert_eq!(
        (members("/v1.27/networks").await, members("/v1.28/networks").await),
        (Some(1), Some(0))
    );
    for (query, status, message) in [
        ("scope=swarm", 404, "network used not found"),
        (
            "verbose=x",
            400,
            "invalid value for verbose: x: strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ] {
        let refused = world.get(&format!("/networks/used?{query}")).await;
        assert_eq!(refused.failure(), (status, message.to_owned()));
    }
    assert_eq!(
        world.get("/networks/used?scope=local&verbose=true").await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn networks_are_removed_and_pruned() {
    let world = World::start().await;
    make(&world, json!({ "Name": "used" })).await;
    for (name, label) in [("one", "1"), ("two", "2"), ("three", "3")] {
        make(&world, json!({ "Name": name, "Labels": { "x": label } })).await;
    }
    world
        .running("web", json!({ "HostConfig": { "NetworkMode": "used" } }))
        .await;
    let (status, message) = world.delete("/networks/used").await.failure();
    assert_eq!(status, 403);
    let expected = "error while removing network: network used has active endpoints (name:\"web\" id:\"";
    assert!(message.starts_with(expected), "{message}");
    for (network, status, message) in [
        ("nosuch", 404, "network nosuch not found"),
        ("bridge", 403, "bridge is a pre-defined network and cannot be removed"),
        ("none", 403, "none is a pre-defined network and cannot be removed"),
    ] {
        let refused = world.delete(&format!("/networks/{network}")).await;
        assert_eq!(refused.failure(), (status, message.to_owned()));
    }
    assert_eq!(world.delete("/networks/three").await.status, StatusCode::NO_CONTENT);
    let prune = |filters: Value| {
        let encoded: String = filters.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/networks/prune?filters={encoded}");
        let world = &world;
        async move { world.post(&path, None).await.json() }
    };
    for (filters, deleted) in [
        (json!({ "until": ["1h"] }), Value::Null),
        (json!({ "label": ["x=9"] }), Value::Null),
        (json!({ "label!": ["x"] }), Value::Null),
        (json!({ "label!": ["x=1"] }), json!(["two"])),
        (json!({ "label": ["x=1"] }), json!(["one"])),
        (json!({}), Value::Null),
    ] {
        assert_eq!(
            prune(filters.clone()).await,
            json!({ "NetworksDeleted": deleted }),
            "{filters}"
        );
    }
    for (filters, message) in [
        (json!({ "bogus": ["x"] }), "invalid filter 'bogus'"),
        (json!({ "until": ["1h", "2h"] }), "more than one until filter specified"),
    ] {
        assert_eq!(prune(filters).await["message"], message);
    }
    assert_eq!(names(&world, &json!({ "type": ["custom"] })).await, ["used"]);
}

#[tokio::test]
async fn configuration_networks() {
    let world = World::start().await;
    let config = json!([{ "Subnet": "10.63.0.0/24", "Gateway": "10.63.0.7" }]);
    let body = json!({
        "Name": "plan", "ConfigOnly": true, "Driver": "bridge", "Options": { "com.docker.network.driver.mtu": "1400" },
        "IPAM": { "Config": config, "Options": { "io": "1" } }, "Labels": { "l": "m" },
    });
    make(&world, body).await;
    make(&world, json!({ "Name": "real", "ConfigFrom": { "Network": "plan" } })).await;
    let shown = |name: &'static str| {
        let shown = world.get(name);
        async move { shown.await.json() }
    };
    let (plan, real) = (shown("/networks/plan").await, shown("/networks/real").await);
    assert_eq!((&plan["Driver"], &plan["ConfigOnly"]), (&json!("null"), &json!(true)));
    assert_eq!(
        (&real["Driver"], &real["ConfigOnly"]),
        (&json!("bridge"), &json!(false))
    );
    assert_eq!(real["ConfigFrom"], json!({ "Network": "plan" }));
    for field in ["IPAM", "Options", "Labels"] {
        assert_eq!(plan[field], real[field], "{field}");
    }
    assert_eq!(plan["IPAM"]["Config"], config);
    let unknown = json!({ "Name": "x", "ConfigFrom": { "Network": "bridge" } });
    let refused = world.post("/networks/create", Some(unknown)).await;
    let message = "configuration network \"bridge\" does not exist";
    assert_eq!(refused.failure(), (404, message.to_owned()));
    world.running("web", json!({})).await;
    let message = "cannot create endpoint on configuration-only network";
    assert_eq!(
        join(&world, "plan", "web", json!({})).await.failure(),
        (403, message.to_owned())
    );
    world
        .create("lost", json!({ "HostConfig": { "NetworkMode": "plan" } }))
        .await;
    let started = world.post("/containers/lost/start", None).await;
    assert_eq!(
        started.failure(),
        (403, format!("failed to set up container networking: {message}"))
    );
    let message = "error while removing network: configuration network \"plan\" is in use";
    assert_eq!(
        world.delete("/networks/plan").await.failure(),
        (403, message.to_owned())
    );
    let pruned = world.post("/networks/prune", None).await.json();
    assert_eq!(pruned, json!({ "NetworksDeleted": ["real"] }));
    assert_eq!(world.delete("/networks/plan").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn foreign_bodies() {
    let world = World::start().await;
    world.running("web", json!({})).await;
    for (path, body) in [
        ("/networks/create", "x"),
        ("/networks/create", "[]"),
        ("/networks/create", "{\"Name\":1}"),
        ("/networks/create", "{\"Name\":\"n\",\"CheckDuplicate\":\"x\"}"),
        ("/networks/create", "{\"Name\":\"n\",\"IPAM\":[]}"),
        ("/networks/create", "{\"Name\":\"n\",\"IPAM\":{\"Config\":{}}}"),
        (
            "/networks/create",
            "{\"Name\":\"n\",\"IPAM\":{\"Config\":[{\"Subnet\":1}]}}",
        ),
        ("/networks/create", "{\"Name\":\"n\",\"Options\":{\"a\":1}}"),
        ("/networks/bridge/connect", "[]"),
        ("/networks/bridge/connect", "{\"Container\":1}"),
        (
            "/networks/bridge/connect",
            "{\"Container\":\"web\",\"EndpointConfig\":[]}",
        ),
        (
            "/networks/bridge/connect",
            "{\"Container\":\"web\",\"EndpointConfig\":{\"Aliases\":\"x\"}}",
        ),
        ("/networks/bridge/disconnect", "{\"Container\":\"web\",\"Force\":\"x\"}"),
        (
            "/containers/create",
            "{\"Image\":\"x\",\"NetworkingConfig\":{\"EndpointsConfig\":[]}}",
        ),
        (
            "/containers/create",
            "{\"Image\":\"x\",\"HostConfig\":{\"PortBindings\":{\"80\":[{\"HostPort\":80}]}}}",
        ),
    ] {
        let request = http::Request::builder()
            .method(Method::POST)
            .uri(path)
            .header("host", "docker");
        let request = request
            .body(http_body_util::Full::new(body.as_bytes().into()))
            .expect("a request");
        let response = world.open(request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path} {body}");
    }
    for empty in [None, Some(json!({}))] {
        let refused = world.post("/networks/bridge/connect", empty).await;
        assert_eq!(refused.failure(), (400, "invalid name or ID supplied: \"\"".to_owned()));
    }
    let many: serde_json::Map<_, _> = (0..3000)
        .map(|number| (format!("n{number}"), json!({ "Aliases": ["a"] })))
        .collect();
    let body = json!({ "NetworkingConfig": { "EndpointsConfig": many } });
    world.create("many", body).await;
    assert_eq!(
        settings(&world, "many").await["Networks"]
            .as_object()
            .map(serde_json::Map::len),
        Some(3000)
    );
}

#[tokio::test]
async fn the_engine_tells_of_its_drivers() {
    let world = World::start().await;
    let info = world.get("/v1.51/info").await.json();
    assert_eq!(info["Plugins"]["Network"], json!(["bridge", "host", "null"]));
    assert_eq!(
        (info.get("DefaultAddressPools"), info.get("BridgeNfIptables")),
        (None, None)
    );
    let old = world.get("/v1.49/info").await.json();
    assert_eq!(
        (&old["BridgeNfIptables"], &old["BridgeNfIp6tables"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn events_name_the_network() {
    let world = World::start().await;
    let id = make(&world, json!({ "Name": "front" })).await;
    let container = world
        .running("web", json!({ "HostConfig": { "NetworkMode": "front" } }))
        .await;
    assert_eq!(leave(&world, "front", "web", false).await.status, StatusCode::OK);
    assert_eq!(world.delete("/networks/front").await.status, StatusCode::NO_CONTENT);
    world.post("/networks/prune", None).await;
    let filter = "%7B%22type%22%3A%5B%22network%22%5D%7D";
    let now = Timestamp::now().0;
    let until = format!("{}.{:09}", now / 1_000_000_000, now % 1_000_000_000);
    let path = format!("/events?since=1&until={until}&filters={filter}");
    let events = world.get(&path).await.lines();
    let plain = json!({ "name": "front", "type": "bridge" });
    let with = json!({ "name": "front", "type": "bridge", "container": container });
    let seen: Vec<_> = events
        .iter()
        .map(|event| (event["Action"].clone(), event["Actor"].clone()))
        .collect();
    let actor = |attributes: &Value| json!({ "ID": id, "Attributes": attributes });
    let expected = [
        (json!("create"), actor(&plain)),
        (json!("connect"), actor(&with)),
        (json!("disconnect"), actor(&with)),
        (json!("destroy"), actor(&plain)),
        (json!("prune"), json!({ "ID": "", "Attributes": { "reclaimed": "0" } })),
    ];
    assert_eq!(seen, expected);
}
