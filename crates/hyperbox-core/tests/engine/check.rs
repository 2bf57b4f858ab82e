// SPDX-License-Identifier: MIT
//! Checking and mending over fakes: what is told of which damage, and that nothing is removed that may be had again.

use std::collections::BTreeMap;

use futures_util::StreamExt;
use hyperbox_core::Engine;
use hyperbox_core::image::{CheckOptions, ImageRecord};
use hyperbox_core::seam::{ActiveKey, Change, ContentStore, Records, RegistryFault, Snapshotter, Table};
use hyperbox_types::ContainerId;
use hyperbox_types::check::{CheckEvent, CheckSummary, Finding, Outcome, Problem};

use crate::world::{World, create, spec, with_app};

/// Checks to the end.
async fn check(engine: &Engine, repair: bool) -> (Vec<Finding>, CheckSummary) {
    let options = CheckOptions {
        repair,
        ..CheckOptions::default()
    };
    let mut findings = Vec::new();
    let mut events = engine.images.check(options, engine.volumes.clone());
    while let Some(event) = events.next().await {
        match event {
            CheckEvent::Progress { done, total, .. } => assert!(done < total),
            CheckEvent::Finding(finding) => findings.push(finding),
            CheckEvent::Finished(summary) => return (findings, summary),
            CheckEvent::Failed { message } => panic!("{message}"),
        }
    }
    panic!("the check ended without a word");
}

fn problems(findings: &[Finding]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = findings.iter().map(|finding| finding.problem).collect();
    problems.sort();
    problems
}

