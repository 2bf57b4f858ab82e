// SPDX-License-Identifier: MIT
//! Garbage collection: what is referred to stays, everything else goes, whatever happens in whatever order.

use std::collections::BTreeSet;

use futures_util::StreamExt;
use hyperbox_core::Engine;
use hyperbox_core::container::RemoveOptions;
use hyperbox_core::image::RemoveImageOptions;
use hyperbox_core::seam::{Change, ContentStore, Records, Snapshotter, Table};
use hyperbox_types::{ContainerName, DiffId, Digest, ImageReference};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::world::{World, create, pull, spec, with_app};

/// Puts an image into the registry; equal numbers are equal layers. `salt` makes another manifest of the same configuration.
fn publish(world: &World, name: &str, layers: &[u8], salt: &str) -> ImageReference {
    let reference = ImageReference::parse(name).expect(name);
    let archives: Vec<Vec<u8>> = layers
        .iter()
        .map(|number| [vec![0; 1024], vec![*number; 2048]].concat())
        .collect();
    let digest = |bytes: &[u8]| Digest::from_sha256(Sha256::digest(bytes).into());
    let configuration = json!({
        "architecture": "amd64", "os": "linux", "config": { "Cmd": ["serve"] },
        "rootfs": { "type": "layers", "diff_ids": archives.iter().map(|bytes| digest(bytes)).collect::<Vec<_>>() },
    })
    .to_string();
    let entries: Vec<Value> = archives
        .into_iter()
        .map(|bytes| {
            let size = bytes.len();
            let blob = world.registry.insert_blob(&reference, bytes);
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "size": size, "digest": blob })
        })
        .collect();
    let size = configuration.len();
    let configuration = world.registry.insert_blob(&reference, configuration);
    let manifest = json!({
        "schemaVersion": 2,
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "size": size, "digest": configuration },
        "layers": entries,
        "annotations": { "salt": salt },
    });
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    world
        .registry
        .insert_manifest(&reference, media_type, manifest.to_string());
    reference
}

type Stored = (BTreeSet<Digest>, BTreeSet<DiffId>);

async fn stored(world: &World) -> Stored {
    let blobs = world.content.list().await.expect("blobs");
    let layers = world.snapshotter.layers().await.expect("layers");
    (
        blobs.into_iter().map(|blob| blob.digest).collect(),
        layers.into_iter().map(|(layer, _)| layer).collect(),
    )
}

/// The model: what records refer to.
fn referred(engine: &Engine) -> Stored {
    let (mut blobs, mut layers) = Stored::default();
    for image in engine.images.list() {
        blobs.extend([image.manifest.digest.clone(), image.configuration.digest.clone()]);
        // What is left with a registry, because its layer was here, need not be here.
        let own = image.layers.iter().map(|layer| &layer.blob.digest);
        blobs.extend(own.filter(|blob| !image.elsewhere.contains_key(*blob)).cloned());
        layers.extend(image.layers.iter().map(|layer| layer.diff_id.clone()));
    }
    for container in engine.containers.list() {
        layers.extend(container.layers.iter().cloned());
    }
    (blobs, layers)
}

/// Checks that nothing is missing. What a removal that still goes on takes away is referred to before the look at the store and no longer
/// after it: only what is referred to at both times has to be there.
async fn assert_whole(world: &World, engine: &Engine) {
    let before = referred(engine);
    let stored = stored(world).await;
    let after = referred(engine);
    let blobs: Vec<&Digest> = before
        .0
        .intersection(&after.0)
        .filter(|blob| !stored.0.contains(*blob))
        .collect();
    assert!(blobs.is_empty(), "blobs are missing: {blobs:?}");
    let layers: Vec<&DiffId> = before
        .1
        .intersection(&after.1)
        .filter(|layer| !stored.1.contains(*layer))
        .collect();
    assert!(layers.is_empty(), "layers are missing: {layers:?}");
}

/// Waits until nothing is too much; looking at suspects only, which the removal of an image brings about.
async fn assert_exact(world: &World, engine: &Engine) {
    let flush = publish(world, "localhost:5000/flush", &[200], "");
    hyperbox_testkit::wait_for_async("exactly what is referred to", || async {
        pull(engine, &flush).await.map_err(|error| error.to_string())?;
        remove(engine, "localhost:5000/flush", true).await;
        let (found, expected) = (stored(world).await, referred(engine));
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?} instead of {expected:?}"))
        }
    })
    .await;
}

