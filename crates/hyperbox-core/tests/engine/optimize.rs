// SPDX-License-Identifier: MIT
//! Removing blobs that a registry has: whoever stops waiting, and whatever else fails.

use futures_util::FutureExt as _;
use hyperbox_core::Engine;
use hyperbox_core::image::{ImageRecord, OptimizeOptions};
use hyperbox_core::seam::ContentStore;
use hyperbox_types::ErrorKind;
use serde_json::json;

use crate::world::{World, eventually, pull};

const IMAGE: &str = "localhost:5000/app:1";
const RELEASE: OptimizeOptions = OptimizeOptions {
    undo: false,
    release_blobs: true,
};

/// An image of that many layers, with its blobs, which can go.
async fn with_layers(count: u8) -> (World, Engine, ImageRecord) {
    let world = World::new();
    let layers = (0..count).map(|number| [vec![0; 1024], vec![number; 100]].concat());
    let reference = world.publish_layers(IMAGE, &json!({ "Cmd": ["x"] }), layers.collect());
    let engine = world.engine().await;
    pull(&engine, &reference).await.expect("the image");
    world.snapshotter.keep_archives();
    let image = ImageRecord::clone(&engine.images.get(IMAGE).expect("the image"));
    (world, engine, image)
}

fn blobs_here(world: &World, image: &ImageRecord) -> usize {
    let layers = image.layers.iter();
    let here = layers.filter(|layer| world.content.info(&layer.blob.digest).expect("content store").is_some());
    here.count()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relies_on_blobs_that_go_although_nobody_waits_for_that() {
    let (world, engine, image) = with_layers(3).await;
    let held = world.records.hold_next_sync();
    let images = engine.images.clone();
    let releasing = tokio::spawn(async move { images.optimize(RELEASE).await });
    eventually("the removal", || {
        held.is_waited_for().then_some(()).ok_or("it has not begun".to_owned())
    })
    .await;
    releasing.abort();
    assert!(releasing.await.is_err_and(|error| error.is_cancelled()));
    assert!(
        engine.images.lease(&image).now_or_never().is_none(),
        "blobs are protected that are about to go"
    );
    drop(held);
    let _lease = engine.images.lease(&image).await.expect("the image");
    assert_eq!(blobs_here(&world, &image), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_go_although_there_is_no_room_for_anything_else() {
    let (world, engine, image) = with_layers(3).await;
    world.snapshotter.fail_next_optimization();
    let error = engine.images.optimize(RELEASE).await.expect_err("a full disk");
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    assert_eq!(blobs_here(&world, &image), 0);
    let report = engine.images.optimize(RELEASE).await.expect("there is room");
    assert_eq!((report.released_blobs, report.layers), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_layer_is_looked_at_a_few_times_however_many_there_are() {
    let count = 100;
    let (world, engine, image) = with_layers(count).await;
    let report = engine.images.optimize(RELEASE).await.expect("released");
    assert_eq!(report.released_blobs, u64::from(count));
    assert_eq!(blobs_here(&world, &image), 0);
    let looks = world.snapshotter.looks_for_archives();
    assert!(looks <= 2 * usize::from(count), "{looks}");
}
