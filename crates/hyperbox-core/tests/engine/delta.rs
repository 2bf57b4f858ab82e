// SPDX-License-Identifier: MIT
//! Delta pulls between two engines: what is moved, whom a pull believes, and what happens to an image whose blob stayed elsewhere.

use futures_util::{StreamExt, TryStreamExt};
use hyperbox_core::Engine;
use hyperbox_core::image::{CheckOptions, ImageRecord, RemoveImageOptions, TransferProgress};
use hyperbox_core::seam::{ContentStore, RegistryFault, Snapshotter};
use hyperbox_types::ImageReference;
use hyperbox_types::check::{CheckEvent, CheckSummary, Finding};
use serde_json::json;

use crate::world::{World, pull};

const HOST: &str = "unix:///other";
const OLD: &str = "localhost:5000/app:1";
const NEW: &str = "localhost:5000/app:2";

/// Bytes without a pattern, the same each time.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// A store that has the old version, another that has the new one, and a registry that has both.
struct Pair {
    here: World,
    engine: Engine,
    _there: World,
    other: Engine,
    new: ImageReference,
}

async fn pair() -> Pair {
    // An archive without entries: what follows its end is content nonetheless.
    let old = [vec![0; 1024], noise(7, 4_000_000)].concat();
    let mut new = old.clone();
    new.splice(1_500_000..1_500_100, noise(9, 50_000));
    new.splice(3_000_000..3_000_000, *b"inserted");
    let (here, there) = (World::new(), World::new());
    let mut references = Vec::new();
    for world in [&here, &there] {
        let config = json!({ "Cmd": ["x"] });
        references = vec![
            world.publish_layer(OLD, &config, old.clone()),
            world.publish_layer(NEW, &config, new.clone()),
        ];
    }
    let (engine, other) = (here.engine().await, there.engine().await);
    pull(&engine, &references[0]).await.expect("the old version");
    pull(&other, &references[1]).await.expect("the new version");
    here.peers.add(HOST, other.images.clone());
    Pair {
        here,
        engine,
        _there: there,
        other,
        new: references.pop().expect("two of them"),
    }
}

impl Pair {
    /// Pulls the new version and returns what was said.
    async fn pull_delta(&self) -> Vec<String> {
        let pull = self.engine.images.pull_delta(self.new.clone(), None, None, HOST).await;
        let mut progress = pull.expect("a manifest");
        let mut said = Vec::new();
        while let Some(message) = progress.next().await {
            match message {
                TransferProgress::Status { status, .. } => said.push(status),
                TransferProgress::Failed(error) => panic!("{}", error.message()),
                _ => {}
            }
        }
        said
    }

    fn image(&self) -> ImageRecord {
        ImageRecord::clone(&self.engine.images.get(NEW).expect("the new version"))
    }

    fn has_blob(&self) -> bool {
        let blob = &self.image().layers[0].blob.digest;
        self.here.content.info(blob).expect("content store").is_some()
    }

    fn has_layer(&self) -> bool {
        self.here.snapshotter.has_layer(&self.image().layers[0].diff_id)
    }

    async fn check(&self, repair: bool) -> (Vec<Finding>, CheckSummary) {
        let options = CheckOptions {
            repair,
            ..CheckOptions::default()
        };
        let events = self.engine.images.check(options, self.engine.volumes.clone());
        let events: Vec<CheckEvent> = events.collect().await;
        let findings = events.iter().filter_map(|event| match event {
            CheckEvent::Finding(finding) => Some(finding.clone()),
            _ => None,
        });
        let findings = findings.collect();
        match events.last() {
            Some(CheckEvent::Finished(summary)) => (findings, *summary),
            other => panic!("{other:?}"),
        }
    }
}

