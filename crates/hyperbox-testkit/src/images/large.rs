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
    cached(FORMAT, image, options).expect("the large image below target/tmp")
}

/// Returns a layout of 100 MB uncompressed, spread evenly over so many files and layers, above the starter's.
///
/// # Panics
/// When it cannot be written.
pub fn spread(layers: u64, files: u64, options: LayoutOptions) -> Layout {
    let format = format!("spread-1-{layers}x{files}");
    cached(&format, || spread_image(layers, files), options).expect("the spread image below target/tmp")
}

/// Returns a layout of version `number` of an application: 60 MB that all versions share as a layer, and a layer of 400 files and
/// 20 MB of which each version changes five in a hundred.
///
/// # Panics
/// When it cannot be written.
pub fn version(number: u64, options: LayoutOptions) -> Layout {
    let format = format!("version-1-{number}");
    cached(&format, || version_image(number), options).expect("the image of a version below target/tmp")
}

fn cached(format: &str, image: impl FnOnce() -> Image, options: LayoutOptions) -> io::Result<Layout> {
    let parent = cache_directory();
    fs::create_dir_all(&parent)?;
    let name = format!(
        "{format}-{:?}-{:?}-{}",
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

fn spread_image(layers: u64, files: u64) -> Image {
    let mut image = starter();
    let length = 100 * MEGABYTE / files;
    for number in 0..layers {
        let mut layer = Layer::new().directory("spread", 0o755);
        let top = format!("spread/{number}");
        layer = layer.directory(&top, 0o755);
        for file in (0..files).filter(|file| file % layers == number) {
            let directory = format!("{top}/{}", file / layers / 100);
            if (file / layers).is_multiple_of(100) {
                layer = layer.directory(&directory, 0o755);
            }
            let content = Content::Generated { seed: file, length };
            layer = layer.content(&format!("{directory}/{file}"), 0o644, content);
        }
        image.layers.push(layer);
    }
    image
}

fn version_image(number: u64) -> Image {
    let mut image = starter();
    let file = |seed, length| Content::Generated { seed, length };
    let mut shared = Layer::new().directory("shared", 0o755);
    for part in 0..600 {
        shared = shared.content(&format!("shared/{part}"), 0o644, file(part, MEGABYTE / 10));
    }
    let mut own = Layer::new().directory("application", 0o755);
    for part in 0..400 {
        let changed = if part % 20 == number % 20 { number + 1 } else { 0 };
        own = own.content(
            &format!("application/{part}"),
            0o644,
            file(10_000 + part + changed * 1000, MEGABYTE / 20),
        );
    }
    image.layers.extend([shared, own]);
    image
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
