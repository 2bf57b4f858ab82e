// SPDX-License-Identifier: MIT
//! Uncompressed archives of layers, as files: kept ones, or unpacked aside from their blobs; and which chunks they have.
//!
//! Nothing is leased: a file that was opened stays, whatever is collected meanwhile. What an archive's bytes became in between is found
//! out by the diff id of what is made of them.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};

use hyperbox_chunks::{ChunkIndex, ChunkSizes, ListedChunk, Recipe, chunks};
use hyperbox_types::{DiffId, ImageReference};

use crate::image::archive::Spool;
use crate::image::compression::{Packing, unpacked};
use crate::image::record::{ImageLayer, ImageRecord};
use crate::image::service::Images;
use crate::{Result, ServiceError};

/// So many images of a repository are looked at, the youngest first.
const IMAGES: usize = 3;
/// So many bytes are cut into chunks at most: a few seconds of work.
const BYTES: u64 = 4 << 30;

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    archive: usize,
    offset: u64,
}

/// Chunks that layers here have.
#[derive(Debug, Default)]
pub(super) struct Known {
    archives: Vec<File>,
    /// Counts its look-ups, so that it cannot be shared as it is.
    index: Mutex<ChunkIndex<Place>>,
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.archives.is_empty()
    }

    /// Looks up the chunks of a list.
    pub(super) fn recipe(&self, list: &[ListedChunk]) -> Recipe<Place> {
        Recipe::new(list, &self.index.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads a chunk.
    pub(super) fn read(&self, place: Place, buffer: &mut [u8]) -> io::Result<()> {
        let archive = self.archives.get(place.archive).ok_or(io::ErrorKind::NotFound)?;
        archive.read_exact_at(buffer, place.offset)
    }

    fn add(&mut self, archive: File) -> io::Result<u64> {
        let number = self.archives.len();
        let index = self.index.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut length = 0;
        for chunk in chunks(BufReader::with_capacity(1 << 20, &archive), ChunkSizes::of_transfers()) {
            let chunk = chunk.map_err(|error| error.source)?;
            length += chunk.bytes.len() as u64;
            // One that is known already stays where it is.
            let _is_new = index.insert(
                chunk.id,
                Place {
                    archive: number,
                    offset: chunk.offset,
                },
            );
        }
        self.archives.push(archive);
        Ok(length)
    }
}

/// Cuts what the youngest images of the repository have and the wanted one has not. Blocks.
///
/// # Errors
/// `ResourceExhausted` and the like; an archive that cannot be had is left out.
pub(super) fn look_around(images: &Images, reference: &ImageReference, wanted: &[DiffId]) -> Result<Known> {
    let mut known = Known::default();
    let mut left = BYTES;
    let mut seen: Vec<DiffId> = wanted.to_vec();
    for image in relatives(images, reference).iter().take(IMAGES) {
        // The topmost layers are those that change.
        for layer in image.layers.iter().rev() {
            if left == 0 || seen.contains(&layer.diff_id) {
                continue;
            }
            seen.push(layer.diff_id.clone());
            let cut = open(images, layer).and_then(|archive| archive.map_or(Ok(0), |archive| known.add(archive)));
            match cut {
                Ok(length) => left = left.saturating_sub(length),
                Err(error) => tracing::debug!(layer = %layer.diff_id, %error, "a layer gives no chunks"),
            }
        }
    }
    Ok(known)
}

/// Images of the same repository, the youngest first.
fn relatives(images: &Images, reference: &ImageReference) -> Vec<std::sync::Arc<ImageRecord>> {
    let of_repository = |image: &ImageRecord| {
        let mut names = image.references.iter().chain(&image.digests);
        names.any(|name| name.repository() == reference.repository())
    };
    images.list().into_iter().filter(|image| of_repository(image)).collect()
}

/// Opens a layer's uncompressed archive at its start, if the snapshotter has it. Where it shares its files with others it is written anew into
/// a file without a name, so this goes on on a thread that may block.
pub(in crate::image) async fn kept(images: &Images, layer: &DiffId) -> Result<Option<File>> {
    let (images, layer) = (images.clone(), layer.clone());
    tokio::task::spawn_blocking(move || images.inner.with.snapshotter.archive(&layer))
        .await
        .map_err(|error| ServiceError::internal("reading a layer was interrupted").with_source(error))
}

/// Opens a layer's uncompressed archive at its start, or makes it in a file without a name; `None` when neither can be.
pub(in crate::image) fn open(images: &Images, layer: &ImageLayer) -> io::Result<Option<File>> {
    let with = &images.inner.with;
    if let Some(archive) = with.snapshotter.archive(&layer.diff_id) {
        return Ok(Some(archive));
    }
    let Ok(blob) = with.content.open(&layer.blob.digest) else {
        return Ok(None);
    };
    let mut blob = BufReader::with_capacity(256 * 1024, blob);
    let packing = Packing::detect(io::BufRead::fill_buf(&mut blob)?);
    let mut spooled = nameless(images)?;
    io::copy(&mut unpacked(packing, blob)?.take(BYTES), &mut spooled)?;
    spooled.rewind()?;
    Ok(Some(spooled))
}

/// Makes a file that goes with its last descriptor.
fn nameless(images: &Images) -> io::Result<File> {
    let spool = Spool::create(&images.inner.with.spool_dir).map_err(io::Error::other)?;
    // The directory goes with the value, and the file with it; the descriptor stays.
    let path = spool.path.join("archive");
    File::options().read(true).write(true).create_new(true).open(path)
}

/// Finds the record of a layer, whichever image has it.
pub(super) fn find(images: &Images, layer: &DiffId) -> Result<ImageLayer> {
    let all = images.list();
    let mut layers = all.iter().flat_map(|image| &image.layers);
    let found = layers.find(|own| own.diff_id == *layer).cloned();
    found.ok_or_else(|| ServiceError::not_found(format!("No such layer: {layer}")))
}
