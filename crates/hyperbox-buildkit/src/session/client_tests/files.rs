// SPDX-License-Identifier: MIT
//! Directories of clients: what becomes of them, and what is asked for.

use std::io::Read as _;
use std::path::Path;

use hyperbox_build::context::{EntryKind, TreePlace};

use hyperbox_build::ForeignKept as _;

use super::*;

const DIRECTORY: u32 = 0x8000_01ed;
const LINK: u32 = 0x0800_01ff;

fn text(tree: &dyn Tree, path: &str) -> String {
    let mut text = String::new();
    let mut reader = tree.open(Path::new(path)).expect(path);
    reader.read_to_string(&mut text).expect(path);
    text
}

fn paths(tree: &dyn Tree, path: &str) -> Vec<String> {
    let walk = tree.walk(Path::new(path)).expect("a walk");
    walk.map(|entry| entry.expect("an entry").path.to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn a_directory_becomes_a_tree() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    shown.put("d", DIRECTORY, "");
    shown.put("d/file", 0o640, "text");
    shown.put("d/link", LINK, "../../../etc/passwd");
    shown.put("d-other", 0o755, "");
    let connected = world.connect("a", "key", showing(&shown)).await;
    let tree = connected.tree(&world).await.expect("a tree");
    assert_eq!(paths(tree.as_ref(), ""), ["", "d", "d/file", "d/link", "d-other"]);
    assert_eq!(paths(tree.as_ref(), "d"), ["d", "d/file", "d/link"]);
    assert_eq!(paths(tree.as_ref(), "d/file"), ["d/file"]);
    assert!(paths(tree.as_ref(), "d/fil").is_empty());
    assert_eq!(text(tree.as_ref(), "d/file"), "text");
    let entry = tree.entry(Path::new("d/file")).expect("a look").expect("an entry");
    assert_eq!((entry.mode, entry.modified_at.0), (0o640, 1));
    assert!(matches!(
        entry.kind,
        EntryKind::File {
            size: 4,
            identity: None
        }
    ));
    assert!(tree.open(Path::new("d")).is_err() && tree.open(Path::new("d/link")).is_err());
    let TreePlace::Directory(place) = tree.place().expect("a place") else {
        panic!("no directory");
    };
    assert_eq!(std::fs::read(place.join("d/file")).expect("unpacked"), b"text");
    assert_eq!(tree.place().expect("a place"), TreePlace::Directory(place));
    drop(tree);
    world.assert_clean();
}

#[tokio::test]
async fn the_next_session_of_the_same_directory_sends_what_changed() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    for path in ["a", "b", "c"] {
        shown.put(path, 0o644, path);
    }
    let first = world.connect("one", "key", showing(&shown)).await;
    let tree = first.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["a", "b", "c"]);
    first.vanish().await;

    shown.put("b", 0o644, "changed");
    let second = world.connect("two", "key", showing(&shown)).await;
    let newer = second.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["b"]);
    // A tree stays as it is.
    assert_eq!(
        (text(tree.as_ref(), "b"), text(newer.as_ref(), "b")),
        ("b".into(), "changed".into())
    );
    assert_eq!(text(newer.as_ref(), "a"), "a");

    let other = world.connect("three", "other key", showing(&shown)).await;
    other.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["a", "b", "c"]);
}

#[tokio::test]
async fn without_a_key_only_the_session_itself_is_the_same() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    shown.put("a", 0o644, "a");
    let first = world.connect("one", "", showing(&shown)).await;
    first.tree(&world).await.expect("a tree");
    first.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["a"]);
    first.vanish().await;
    assert_eq!(world.cache.kept(), []);
    let second = world.connect("one", "", showing(&shown)).await;
    second.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["a"]);
}

#[tokio::test]
async fn of_fifty_thousand_files_the_one_that_changed_is_sent() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    for directory in 0..500 {
        shown.put(&format!("d{directory:03}"), DIRECTORY, "");
        for file in 0..100 {
            shown.put(&format!("d{directory:03}/f{file:02}"), 0o644, "x");
        }
    }
    let first = world.connect("one", "key", showing(&shown)).await;
    first.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked().len(), 50_000);
    shown.put("d321/f12", 0o644, "yy");
    let tree = first.tree(&world).await.expect("a tree");
    assert_eq!(shown.take_asked(), ["d321/f12"]);
    assert_eq!(text(tree.as_ref(), "d321/f12"), "yy");
    assert_eq!(paths(tree.as_ref(), "d321").len(), 101);
}

#[tokio::test]
async fn dockerfiles_are_read_through_links() {
    let world = World::new();
    let shown = Arc::new(Shown::default());
    shown.put("Dockerfile", LINK, "/files/../files/d");
    shown.put("circle", LINK, "circle");
    shown.put("files", DIRECTORY, "");
    shown.put("files/d", 0o644, "FROM scratch\n");
    let connected = world.connect("a", "key", showing(&shown)).await;
    let loading = world.loading();
    let read = async |paths: &[&str]| {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        within(connected.session.read("dockerfile", &paths, &loading)).await
    };
    let texts = read(&["Dockerfile", "Dockerfile.dockerignore"]).await.expect("texts");
    assert_eq!(
        texts.into_iter().collect::<Vec<_>>(),
        [("Dockerfile".to_owned(), b"FROM scratch\n".to_vec())]
    );
    let (code, message) = code(read(&["circle"]).await);
    assert_eq!(
        (code, message.as_str()),
        (Code::InvalidArgument, "\"circle\": too many links")
    );
    assert_eq!(world.cache.kept(), []);
}

#[tokio::test]
async fn what_is_wanted_is_told() {
    let world = World::new();
    let (told, mut heard) = mpsc::unbounded_channel();
    let telling = client(move |call: Call| {
        told.send(call.headers.clone()).expect("a test");
        async { Err(Status::new(Code::NotFound, "no access allowed to dir \"ä b\"")) }
    });
    let connected = world.connect("a", "key", telling).await;
    let wish = DirectoryWish {
        name: "ä b".to_owned(),
        shared_key: "k".to_owned(),
        excludes: vec!["*.md".to_owned(), "!a".to_owned()],
        follow: vec!["src".to_owned(), "x y".to_owned()],
    };
    let refused = within(connected.session.tree(wish, world.loading())).await;
    let expected = (Code::NotFound, "no access allowed to dir \"ä b\"".to_owned());
    assert_eq!(code(refused), expected);
    let headers = heard.recv().await.expect("headers");
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.map(|value| value.to_str().expect("text").to_owned()).collect()
    };
    assert_eq!(all("dir-name"), ["%C3%A4+b"]);
    assert_eq!(all("dir-name-encoded"), ["1"]);
    assert_eq!(all("exclude-patterns"), ["*.md", "!a"]);
    assert_eq!(all("followpaths"), ["src", "x y"]);
    assert!(all("followpaths-encoded").is_empty() && all("include-patterns").is_empty());
}
