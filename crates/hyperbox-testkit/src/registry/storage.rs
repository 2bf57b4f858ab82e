// SPDX-License-Identifier: MIT
//! The storage layout of `docker-registry` (`registry/storage/paths.go` of distribution 2.8).
//!
//! Writing it directly works without a client and across network namespaces; the registry looks at the disk for each request.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hyperbox_types::Digest;

use crate::images::Layout;

const BASE: &str = "docker/registry/v2";

/// Puts an image in.
pub(super) fn insert(root: &Path, name: &str, tag: &str, layout: &Layout) -> io::Result<()> {
    let repository = root.join(BASE).join("repositories").join(name);
    for digest in layout.blobs() {
        let target = blob_file(root, &digest);
        if !target.exists() {
            fs::create_dir_all(target.parent().unwrap_or(root))?;
            fs::copy(layout.blob(&digest), &target)?;
        }
    }
    let layers = layout.layers.iter().chain([&layout.config]);
    for descriptor in layers {
        link(
            &repository.join("_layers/sha256").join(descriptor.digest.hex()),
            &descriptor.digest,
        )?;
    }
    for digest in [&layout.manifest.digest, &layout.top.digest] {
        link(
            &repository.join("_manifests/revisions/sha256").join(digest.hex()),
            digest,
        )?;
    }
    let top = &layout.top.digest;
    let tag_directory = repository.join("_manifests/tags").join(tag);
    link(&tag_directory.join("index/sha256").join(top.hex()), top)?;
    link(&tag_directory.join("current"), top)
}

/// Returns where a blob is.
pub(super) fn blob_file(root: &Path, digest: &Digest) -> PathBuf {
    let blobs = root.join(BASE).join("blobs/sha256");
    blobs.join(&digest.hex()[..2]).join(digest.hex()).join("data")
}

/// Returns the file that exists when the tag does.
pub(super) fn tag_link(root: &Path, name: &str, tag: &str) -> PathBuf {
    let repository = root.join(BASE).join("repositories").join(name);
    repository.join("_manifests/tags").join(tag).join("current/link")
}

fn link(directory: &Path, digest: &Digest) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("link"), digest.to_string())
}
