// SPDX-License-Identifier: MIT
//! What is remembered of clients' files, and what the next daemon knows of it.

use std::io::Read as _;

use sha2::{Digest as _, Sha256};

use super::*;

fn name(text: &str) -> Option<DirectoryName> {
    Some(DirectoryName {
        session: format!("{KEY}{text}"),
        name: "context".to_owned(),
        shared_key: String::new(),
    })
}

fn key(path: &str, size: u64) -> FileKey {
    FileKey {
        path: path.as_bytes().to_vec(),
        size,
        modified: 1,
        mode: 0o644,
    }
}

fn put(transfer: &Transfer, path: &str, bytes: &[u8]) {
    let length = bytes.len() as u64;
    let offset = transfer.pack().reserve(length).expect("room");
    transfer.pack().write(offset, bytes).expect("written");
    let digest = Sha256::digest(bytes).into();
    transfer.keep(key(path, length), Region { offset, length, digest });
}

fn cache(limit: u64) -> (tempfile::TempDir, ContentCache) {
    let directory = tempfile::tempdir().expect("directory");
    let cache = ContentCache::open(&directory.path().join("contexts"), ByteSize(limit));
    (directory, cache.expect("cache"))
}

fn size(cache: &ContentCache) -> u64 {
    cache.kept().iter().map(|kept| kept.size.0).sum()
}

fn clear(cache: &ContentCache) -> u64 {
    let kept = cache.kept().into_iter();
    kept.filter_map(|kept| cache.remove(&kept.id)).map(|size| size.0).sum()
}

#[test]
fn directories_are_listed_and_removed_by_their_names() {
    let (_directory, cache) = cache(1 << 20);
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "f", b"text");
    let (used, other) = (cache.kept(), cache.begin(name("empty")).expect("transfer"));
    assert_eq!(used.len(), 1);
    assert!(used[0].in_use && used[0].kind == KeptKind::Context);
    cache.end(transfer);
    drop(other);
    let kept = cache.kept();
    assert_eq!((kept.len(), kept[0].size.0, kept[0].uses), (1, 4, 1));
    assert_eq!(kept[0].description, "local source for context");
    assert_eq!((kept[0].id.as_str(), kept[0].id.len()), (used[0].id.as_str(), 64));
    assert!(kept[0].used_at >= Some(kept[0].created_at));
    assert_eq!(cache.remove("x"), None);
    assert_eq!(cache.remove(&kept[0].id), Some(ByteSize(4)));
    assert_eq!((cache.remove(&kept[0].id), cache.kept().len()), (None, 0));
}

#[test]
fn a_file_is_known_by_everything_that_is_told_of_it() {
    let (_directory, cache) = cache(1 << 20);
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "f", b"text");
    cache.end(transfer);
    let transfer = cache.begin(name("a")).expect("transfer");
    let found = transfer.find(&key("f", 4)).expect("known");
    let mut text = String::new();
    transfer.pack().reader(&found).read_to_string(&mut text).expect("read");
    assert_eq!(text, "text");
    let other_time = FileKey {
        modified: 2,
        ..key("f", 4)
    };
    let other_mode = FileKey {
        mode: 0o755,
        ..key("f", 4)
    };
    for other in [key("g", 4), key("f", 5), other_time, other_mode] {
        assert_eq!(transfer.find(&other), None, "{other:?}");
    }
    assert_eq!(cache.begin(name("b")).expect("transfer").find(&key("f", 4)), None);
    assert_eq!(cache.begin(None).expect("transfer").find(&key("f", 4)), None);
}

#[test]
fn what_is_not_met_any_more_is_forgotten() {
    let (_directory, cache) = cache(1 << 20);
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "old", b"1");
    put(&transfer, "new", b"22");
    cache.end(transfer);
    for _ in 0..8 {
        let transfer = cache.begin(name("a")).expect("transfer");
        assert!(transfer.find(&key("new", 2)).is_some());
        cache.end(transfer);
    }
    let transfer = cache.begin(name("a")).expect("transfer");
    assert_eq!(transfer.find(&key("old", 1)), None);
    assert!(transfer.find(&key("new", 2)).is_some());
}

