// SPDX-License-Identifier: MIT
//! The overlay snapshotter on a real filesystem, with real overlays (attached to nothing) and GNU tar as the oracle. What holds for
//! layers holds for both of their forms.

#![expect(
    clippy::unwrap_used,
    reason = "a test reports by panicking, in its helping functions too"
)]

/// Makes a test of each function for each form of layers.
macro_rules! both_forms {
    ($($test:ident),+ $(,)?) => {
        mod directories {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                crate::require_root();
                super::$test(hyperbox_snapshot::LayerForm::Directory).await;
            })+
        }
        mod indexes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                crate::require_root();
                super::$test(hyperbox_snapshot::LayerForm::Erofs).await;
            })+
        }
    };
}

mod caching;
mod converted;
mod crash;
mod differential;
mod full;
mod merged;
mod packed;
mod tree;
mod verify;

use std::path::Path;
use std::sync::Arc;

use hyperbox_core::seam::{Snapshotter, StagedLayer};
use hyperbox_snapshot::{LayerForm, OverlaySnapshotter, Settings};
use hyperbox_testkit::{conformance, unique_name, wait_for};
use hyperbox_types::DiffId;

/// Says what is missing when the machine does not allow these tests.
fn require_root() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test needs root: it makes devices and overlays"
    );
}

fn open(root: &Path, form: LayerForm) -> OverlaySnapshotter {
    let settings = Settings {
        form,
        ..Settings::default()
    };
    OverlaySnapshotter::open(root, settings).unwrap()
}

async fn stage(snapshotter: &OverlaySnapshotter, archive: &Path) -> Box<dyn StagedLayer> {
    snapshotter
        .stage_layer(Box::new(std::fs::File::open(archive).unwrap()))
        .await
        .unwrap()
}

async fn add(snapshotter: &OverlaySnapshotter, archive: &Path) -> DiffId {
    let staged = stage(snapshotter, archive).await;
    let layer = staged.diff_id().clone();
    staged.commit().unwrap();
    layer
}

/// Waits until a directory that is emptied in the background has become empty.
fn wait_until_empty(directory: &Path) {
    wait_for("the garbage to go", || {
        match std::fs::read_dir(directory).unwrap().count() {
            0 => Ok(()),
            count => Err(format!("{count} entries are in {}", directory.display())),
        }
    });
}

both_forms!(privileged_conforms);

async fn privileged_conforms(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    conformance::snapshot::run(|| -> Arc<dyn Snapshotter> {
        Arc::new(open(&directory.path().join(unique_name("snapshot")), form))
    })
    .await;
}

#[test]
fn privileged_probe_of_erofs_leaves_nothing() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    let (root, attached) = (directory.path().join("root"), directory.path().join("attached"));
    let place = hyperbox_snapshot::probe_erofs(&root, &attached).unwrap();
    assert_eq!(place, hyperbox_snapshot::MountPlace::Detached, "what this kernel can");
    assert_eq!(std::fs::read_dir(&root).unwrap().count(), 0);
    let error = hyperbox_snapshot::probe_erofs(Path::new("/proc/self"), &attached).unwrap_err();
    assert!(error.to_string().contains("/proc/self"), "{error}");
}

#[test]
fn privileged_probe_tells_where_overlays_work() {
    require_root();
    let directory = tempfile::tempdir().unwrap();
    hyperbox_snapshot::probe(&directory.path().join("made")).unwrap();
    assert_eq!(std::fs::read_dir(directory.path().join("made")).unwrap().count(), 0);
    let error = hyperbox_snapshot::probe(Path::new("/proc/self")).unwrap_err();
    assert!(error.to_string().contains("/proc/self"), "{error}");
}