async fn remove(engine: &Engine, name: &str, force: bool) {
    let options = RemoveImageOptions { force, no_prune: false };
    drop(engine.images.remove(name, options).await);
}

#[derive(Debug, Clone)]
enum Step {
    Pull(usize),
    CancelledPull { image: usize, after: usize },
    BrokenPull(usize),
    Tag { image: usize, tag: usize },
    Remove { name: String, force: bool },
    CancelledRemove(usize),
    Create { container: usize, image: usize },
    RemoveContainer(usize),
    Prune(bool),
    Collect,
}

const IMAGES: [&[u8]; 4] = [&[1], &[1, 2], &[1, 2, 3], &[4]];

fn image_name(number: usize) -> String {
    format!("localhost:5000/image{number}")
}

fn steps() -> impl Strategy<Value = Step> {
    let image = 0..IMAGES.len();
    let named = prop_oneof![
        image.clone().prop_map(image_name),
        (0..3_usize).prop_map(|tag| format!("tag:{tag}"))
    ];
    prop_oneof![
        4 => image.clone().prop_map(Step::Pull),
        2 => (image.clone(), 0..12_usize).prop_map(|(image, after)| Step::CancelledPull { image, after }),
        1 => image.clone().prop_map(Step::BrokenPull),
        2 => (image.clone(), 0..3_usize).prop_map(|(image, tag)| Step::Tag { image, tag }),
        4 => (named, any::<bool>()).prop_map(|(name, force)| Step::Remove { name, force }),
        1 => image.clone().prop_map(Step::CancelledRemove),
        3 => (0..3_usize, image).prop_map(|(container, image)| Step::Create { container, image }),
        2 => (0..3_usize).prop_map(Step::RemoveContainer),
        1 => any::<bool>().prop_map(Step::Prune),
        1 => Just(Step::Collect),
    ]
}

/// Does a step; that it may be refused is part of the game.
async fn perform(engine: &Engine, references: &[ImageReference], step: Step) {
    match step {
        Step::Pull(image) => drop(pull(engine, &references[image]).await),
        Step::CancelledPull { image, after } => {
            if let Ok(progress) = engine.images.pull(references[image].clone(), None, None).await {
                progress.take(after).for_each(|_| std::future::ready(())).await;
            }
        }
        Step::BrokenPull(image) => {
            let missing = ImageReference::parse(&format!("localhost:5000/broken{image}")).expect("reference");
            drop(pull(engine, &missing).await);
        }
        Step::Tag { image, tag } => {
            let tag = ImageReference::parse(&format!("tag:{tag}")).expect("reference");
            drop(engine.images.tag(&image_name(image), tag).await);
        }
        Step::Remove { name, force } => remove(engine, &name, force).await,
        Step::CancelledRemove(image) => {
            let name = image_name(image);
            let removal = remove(engine, &name, true);
            drop(tokio::time::timeout(std::time::Duration::ZERO, removal).await);
        }
        Step::Create { container, image } => {
            let name = ContainerName::parse(&format!("container{container}")).expect("name");
            let mut spec = spec();
            spec.image = image_name(image);
            drop(engine.containers.create(Some(name), spec, Value::Null).await);
        }
        Step::RemoveContainer(container) => {
            let options = RemoveOptions {
                force: true,
                volumes: true,
            };
            drop(
                engine
                    .containers
                    .remove(&format!("container{container}"), options)
                    .await,
            );
        }
        Step::Prune(all) => drop(engine.images.prune(all, &|_| true).await),
        Step::Collect => drop(engine.images.collect().await),
    }
}

