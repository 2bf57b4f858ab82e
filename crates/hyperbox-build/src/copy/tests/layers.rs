// SPDX-License-Identifier: MIT
//! The archives of layers: sorted, whole, the same each time, and clamped; and the digests of what they are made of.

use std::io::Read as _;
use std::sync::Arc;

use hyperbox_core::time::Timestamp;
use proptest::prelude::*;

use super::fixture::{World, archive, gzip, listed};
use crate::context::{SpooledTree, Tree};
use crate::request::ContextSource;
use crate::step::{CopySource, CopyStep, FileOwner, FileStep, FileSteps as _, MakeDirectory, StepContext};

fn step(tree: &Arc<SpooledTree>, path: &str, destination: &str) -> CopyStep {
    CopyStep {
        sources: vec![CopySource::Tree {
            tree: Arc::clone(tree) as Arc<dyn Tree>,
            path: path.to_owned(),
        }],
        destination: destination.to_owned(),
        owner: None,
        mode: None,
        link: false,
        parents: false,
        excludes: Vec::new(),
        add: None,
    }
}

async fn layer(world: &World, below: Option<&Arc<SpooledTree>>, step: &CopyStep, with: &StepContext) -> Vec<u8> {
    let below = below.map(|tree| Arc::clone(tree) as Arc<dyn Tree>);
    let layer = world.files.copy_onto(below, step, with).await;
    let mut bytes = Vec::new();
    layer.expect("a layer").read_to_end(&mut bytes).expect("bytes");
    bytes
}

async fn digest(world: &World, step: &CopyStep) -> [u8; 32] {
    let digest = world.files.digest(&FileStep::Copy(step.clone()), &world.with()).await;
    digest.expect("a digest")
}

#[tokio::test]
async fn a_layer_is_sorted_and_has_the_directories_above_as_they_are() {
    let world = World::new();
    let base = world.tree(&world.base);
    let bytes = layer(
        &world,
        Some(&base),
        &step(&world.context, "a.txt", "/own/x/"),
        &world.with(),
    )
    .await;
    assert_eq!(
        listed(&world.tree(&bytes)),
        ["d2750 7:8 own/", "d755 0:0 own/x/", "f644 0:0 2 own/x/a.txt"]
    );
    let mut names = Vec::new();
    for entry in tar::Archive::new(bytes.as_slice()).entries().expect("entries") {
        names.push(entry.expect("an entry").path().expect("a path").display().to_string());
    }
    assert_eq!(names, ["own/", "own/x/", "own/x/a.txt"]);
    assert_eq!(bytes.len() % 512, 0);
}

#[tokio::test]
async fn a_linked_layer_does_not_look_below() {
    let world = World::new();
    let base = world.tree(&world.base);
    let mut linked = step(&world.context, "a.txt", "/lnk/");
    linked.link = true;
    linked.owner = Some(FileOwner("web".to_owned()));
    let bytes = layer(&world, Some(&base), &linked, &world.with()).await;
    assert_eq!(
        listed(&world.tree(&bytes)),
        ["d755 33:34 lnk/", "f644 33:34 2 lnk/a.txt"]
    );
}

#[tokio::test]
async fn no_time_is_later_than_the_epoch_and_the_bytes_are_the_same() {
    let world = World::new();
    let mut with = world.with();
    with.source_date_epoch = Some(Timestamp(999_999_999_500_000_000));
    let copy = step(&world.context, "d", "/x/y/");
    let bytes = layer(&world, None, &copy, &with).await;
    for entry in tar::Archive::new(bytes.as_slice()).entries().expect("entries") {
        let time = entry.expect("an entry").header().mtime().expect("a time");
        assert_eq!(time, 999_999_999);
    }
    assert_eq!(bytes, layer(&world, None, &copy, &with).await);
}

#[tokio::test]
async fn an_archive_that_replaces_a_directory_hides_it() {
    let world = World::new();
    let base = world.tree(&world.base);
    let archives = archive("d755 0:0 t/\n");
    assert!(!archives.is_empty());
    let mut tar = tar::Builder::new(Vec::new());
    for (name, lines) in [("1.tar", "f644 0:0 own = x\\n"), ("2.tar", "d755 0:0 own/")] {
        let bytes = archive(lines);
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes.as_slice()).expect("append");
    }
    let context = world.tree(&tar.into_inner().expect("an archive"));
    let mut add = step(&context, "*.tar", "/");
    add.add = Some(crate::step::AddFile {
        checksum: None,
        keep_git_directory: false,
        unpacking: crate::step::Unpacking::Local,
    });
    let bytes = layer(&world, Some(&base), &add, &world.with()).await;
    let expected = ["d755 0:0 own/", "f0 0:0 0 own/.wh..wh..opq"];
    assert_eq!(listed(&world.tree(&bytes)), expected);
}

