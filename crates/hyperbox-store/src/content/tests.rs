// SPDX-License-Identifier: MIT
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use hyperbox_core::seam::ContentStore;
use hyperbox_testkit::{conformance, wait_for_async};
use hyperbox_types::{ByteSize, Digest};
use sha2::{Digest as _, Sha256, Sha512};

use super::FileContent;

#[tokio::test(flavor = "multi_thread")]
async fn conforms() {
    let directory = tempfile::tempdir().unwrap();
    let make = || -> Arc<dyn ContentStore> {
        let root = directory.path().join(hyperbox_testkit::unique_name("content"));
        Arc::new(FileContent::open(&root).unwrap())
    };
    conformance::content::run(make).await;
}

#[tokio::test]
async fn nothing_is_left_of_what_was_not_committed() {
    let root = tempfile::tempdir().unwrap();
    let store = FileContent::open(root.path()).unwrap();
    let ingest = root.path().join("ingest");
    let count = || std::fs::read_dir(&ingest).unwrap().count();
    let digest = Digest::from_sha256([1; 32]);
    let mut writer = store.writer(&digest).await.unwrap();
    writer.write(&vec![7; 3 << 20]).await.unwrap();
    assert_eq!(count(), 1);
    drop(writer);
    wait_for_async("the dropped ingest to go", || async {
        if count() == 0 {
            Ok(())
        } else {
            Err("it is there".into())
        }
    })
    .await;

    std::fs::write(ingest.join("left-by-a-crash"), "x").unwrap();
    drop(store);
    let store = FileContent::open(root.path()).unwrap();
    assert_eq!(count(), 0);
    assert!(store.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn others_cannot_read() {
    let parent = tempfile::tempdir().unwrap();
    let root = parent.path().join("content");
    let store = FileContent::open(&root).unwrap();
    assert_eq!(std::fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    let text = b"secret";
    let digest = Digest::from_sha256(Sha256::digest(text).into());
    let mut writer = store.writer(&digest).await.unwrap();
    writer.write(text).await.unwrap();
    writer.commit(None).await.unwrap();
    assert_eq!(
        store.open(&digest).unwrap().metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
}

#[tokio::test]
async fn large_blobs_and_sha512() {
    let root = tempfile::tempdir().unwrap();
    let store = FileContent::open(root.path()).unwrap();
    let bytes: Vec<u8> = (0..5_000_003_u32)
        .map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1])
        .collect();
    let digest = Digest::from_sha512(Sha512::digest(&bytes).into());
    let mut writer = store.writer(&digest).await.unwrap();
    for piece in bytes.chunks(77_777) {
        writer.write(piece).await.unwrap();
    }
    assert_eq!(writer.offset(), bytes.len() as u64);
    writer.commit(Some(ByteSize(bytes.len() as u64))).await.unwrap();
    assert!(store.read(&digest, ByteSize(6_000_000)).await.unwrap() == bytes);
}

#[tokio::test]
async fn damaged_bytes_are_replaced_and_only_by_those_of_the_digest() {
    let root = tempfile::tempdir().unwrap();
    let store = FileContent::open(root.path()).unwrap();
    let digest = Digest::from_sha256(Sha256::digest(b"whole").into());
    let path = root.path().join("blobs/sha256").join(digest.hex());
    std::fs::write(&path, "wh0le").unwrap();
    for (text, expected) in [("other", "wh0le"), ("whole", "whole")] {
        let mut writer = store.writer(&digest).await.unwrap();
        writer.write(text.as_bytes()).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "wh0le", "before it is known");
        assert_eq!(writer.replace(None).await.is_ok(), text == expected);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
    }
    assert_eq!(std::fs::read_dir(root.path().join("ingest")).unwrap().count(), 0);
}
