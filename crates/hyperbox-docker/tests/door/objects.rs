// SPDX-License-Identifier: MIT
//! Volumes, networks and the engine itself.

use http::StatusCode;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn volumes() {
    let world = World::start().await;
    let body = json!({ "Name": "data", "Labels": { "a": "b" } });
    let created = world.post("/volumes/create", Some(body)).await;
    assert_eq!(
        (created.status, &created.json()["Labels"]),
        (StatusCode::CREATED, &json!({ "a": "b" }))
    );
    let anonymous = world.post("/volumes/create", None).await.json();
    assert_eq!(anonymous["Labels"], json!({ "com.docker.volume.anonymous": "" }));
    let encoded = "%7B%22name%22%3A%7B%22dat%22%3Atrue%7D%7D";
    let list = world.get(&format!("/volumes?filters={encoded}")).await.json();
    assert_eq!(list["Volumes"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["Warnings"], json!(null));
    assert_eq!(
        world.get("/volumes/nosuch").await.failure(),
        (404, "get nosuch: no such volume".to_owned())
    );
    assert_eq!(
        world.delete("/volumes/nosuch?force=1").await.status,
        StatusCode::NO_CONTENT
    );
    world
        .create("web", json!({ "HostConfig": { "Binds": ["data:/data"] } }))
        .await;
    let (status, message) = world.delete("/volumes/data").await.failure();
    assert_eq!(status, 409);
    assert!(message.starts_with("remove data: volume is in use - ["), "{message}");
    let pruned = world.post("/volumes/prune", None).await.json();
    assert_eq!(pruned["VolumesDeleted"].as_array().map(Vec::len), Some(1));
    let short = world
        .post("/volumes/create", Some(json!({ "Name": "x" })))
        .await
        .failure();
    assert_eq!(short.0, 400);
}

#[tokio::test]
async fn networks() {
    let world = World::start().await;
    let list = world.get("/networks").await.json();
    let mut names: Vec<_> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|network| network["Name"].clone())
        .collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["bridge", "host", "none"]);
    let id = world.running("web", json!({})).await;
    let bridge = world.get("/networks/bridge").await.json();
    assert_eq!(bridge["Containers"][&id]["Name"], "web");
    let inspect = world.get("/containers/web/json").await.json();
    let address = inspect["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        .as_str()
        .expect("an address")
        .to_owned();
    assert_eq!(inspect["NetworkSettings"]["IPAddress"], address);
    assert!(
        bridge["Containers"][&id]["IPv4Address"]
            .as_str()
            .expect("text")
            .starts_with(&address)
    );
    let (status, message) = world.delete("/networks/bridge").await.failure();
    assert_eq!(
        (status, message.as_str()),
        (403, "bridge is a pre-defined network and cannot be removed")
    );
    assert_eq!(
        world.get("/networks/x").await.failure(),
        (404, "network x not found".to_owned())
    );
    assert_eq!(
        world.post("/networks/prune", None).await.json(),
        json!({ "NetworksDeleted": null })
    );
}

#[tokio::test]
async fn engine() {
    let world = World::start().await;
    world.running("web", json!({})).await;
    let info = world.get("/info").await.json();
    assert_eq!(
        (&info["Containers"], &info["ContainersRunning"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&info["NCPU"], &info["OSType"], &info["CgroupVersion"]),
        (&json!(2), &json!("linux"), &json!("2"))
    );
    let version = world.get("/version").await.json();
    assert_eq!(
        (&version["ApiVersion"], &version["MinAPIVersion"]),
        (&json!("1.51"), &json!("1.24"))
    );
    assert_eq!(version["Arch"], "amd64");
    let usage = world.get("/system/df").await.json();
    assert_eq!(usage["Images"][0]["Containers"], 1);
    assert_eq!(usage["BuildCache"], json!([]));
    let part = world.get("/system/df?type=volume").await.json();
    assert!(part["Images"].is_null() && part["Volumes"].is_array());
    assert_eq!(
        world.get("/system/df?type=bogus").await.failure(),
        (400, "unknown object type: bogus".to_owned())
    );
}
