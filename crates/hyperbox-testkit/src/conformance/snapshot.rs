// SPDX-License-Identifier: MIT
//! What every [`Snapshotter`] does with plain files. Owners, devices, whiteouts and hostile archives are for the real ones' own
//! tests: the fakes leave them out.

use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperbox_core::seam::{ActiveKey, FileChangeKind, LayerCheck, Pace, Snapshotter};
use hyperbox_types::{DiffId, Digest, ErrorKind, RootMount};
use sha2::{Digest as _, Sha256};

use crate::container_id;

/// Runs the suite; `make` makes a snapshotter without layers.
///
/// # Panics
/// When the implementation breaks the contract.
pub async fn run(make: impl Fn() -> Arc<dyn Snapshotter>) {
    layers_are_visible_after_their_commit(&*make()).await;
    all_compressions_give_one_layer(&*make()).await;
    dropped_and_damaged_layers_leave_nothing(&*make()).await;
    layers_are_staged_side_by_side(&*make()).await;
    active_snapshots_come_and_go(&*make()).await;
    recipes_name_layers_topmost_first(&*make()).await;
    missing_things_are_not_found(&*make()).await;
    changes_are_listed(&*make()).await;
    layers_are_compared_with_their_archive(&*make()).await;
    optimizing_changes_nothing_that_is_seen(&*make()).await;
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, text.as_bytes()).expect("append");
    }
    builder.into_inner().expect("archive")
}

fn diff_id(archive: &[u8]) -> DiffId {
    DiffId(Digest::from_sha256(Sha256::digest(archive).into()))
}

async fn add(snapshotter: &dyn Snapshotter, archive: Vec<u8>) -> DiffId {
    let staged = snapshotter
        .stage_layer(Box::new(Cursor::new(archive)))
        .await
        .expect("stage");
    let layer = staged.diff_id().clone();
    staged.commit().expect("commit");
    layer
}

fn lower(mount: &RootMount) -> Vec<PathBuf> {
    match mount {
        RootMount::Overlay { lower, .. } => lower.clone(),
        RootMount::Bind { source, .. } => vec![source.clone()],
    }
}

fn upper(mount: &RootMount) -> PathBuf {
    match mount {
        RootMount::Overlay { writable, .. } => writable.clone().expect("a writable recipe").upper,
        RootMount::Bind { source, read_only } => {
            assert!(!read_only, "a container's own directory is writable");
            source.clone()
        }
    }
}

async fn layers_are_visible_after_their_commit(snapshotter: &dyn Snapshotter) {
    let mut archive = archive(&[("etc/name", "one")]);
    // The diff id covers what follows the end of the archive, too.
    archive.extend_from_slice(&[0; 9000]);
    let length = archive.len() as u64;
    let expected = diff_id(&archive);
    let staged = snapshotter
        .stage_layer(Box::new(Cursor::new(archive.clone())))
        .await
        .expect("stage");
    assert_eq!((staged.diff_id(), staged.size().0), (&expected, length));
    assert!(!snapshotter.has_layer(&expected), "visible before its commit");
    let again = snapshotter
        .stage_layer(Box::new(Cursor::new(archive.clone())))
        .await
        .expect("stage");
    let replaced = snapshotter
        .stage_layer(Box::new(Cursor::new(archive)))
        .await
        .expect("stage");
    staged.commit().expect("commit");
    assert!(snapshotter.has_layer(&expected));
    again.commit().expect("committing what is there");
    let layers = snapshotter.layers().await.expect("layers");
    assert_eq!(layers.len(), 1);
    assert!(
        layers[0].0 == expected && layers[0].1.inodes >= 2 && layers[0].1.size.0 >= 3,
        "{layers:?}"
    );
    let view = snapshotter.view(std::slice::from_ref(&expected)).expect("view");
    assert_eq!(
        fs::read_to_string(lower(&view)[0].join("etc/name")).expect("read"),
        "one"
    );
    replaced.replace().expect("taking the place of what is there");
    assert_eq!(snapshotter.layers().await.expect("layers").len(), 1);
    let view = snapshotter.view(std::slice::from_ref(&expected)).expect("view");
    assert_eq!(
        fs::read_to_string(lower(&view)[0].join("etc/name")).expect("read"),
        "one"
    );
    snapshotter.remove_layer(&expected).await.expect("remove");
    snapshotter
        .remove_layer(&expected)
        .await
        .expect("removing what is not there");
    assert!(!snapshotter.has_layer(&expected) && snapshotter.layers().await.expect("layers").is_empty());
}