async fn play(rounds: Vec<(Vec<Step>, bool)>) {
    let world = World::new();
    let references: Vec<_> = IMAGES
        .iter()
        .enumerate()
        .map(|(number, layers)| publish(&world, &image_name(number), layers, ""))
        .collect();
    for number in 0..IMAGES.len() {
        let broken = publish(&world, &format!("localhost:5000/broken{number}"), &[1, 100], "");
        // The second layer breaks off: the first one is stored by then, or not.
        let archive = [vec![0; 1024], vec![100; 2048]].concat();
        world
            .registry
            .truncate_blob(&Digest::from_sha256(Sha256::digest(&archive).into()), 1500);
        drop(broken);
    }
    let mut engine = world.engine().await;
    for (steps, restart) in rounds {
        let together = steps.into_iter().map(|step| perform(&engine, &references, step));
        futures_util::future::join_all(together).await;
        assert_whole(&world, &engine).await;
        if restart {
            // What the earlier daemon had under way would die with it; in one process it must have ended.
            assert_exact(&world, &engine).await;
            engine = world.engine().await;
            assert_whole(&world, &engine).await;
        }
    }
    assert_exact(&world, &engine).await;
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, failure_persistence: None, ..Default::default() })]

    /// Random lives, several things at a time.
    #[test]
    fn nothing_is_missing_and_nothing_too_much(
        rounds in proptest::collection::vec((proptest::collection::vec(steps(), 1..4), proptest::bool::weighted(0.1)), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime");
        runtime.block_on(play(rounds));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn layers_of_a_container_without_image_go_with_it() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    remove(&engine, "localhost:5000/app", true).await;
    assert_eq!(stored(&world).await, referred(&engine));
    assert_eq!(stored(&world).await.1.len(), 1);
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    hyperbox_testkit::wait_for_async("the layers to go", || async {
        let left = stored(&world).await;
        if left == Stored::default() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_nobody_waits_for_is_finished() {
    for polls in 0..12 {
        let (world, engine) = with_app().await;
        let mut removal = Box::pin(remove(&engine, "localhost:5000/app", true));
        for _ in 0..polls {
            // Its work goes on beside the polls, and may be done before the last of them.
            if futures_util::poll!(&mut removal).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(removal);
        assert_whole(&world, &engine).await;
        assert_exact(&world, &engine).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_manifest_of_the_same_image_replaces_the_first() {
    let world = World::new();
    let first = publish(&world, "localhost:5000/one", &[1, 2], "first");
    let engine = world.engine().await;
    pull(&engine, &first).await.expect("pull");
    let second = publish(&world, "localhost:5000/one", &[1, 2], "second");
    pull(&engine, &second).await.expect("pull");
    assert_eq!(engine.images.list().len(), 1);
    assert_exact(&world, &engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_cannot_be_read_keep_their_content() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let before = stored(&world).await;
    for table in [Table::Images, Table::Containers] {
        for (key, json) in world.records.load(table).expect("records") {
            // What a newer build writes.
            let mut newer: Value = serde_json::from_str(&json).expect("JSON");
            newer["created_at"] = json!({ "calendar": "stardate" });
            let value = newer.to_string();
            world
                .records
                .apply(&[Change::Put { table, key, value }])
                .expect("apply");
        }
    }
    drop(engine);
    let engine = world.engine().await;
    assert!(engine.images.list().is_empty());
    engine.images.collect().await;
    assert_eq!(stored(&world).await, before);
    assert_eq!(
        world.snapshotter.active().expect("active").len(),
        1,
        "nor is the container's own layer thrown away"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_tells_the_bytes_that_became_free() {
    let world = World::new();
    let (one, two) = (
        publish(&world, "localhost:5000/one", &[1], ""),
        publish(&world, "localhost:5000/two", &[1, 2], ""),
    );
    let engine = world.engine().await;
    pull(&engine, &one).await.expect("pull");
    create(&engine, "web", {
        let mut spec = spec();
        spec.image = "localhost:5000/one".to_owned();
        spec
    })
    .await;
    let kept = stored(&world).await;
    pull(&engine, &two).await.expect("pull");
    let mut expected = 0;
    for blob in world.content.list().await.expect("blobs") {
        if !kept.0.contains(&blob.digest) {
            expected += blob.size.0;
        }
    }
    let (removed, size) = engine.images.prune(true, &|_| true).await.expect("prune");
    assert!(removed.len() >= 2, "{removed:?}");
    assert_eq!(stored(&world).await, kept);
    // The layer of the fake has no files: what it occupied is its blob.
    assert_eq!(size.0, expected);
    let (removed, size) = engine.images.prune(true, &|_| true).await.expect("prune");
    assert!(removed.is_empty() && size.0 == 0, "{removed:?} {size:?}");
}
