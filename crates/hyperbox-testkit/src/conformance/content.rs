// SPDX-License-Identifier: MIT
//! What every [`ContentStore`] does.

use std::io::Read;
use std::sync::Arc;

use hyperbox_core::seam::{ContentError, ContentStore};
use hyperbox_types::{ByteSize, Digest, ErrorKind};
use sha2::{Digest as _, Sha256, Sha512};

/// Runs the suite; `make` makes an empty store.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn run(make: impl Fn() -> Arc<dyn ContentStore>) {
    blobs_come_back_whole(&*make()).await;
    mismatches_leave_nothing(&*make()).await;
    dropped_writers_leave_nothing(&*make()).await;
    the_same_blob_twice_is_fine(&*make()).await;
    a_blob_takes_the_place_of_another(&*make()).await;
    both_algorithms_work(&*make()).await;
    missing_blobs_are_not_found(&*make()).await;
    open_blobs_outlive_their_removal(&*make()).await;
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

async fn store(content: &dyn ContentStore, bytes: &[u8]) -> Digest {
    let digest = digest(bytes);
    let mut writer = content.writer(&digest).await.expect("writer");
    for piece in bytes.chunks(70_001) {
        writer.write(piece).await.expect("write");
    }
    assert_eq!(writer.offset(), bytes.len() as u64);
    let info = writer.commit(Some(ByteSize(bytes.len() as u64))).await.expect("commit");
    assert_eq!((&info.digest, info.size.0), (&digest, bytes.len() as u64));
    digest
}

fn read(content: &dyn ContentStore, digest: &Digest) -> Vec<u8> {
    let mut bytes = Vec::new();
    content
        .open(digest)
        .expect("open")
        .read_to_end(&mut bytes)
        .expect("read");
    bytes
}

async fn blobs_come_back_whole(content: &dyn ContentStore) {
    let blobs = [Vec::new(), b"small".to_vec(), vec![0x5a; 2_000_003]];
    for bytes in &blobs {
        let digest = store(content, bytes).await;
        assert!(read(content, &digest) == *bytes);
        assert_eq!(
            content.info(&digest).expect("info").map(|info| info.size.0),
            Some(bytes.len() as u64)
        );
        let limit = ByteSize(bytes.len() as u64);
        assert!(content.read(&digest, limit).await.expect("read") == *bytes);
        if let Some(less) = limit.0.checked_sub(1) {
            let error = content.read(&digest, ByteSize(less)).await.expect_err("too long");
            assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
        }
    }
    let mut listed: Vec<u64> = content
        .list()
        .await
        .expect("list")
        .iter()
        .map(|info| info.size.0)
        .collect();
    listed.sort_unstable();
    assert_eq!(listed, [0, 5, 2_000_003]);
}

async fn mismatches_leave_nothing(content: &dyn ContentStore) {
    let expected = digest(b"expected");
    for (bytes, size) in [
        (&b"something else"[..], None),
        (b"expected", Some(ByteSize(7))),
        (b"", None),
    ] {
        let mut writer = content.writer(&expected).await.expect("writer");
        writer.write(bytes).await.expect("write");
        assert!(
            content.info(&expected).expect("info").is_none(),
            "visible before its commit"
        );
        let error = writer.commit(size).await.expect_err("a mismatch");
        assert!(matches!(error, ContentError::Mismatch { .. }), "{error}");
        assert!(content.info(&expected).expect("info").is_none());
    }
    assert!(content.list().await.expect("list").is_empty());
    store(content, b"expected").await;
}

async fn dropped_writers_leave_nothing(content: &dyn ContentStore) {
    let bytes = vec![1; 3 << 20];
    let mut writer = content.writer(&digest(&bytes)).await.expect("writer");
    writer.write(&bytes).await.expect("write");
    drop(writer);
    assert!(content.list().await.expect("list").is_empty());
}

async fn the_same_blob_twice_is_fine(content: &dyn ContentStore) {
    let digest = digest(b"twice");
    let mut first = content.writer(&digest).await.expect("writer");
    let mut second = content.writer(&digest).await.expect("writer");
    first.write(b"twi").await.expect("write");
    second.write(b"twice").await.expect("write");
    second.commit(None).await.expect("commit");
    first.write(b"ce").await.expect("write");
    first.commit(None).await.expect("commit");
    store(content, b"twice").await;
    assert_eq!(content.list().await.expect("list").len(), 1);
    assert_eq!(read(content, &digest), b"twice");
    let mut wrong = content.writer(&digest).await.expect("writer");
    wrong.write(b"wrong").await.expect("write");
    wrong.commit(None).await.expect_err("verified although it is there");
    assert_eq!(read(content, &digest), b"twice");
}

/// That of damaged bytes, which no seam can write: here they are the same.
async fn a_blob_takes_the_place_of_another(content: &dyn ContentStore) {
    let digest = digest(b"whole");
    for there in [false, true] {
        assert_eq!(content.info(&digest).expect("info").is_some(), there);
        let former = there.then(|| content.open(&digest).expect("open"));
        let mut writer = content.writer(&digest).await.expect("writer");
        writer.write(b"whole").await.expect("write");
        let info = writer.replace(Some(ByteSize(5))).await.expect("replace");
        assert_eq!((info.digest, info.size.0), (digest.clone(), 5));
        let mut bytes = Vec::new();
        if let Some(mut former) = former {
            former.read_to_end(&mut bytes).expect("an open blob stays readable");
            assert_eq!(bytes, b"whole");
        }
    }
    let mut wrong = content.writer(&digest).await.expect("writer");
    wrong.write(b"wrong").await.expect("write");
    wrong.replace(None).await.expect_err("other bytes");
    assert_eq!(read(content, &digest), b"whole");
    assert_eq!(content.list().await.expect("list").len(), 1);
}

async fn both_algorithms_work(content: &dyn ContentStore) {
    let digest = Digest::from_sha512(Sha512::digest(b"long").into());
    let mut writer = content.writer(&digest).await.expect("writer");
    writer.write(b"long").await.expect("write");
    writer.commit(Some(ByteSize(4))).await.expect("commit");
    assert_eq!(read(content, &digest), b"long");
    assert_eq!(content.list().await.expect("list")[0].digest, digest);
}

async fn missing_blobs_are_not_found(content: &dyn ContentStore) {
    let missing = digest(b"missing");
    assert!(content.info(&missing).expect("info").is_none());
    assert_eq!(content.open(&missing).expect_err("missing").kind(), ErrorKind::NotFound);
    let error = content.read(&missing, ByteSize(10)).await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    content.remove(&missing).expect("removing what is not there");
}

async fn open_blobs_outlive_their_removal(content: &dyn ContentStore) {
    let digest = store(content, b"read me").await;
    let mut open = content.open(&digest).expect("open");
    content.remove(&digest).expect("remove");
    assert!(content.info(&digest).expect("info").is_none());
    let mut text = String::new();
    open.read_to_string(&mut text).expect("read");
    assert_eq!(text, "read me");
    store(content, b"read me").await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::MemoryContent;

    #[tokio::test]
    async fn the_fake_conforms() {
        run(|| Arc::new(MemoryContent::new())).await;
    }
}
