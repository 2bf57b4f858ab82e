// SPDX-License-Identifier: MIT
//! Pull, names, removal, save and load.

use futures_util::{StreamExt, TryStreamExt};
use hyperbox_core::image::{RemoveImageOptions, RemovedImage, TransferProgress};
use hyperbox_core::seam::{ContentStore, Snapshotter};
use hyperbox_types::{Digest, ErrorKind, ImageReference};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::world::{World, create, pull, spec, with_app};

#[tokio::test(flavor = "multi_thread")]
async fn pulled_images_are_found_by_every_name() {
    let (_world, engine) = with_app().await;
    let image = engine.images.get("localhost:5000/app").expect("by tag");
    let digest_name = image.digests[0].to_string();
    for reference in [
        "localhost:5000/app:latest",
        &image.id.to_string(),
        image.id.short(),
        &digest_name,
    ] {
        assert_eq!(engine.images.get(reference).expect(reference).id, image.id);
    }
    assert_eq!(
        engine.images.get("nosuch").expect_err("missing").message(),
        "No such image: nosuch:latest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_blob_is_never_fetched_twice() {
    let world = World::new();
    let reference = world.publish("localhost:5000/app", &json!({ "Cmd": ["x"] }));
    let engine = world.engine().await;
    let pulls = (0..4).map(|_| pull(&engine, &reference));
    for result in futures_util::future::join_all(pulls).await {
        result.expect("pull");
    }
    let mut fetched = world.registry.fetched();
    let count = fetched.len();
    fetched.sort();
    fetched.dedup();
    assert_eq!(fetched.len(), count, "each blob once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_pull_leaves_nothing() {
    let world = World::new();
    let reference = world.publish("localhost:5000/app", &json!({ "Cmd": ["x"] }));
    let engine = world.engine().await;
    pull(&engine, &reference).await.expect("pull");
    let layer = engine.images.get("localhost:5000/app").expect("image").layers[0]
        .blob
        .digest
        .clone();
    engine
        .images
        .remove("localhost:5000/app", RemoveImageOptions::default())
        .await
        .expect("remove");
    world.registry.truncate_blob(&layer, 10);
    let error = pull(&engine, &reference).await.expect_err("truncated");
    assert!(error.message().contains("localhost:5000/app"), "{}", error.message());
    assert!(engine.images.list().is_empty());
    engine.images.collect().await;
    assert!(world.content.list().await.expect("blobs").is_empty());
    assert!(world.snapshotter.layers().await.expect("layers").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_is_another_one_is_told_so_whether_it_is_kept_or_not() {
    // More than waits between the network and the unpacker, which gives up at the first block.
    let layer = vec![0; 300_000];
    let another = vec![b'x'; layer.len()];
    let longer = [&another[..], b"x"].concat();
    for (kept, came) in [(true, &another), (false, &another), (true, &longer), (false, &longer)] {
        let world = World::new();
        let reference = world.publish_layer("localhost:5000/app", &json!({}), layer.clone());
        if !kept {
            world.snapshotter.keep_archives();
        }
        let blob = Digest::from_sha256(Sha256::digest(&layer).into());
        world.registry.damage_blob(&blob, came.clone());
        let engine = world.engine().await;
        let error = pull(&engine, &reference).await.expect_err("other bytes");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("expected"), "kept: {kept}: {}: {cause}", error.message());
        // What is wrong with the disk is told as it is.
        world.registry.damage_blob(&blob, layer.clone());
        world.snapshotter.fail_next_stage();
        let error = pull(&engine, &reference).await.expect_err("a full disk");
        assert_eq!(error.kind(), ErrorKind::ResourceExhausted, "{}", error.message());
        pull(&engine, &reference).await.expect("the layer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_move_and_the_last_one_takes_the_image() {
    let (world, engine) = with_app().await;
    let other = world.publish("localhost:5000/other", &json!({ "Cmd": ["y"] }));
    pull(&engine, &other).await.expect("pull");
    let tag = ImageReference::parse("mine:1").expect("reference");
    engine.images.tag("localhost:5000/app", tag.clone()).await.expect("tag");
    engine
        .images
        .tag("localhost:5000/other", tag.clone())
        .await
        .expect("the tag moves");
    assert_eq!(
        engine.images.get("mine:1").expect("moved").id,
        engine.images.get("localhost:5000/other").expect("other").id
    );
    let removed = engine
        .images
        .remove("mine:1", RemoveImageOptions::default())
        .await
        .expect("untag");
    assert_eq!(removed, [RemovedImage::Untagged("mine:1".to_owned())]);
    let removed = engine
        .images
        .remove("localhost:5000/other", RemoveImageOptions::default())
        .await
        .expect("remove");
    assert!(matches!(removed.last(), Some(RemovedImage::Deleted(_))));
    assert_eq!(engine.images.list().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_in_use_stay() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let error = engine
        .images
        .remove("localhost:5000/app", RemoveImageOptions::default())
        .await
        .expect_err("in use");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let forced = RemoveImageOptions {
        force: true,
        no_prune: false,
    };
    engine
        .images
        .remove("localhost:5000/app", forced)
        .await
        .expect("a stopped container does not hinder force");
    assert_eq!(
        world.snapshotter.layers().await.expect("layers").len(),
        1,
        "the container still stands on its layer"
    );
    engine.containers.start("web").await.expect("start without the image");
}

#[tokio::test(flavor = "multi_thread")]
async fn save_and_load_round_trip() {
    let (_world, engine) = with_app().await;
    let original = engine.images.get("localhost:5000/app").expect("image");
    let stream = engine
        .images
        .save(&["localhost:5000/app".to_owned()])
        .await
        .expect("save");
    let chunks: Vec<bytes::Bytes> = stream.try_collect().await.expect("archive");
    let archive = chunks.concat();
    let other = World::new().engine().await;
    for _ in 0..2 {
        let mut progress = other
            .images
            .load(Box::new(std::io::Cursor::new(archive.clone())), None)
            .await
            .expect("load");
        let mut last = String::new();
        while let Some(message) = progress.next().await {
            match message {
                TransferProgress::Status { status, .. } => last = status,
                TransferProgress::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
        assert_eq!(last, "Loaded image: localhost:5000/app:latest\n");
    }
    let loaded = other.images.get("localhost:5000/app").expect("loaded");
    assert_eq!((&loaded.id, &loaded.manifest), (&original.id, &original.manifest));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_no_archive() {
    let engine = World::new().engine().await;
    for bytes in [&b""[..], b"garbage", &[0; 1024]] {
        let mut progress = engine.images.load(Box::new(bytes), None).await.expect("accepted");
        let failed = progress.next().await;
        assert!(matches!(failed, Some(TransferProgress::Failed(_))), "{failed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_sleeps_hinders_nobody() {
    let world = World::new();
    let reference = world.publish("localhost:5000/app", &json!({ "Cmd": ["x"] }));
    let engine = world.engine().await;
    let sleeping: Vec<_> =
        futures_util::future::join_all((0..3).map(|_| engine.images.pull(reference.clone(), None, None))).await;
    tokio::time::timeout(std::time::Duration::from_secs(20), pull(&engine, &reference))
        .await
        .expect("hangs")
        .expect("pull");
    for progress in sleeping {
        let messages: Vec<_> = progress.expect("pull").collect().await;
        assert!(
            !messages
                .iter()
                .any(|message| matches!(message, TransferProgress::Failed(_)))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_pull_hinders_nobody() {
    let world = World::new();
    let reference = world.publish("localhost:5000/app", &json!({ "Cmd": ["x"] }));
    let engine = world.engine().await;
    for _ in 0..20 {
        let mut progress = engine.images.pull(reference.clone(), None, None).await.expect("pull");
        progress.next().await;
        drop(progress);
    }
    pull(&engine, &reference).await.expect("pull");
    assert!(engine.images.get("localhost:5000/app").is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_arrives_while_the_image_goes_is_not_lost() {
    for _ in 0..20 {
        let (_world, engine) = with_app().await;
        let tag = ImageReference::parse("mine:1").expect("reference");
        let (tagged, removed) = tokio::join!(
            engine.images.tag("localhost:5000/app", tag),
            engine
                .images
                .remove("localhost:5000/app", RemoveImageOptions::default()),
        );
        removed.expect("remove");
        assert_eq!(tagged.is_ok(), engine.images.get("mine:1").is_ok(), "{tagged:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn collection_never_takes_what_is_being_pulled_or_created() {
    let (world, engine) = with_app().await;
    let other = world.publish("localhost:5000/other", &json!({ "Cmd": ["y"] }));
    for round in 0..20 {
        let name = format!("web{round}");
        let collect = async {
            for _ in 0..20 {
                engine.images.collect().await;
                tokio::task::yield_now().await;
            }
        };
        let (pulled, _, ()) = tokio::join!(pull(&engine, &other), create(&engine, &name, spec()), collect);
        pulled.expect("pull");
        engine
            .images
            .remove("localhost:5000/other", RemoveImageOptions::default())
            .await
            .expect("remove");
    }
}
