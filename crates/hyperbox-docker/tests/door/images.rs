// SPDX-License-Identifier: MIT
//! Images.

use http::StatusCode;
use hyperbox_core::seam::RegistryFault;
use serde_json::json;

use crate::world::{IMAGE, World};

#[tokio::test]
async fn pull_and_look() {
    let world = World::start().await;
    world.publish(
        "localhost:5000/a/b:1",
        &json!({ "Cmd": ["sh"], "ExposedPorts": { "80/tcp": {} } }),
    );
    let pulled = world
        .post("/v1.51/images/create?fromImage=localhost:5000/a/b&tag=1", None)
        .await;
    assert_eq!(pulled.status, StatusCode::OK);
    let lines = pulled.lines();
    assert!(
        lines.iter().any(|line| line["status"]
            .as_str()
            .is_some_and(|status| status.starts_with("Status: "))),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| line.get("error").is_none()), "{lines:?}");
    let image = world.get("/images/localhost:5000/a/b:1/json").await.json();
    assert_eq!(image["RepoTags"], json!(["localhost:5000/a/b:1"]));
    assert_eq!(
        (&image["Config"]["Cmd"], &image["Config"]["ExposedPorts"]),
        (&json!(["sh"]), &json!({ "80/tcp": {} }))
    );
    let list = world.get("/images/json").await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert!(list[0].get("VirtualSize").is_none());
    assert!(world.get("/v1.43/images/json").await.json()[0]["VirtualSize"].is_u64());
    let history = world.get("/images/localhost:5000/a/b:1/history").await.json();
    assert_eq!(
        (&history[0]["CreatedBy"], &history[1]["Id"]),
        (&json!("CMD"), &json!("<missing>"))
    );
    assert_eq!(history[0]["Tags"], json!(["localhost:5000/a/b:1"]));
}

#[tokio::test]
async fn tag_filter_remove() {
    let world = World::start().await;
    let tagged = world
        .post(
            &format!("/images/{IMAGE}/tag?repo=docker.io%2Flibrary%2Fother&tag=2"),
            None,
        )
        .await;
    assert_eq!(tagged.status, StatusCode::CREATED);
    let filtered = |text: &str| {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("/images/json?filters={encoded}")
    };
    for (filters, count) in [
        (r#"{"reference":["other"]}"#, 1),
        (r#"{"reference":["other:2"]}"#, 1),
        (r#"{"reference":["oth*"]}"#, 1),
        (r#"{"reference":["nosuch"]}"#, 0),
        (r#"{"dangling":["true"]}"#, 0),
        (r#"{"label":["from=image"]}"#, 1),
    ] {
        let list = world.get(&filtered(filters)).await.json();
        assert_eq!(list.as_array().map(Vec::len), Some(count), "{filters}");
    }
    assert_eq!(
        world.delete("/images/other:2").await.json(),
        json!([{ "Untagged": "other:2" }])
    );
    assert_eq!(
        world.delete("/images/nosuch").await.failure(),
        (404, "No such image: nosuch:latest".to_owned())
    );
    let inspected = world.get("/images/HB/json").await.failure();
    assert_eq!(
        inspected,
        (
            400,
            "invalid reference format: repository name (library/HB) must be lowercase".to_owned()
        )
    );
    let upper = world
        .post(&format!("/images/{IMAGE}/tag?repo=HB"), None)
        .await
        .failure();
    assert_eq!(
        upper,
        (
            400,
            "invalid reference format: repository name (library/HB) must be lowercase".to_owned()
        )
    );
}

#[tokio::test]
async fn failures_come_before_or_in_the_stream() {
    let world = World::start().await;
    world
        .registry
        .fail_next(RegistryFault::NotFound, "localhost:5000/x: manifest unknown");
    let (status, _) = world
        .post("/images/create?fromImage=localhost:5000/x&tag=1", None)
        .await
        .failure();
    assert_eq!(status, 404);
    let pushed = world.post("/images/nosuch/push?tag=x", None).await;
    assert_eq!(pushed.status, StatusCode::OK);
    let last = pushed.lines().pop().expect("a line");
    assert_eq!(last["errorDetail"]["message"], last["error"]);
    assert_eq!(last["error"], "An image does not exist locally with the tag: nosuch");
    assert_eq!(
        pushed.lines()[0]["status"],
        "The push refers to repository [docker.io/library/nosuch]"
    );
    let pushed = world.post(&format!("/images/{IMAGE}/push?tag=nosuch"), None).await;
    let last = pushed.lines().pop().expect("a line");
    assert_eq!(last["error"], format!("tag does not exist: {IMAGE}:nosuch"));
    world
        .registry
        .fail_next(RegistryFault::Unavailable, "cannot reach localhost:5000");
    let (status, _) = world
        .post("/images/create?fromImage=localhost:5000/x&tag=1", None)
        .await
        .failure();
    assert_eq!(status, 500);
}

#[tokio::test]
async fn push_with_credentials() {
    let world = World::start().await;
    world.registry.require_password("secret");
    // base64url of {"username":"u","password":"secret"}
    let request = http::Request::builder()
        .method("POST")
        .uri(format!("/images/{IMAGE}/push?tag=latest"))
        .header("host", "docker")
        .header("x-registry-auth", "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InNlY3JldCJ9")
        .body(http_body_util::Full::default())
        .expect("request");
    let response = world.open(request).await;
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .expect("body")
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert!(
        text.starts_with("{\"status\":\"The push refers to repository [localhost:5000/app]\"}\r\n"),
        "{text}"
    );
    assert!(!text.contains("error"), "{text}");
    for (password, status) in [("secret", StatusCode::OK), ("wrong", StatusCode::UNAUTHORIZED)] {
        let login = json!({ "username": "u", "password": password, "serveraddress": "localhost:5000" });
        assert_eq!(world.post("/auth", Some(login)).await.status, status, "{password}");
    }
}

#[tokio::test]
async fn save_and_load() {
    let world = World::start().await;
    let saved = world.get(&format!("/images/get?names={IMAGE}")).await;
    assert_eq!(
        (saved.status, &saved.headers["content-type"]),
        (StatusCode::OK, &"application/x-tar".parse().expect("value"))
    );
    assert_eq!(world.delete(&format!("/images/{IMAGE}")).await.status, StatusCode::OK);
    assert_eq!(
        world.get(&format!("/images/{IMAGE}/json")).await.status,
        StatusCode::NOT_FOUND
    );
    let request = http::Request::builder()
        .method("POST")
        .uri("/images/load?quiet=1")
        .header("host", "docker")
        .header("content-type", "application/x-tar")
        .body(http_body_util::Full::new(saved.body))
        .expect("request");
    let response = world.open(request).await;
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .expect("body")
        .to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert!(text.contains("Loaded image: localhost:5000/app:latest"), "{text}");
    assert_eq!(world.get(&format!("/images/{IMAGE}/json")).await.status, StatusCode::OK);
}
