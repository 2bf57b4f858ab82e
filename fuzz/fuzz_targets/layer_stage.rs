// SPDX-License-Identifier: MIT
//! Stages arbitrary bytes as a layer, in both forms: detection of the compression, decoders, parser, index. Whatever comes: nothing
//! becomes visible and nothing stays staged.
#![no_main]

use std::io::Cursor;
use std::sync::LazyLock;

use hyperbox_core::seam::Snapshotter;
use hyperbox_snapshot::{LayerForm, Limits, OverlaySnapshotter, Settings};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    for form in [LayerForm::Directory, LayerForm::Erofs] {
        stage(data, form);
    }
});

fn stage(data: &[u8], form: LayerForm) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let limits = Limits {
        stream: 1 << 20,
        entries: 200,
        names: 1 << 16,
    };
    let settings = Settings {
        form,
        limits,
        ..Settings::default()
    };
    let snapshotter = OverlaySnapshotter::open(root.path(), settings).expect("a snapshotter");
    let stream = Box::new(Cursor::new(data.to_vec()));
    drop(RUNTIME.block_on(snapshotter.stage_layer(stream)));
    let left = |name: &str| std::fs::read_dir(root.path().join(name)).expect(name).count();
    assert_eq!((left("staging"), left("layers")), (0, 0));
}
