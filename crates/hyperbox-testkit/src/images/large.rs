// SPDX-License-Identifier: MIT
//! A large image, made once and kept below `target/tmp`.
//!
//! It is written aside and moved into place with one rename, under a lock file, so that tests which run at the same time make it
//! once and never see half of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::entry::{Content, Layer};
use super::layout::{Image, Layout, LayoutOptions};
use super::starter::starter;

/// The tag under which the layout knows the image.
pub const LARGE_TAG: &str = "large:latest";

const FORMAT: &str = "large-2";
const MEGABYTE: u64 = 1_000_000;

/// Returns a layout of about 250 MB uncompressed in five layers: the starter's, three of large files, one of many small files.
///
/// # Panics
/// When it cannot be written.
pub fn large(options: LayoutOptions) -> Layout {
    cached(options).expect("the large image below target/tmp")
}

fn cached(options: LayoutOptions) -> io::Result<Layout> {
    let parent = cache_directory();
    fs::create_dir_all(&parent)?;
    let name = format!(
        "{FORMAT}-{:?}-{:?}-{}",
        options.compression, options.media_types, options.index
    )
    .to_lowercase();
    let lock = File::create(parent.join(format!("{name}.lock")))?;
    lock.lock()?;
    let directory = parent.join(&name);
    if !directory.exists() {
        let aside = tempfile::Builder::new().prefix(&name).tempdir_in(&parent)?;
        let layout = image().write_layout(aside.path(), LARGE_TAG, options)?;
        let facts = json!({
            "top": layout.top, "manifest": layout.manifest, "config": layout.config,
            "layers": layout.layers, "diff_ids": layout.diff_ids,
        });
        fs::write(aside.path().join("facts.json"), facts.to_string())?;
        fs::rename(aside.keep(), &directory)?;
    }
    read_back(&directory)
}

fn read_back(directory: &Path) -> io::Result<Layout> {
    let mut facts: serde_json::Value = serde_json::from_slice(&fs::read(directory.join("facts.json"))?)?;
    Ok(Layout {
        directory: directory.to_owned(),
        top: serde_json::from_value(facts["top"].take())?,
        manifest: serde_json::from_value(facts["manifest"].take())?,
        config: serde_json::from_value(facts["config"].take())?,
        layers: serde_json::from_value(facts["layers"].take())?,
        diff_ids: serde_json::from_value(facts["diff_ids"].take())?,
    })
}

fn cache_directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("tmp/images")
}

fn image() -> Image {
    let mut image = starter();
    for (seed, megabytes) in [(1, 120), (2, 60), (3, 30)] {
        let mut layer = Layer::new().directory("data", 0o755);
        for part in 0..megabytes / 10 {
            let content = Content::Generated {
                seed: seed * 1000 + part,
                length: 10 * MEGABYTE,
            };
            layer = layer.content(&format!("data/{seed}-{part}.bin"), 0o644, content);
        }
        image.layers.push(layer);
    }
    let mut many = Layer::new().directory("many", 0o755);
    for directory in 0..80 {
        many = many.directory(&format!("many/{directory}"), 0o755);
        for file in 0..100 {
            let seed = directory * 100 + file;
            let content = Content::Generated {
                seed,
                length: 500 + seed,
            };
            many = many.content(&format!("many/{directory}/{file}"), 0o644, content);
        }
    }
    image.layers.push(many);
    image
}
