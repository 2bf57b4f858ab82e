// SPDX-License-Identifier: MIT
//! The images of the cases: the testkit's starter, and one on top of it whose configuration says something of everything.

use std::path::{Path, PathBuf};
use std::process::Command;

use hyperbox_core::seam::Compression;
use hyperbox_testkit::images::{
    ArchiveKind, Content, Entry, EntryKind, Image, ImageConfig, Layer, LayoutOptions, starter,
};
use serde_json::json;

use crate::tools;

/// The name of the image with a configuration.
pub const CONFIGURED: &str = "configured:1";

/// Returns the image with a configuration: two layers, entry point, user, volume, labels, health check, signal.
pub fn configured() -> Image {
    let mut image = starter();
    let layer =
        Layer::new()
            .directory("srv", 0o755)
            .directory("srv/data", 0o777)
            .file("srv/data/seed", 0o644, "seed\n");
    image.layers.push(layer);
    let text = |text: &str| text.to_owned();
    image.config = ImageConfig {
        cmd: vec![text("greet")],
        entrypoint: vec![text("echo"), text("configured")],
        env: vec![
            text("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            text("COLOUR=blue"),
        ],
        user: text("alice"),
        working_dir: text("/srv"),
        volumes: vec![text("/srv/data")],
        labels: vec![(text("maintainer"), text("nobody")), (text("tier"), text("test"))],
        stop_signal: Some(text("SIGINT")),
        healthcheck: Some(json!({"Test": ["CMD-SHELL", "test -e /srv"], "Interval": 1_000_000_000_u64})),
    };
    image
}

/// The name of the image with a database.
pub const REDIS: &str = "redis:1";

/// Returns an image with Debian's Redis and the libraries that it needs, on top of the starter image.
///
/// # Panics
/// When it is not installed.
pub fn redis() -> Image {
    let mut image = starter();
    let root = tools::target().join("suite-tools/root");
    let server = root.join("usr/bin/redis-check-rdb");
    let client = root.join("usr/bin/redis-cli");
    let programs = [("usr/bin/redis-server", server), ("usr/bin/redis-cli", client)];
    image
        .layers
        .push(with_programs(&root, &programs).directory("data", 0o777));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    image.config.env.push("LD_LIBRARY_PATH=/opt/lib".to_owned());
    image.config.working_dir = "/data".to_owned();
    image.config.volumes = words(&["/data"]);
    image.config.cmd = words(&["redis-server", "--protected-mode", "no"]);
    image
}

/// The name of the image with a reaper for Testcontainers.
pub const REAPER: &str = "reaper:1";

/// Returns an image with the program of `src/reaper.rs`.
///
/// # Panics
/// When it is not built.
pub fn reaper() -> Image {
    let mut image = starter();
    let program = tools::target().join("debug/compat-reaper");
    image
        .layers
        .push(with_programs(Path::new("/"), &[("usr/bin/reaper", program)]));
    image.config.env.push("LD_LIBRARY_PATH=/opt/lib".to_owned());
    image.config.cmd = vec!["reaper".to_owned()];
    image
}

/// Returns a layer with programs of the tree at `root` at these paths, and the libraries that they need.
fn with_programs(root: &Path, programs: &[(&str, PathBuf)]) -> Layer {
    let mut files = Vec::new();
    for (path, program) in programs {
        files.push(((*path).to_owned(), program.clone()));
        files.extend(libraries(root, program));
    }
    files.sort();
    files.dedup();
    let mut layer = Layer::new()
        .directory("lib64", 0o755)
        .directory("opt", 0o755)
        .directory("opt/lib", 0o755);
    for (path, source) in files {
        layer = layer.entry(Entry {
            path,
            kind: EntryKind::File(Content::HostFile(source)),
            mode: 0o755,
            uid: 0,
            gid: 0,
            xattrs: Vec::new(),
        });
    }
    layer
}

/// Returns the libraries of a program with their places in the image: what the tree's own loader finds (ld.so(8), `--list`).
fn libraries(root: &Path, program: &Path) -> Vec<(String, PathBuf)> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let directory = root.join("usr/lib").join(triplet);
    let loader = std::fs::read_dir(root.join("usr/lib64"))
        .expect("the tree's loader is in lib64")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().contains("ld-linux"))
        .expect("the tree has a loader");
    let mut list = Command::new(&loader);
    list.arg("--library-path").arg(&directory).arg("--list").arg(program);
    let output = list.output().expect("the tree's loader runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = vec![(format!("lib64/{}", name(&loader)), loader)];
    for library in text.lines().filter_map(|line| line.split(" => ").nth(1)) {
        let path = directory.join(name(Path::new(library.split(' ').next().unwrap_or_default())));
        if path.exists() {
            files.push((format!("opt/lib/{}", name(&path)), path));
        }
    }
    files
}

/// Writes an image as an archive that `docker load` reads.
///
/// # Panics
/// When it cannot be written.
pub fn write_archive(image: &Image, name: &str, archive: &Path) {
    let directory = tempfile::tempdir().expect("temporary directory");
    let layout = image
        .write_layout(&directory.path().join("layout"), "image", LayoutOptions::default())
        .expect("the image layout");
    layout
        .write_archive(archive, ArchiveKind::Docker, &[name], Compression::None)
        .expect("the image archive");
}
