// SPDX-License-Identifier: MIT
//! `bench disk`: what ten versions of an image occupy, each of which changes five files in a hundred of its upper layer. HyperBox beside
//! is measured thrice: as pulled, with files stored once, and with compressed layers left to the registry too.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::contender::Contender;
use super::daemon::Daemon;
use super::engines::engines;
use super::image_server::Server;
use super::keep;
use super::pull::words;
use super::series::{Series, Unit, interleave};
use crate::process::{capture, command};

/// What is done after the pulls.
const NOTHING: &[&str] = &[];
const OPTIMIZE: &[&str] = &["image", "optimize"];
const RELEASE: &[&str] = &["image", "optimize", "--release-blobs"];

/// Measures once: space does not vary.
pub(super) fn run() -> Result<()> {
    let server = Server::start(&["versions".to_owned()])?;
    let daemon = Daemon::start()?;
    let mut all: Vec<(Contender, &[&str])> = engines(&daemon).into_iter().map(|engine| (engine, NOTHING)).collect();
    all.retain(|(engine, _)| engine.name != "docker > hb");
    for (place, name, then) in [(1, "hyperbox, optimized", OPTIMIZE), (2, "hyperbox, no blobs", RELEASE)] {
        let mut client = daemon.client();
        name.clone_into(&mut client.name);
        all.insert(place, (client, then));
    }
    let images: Vec<&str> = server.images.iter().map(|(_, image)| image.as_str()).collect();
    let series = all.iter().map(|(engine, then)| Series {
        name: engine.name.clone(),
        command: format!("{} pull …", engine.shown()),
        take: Box::new(|| grown(engine, &daemon, &images, then)),
    });
    let table = interleave(
        "disk space of ten versions of an image",
        Unit::Megabytes,
        series.collect(),
        1,
    );
    keep("disk", &[table.to_json()])
}

/// Pulls all images and returns by how many megabytes the engine's directory grew.
fn grown(engine: &Contender, daemon: &Daemon, images: &[&str], then: &[&str]) -> Result<f64> {
    let root = match engine.name.as_str() {
        name if name.starts_with("hyperbox") => daemon.directory().join("root").to_string_lossy().into_owned(),
        "docker" => engine.call(&["info", "--format", "{{.DockerRootDir}}"].map(str::to_owned))?,
        _ => engine.call(&["info", "--format", "{{.Store.GraphRoot}}"].map(str::to_owned))?,
    };
    // What an engine removed for the series before is deleted in the background.
    settle(Path::new(&root))?;
    let before = occupied(Path::new(&root))?;
    for image in images {
        engine.call(&words(&engine.name, &["pull"], &[image]))?;
    }
    if !then.is_empty() {
        engine.call(&then.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())?;
        // Files that were removed a moment ago are deleted in the background.
        settle(Path::new(&root))?;
    }
    let after = occupied(Path::new(&root))?;
    let remove = ["rmi", "-f"].iter().chain(images).map(|word| (*word).to_owned());
    engine.call(&remove.collect::<Vec<_>>())?;
    Ok(after - before)
}

/// Waits until a directory stops shrinking.
fn settle(directory: &Path) -> Result<()> {
    let mut last = occupied(directory)?;
    loop {
        super::let_pass(Duration::from_millis(300));
        let now = occupied(directory)?;
        if now >= last {
            return Ok(());
        }
        last = now;
    }
}

/// Returns what a directory occupies on the disk, in megabytes. Sockets of overlays are not followed.
fn occupied(directory: &Path) -> Result<f64> {
    let directory = directory.to_string_lossy();
    let output = capture(&mut command(&[
        "du",
        "--summarize",
        "--one-file-system",
        "--block-size=1",
        &directory,
    ]))?;
    let bytes: f64 = output
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()
        .context("du tells no number")?;
    Ok(bytes / 1e6)
}
