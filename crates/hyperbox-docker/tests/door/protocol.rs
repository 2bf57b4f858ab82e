// SPDX-License-Identifier: MIT
//! What holds for every request: headers, versions, refusals, limits, draining.

use http::{Method, StatusCode};
use hyperbox_docker::{DoorConfig, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::read_head;
use crate::world::World;

#[tokio::test]
async fn ping() {
    let world = World::start().await;
    for method in [Method::GET, Method::HEAD] {
        let response = world.call(method.clone(), "/_ping", None).await;
        assert_eq!(response.status, StatusCode::OK);
        for (name, value) in [
            ("api-version", "1.51"),
            ("ostype", "linux"),
            ("builder-version", "1"),
            ("docker-experimental", "false"),
            ("swarm", "inactive"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("pragma", "no-cache"),
        ] {
            assert_eq!(response.headers[name], value, "{name}");
        }
        assert!(
            response.headers["server"]
                .to_str()
                .expect("text")
                .starts_with("HyperBox/")
        );
        assert_eq!(response.body, if method == Method::GET { "OK" } else { "" });
    }
}

#[tokio::test]
async fn refusals() {
    let world = World::start().await;
    let plain = world.get("/v1.10/info").await;
    assert_eq!(
        (plain.status, &plain.headers["content-type"]),
        (
            StatusCode::BAD_REQUEST,
            &"text/plain; charset=utf-8".parse().expect("value")
        )
    );
    for (method, path, status, message) in [
        (
            Method::GET,
            "/v1.99/info",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.51",
        ),
        (
            Method::GET,
            "/v2/info",
            400,
            "client version 2 is too new. Maximum supported API version is 1.51",
        ),
        (Method::GET, "/v2/", 404, "page not found"),
        (Method::GET, "/v1.99/nope", 404, "page not found"),
        (
            Method::GET,
            "/containers/nosuch/checkpoints",
            501,
            "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
        ),
        (Method::GET, "/nope", 404, "page not found"),
        (Method::POST, "/version", 404, "page not found"),
        (Method::GET, "/v1.51/", 404, "page not found"),
        (
            Method::POST,
            "/build",
            501,
            "building images is not supported by this version of HyperBox",
        ),
        (Method::POST, "/networks/create", 400, "invalid name: name is empty"),
        (
            Method::POST,
            "/containers/create",
            400,
            "invalid JSON: got EOF while reading request body",
        ),
        (Method::GET, "/plugins/x/json", 404, "plugin \"x\" not found"),
    ] {
        let response = world.call(method, path, None).await;
        assert_eq!(response.failure(), (status, message.to_owned()), "{path}");
    }
    for path in ["/swarm", "/nodes", "/services", "/secrets/x", "/configs", "/tasks"] {
        let (status, message) = world.get(path).await.failure();
        assert_eq!(status, 503);
        assert!(message.starts_with("This node is not a swarm manager."), "{message}");
    }
    assert_eq!(world.get("/plugins").await.json(), json!([]));
}

#[tokio::test]
async fn web_pages_and_foreign_media_types_are_refused() {
    let world = World::start().await;
    let mut stream = world
        .raw("GET /info HTTP/1.1\r\nHost: docker\r\nOrigin: http://evil.example\r\n\r\n")
        .await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 403"));
    let request =
        "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    let mut stream = world.raw(request).await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn over_tcp_only_this_machine_may_be_named() {
    let world = World::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(
        listener,
        world.engine.clone(),
        DoorConfig::default(),
        world.shutdown.clone(),
    ));
    for (host, status) in [
        (address.to_string().as_str(), "200"),
        ("localhost", "200"),
        ("evil.example", "403"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
        let request = format!("GET /version HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::start().await;
    let long = json!({ "Image": "x".repeat(5 * 1024 * 1024) });
    let response = world.post("/containers/create", Some(long)).await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    let deep = format!("{{\"Image\":{}", "[".repeat(100_000));
    let length = deep.len();
    let mut stream = world
        .raw(&format!(
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{deep}"
        ))
        .await;
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn shutdown_drains_and_then_drops() {
    let world = World::start().await;
    world.running("web", json!({})).await;
    let mut waiting = world.raw("POST /containers/web/wait HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(read_head(&mut waiting).await.starts_with("HTTP/1.1 200"));
    world.shutdown.cancel();
    world.served.await.expect("the door ended");
    let mut rest = Vec::new();
    // Cut off or ended: either way it does not hang.
    let _ended = waiting.read_to_end(&mut rest).await;
    assert!(
        world
            .engine
            .containers
            .get("web")
            .expect("it lives")
            .state
            .phase
            .is_alive()
    );
}

#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let world = World::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    // So long that the test would never end if the door waited for it.
    let config = DoorConfig {
        drain: std::time::Duration::from_secs(86_400),
        ..DoorConfig::default()
    };
    let served = tokio::spawn(serve(listener, world.engine.clone(), config, world.shutdown.clone()));
    let _silent = tokio::net::TcpStream::connect(address).await.expect("connect");
    let mut idle = tokio::net::TcpStream::connect(address).await.expect("connect");
    idle.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .expect("write");
    let mut answer = [0; 4096];
    assert_ne!(idle.read(&mut answer).await.expect("an answer"), 0);
    world.shutdown.cancel();
    served.await.expect("the door ended");
}