#[test]
fn a_pack_that_is_mostly_forgotten_is_written_anew_beside_its_readers() {
    let (_directory, cache) = cache(1 << 40);
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "f", b"text");
    // Room that nobody writes to occupies nothing.
    transfer.pack().reserve((64 << 20) + 10).expect("room");
    let reader = cache.begin(name("a")).expect("another transfer");
    let before = reader.find(&key("f", 4)).expect("known");
    cache.end(transfer);
    assert_eq!(size(&cache), 4);
    let mut text = String::new();
    reader.pack().reader(&before).read_to_string(&mut text).expect("read");
    assert_eq!(text, "text");
    // What it brings now goes nowhere.
    put(&reader, "g", b"x");
    let transfer = cache.begin(name("a")).expect("transfer");
    assert!(transfer.find(&key("f", 4)).is_some() && transfer.find(&key("g", 1)).is_none());
}

#[test]
fn the_longest_unused_directory_goes_first() {
    let (_directory, cache) = cache(5);
    for (text, size) in [("a", 2), ("b", 2), ("a", 0), ("c", 3)] {
        let transfer = cache.begin(name(text)).expect("transfer");
        put(&transfer, "f", &vec![1; size]);
        cache.end(transfer);
    }
    let known = |text| {
        let transfer = cache.begin(name(text)).expect("transfer");
        transfer.pack().length() > 0
    };
    assert!(known("a") && !known("b") && known("c"));
    cache.forget("key a");
    assert!(!known("a"));
    assert_eq!(clear(&cache), 3);
    assert_eq!(size(&cache), 0);
}

#[test]
fn a_client_that_announces_too_much_does_not_stop_the_next_one() {
    let (_directory, cache) = cache(1 << 20);
    let transfer = cache.begin(name("a")).expect("transfer");
    transfer
        .pack()
        .reserve(i64::MAX as u64)
        .expect("room that nobody needs");
    assert!(transfer.pack().reserve(1).is_err());
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "f", b"text");
    assert!(transfer.find(&key("f", 4)).is_some());
}

#[test]
fn what_a_crash_left_is_removed() {
    let directory = tempfile::tempdir().expect("directory");
    std::fs::create_dir_all(directory.path().join("7/tree")).expect("made");
    std::fs::create_dir_all(directory.path().join("kept")).expect("made");
    for name in ["x", "kept/1.pack", "kept/2.index", "kept/2.new", "kept/what.else"] {
        std::fs::write(directory.path().join(name), "x").expect("written");
    }
    ContentCache::open(directory.path(), ByteSize(1)).expect("cache");
    let listed = |path: &Path| std::fs::read_dir(path).expect("listing").count();
    assert_eq!(
        (listed(directory.path()), listed(&directory.path().join("kept"))),
        (1, 0)
    );
}

/// Reads a file's bytes, if they are known.
fn known(cache: &ContentCache, directory: &str, path: &str, size: u64) -> Option<Vec<u8>> {
    let transfer = cache.begin(name(directory)).expect("transfer");
    let region = transfer.find(&key(path, size))?;
    let mut bytes = Vec::new();
    transfer.pack().reader(&region).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

#[test]
fn the_next_daemon_knows_what_was_sent() {
    let directory = tempfile::tempdir().expect("directory");
    let open = || ContentCache::open(directory.path(), ByteSize(1 << 20)).expect("cache");
    let cache = open();
    for (text, path) in [("a", "one"), ("a", "two"), ("b", "three")] {
        let transfer = cache.begin(name(text)).expect("transfer");
        put(&transfer, path, path.as_bytes());
        cache.end(transfer);
    }
    // What is not ended, and what goes with its session, is not there any more.
    let unended = cache.begin(name("a")).expect("transfer");
    put(&unended, "four", b"four");
    let mut passing = name("s").expect("a name");
    passing.session = "session s".to_owned();
    let transfer = cache.begin(Some(passing.clone())).expect("transfer");
    put(&transfer, "five", b"five");
    cache.end(transfer);
    drop(cache);
    let cache = open();
    assert_eq!(known(&cache, "a", "one", 3).as_deref(), Some(&b"one"[..]));
    assert_eq!(known(&cache, "a", "two", 3).as_deref(), Some(&b"two"[..]));
    assert_eq!(known(&cache, "b", "three", 5).as_deref(), Some(&b"three"[..]));
    assert_eq!(known(&cache, "a", "four", 4), None);
    let transfer = cache.begin(Some(passing)).expect("transfer");
    assert_eq!(transfer.find(&key("five", 4)), None);
    // It goes on from there.
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "six", b"six");
    cache.end(transfer);
    drop(cache);
    let cache = open();
    assert_eq!(known(&cache, "a", "six", 3).as_deref(), Some(&b"six"[..]));
    assert_eq!(known(&cache, "a", "one", 3).as_deref(), Some(&b"one"[..]));
    clear(&cache);
    drop(cache);
    assert_eq!(size(&open()), 0);
    let kept = std::fs::read_dir(directory.path().join("kept")).expect("listing");
    assert_eq!(kept.count(), 0);
}

