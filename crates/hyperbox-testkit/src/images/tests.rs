// SPDX-License-Identifier: MIT
//! Images are well formed, judged by GNU tar.

use std::process::Command;

use hyperbox_core::seam::Compression;
use tempfile::TempDir;

use super::{ArchiveKind, LONG_NAME, LONG_PATH, LayoutOptions, MediaTypes, showcase, starter};

fn listing(path: &std::path::Path) -> String {
    let output = Command::new("tar").arg("-tvf").arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn gnu_tar_reads_the_layers() {
    let directory = TempDir::new().unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let options = LayoutOptions {
            compression,
            ..LayoutOptions::default()
        };
        let layout = showcase().write_layout(directory.path(), "showcase", options).unwrap();
        let list = listing(&layout.blob(&layout.layers[1].digest));
        for part in [
            LONG_NAME,
            LONG_PATH,
            "-rwsr-xr-x",
            "hard-b link to show/hard-a",
            "1,3",
            "1000/100",
        ] {
            assert!(list.contains(part), "{part} is not in\n{list}");
        }
        assert!(listing(&layout.blob(&layout.layers[2].digest)).contains("show/.wh.removed"));
        assert_eq!(layout.diff_ids.len(), 3);
    }
}

#[test]
fn images_are_reproducible_and_archives_complete() {
    let directory = TempDir::new().unwrap();
    let options = LayoutOptions {
        media_types: MediaTypes::Docker,
        index: true,
        ..LayoutOptions::default()
    };
    let one = starter()
        .write_layout(&directory.path().join("1"), "x", options)
        .unwrap();
    let two = starter()
        .write_layout(&directory.path().join("2"), "x", options)
        .unwrap();
    assert_eq!(one.top, two.top);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(one.blob(&one.manifest.digest)).unwrap()).unwrap();
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.docker.container.image.v1+json"
    );
    let target = directory.path().join("archive");
    one.write_archive(&target, ArchiveKind::Docker, &["x:1"], Compression::Gzip)
        .unwrap();
    let list = listing(&target);
    assert!(list.contains("manifest.json") && list.contains("/layer.tar"), "{list}");
    one.write_archive(&target, ArchiveKind::Oci, &[], Compression::Zstd)
        .unwrap();
    assert!(listing(&target).contains("oci-layout"));
}
