// SPDX-License-Identifier: MIT
//! Transfers of packets that a stranger has made, and what must hold of the trees that come of them.

use std::io::Read as _;
use std::path::{Component, Path};

use bytes::Bytes;
use hyperbox_build::context::{Entry, EntryKind, Tree as _, TreePlace};
use hyperbox_types::ByteSize;
use sha2::{Digest as _, Sha256};

use super::cache::{ContentCache, DirectoryName};
use super::receive::Receiver;
use super::tree::SessionTree;
use crate::transport::frame::decode;

/// So long a file may be: what is only said to be long occupies nothing, but is read.
const LONGEST: u64 = 1 << 20;

/// Receives twice into the same directory of a cache.
pub(crate) fn receive(directory: &Path, mut next: impl FnMut() -> Option<Bytes>) {
    let cache = ContentCache::open(directory, ByteSize(1 << 30)).expect("a cache");
    for _ in 0..2 {
        let name = DirectoryName {
            session: "session".to_owned(),
            name: "context".to_owned(),
            shared_key: String::new(),
        };
        let mut receiver = Receiver::new(cache.begin(Some(name)).expect("a transfer"), LONGEST);
        let mut well = true;
        while well && !receiver.is_over() {
            let Some(packet) = next().and_then(|packet| decode(packet).ok()) else {
                break;
            };
            well = receiver.take(packet, drop).is_ok();
        }
        if receiver.is_over() {
            check(&SessionTree::new(receiver.into_received(), &cache), directory);
        }
    }
    // What has no key goes with its session, so nothing is kept for others.
    drop(cache);
    let left = |directory: &Path| std::fs::read_dir(directory).expect("the directory").count();
    assert_eq!(
        (left(directory), left(&directory.join("kept"))),
        (1, 0),
        "something is left"
    );
}

fn check(tree: &SessionTree, directory: &Path) {
    for entry in tree.walk(Path::new("")).expect("a walk") {
        check_entry(tree, &entry.expect("an entry"));
    }
    // A device or a name that the disk refuses is an error, no more.
    if let Ok(TreePlace::Directory(place)) = tree.place() {
        assert!(place.starts_with(directory));
    }
}

fn check_entry(tree: &SessionTree, entry: &Entry) {
    let mut names = entry.path.components();
    assert!(
        names.all(|name| matches!(name, Component::Normal(_))),
        "{:?}",
        entry.path
    );
    let found = tree.entry(&entry.path).expect("a look");
    assert_eq!(found.as_ref(), Some(entry));
    if let Some(above) = entry.path.parent() {
        let above = tree.entry(above).expect("a look").expect("what it is in");
        assert_eq!(above.kind, EntryKind::Directory, "{:?}", entry.path);
    }
    if let EntryKind::File { size, .. } = entry.kind {
        let mut content = Vec::new();
        let read = tree.open(&entry.path).expect("a file").read_to_end(&mut content);
        assert_eq!(read.expect("bytes") as u64, size, "{:?}", entry.path);
        let digest: [u8; 32] = Sha256::digest(&content).into();
        assert_eq!(tree.digest(entry).expect("a digest"), digest, "{:?}", entry.path);
    }
}