async fn optimizing_changes_nothing_that_is_seen(snapshotter: &dyn Snapshotter) {
    let Some(optimizer) = snapshotter.optimizer() else {
        return;
    };
    let large = "the same in both\n".repeat(5000);
    let mut layers = Vec::new();
    for own in ["one", "other"] {
        layers.push(add(snapshotter, archive(&[("shared", &large), ("own", own)])).await);
    }
    let check = async |what: &str| {
        for (layer, own) in layers.iter().zip(["one", "other"]) {
            let view = snapshotter.view(std::slice::from_ref(layer)).expect("view");
            let read = |name: &str| fs::read_to_string(lower(&view)[0].join(name)).expect("read");
            assert!(read("shared") == large && read("own") == own, "{what}");
        }
    };
    check("before").await;
    let pace = Arc::new(Pace::default());
    let missing = diff_id(b"missing");
    let wanted = [layers.as_slice(), std::slice::from_ref(&missing)].concat();
    let done = optimizer.optimize(&wanted, Arc::clone(&pace)).await.expect("optimize");
    check("optimized").await;
    assert_eq!(optimizer.shared().layers, done.layers);
    assert_eq!(optimizer.own().await.expect("own").len(), 2);
    let undone = optimizer.restore(&wanted, Arc::clone(&pace)).await.expect("restore");
    check("restored").await;
    assert_eq!((undone.layers, optimizer.shared().layers), (done.layers, 0));
    pace.stop();
    let stopped = optimizer.optimize(&wanted, pace).await.expect("told to end");
    assert_eq!(stopped.layers, 0);
}

async fn all_compressions_give_one_layer(snapshotter: &dyn Snapshotter) {
    let plain = archive(&[("file", "compressed or not")]);
    let mut gzip = Vec::new();
    flate2::read::GzEncoder::new(&plain[..], flate2::Compression::fast())
        .read_to_end(&mut gzip)
        .expect("gzip");
    let zstd = zstd::encode_all(&plain[..], 1).expect("zstd");
    for bytes in [plain.clone(), gzip, zstd] {
        assert_eq!(add(snapshotter, bytes).await, diff_id(&plain));
    }
    assert_eq!(snapshotter.layers().await.expect("layers").len(), 1);
}

