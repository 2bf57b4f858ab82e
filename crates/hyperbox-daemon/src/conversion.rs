// SPDX-License-Identifier: MIT
//! `hyperboxd --convert-layers`: layers of another form than new ones get are made again from their archives or kept blobs.
//!
//! Runs instead of a daemon, under the same lock. Each layer is replaced in one step; after an interruption the rest is still there to
//! be converted. A running container would lose files that it reads, so there may be none.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use hyperbox_core::event::Events;
use hyperbox_core::image::{ImageDependencies, Images, PulledBlobs};
use hyperbox_registry::{DistributionClient, PeerClient};
use hyperbox_store::{FileContent, SqliteRecords};

use crate::config::Config;
use crate::storage::Storage;
use crate::wiring::registry_config;

/// Converts, and tells what was done.
///
/// # Errors
/// When containers run, or a store cannot be read or written.
pub(crate) async fn convert(config: &Config) -> Result<String> {
    let running = running(&config.run_dir.join("containers"))?;
    if !running.is_empty() {
        bail!("containers run: {}\nhint: stop them first", running.join(", "));
    }
    let storage = Storage::open(config)?;
    let others = storage.snapshotter.layers_in_other_form();
    let form = storage.form;
    if others.is_empty() {
        return Ok(format!("all layers are {form}"));
    }
    let images = Images::open(ImageDependencies {
        records: Arc::new(SqliteRecords::open(&config.root.join("hyperbox.db"))?),
        content: Arc::new(FileContent::open(&config.root.join("content"))?),
        snapshotter: storage.snapshotter,
        registry: Arc::new(DistributionClient::new(registry_config(config)).context("setting registry")?),
        peers: Arc::new(PeerClient::new()),
        events: Events::new(),
        pulled_blobs: PulledBlobs::Kept,
        spool_dir: config.root.join("spool"),
    })?;
    let remade = images.remake(&others).await?;
    let mut told = format!("{} layers are now {form}", remade.layers);
    if remade.without_source > 0 {
        told.push_str(&format!(
            "; {} stay as they are: neither their archives nor their blobs are here",
            remade.without_source
        ));
    }
    Ok(told)
}

/// Lists the containers whose shims answer.
fn running(containers: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(containers) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot list {}", containers.display())),
    };
    let mut running = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", containers.display()))?;
        if UnixStream::connect(entry.path().join("shim.sock")).is_ok() {
            let id = entry.file_name().to_string_lossy().into_owned();
            running.push(id.chars().take(12).collect());
        }
    }
    Ok(running)
}
