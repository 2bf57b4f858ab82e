// SPDX-License-Identifier: MIT
//! Bodies of requests that are no such documents, and what swarm and plugins refuse before they say that there are none; word by
//! word as Docker Engine 28.5 does, except that a client's mistake is never 500.

use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::world::World;

const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node \
                          to swarm and try again.";

async fn check(world: &World, cases: &[(&str, Value, u16, &str)]) {
    for (path, body, status, message) in cases {
        let response = world.call(Method::POST, path, Some(body)).await;
        assert_eq!(response.failure(), (*status, (*message).to_owned()), "{path} {body}");
    }
}

#[tokio::test]
async fn values_of_another_kind_are_named() {
    let world = World::start().await;
    world.create("idle", json!({})).await;
    let refusal = |text: &str| format!("invalid JSON: json: cannot unmarshal {text}");
    for (path, body, expected) in [
        (
            "/containers/create",
            json!({"Image": 1}),
            "number into Go struct field .Image of type string",
        ),
        (
            "/networks/create",
            json!([]),
            "array into Go value of type network.CreateRequest",
        ),
        (
            "/networks/create",
            json!({"Name": "a", "IPAM": {"Config": [1]}}),
            "number into CreateRequest.IPAM.Config.0 of type network.IPAMConfig",
        ),
        (
            "/networks/bridge/connect",
            json!({"EndpointConfig": {"Links": 1}}),
            "number into Go struct field ConnectOptions.EndpointConfig.Links of type []string",
        ),
        (
            "/networks/bridge/disconnect",
            json!({"Force": "x"}),
            "string into Go struct field DisconnectOptions.Force of type bool",
        ),
        (
            "/volumes/create",
            json!({"Labels": {"a": 1}}),
            "number into Go struct field CreateOptions.Labels.a of type string",
        ),
        (
            "/containers/idle/exec",
            json!({"Cmd": "x"}),
            "string into Go struct field ExecOptions.Cmd of type []string",
        ),
        (
            "/exec/nosuch/start",
            json!({"Tty": 1}),
            "number into Go struct field ExecStartOptions.Tty of type bool",
        ),
        (
            "/containers/nosuch/update",
            json!({"CpuShares": 1.5}),
            "number 1.5 into Go struct field UpdateConfig.CpuShares of type int64",
        ),
        (
            "/commit?container=nosuch",
            json!({"Env": 1}),
            "number into Go struct field .Env of type []string",
        ),
    ] {
        check(&world, &[(path, body, 400, &refusal(expected))]).await;
    }
    let login = world.call(Method::POST, "/auth", Some(&json!({"auth": 1}))).await;
    let text = "json: cannot unmarshal number into Go struct field .auth of type string";
    assert_eq!(login.failure(), (400, text.to_owned()));
}

#[tokio::test]
async fn bodies_that_may_be_left_out() {
    let world = World::start().await;
    world.create("idle", json!({})).await;
    let exec = world.call(Method::POST, "/containers/idle/exec", None).await;
    assert_eq!(exec.failure(), (400, "No exec command specified".to_owned()));
    let update = world.call(Method::POST, "/containers/idle/update", None).await;
    assert_eq!(update.status, 200);
    let start = world
        .call(Method::POST, "/containers/idle/start", Some(&json!({"Memory": 1})))
        .await;
    let (status, text) = start.failure();
    assert!(
        status == 400 && text.starts_with("starting container with non-empty request body"),
        "{status} {text}"
    );
    let start = world
        .call(Method::POST, "/containers/idle/start", Some(&json!({})))
        .await;
    assert_eq!(start.status, 204);
}

