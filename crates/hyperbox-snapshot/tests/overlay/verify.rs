// SPDX-License-Identifier: MIT
//! Damage of every kind that a layer's tree can take is found when its archive is at hand.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use hyperbox_core::seam::{LayerCheck, Snapshotter};

use hyperbox_snapshot::LayerForm;

use super::{add, open, require_root};

fn archive(root: &Path) -> PathBuf {
    let script = "mkdir -p s/dir/deep && cd s && echo content >dir/file && ln dir/file dir/hard && ln -s file dir/link && \
                  mknod dir/null c 1 3 && chown 7:8 dir/deep && setfattr -n user.key -v value dir/file && tar --xattrs -cf ../a .";
    let made = Command::new("sh").arg("-c").arg(script).current_dir(root).status();
    assert!(made.unwrap().success(), "this test needs tar and setfattr");
    root.join("a")
}

fn flip(path: &Path) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    file.write_at(b"C", 0).unwrap();
    file.set_modified(modified).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_every_damage_is_found() {
    require_root();
    type Damage = fn(&Path);
    let cases: [(&str, Damage); 9] = [
        ("/dir/file differs", |tree| flip(&tree.join("dir/file"))),
        ("/dir/file differs", |tree| {
            let file = File::options().write(true).open(tree.join("dir/file")).unwrap();
            file.set_len(3).unwrap();
        }),
        ("/dir/link is missing", |tree| {
            std::fs::remove_file(tree.join("dir/link")).unwrap();
        }),
        ("/dir/null is missing", |tree| {
            std::fs::remove_file(tree.join("dir/null")).unwrap();
        }),
        ("/extra does not belong there", |tree| {
            std::fs::write(tree.join("extra"), "x").unwrap();
        }),
        ("/dir/deep differs", |tree| {
            std::fs::set_permissions(tree.join("dir/deep"), PermissionsExt::from_mode(0o777)).unwrap();
        }),
        ("/dir/deep differs", |tree| {
            std::os::unix::fs::chown(tree.join("dir/deep"), Some(1), None).unwrap();
        }),
        ("/dir/file differs", |tree| {
            rustix::fs::removexattr(tree.join("dir/file"), "user.key").unwrap();
        }),
        ("its directory cannot be opened", |tree| {
            std::fs::remove_dir_all(tree).unwrap();
        }),
    ];
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    for (number, (expected, damage)) in cases.into_iter().enumerate() {
        let root = directory.path().join(number.to_string());
        let snapshotter = open(&root, LayerForm::Directory);
        let layer = add(&snapshotter, &archive).await;
        let verify = || snapshotter.verify_layer(&layer, Some(Box::new(File::open(&archive).unwrap())));
        assert_eq!(verify().await.unwrap(), LayerCheck::Intact, "{expected}");
        let alone = snapshotter.verify_layer(&layer, None).await.unwrap();
        assert!(matches!(alone, LayerCheck::Plausible { .. }), "{alone:?}");
        damage(&root.join("layers").join(&layer.0.hex()[..32]).join("diff"));
        match verify().await.unwrap() {
            LayerCheck::Damaged { reason } => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{other:?} after {expected}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_another_layers_archive_proves_nothing() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let archive = archive(directory.path());
    let snapshotter = open(&directory.path().join("store"), LayerForm::Directory);
    let layer = add(&snapshotter, &archive).await;
    let other = std::io::Cursor::new(vec![0; 1024]);
    let error = snapshotter
        .verify_layer(&layer, Some(Box::new(other)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), hyperbox_types::ErrorKind::InvalidArgument);
}