#[tokio::test]
async fn parents_are_made_as_they_are() {
    let world = World::new();
    for (path, expected) in [
        (
            "d/sub/s.txt",
            vec![
                "d755 0:0 p/",
                "d700 0:0 p/d/",
                "d700 0:0 p/d/sub/",
                "f644 0:0 2 p/d/sub/s.txt",
            ],
        ),
        (
            "d/./sub/s.txt",
            vec!["d755 0:0 p/", "d700 0:0 p/sub/", "f644 0:0 2 p/sub/s.txt"],
        ),
        ("./a.txt", vec!["d755 0:0 p/", "f644 0:0 2 p/a.txt"]),
        (
            "**/s.txt",
            vec![
                "d755 0:0 p/",
                "d700 0:0 p/d/",
                "d700 0:0 p/d/sub/",
                "f644 0:0 2 p/d/sub/s.txt",
            ],
        ),
        ("d/empty", vec!["d755 0:0 p/", "d700 0:0 p/d/", "d755 0:0 p/d/empty/"]),
        ("../../d/x", vec!["d755 0:0 p/", "d700 0:0 p/d/", "f755 0:0 2 p/d/x"]),
    ] {
        let mut copy = step(&world.context, path, "/p/");
        copy.parents = true;
        let bytes = layer(&world, None, &copy, &world.with()).await;
        assert_eq!(listed(&world.tree(&bytes)), expected, "{path}");
    }
}

#[tokio::test]
async fn digests_change_with_what_matters_and_with_nothing_else() {
    let world = World::new();
    let text = "d755 0:0 d/\nf644 1:2 d/f = x\nl d/l -> f\nx f644 0:0 d/g = y\n";
    let original = world.tree(&archive(text));
    let same = digest(&world, &step(&original, "d", "/t/")).await;
    for (change, from, to, path, differs) in [
        ("content", "= x", "= z", "d", true),
        ("mode", "f644 1:2", "f600 1:2", "d", true),
        ("owner", "1:2", "1:3", "d", true),
        ("name", "d/f = ", "d/h = ", "d", true),
        ("target", "-> f", "-> g", "d", true),
        ("attribute", "x f644", "f644", "d", true),
        ("more", "l d/l", "d700 0:0 d/more/\nl d/l", "d", true),
        (
            "elsewhere",
            "d755 0:0 d/\n",
            "d755 0:0 d/\nf644 0:0 other = 1\n",
            "d",
            false,
        ),
        ("mode of the root", "d755 0:0 d/", "d700 0:0 d/", "d", false),
        (
            "order",
            "d755 0:0 d/\nf644 1:2 d/f = x\nl d/l -> f\n",
            "l d/l -> f\nf644 1:2 d/f = x\nd755 0:0 d/\n",
            "d",
            false,
        ),
        ("spelling", "", "", "./d/../d/", false),
    ] {
        let changed = world.tree(&archive(&text.replace(from, to)));
        let digest = digest(&world, &step(&changed, path, "/t/")).await;
        assert_eq!(digest != same, differs, "{change}");
    }
    let mut excluding = step(&original, "d", "/t/");
    excluding.excludes = vec!["g".to_owned()];
    let without = digest(&world, &excluding).await;
    assert_ne!(without, same);
    let mut owned = step(&original, "d", "/t/");
    owned.owner = Some(FileOwner("5".to_owned()));
    let other = world.tree(&archive(&text.replace("1:2", "3:4")));
    let mut other_owned = step(&other, "d", "/t/");
    other_owned.owner = Some(FileOwner("5".to_owned()));
    assert_eq!(digest(&world, &owned).await, digest(&world, &other_owned).await);
}

#[tokio::test]
async fn times_do_not_count() {
    let world = World::new();
    let one = archive("f644 0:0 f = x\n");
    let mut later = one.clone();
    let mut header = tar::Header::from_byte_slice(&later[..512]).clone();
    header.set_mtime(5);
    header.set_cksum();
    later[..512].copy_from_slice(header.as_bytes());
    let (one, later) = (world.tree(&one), world.tree(&later));
    assert_eq!(
        digest(&world, &step(&one, "f", "/")).await,
        digest(&world, &step(&later, "f", "/")).await
    );
}

#[tokio::test]
async fn missing_sources_have_no_digest() {
    let world = World::new();
    let nowhere = step(&world.context, "nope/../nope", "/");
    let error = world
        .files
        .digest(&FileStep::Copy(nowhere), &world.with())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), hyperbox_types::ErrorKind::NotFound);
    assert_eq!(error.to_string(), "failed to compute cache key: \"/nope\": not found");
    let context = Arc::clone(&world.context) as Arc<dyn Tree>;
    let missing = world.files.digest_path(&context, "/d/dangling", &world.with()).await;
    assert_eq!(missing.unwrap_err().kind(), hyperbox_types::ErrorKind::NotFound);
    let through = world
        .files
        .digest_path(&context, "dlink/sub", &world.with())
        .await
        .expect("a digest");
    let direct = world
        .files
        .digest_path(&context, "/d/sub/", &world.with())
        .await
        .expect("a digest");
    assert_eq!(through, direct);
}

