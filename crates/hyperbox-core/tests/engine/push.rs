// SPDX-License-Identifier: MIT
//! Pushes of images whose blobs are with registries: what these are asked, and what is sent.

use std::collections::HashSet;

use futures_util::StreamExt;
use hyperbox_core::Engine;
use hyperbox_core::image::TransferProgress;
use hyperbox_core::seam::{Change, ContentStore, Records, Table};
use hyperbox_types::{Digest, ImageReference};
use serde_json::{Value, json};

use crate::world::{World, pull};

const IMAGE: &str = "localhost:5002/app:1";
const LAYERS: u8 = 6;

/// An image of several layers, each of whose blobs is said to be with a repository of its own, and not here.
async fn spread() -> (World, Engine, Vec<Digest>) {
    let world = World::new();
    let layer = |number: u8| [vec![0; 1024], vec![number; 100]].concat();
    let layers: Vec<Vec<u8>> = (0..LAYERS).map(layer).collect();
    let reference = world.publish_layers(IMAGE, &json!({ "Cmd": ["x"] }), layers.clone());
    pull(&world.engine().await, &reference).await.expect("the image");
    let (key, text) = world.records.load(Table::Images).expect("records").remove(0);
    let mut record: Value = serde_json::from_str(&text).expect("a record");
    let mut blobs = Vec::new();
    for (number, layer) in layers.into_iter().enumerate() {
        let name = format!("localhost:5000/part{number}:1");
        let blob = world
            .registry
            .insert_blob(&ImageReference::parse(&name).expect("a name"), layer);
        world.content.remove(&blob).expect("content store");
        record["elsewhere"][blob.to_string()] = name.into();
        blobs.push(blob);
    }
    let change = Change::Put {
        table: Table::Images,
        key,
        value: record.to_string(),
    };
    world.records.apply(&[change]).expect("records");
    let engine = world.engine().await;
    (world, engine, blobs)
}

async fn push(engine: &Engine, name: &str) {
    let name = ImageReference::parse(name).expect("a name");
    engine.images.tag(IMAGE, name.clone()).await.expect("another name");
    let mut progress = engine.images.push(name, None);
    while let Some(message) = progress.next().await {
        assert!(!matches!(message, TransferProgress::Failed(_)), "{message:?}");
    }
}

#[tokio::test]
async fn each_blob_is_taken_from_where_it_is() {
    let (world, engine, _) = spread().await;
    let before = world.registry.fetched();
    push(&engine, "localhost:5000/zebra:1").await;
    assert_eq!(world.registry.fetched(), before, "the registry had all of them");
    let at_once = world.registry.claims_at_once();
    assert!(at_once > 1, "they were asked for one after another");
}

#[tokio::test]
async fn what_a_registry_lacks_is_asked_for_once() {
    let (world, engine, blobs) = spread().await;
    push(&engine, "localhost:5001/app:1").await;
    let asked = world.registry.asked();
    let of_layers: Vec<_> = asked.iter().filter(|asked| blobs.contains(asked)).collect();
    assert_eq!(of_layers.len(), blobs.len(), "{asked:?}");
    assert_eq!(of_layers.into_iter().collect::<HashSet<_>>().len(), blobs.len());
}
