// SPDX-License-Identifier: MIT
//! Layers joined by the kernel: what is hidden, what a container sees, and what it changed.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{ActiveKey, FileChangeKind, Snapshotter};
use hyperbox_snapshot::{LayerForm, OverlaySnapshotter};
use hyperbox_types::{DiffId, RootMount};

use super::{open, wait_until_empty};

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(if name.ends_with('/') { 0o755 } else { 0o644 });
        header.set_entry_type(if name.ends_with('/') {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_mtime(1_000_000_000);
        builder.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

async fn add(snapshotter: &OverlaySnapshotter, files: &[(&str, &str)]) -> DiffId {
    let staged = snapshotter
        .stage_layer(Box::new(std::io::Cursor::new(archive(files))))
        .await
        .unwrap();
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    layer
}

/// A mount that nobody else sees; it ends with this value.
struct Mounted(OwnedFd);

impl Mounted {
    fn new(recipe: &RootMount) -> Self {
        Self(hyperbox_sys::detached_mount::open(recipe).unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))
    }

    /// All files with their content, directories with a slash.
    fn list(&self) -> Vec<String> {
        let root = self.path("");
        let mut found = Vec::new();
        let mut waiting = vec![root.clone()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().display().to_string();
                if path.is_dir() {
                    found.push(name + "/");
                    waiting.push(path);
                } else {
                    found.push(format!("{name}={}", fs::read_to_string(&path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }
}

both_forms!(
    privileged_whiteouts_hide_lower_layers,
    privileged_what_the_engine_promises_is_no_change,
    privileged_changes_are_dockers,
    privileged_a_root_has_its_image_s_attributes,
);

async fn privileged_whiteouts_hide_lower_layers(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), form);
    let bottom = add(
        &snapshotter,
        &[
            ("a", "1"),
            ("b", "1"),
            ("dir/x", "1"),
            ("dir/y", "1"),
            ("gone/z", "1"),
            ("again/old", "1"),
            ("over", "1"),
        ],
    )
    .await;
    let top = add(
        &snapshotter,
        &[
            (".wh.a", ""),
            ("dir/.wh..wh..opq", ""),
            ("dir/new", "2"),
            (".wh.gone", ""),
            (".wh.again", ""),
            ("again/new", "2"),
            ("over/", ""),
            ("over/inside", "2"),
        ],
    )
    .await;
    let layers = [bottom.clone(), top];
    let expected = [
        "again/",
        "again/new=2",
        "b=1",
        "dir/",
        "dir/new=2",
        "over/",
        "over/inside=2",
    ];
    assert_eq!(Mounted::new(&snapshotter.view(&layers).unwrap()).list(), expected);
    let fresh = add(&snapshotter, &[(".wh..wh..opq", ""), ("only", "3")]).await;
    let layers = [bottom, fresh];
    assert_eq!(Mounted::new(&snapshotter.view(&layers).unwrap()).list(), ["only=3"]);
    let key = ActiveKey(hyperbox_testkit::container_id());
    let recipe = snapshotter.prepare(&key, &layers).await.unwrap();
    assert_eq!(fs::read_to_string(Mounted::new(&recipe).path("only")).unwrap(), "3");
    assert!(!Mounted::new(&recipe).path("b").exists());
}

async fn privileged_what_the_engine_promises_is_no_change(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), form);
    let layer = add(&snapshotter, &[("etc/", ""), ("etc/hosts", "of the image")]).await;
    for layers in [vec![], vec![layer]] {
        let key = ActiveKey(hyperbox_testkit::container_id());
        let recipe = snapshotter.prepare(&key, &layers).await.unwrap();
        let mounted = Mounted::new(&recipe);
        let mark = fs::metadata(mounted.path(".dockerenv")).unwrap();
        assert_eq!((mark.len(), mark.permissions().mode() & 0o777), (0, 0o755));
        let hosts = fs::read_to_string(mounted.path("etc/hosts")).unwrap();
        assert_eq!(hosts, if layers.is_empty() { "" } else { "of the image" });
        assert_eq!(
            fs::read_link(mounted.path("etc/mtab")).unwrap(),
            Path::new("/proc/mounts")
        );
        for place in ["dev", "proc", "sys", "dev/pts", "dev/shm"] {
            assert!(mounted.path(place).is_dir(), "{place}");
        }
        assert_eq!(snapshotter.changes(&key, &layers).await.unwrap(), []);
        assert!(
            !Mounted::new(&snapshotter.view(&layers).unwrap())
                .path(".dockerenv")
                .exists()
        );
        fs::remove_file(mounted.path(".dockerenv")).unwrap();
        fs::write(mounted.path("etc/hostname"), "mine").unwrap();
        drop(mounted);
        let changes = snapshotter.changes(&key, &layers).await.unwrap();
        let kinds: Vec<_> = changes
            .iter()
            .map(|change| (change.path.to_str().unwrap(), change.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("/.dockerenv", FileChangeKind::Deleted),
                ("/etc", FileChangeKind::Modified),
                ("/etc/hostname", FileChangeKind::Modified)
            ]
        );
    }
}

async fn privileged_changes_are_dockers(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), form);
    let lower = add(
        &snapshotter,
        &[
            ("etc/", ""),
            ("etc/passwd", "root"),
            ("etc/group", "root"),
            ("opt/a/deep", "1"),
            ("opt/b", "1"),
        ],
    )
    .await;
    let upper = add(
        &snapshotter,
        &[("srv/one", "1"), ("etc/.wh.group", ""), ("keep/quiet", "1")],
    )
    .await;
    let layers = [lower, upper];
    let key = ActiveKey(hyperbox_testkit::container_id());
    let recipe = snapshotter.prepare(&key, &layers).await.unwrap();
    let mounted = Mounted::new(&recipe);
    fs::write(mounted.path("etc/passwd"), "changed").unwrap();
    fs::write(mounted.path("etc/group"), "made again").unwrap();
    fs::remove_dir_all(mounted.path("opt")).unwrap();
    fs::create_dir(mounted.path("opt")).unwrap();
    fs::create_dir(mounted.path("opt/a")).unwrap();
    fs::write(mounted.path("opt/c"), "new").unwrap();
    fs::remove_file(mounted.path("srv/one")).unwrap();
    fs::create_dir_all(mounted.path("new/sub")).unwrap();
    std::os::unix::fs::symlink("x", mounted.path("new/link")).unwrap();
    drop(mounted);

    let changes = snapshotter.changes(&key, &layers).await.unwrap();
    let shown: Vec<String> = changes
        .iter()
        .map(|change| {
            let letter = match change.kind {
                FileChangeKind::Modified => 'C',
                FileChangeKind::Added => 'A',
                FileChangeKind::Deleted => 'D',
            };
            format!("{letter} {}", change.path.display())
        })
        .collect();
    let expected = [
        "C /etc",
        "A /etc/group",
        "C /etc/passwd",
        "A /new",
        "A /new/link",
        "A /new/sub",
        "C /opt",
        "C /opt/a",
        "D /opt/a/deep",
        "D /opt/b",
        "A /opt/c",
        "C /srv",
        "D /srv/one",
    ];
    assert_eq!(shown, expected);
    let usage = snapshotter.usage(&key).await.unwrap();
    // Bytes of files and links: directories have none, as Docker counts.
    assert!(usage.inodes >= 10 && usage.size.0 == 21, "{usage:?}");
}

async fn privileged_a_root_has_its_image_s_attributes(form: LayerForm) {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let snapshotter = open(directory.path(), form);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o711);
    header.set_uid(7);
    builder.append_data(&mut header, "./", std::io::empty()).unwrap();
    let staged = snapshotter
        .stage_layer(Box::new(std::io::Cursor::new(builder.into_inner().unwrap())))
        .await
        .unwrap();
    let layers = [staged.diff_id().clone()];
    staged.commit().unwrap();
    let key = ActiveKey(hyperbox_testkit::container_id());
    let mounted = Mounted::new(&snapshotter.prepare(&key, &layers).await.unwrap());
    let root = fs::metadata(mounted.path(".")).unwrap();
    assert_eq!((root.mode() & 0o7777, root.uid()), (0o711, 7));
    drop(mounted);
    snapshotter.remove(&key).await.unwrap();
    wait_until_empty(&directory.path().join("trash"));
    let own = |name: &str| fs::metadata(directory.path().join(name)).unwrap().mode() & 0o077;
    assert_eq!(["layers", "staging", "active", "trash"].map(own), [0; 4]);
    assert!(Path::new("/proc/self/mountinfo").exists());
}