fn app(engine: &Engine) -> ImageRecord {
    ImageRecord::clone(&*engine.images.get("localhost:5000/app").expect("image"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_store_is_sound() {
    let (_world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    for repair in [false, true] {
        let (findings, summary) = check(&engine, repair).await;
        assert_eq!(findings, []);
        assert_eq!((summary.blobs, summary.layers, summary.problems), (3, 1, 0));
        assert!(summary.is_sound() && summary.bytes > 0);
    }
}

/// Every blob of an image, damaged in every way, is found and fetched again.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_blobs_are_fetched_again() {
    type Damage = fn(&World, &hyperbox_types::Digest);
    let damages: [(&str, Problem, Damage); 4] = [
        ("flipped", Problem::BlobDamaged, |world, digest| {
            let mut bytes = world
                .registry
                .blob_bytes(digest)
                .map_or_else(|| vec![1; 9], |bytes| bytes.to_vec());
            bytes[0] ^= 1;
            world.content.damage(digest, bytes);
        }),
        ("truncated", Problem::BlobDamaged, |world, digest| {
            world.content.damage(digest, "x");
        }),
        ("empty", Problem::BlobDamaged, |world, digest| {
            world.content.damage(digest, "");
        }),
        ("gone", Problem::BlobMissing, |world, digest| {
            world.content.remove(digest).expect("remove");
        }),
    ];
    for (name, problem, damage) in damages {
        let (world, engine) = with_app().await;
        let image = app(&engine);
        for digest in [
            &image.manifest.digest,
            &image.configuration.digest,
            &image.layers[0].blob.digest,
        ] {
            damage(&world, digest);
            let (findings, summary) = check(&engine, false).await;
            assert_eq!(problems(&findings), [problem], "{name} {findings:?}");
            assert_eq!(findings[0].subject, digest.to_string());
            assert_eq!(findings[0].needed_by, ["localhost:5000/app:latest"]);
            assert!(findings[0].outcome == Outcome::Nothing && !summary.is_sound());
            let (findings, summary) = check(&engine, true).await;
            assert!(matches!(&findings[0].outcome, Outcome::Repaired { how } if how.contains("localhost:5000/app")));
            assert!(summary.is_sound());
            assert_eq!(check(&engine, false).await.0, [], "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_layers_are_unpacked_again_from_blobs_that_are_fetched_again() {
    let (world, engine) = with_app().await;
    let image = app(&engine);
    let layer = &image.layers[0];
    for blob_too in [false, true] {
        world.snapshotter.remove_layer(&layer.diff_id).await.expect("remove");
        if blob_too {
            world.content.remove(&layer.blob.digest).expect("remove");
        }
        let (findings, summary) = check(&engine, true).await;
        let expected: &[Problem] = match blob_too {
            true => &[Problem::BlobMissing, Problem::LayerMissing],
            false => &[Problem::LayerMissing],
        };
        assert_eq!(problems(&findings), expected);
        assert!(summary.is_sound(), "{findings:?}");
        assert_eq!(check(&engine, false).await.0, []);
    }
}

/// Takes blob and layer away, and lets the registry answer.
async fn lose(world: &World, engine: &Engine, fault: RegistryFault) {
    let layer = app(engine).layers[0].clone();
    world.snapshotter.remove_layer(&layer.diff_id).await.expect("remove");
    world.content.remove(&layer.blob.digest).expect("remove");
    world.registry.fail_next(fault, "that is how it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_is_removed_and_what_somebody_may_have_is_kept() {
    for (fault, used, kept) in [
        (RegistryFault::NotFound, false, false),
        (RegistryFault::NotFound, true, true),
        (RegistryFault::Unavailable, false, true),
        (RegistryFault::Unauthorized, false, true),
    ] {
        let (world, engine) = with_app().await;
        if used {
            create(&engine, "web", spec()).await;
        }
        lose(&world, &engine, fault).await;
        let (findings, summary) = check(&engine, true).await;
        assert_eq!(
            problems(&findings)[..2],
            [Problem::BlobMissing, Problem::LayerMissing],
            "{fault:?} {findings:?}"
        );
        assert_eq!(engine.images.list().len(), usize::from(kept), "{fault:?} {findings:?}");
        assert!(!summary.is_sound(), "the loss is told");
        let of_layer = findings.iter().find(|finding| finding.problem == Problem::LayerMissing);
        let outcome = &of_layer.expect("the layer's finding").outcome;
        assert_eq!(matches!(outcome, Outcome::Removed { .. }), !kept, "{outcome:?}");
        if kept && fault != RegistryFault::NotFound {
            let (_, summary) = check(&engine, true).await;
            assert!(summary.is_sound(), "the registry answers now");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_that_a_container_runs_on_is_not_exchanged() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let layer = app(&engine).layers[0].diff_id.clone();
    world.snapshotter.remove_layer(&layer).await.expect("remove");
    let (findings, _) = check(&engine, true).await;
    assert!(
        matches!(&findings[0].outcome, Outcome::Left { why } if why.contains("stop it first")),
        "{findings:?}"
    );
    engine.containers.kill("web", None).await.expect("kill");
    crate::world::exit_code(&engine, "web").await;
    let (_, summary) = check(&engine, true).await;
    assert!(summary.is_sound());
}

#[tokio::test(flavor = "multi_thread")]
async fn remains_and_dangling_records_are_told() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let garbage = world.content.insert("nobody needs this");
    let nobody = ActiveKey(ContainerId::from_bytes([7; 32]));
    world.snapshotter.prepare(&nobody, &[]).await.expect("prepare");
    let mut records: BTreeMap<_, _> = world.records.load(Table::Images).expect("load").into_iter().collect();
    let (key, _) = records.pop_first().expect("a record");
    let broken = key.replace('0', "1").replace('a', "b");
    world
        .records
        .apply(&[Change::Put {
            table: Table::Images,
            key: broken,
            value: "{\"id\":7}".to_owned(),
        }])
        .expect("apply");
    let expected = [
        Problem::RecordUnreadable,
        Problem::ContainerFilesUnowned,
        Problem::Unreferenced,
    ];
    let (findings, _) = check(&engine, false).await;
    assert_eq!(problems(&findings), expected, "{findings:?}");
    assert!(
        world.content.info(&garbage).expect("info").is_some(),
        "a check changes nothing"
    );
    let (findings, _) = check(&engine, true).await;
    assert_eq!(problems(&findings), expected);
    assert!(world.content.info(&garbage).expect("info").is_none());
    assert_eq!(world.snapshotter.active().expect("active").len(), 1);
    assert_eq!(problems(&check(&engine, true).await.0), [Problem::RecordUnreadable]);
    let id = engine.containers.get("web").expect("container").id.clone();
    world.snapshotter.remove(&ActiveKey(id)).await.expect("remove");
    let (findings, _) = check(&engine, true).await;
    assert_eq!(
        problems(&findings),
        [Problem::RecordUnreadable, Problem::ContainerFilesMissing]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_is_dropped_ends_and_hinders_nobody() {
    for events in 0..8 {
        let (world, engine) = with_app().await;
        lose(&world, &engine, RegistryFault::Unavailable).await;
        let options = CheckOptions {
            repair: true,
            ..CheckOptions::default()
        };
        let stream = engine.images.check(options, engine.volumes.clone());
        stream.take(events).for_each(|_| std::future::ready(())).await;
        let (_, summary) = check(&engine, true).await;
        let (findings, after) = check(&engine, true).await;
        assert!(summary.is_sound() || after.is_sound(), "{findings:?}");
    }
}