#[tokio::test]
async fn swarm_judges_a_request_first() {
    let world = World::start().await;
    let no_address = "invalid ListenAddr \"\": invalid empty address";
    let array = |name: &str| format!("invalid JSON: json: cannot unmarshal array into Go value of type swarm.{name}");
    let no_version = |what: &str| format!("invalid {what} version '': strconv.ParseUint: parsing \"\": invalid syntax");
    check(
        &world,
        &[
            ("/swarm/init", json!([]), 400, &array("InitRequest")),
            ("/swarm/init", json!({}), 400, no_address),
            ("/swarm/join", json!({}), 400, no_address),
            (
                "/swarm/init",
                json!({"ListenAddr": "0.0.0.0:2377"}),
                501,
                "swarm mode is not supported by HyperBox",
            ),
            ("/swarm/update", json!([]), 400, &array("Spec")),
            ("/swarm/update", json!({}), 400, &no_version("swarm")),
            (
                "/swarm/update?version=1&rotateWorkerToken=x",
                json!({}),
                400,
                "invalid value for rotateWorkerToken: x",
            ),
            ("/swarm/update?version=1", json!({}), 503, NO_MANAGER),
            ("/nodes/x/update", json!({}), 400, &no_version("node")),
            ("/services/x/update?version=1", json!([]), 400, &array("ServiceSpec")),
            ("/services/x/update", json!({}), 400, &no_version("service")),
            ("/services/create", json!({}), 503, NO_MANAGER),
            ("/secrets/x/update?version=a", json!({}), 400, "invalid secret version"),
            ("/configs/x/update?version=a", json!([]), 400, &array("ConfigSpec")),
            ("/configs/x/update?version=2", json!({}), 503, NO_MANAGER),
        ],
    )
    .await;
    for (path, status, text) in [
        ("/services?filters=x", 400, "invalid filter"),
        ("/nodes?filters=%7B%22bogus%22:%5B%22x%22%5D%7D", 503, NO_MANAGER),
        (
            "/services/x?insertDefaults=zz",
            400,
            "invalid value for insertDefaults: zz: strconv.ParseBool: parsing \"zz\": invalid syntax",
        ),
        (
            "/tasks/x/logs",
            400,
            "Bad parameters: you must choose at least one stream",
        ),
        ("/tasks/x/logs?stdout=1", 503, NO_MANAGER),
    ] {
        let response = world.call(Method::GET, path, None).await;
        assert_eq!(response.failure(), (status, text.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn plugins_judge_a_request_first() {
    let world = World::start().await;
    check(
        &world,
        &[
            (
                "/plugins/x/set",
                json!({}),
                400,
                "invalid JSON: json: cannot unmarshal object into Go value of type []string",
            ),
            ("/plugins/x/set", json!(["a=b"]), 404, "plugin \"x\" not found"),
            (
                "/plugins/x/enable",
                Value::Null,
                400,
                "strconv.Atoi: parsing \"\": invalid syntax",
            ),
            (
                "/plugins/x/enable?timeout=1",
                Value::Null,
                404,
                "plugin \"x\" not found",
            ),
            ("/plugins/x/upgrade", json!([]), 400, "invalid reference format"),
            (
                "/plugins/x/upgrade?remote=y",
                json!([]),
                404,
                "plugin \"x:latest\" not found",
            ),
            (
                "/plugins/pull?remote=x",
                json!({}),
                400,
                "invalid JSON: json: cannot unmarshal object into Go value of type types.PluginPrivileges",
            ),
            (
                "/plugins/pull?remote=x",
                json!([]),
                501,
                "plugins are not supported by HyperBox",
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn targets_as_people_write_them_and_many_headers() {
    let world = World::start().await;
    for (target, expected) in [
        ("/volumes?filters={\"dangling\":[\"true\"]}", "HTTP/1.1 200 "),
        ("/volumes?filters={\"bogus\":[\"x\"]}", "HTTP/1.1 400 "),
        ("/containers/a`<b>/json", "HTTP/1.1 404 "),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let mut stream = world.raw(&request).await;
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(expected), "{target}: {answer}");
        assert!(answer.contains("application/json"), "{target}: {answer}");
    }
    let headers: String = (0..500).map(|number| format!("X-{number}: y\r\n")).collect();
    let mut answer = String::new();
    let request = format!("GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{headers}\r\n");
    let mut stream = world.raw(&request).await;
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("OK"),
        "{answer}"
    );
}
