// SPDX-License-Identifier: MIT
//! Secrets and configs reach containers.

use futures_util::StreamExt;
use hyperbox_core::container::ResolvedMount;
use serde_json::{Value, json};

use crate::world::{World, model, specification};

#[tokio::test]
async fn files_are_mounted_and_values_have_to_be_sent() {
    let world = World::start().await;
    world.fakes.host.add_directory("/host/file");
    let mut document = model(
        "shop",
        json!({ "web": { "configs": [{ "source": "c" }] }, "db": { "secrets": [{ "source": "s" }] } }),
    );
    document["configs"] = json!({ "c": { "name": "shop_c", "file": "/host/file" } });
    document["secrets"] = json!({ "s": { "name": "shop_s", "environment": "PASSWORD" } });
    world.put("shop", document.clone()).await;
    world.run("/shop/up", json!({ "services": ["web"] })).await;
    let record = world.engine.containers.get("shop-web-1").unwrap();
    let mounted = record.mounts.iter().find_map(|mount| match mount {
        ResolvedMount::Bind {
            source,
            target,
            read_only,
            ..
        } => Some((source.clone(), target.clone(), *read_only)),
        _ => None,
    });
    assert_eq!(mounted, Some(("/host/file".into(), "/c".into(), true)));
    let (_, events) = world.ask("POST", "/shop/up", json!({ "services": ["db"] })).await;
    let last = events.last().unwrap();
    assert_eq!(last["message"], "the value of secret \"s\" (PASSWORD) was not sent");
    let mut sent = specification("shop", document);
    sent["contents"] = json!({ "secrets.s": "hidden" });
    world.one("PUT", "/shop", sent).await;
    world.run("/shop/up", json!({ "services": ["db"] })).await;
    assert_eq!(world.names(), ["shop-db-1", "shop-web-1"]);
}

/// What a container that does not run has of a file; empty when there is none.
async fn content(world: &World, path: &str) -> String {
    let Ok((_, mut pieces)) = world.engine.containers.read_path("shop-db-1", path).await else {
        return String::new();
    };
    let mut archive = Vec::new();
    while let Some(piece) = pieces.next().await {
        archive.extend_from_slice(&piece.unwrap());
    }
    let mut archive = tar::Archive::new(archive.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    std::io::read_to_string(entry).unwrap()
}

/// As `docker compose` does it: a run that ended between the container and its start leaves nothing out, and a value that has changed comes
/// with the next start.
#[tokio::test]
async fn values_are_written_before_each_start() {
    let world = World::start().await;
    let mut document = model("shop", json!({ "db": { "secrets": [{ "source": "s" }] } }));
    document["secrets"] = json!({ "s": { "name": "shop_s", "environment": "PASSWORD" } });
    let send = async |value: &str| {
        let mut sent = specification("shop", document.clone());
        sent["contents"] = json!({ "secrets.s": value });
        world.one("PUT", "/shop", sent).await;
    };
    send("first").await;
    world.run("/shop/up", json!({ "no_start": true })).await;
    assert_eq!(content(&world, "/run/secrets/s").await, "");
    for (path, value) in [("/shop/up", "first"), ("/shop/start", "second"), ("/shop/up", "third")] {
        send(value).await;
        assert_eq!(world.run(path, Value::Null).await, ["start shop-db-1"]);
        world.run("/shop/stop", json!({ "timeout": 0 })).await;
        assert_eq!(content(&world, "/run/secrets/s").await, value, "{path}");
    }
}