/// Returns the numbers of `Delta: N bytes from …, M bytes from layers that were here`.
fn moved(said: &[String]) -> (u64, u64) {
    let line = said.iter().find(|line| line.starts_with("Delta: ")).expect("a summary");
    let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1])
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_differs_is_moved() {
    let pair = pair().await;
    let said = pair.pull_delta().await;
    let (sent, taken) = moved(&said);
    assert!(sent < 600_000 && taken > 3_500_000, "{said:?}");
    assert!(pair.has_layer() && !pair.has_blob());
    let elsewhere = pair.image().elsewhere;
    assert_eq!(elsewhere.values().collect::<Vec<_>>(), [&pair.new]);
    // A restart knows it, too.
    let again = pair.here.engine().await;
    assert_eq!(again.images.get(NEW).expect("after a restart").elsewhere, elsewhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_stayed_elsewhere_comes_when_it_is_needed() {
    let pair = pair().await;
    pair.pull_delta().await;
    let names = [NEW.to_owned()];
    pair.here
        .registry
        .fail_next(RegistryFault::Unavailable, "the registry is away");
    let Err(error) = pair.engine.images.save(&names).await else {
        panic!("saved without a blob");
    };
    assert!(error.message().contains("the registry is away"), "{}", error.message());
    assert!(error.hint().is_some() && !pair.has_blob());
    let archive = pair.engine.images.save(&names).await.expect("the blob comes");
    let bytes: Vec<bytes::Bytes> = archive.try_collect().await.expect("an archive");
    assert!(bytes.iter().map(bytes::Bytes::len).sum::<usize>() > 4_000_000);
    assert!(pair.has_blob() && pair.image().elsewhere.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_elsewhere_completes_an_image_and_others_need_nothing() {
    /// What is done, and whether the blob comes for it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Done {
        PushBack,
        PushToAnotherRepository,
        PushToAnotherRegistry,
        Pull,
    }
    for (done, comes) in [
        (Done::PushBack, false),
        (Done::PushToAnotherRepository, false),
        (Done::PushToAnotherRegistry, true),
        (Done::Pull, false),
    ] {
        let pair = pair().await;
        pair.pull_delta().await;
        let blob = pair.image().layers[0].blob.digest.clone();
        let images = &pair.engine.images;
        let push = async |name: &str| {
            let name = ImageReference::parse(name).expect("a name");
            images.tag(NEW, name.clone()).await.expect("a second name");
            images.push(name, None)
        };
        let mut progress = match done {
            Done::PushBack => images.push(pair.new.clone(), None),
            Done::PushToAnotherRepository => push("localhost:5000/moved:2").await,
            Done::PushToAnotherRegistry => push("localhost:5001/app:2").await,
            Done::Pull => images.pull(pair.new.clone(), None, None).await.expect("a manifest"),
        };
        while let Some(message) = progress.next().await {
            assert!(!matches!(message, TransferProgress::Failed(_)), "{done:?}: {message:?}");
        }
        let fetched = pair.here.registry.fetched().contains(&blob);
        let complete = (fetched, pair.has_blob(), pair.image().elsewhere.is_empty());
        assert_eq!(complete, (comes, comes, comes), "{done:?}");
        let (findings, _) = pair.check(false).await;
        assert!(findings.is_empty(), "{done:?}: {findings:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_knows_what_is_elsewhere_and_mends_the_layer_from_there() {
    let pair = pair().await;
    pair.pull_delta().await;
    let (findings, summary) = pair.check(false).await;
    assert!(findings.is_empty(), "{findings:?}");
    assert_eq!(summary.blobs_elsewhere, 1);
    let image = pair.image();
    let layer = image.layers[0].diff_id.clone();
    pair.here.snapshotter.remove_layer(&layer).await.expect("damage");
    let (findings, summary) = pair.check(true).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(summary.is_sound(), "{findings:?}");
    assert!(pair.has_layer());
}

/// Whatever the other store does, the pull succeeds with the right bytes, which then come from the registry.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_is_found_out_and_the_registry_asked() {
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let compress = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("in memory");
    let wrong = compress(&[7; 300_000]);
    let bomb = compress(&vec![0; 200 << 20]);
    let short_list: Spoil = |mut list| {
        list.truncate(40);
        list
    };
    let other_names: Spoil = |mut list| {
        // The last chunk gets another name, which is that of no bytes.
        let end = list.len() - 36;
        list[end] ^= 1;
        list
    };
    let fewer_chunks: Spoil = |mut list| {
        let last = list.split_off(list.len() - 36);
        let length = u32::from_le_bytes(last[32..].try_into().expect("four bytes"));
        let (count, total) = list[8..24].split_at_mut(8);
        let less = |number: &mut [u8], by: u64| {
            let value = u64::from_le_bytes((&*number).try_into().expect("eight bytes")) - by;
            number.copy_from_slice(&value.to_le_bytes());
        };
        less(count, 1);
        less(total, u64::from(length));
        list
    };
    let endless: Spoil = |list| list.repeat(1_000_000_000 / list.len());
    let lists = [
        ("cut", short_list),
        ("other names", other_names),
        ("fewer chunks", fewer_chunks),
        ("endless", endless),
    ];
    for (what, spoil) in lists {
        let pair = pair().await;
        pair.here.peers.spoil_list(spoil);
        check_fallback(&pair, what).await;
    }
    for (what, answer) in [
        ("other bytes", wrong),
        ("no Zstandard", vec![1; 900_000]),
        ("a bomb", bomb),
    ] {
        let pair = pair().await;
        pair.here.peers.spoil_ranges(move |_| answer.clone());
        check_fallback(&pair, what).await;
    }
}

async fn check_fallback(pair: &Pair, what: &str) {
    let said = pair.pull_delta().await;
    assert!(
        said.iter().any(|line| line.starts_with("No delta from unix:///other")),
        "{what}: {said:?}"
    );
    assert!(
        pair.has_blob() && pair.has_layer() && pair.image().elsewhere.is_empty(),
        "{what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_end_are_made_again_where_they_were() {
    let pair = pair().await;
    for kept in [0, 9_000, 30_000] {
        pair.here.peers.spoil_ranges(move |mut bytes| {
            bytes.truncate(kept);
            bytes
        });
    }
    let said = pair.pull_delta().await;
    assert!(!said.iter().any(|line| line.starts_with("No delta")), "{said:?}");
    assert_eq!(pair.here.peers.asked(), 4);
    assert!(pair.has_layer() && !pair.has_blob());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_away_or_has_nothing_costs_a_pull_nothing() {
    for host in [HOST, "unix:///nobody"] {
        let pair = pair().await;
        let forget = RemoveImageOptions::default();
        pair.other
            .images
            .remove(NEW, forget)
            .await
            .expect("the other store forgets it");
        let pull = pair.engine.images.pull_delta(pair.new.clone(), None, None, host).await;
        let messages: Vec<TransferProgress> = pull.expect("a manifest").collect().await;
        assert!(
            !messages
                .iter()
                .any(|message| matches!(message, TransferProgress::Failed(_)))
        );
        assert!(pair.has_blob() && pair.image().elsewhere.is_empty());
    }
}