async fn dropped_and_damaged_layers_leave_nothing(snapshotter: &dyn Snapshotter) {
    let whole = archive(&[("file", "text"), ("other", "text")]);
    drop(
        snapshotter
            .stage_layer(Box::new(Cursor::new(whole.clone())))
            .await
            .expect("stage"),
    );
    for damaged in [
        whole[..700].to_vec(),
        [&b"x"[..], &whole[1..]].concat(),
        vec![b'y'; 2048],
    ] {
        let error = snapshotter
            .stage_layer(Box::new(Cursor::new(damaged)))
            .await
            .expect_err("damaged");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    assert!(snapshotter.layers().await.expect("layers").is_empty());
    assert!(!snapshotter.has_layer(&diff_id(&whole)));
}

async fn layers_are_staged_side_by_side(snapshotter: &dyn Snapshotter) {
    let first = snapshotter
        .stage_layer(Box::new(Cursor::new(archive(&[("a", "1")]))))
        .await
        .expect("stage");
    let second = snapshotter
        .stage_layer(Box::new(Cursor::new(archive(&[("b", "2")]))))
        .await
        .expect("stage");
    second.commit().expect("commit");
    first.commit().expect("commit");
    assert_eq!(snapshotter.layers().await.expect("layers").len(), 2);
}

async fn active_snapshots_come_and_go(snapshotter: &dyn Snapshotter) {
    let layer = add(snapshotter, archive(&[("file", "text")])).await;
    let key = ActiveKey(container_id());
    for layers in [&[][..], std::slice::from_ref(&layer)] {
        let mount = snapshotter.prepare(&key, layers).await.expect("prepare");
        fs::write(upper(&mount).join("mine"), "kept").expect("write");
        assert_eq!(snapshotter.prepare(&key, layers).await.expect("again"), mount);
        assert_eq!(snapshotter.mount(&key, layers).expect("mount"), mount);
        assert!(upper(&mount).join("mine").exists(), "preparing again keeps the content");
        assert_eq!(snapshotter.active().expect("active"), std::slice::from_ref(&key));
        assert!(snapshotter.usage(&key).await.expect("usage").size.0 >= 4);
        snapshotter.remove(&key).await.expect("remove");
        snapshotter.remove(&key).await.expect("removing what is not there");
        assert!(!upper(&mount).exists() && snapshotter.active().expect("active").is_empty());
    }
}

async fn recipes_name_layers_topmost_first(snapshotter: &dyn Snapshotter) {
    let mut layers = Vec::new();
    for name in ["bottom", "middle", "top"] {
        layers.push(add(snapshotter, archive(&[(name, name)])).await);
    }
    let key = ActiveKey(container_id());
    let prepared = snapshotter.prepare(&key, &layers).await.expect("prepare");
    for mount in [prepared, snapshotter.view(&layers).expect("view")] {
        let found: Vec<bool> = ["top", "middle", "bottom"]
            .iter()
            .zip(lower(&mount))
            .map(|(name, directory)| directory.join(name).exists())
            .collect();
        assert_eq!(found, [true; 3]);
    }
    let RootMount::Overlay { writable: None, .. } = snapshotter.view(&layers).expect("view") else {
        panic!("a view of several layers is an overlay that nobody can write");
    };
    let nothing = lower(&snapshotter.view(&[]).expect("view of nothing"));
    assert!(nothing[0].is_dir());
    snapshotter.remove(&key).await.expect("remove");
}

async fn missing_things_are_not_found(snapshotter: &dyn Snapshotter) {
    let missing = [diff_id(b"missing")];
    let key = ActiveKey(container_id());
    assert_eq!(
        snapshotter.view(&missing).expect_err("missing").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        snapshotter.prepare(&key, &missing).await.expect_err("missing").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        snapshotter.mount(&key, &[]).expect_err("missing").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        snapshotter.usage(&key).await.expect_err("missing").kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        snapshotter.changes(&key, &[]).await.expect_err("missing").kind(),
        ErrorKind::NotFound
    );
    assert!(snapshotter.active().expect("active").is_empty());
}

async fn changes_are_listed(snapshotter: &dyn Snapshotter) {
    let layer = add(snapshotter, archive(&[("kept", "text"), ("changed", "text")])).await;
    let key = ActiveKey(container_id());
    let layers = [layer];
    let upper = upper(&snapshotter.prepare(&key, &layers).await.expect("prepare"));
    assert!(snapshotter.changes(&key, &layers).await.expect("changes").is_empty());
    fs::write(upper.join("new"), "text").expect("write");
    fs::write(upper.join("changed"), "other").expect("write");
    let changes = snapshotter.changes(&key, &layers).await.expect("changes");
    let shown: Vec<(&Path, FileChangeKind)> = changes
        .iter()
        .map(|change| (change.path.as_path(), change.kind))
        .collect();
    let expected = [("/changed", FileChangeKind::Modified), ("/new", FileChangeKind::Added)];
    assert_eq!(shown, expected.map(|(path, kind)| (Path::new(path), kind)));
    snapshotter.remove(&key).await.expect("remove");
}

async fn layers_are_compared_with_their_archive(snapshotter: &dyn Snapshotter) {
    let archive = archive(&[("etc/name", "one"), ("etc/other", "two")]);
    let layer = add(snapshotter, archive.clone()).await;
    let whole = || -> Option<Box<dyn Read + Send>> { Some(Box::new(Cursor::new(archive.clone()))) };
    let compared = snapshotter.verify_layer(&layer, whole()).await.expect("compare");
    assert_eq!(compared, LayerCheck::Intact);
    let alone = snapshotter.verify_layer(&layer, None).await.expect("look at");
    assert!(!matches!(alone, LayerCheck::Damaged { .. }), "{alone:?}");
    assert_eq!(snapshotter.layers().await.expect("layers").len(), 1, "nothing is added");
    let missing = diff_id(b"none");
    let error = snapshotter.verify_layer(&missing, whole()).await.expect_err("missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeSnapshotter;

    #[tokio::test]
    async fn the_fake_conforms() {
        run(|| Arc::new(FakeSnapshotter::new())).await;
    }
}