#[test]
fn what_is_damaged_is_asked_for_again() {
    let directory = tempfile::tempdir().expect("directory");
    let open = || ContentCache::open(directory.path(), ByteSize(1 << 20)).expect("cache");
    let filled = |text: &str| {
        let cache = open();
        let transfer = cache.begin(name(text)).expect("transfer");
        put(&transfer, "f", b"text");
        cache.end(transfer);
    };
    let find = |ending: &str| {
        let mut entries = std::fs::read_dir(directory.path().join("kept")).expect("listing");
        let found = entries.find_map(|entry| Some(entry.ok()?.path()).filter(|path| path.ends_with(ending)));
        found.unwrap_or_else(|| directory.path().join("kept").join(ending))
    };
    filled("a");
    // Bytes that are others: told when they are read, then forgotten.
    std::fs::write(find("1.pack"), "tex!").expect("damaged");
    let cache = open();
    assert_eq!(known(&cache, "a", "f", 4), None);
    let transfer = cache.begin(name("a")).expect("transfer");
    assert_eq!(transfer.find(&key("f", 4)), None);
    drop((transfer, cache));
    for (ending, content) in [("index", &b"HyperBox context 1\n"[..]), ("pack", b"te")] {
        filled("b");
        let mut entries = std::fs::read_dir(directory.path().join("kept")).expect("listing");
        let path = entries.find_map(|entry| {
            let path = entry.ok()?.path();
            (path.extension()? == ending).then_some(path)
        });
        std::fs::write(path.expect("a file"), content).expect("damaged");
        assert_eq!(known(&open(), "b", "f", 4), None, "{ending}");
    }
}

#[test]
fn a_pack_that_is_written_anew_replaces_what_is_kept() {
    let directory = tempfile::tempdir().expect("directory");
    let open = || ContentCache::open(directory.path(), ByteSize(1 << 40)).expect("cache");
    let cache = open();
    let transfer = cache.begin(name("a")).expect("transfer");
    put(&transfer, "f", b"text");
    cache.end(transfer);
    let transfer = cache.begin(name("a")).expect("transfer");
    transfer.pack().reserve(100 << 20).expect("room");
    cache.end(transfer);
    let names = || {
        std::fs::read_dir(directory.path().join("kept"))
            .expect("listing")
            .count()
    };
    assert_eq!((names(), size(&cache)), (2, 4));
    drop(cache);
    assert_eq!(known(&open(), "a", "f", 4).as_deref(), Some(&b"text"[..]));
}

#[test]
fn directories_have_a_number() {
    let (directory, cache) = cache(1 << 20);
    for number in 0..MOST_DIRECTORIES + 20 {
        let transfer = cache.begin(name(&number.to_string())).expect("transfer");
        cache.end(transfer);
    }
    let kept = directory.path().join("contexts/kept");
    assert_eq!(std::fs::read_dir(&kept).expect("listing").count(), MOST_DIRECTORIES);
    assert!(!kept.join("20.pack").exists() && kept.join("21.pack").exists());
}