#[tokio::test]
async fn checksums_are_asked_only_of_what_is_fetched() {
    let world = World::new();
    let mut add = step(&world.context, "a.txt", "/");
    add.add = Some(crate::step::AddFile {
        checksum: Some(format!("sha256:{}", "0".repeat(64))),
        keep_git_directory: false,
        unpacking: crate::step::Unpacking::Local,
    });
    let error = world
        .files
        .digest(&FileStep::Copy(add.clone()), &world.with())
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "checksum requires HTTP(S) or Git sources");
    add.sources = vec![CopySource::Remote {
        address: "http://127.0.0.1/x".to_owned(),
        content: None,
    }];
    let told = world.files.digest(&FileStep::Copy(add.clone()), &world.with()).await;
    assert!(told.is_ok(), "a checksum tells the content: nothing is fetched");
    if let Some(add) = &mut add.add {
        add.checksum = None;
    }
    let error = world
        .files
        .digest(&FileStep::Copy(add), &world.with())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), hyperbox_types::ErrorKind::NotFound);
}

#[tokio::test]
async fn copy_takes_no_addresses() {
    let world = World::new();
    for (path, message) in [
        ("http://127.0.0.1/x", "source can't be a URL for COPY"),
        ("https://127.0.0.1/x.git#v1", "source can't be a git ref for COPY"),
    ] {
        let copy = FileStep::Copy(step(&world.context, path, "/"));
        let error = world.files.digest(&copy, &world.with()).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_read() {
    let world = World::new();
    let with = world.with();
    with.cancel.cancel();
    let copy = FileStep::Copy(step(&world.context, "d", "/"));
    let error = world.files.digest(&copy, &with).await.unwrap_err();
    assert!(matches!(error, crate::StepError::Cancelled));
}

#[tokio::test]
async fn a_context_arrives_as_a_stream() {
    let world = World::new();
    let bytes = gzip(&archive("f644 3:4 Dockerfile = FROM scratch\\n\n"));
    let pieces: Vec<std::io::Result<bytes::Bytes>> = bytes.chunks(7).map(|piece| Ok(piece.to_vec().into())).collect();
    let stream = Box::pin(futures_util::stream::iter(pieces));
    let tree = world
        .files
        .open_context(ContextSource::Archive(stream), &world.with())
        .await
        .expect("a context");
    let entry = tree
        .entry(std::path::Path::new("Dockerfile"))
        .expect("a look")
        .expect("the file");
    assert_eq!((entry.uid, entry.gid, entry.mode), (3, 4, 0o644));
    let with = world.with();
    with.cancel.cancel();
    let endless = Box::pin(futures_util::stream::pending());
    let cancelled = world.files.open_context(ContextSource::Archive(endless), &with).await;
    assert!(matches!(cancelled, Err(crate::StepError::Cancelled)));
}

#[tokio::test]
async fn directories_are_made_where_links_lead() {
    let world = World::new();
    let step = FileStep::MakeDirectory(MakeDirectory {
        path: "/a/b".to_owned(),
        owner: None,
    });
    let digest = world.files.digest(&step, &world.with()).await;
    assert!(digest.is_ok());
    let stored = world.files.run(&step, &[], &world.with()).await.unwrap_err();
    assert_eq!(stored.to_string(), "this test stores nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// What a layer says is read back as it was said, whatever names, owners and times.
    #[test]
    fn layers_are_read_back(
        names in prop::collection::btree_set("[a-z]{1,120}", 1..5),
        uid in 0_u32..u32::MAX,
        text in prop::collection::vec(any::<u8>(), 0..2000),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let world = World::new();
        runtime.block_on(async {
            let directory: String = names.iter().map(|name| format!("{name}/")).collect();
            let scratch = &world.scratch;
            let file = SpooledTree::of_file("f", 0o640, Timestamp(-5_000_000_000), text.as_slice(), scratch).expect("a file");
            let mut copy = step(&Arc::new(file), "f", &format!("/{directory}"));
            copy.owner = Some(FileOwner(uid.to_string()));
            let tree = world.tree(&layer(&world, None, &copy, &world.with()).await);
            let path = std::path::PathBuf::from(format!("{directory}f"));
            let entry = tree.entry(&path).expect("a look").expect("the file");
            assert_eq!((entry.uid, entry.gid, entry.mode), (uid, uid, 0o640));
            assert_eq!(entry.modified_at, Timestamp(-5_000_000_000));
            let mut read = Vec::new();
            tree.open(&path).expect("open").read_to_end(&mut read).expect("read");
            assert_eq!(read, text);
        });
    }
}
