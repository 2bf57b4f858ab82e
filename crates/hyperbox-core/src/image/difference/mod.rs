// SPDX-License-Identifier: MIT
//! In what two images differ: paths by a Merkle tree of each, bytes by chunks.
//!
//! Layers at the bottom that are the same are read once, for the sake of what stands on them, and images of the same layers are not
//! read at all. The upper layers' archives are also cut into chunks: that says how many bytes somebody who has one image lacks of the
//! other. On a blocking thread; memory: one entry per path, one per chunk.

mod tree;

use std::io::{BufReader, Read};

use hyperbox_chunks::{ChunkId, ChunkIndex, ChunkSizes, Difference, MerkleTree, chunks};
use hyperbox_types::image_diff::{ImageDiff, PathChange};

use self::tree::Tree;
use super::compression::{Packing, unpacked};
use super::fetch::stored;
use super::record::ImageLayer;
use super::service::{ImageDependencies, Images};
use crate::{Result, ServiceError};

impl Images {
    /// Compares two images. Changes nothing; when the caller stops waiting, the reading still ends in order.
    ///
    /// # Errors
    /// `NotFound` without an image, `FailedPrecondition` when a layer's archive cannot be read.
    pub async fn difference(&self, left: &str, right: &str) -> Result<ImageDiff> {
        let (left, left_lease) = self.get_leased(left).await?;
        let (right, right_lease) = self.get_leased(right).await?;
        let images = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _leases = (left_lease, right_lease);
            let mut diff = compare(&left.layers, &right.layers, &images.inner.with)?;
            diff.left = left.id.to_string();
            diff.right = right.id.to_string();
            Ok(diff)
        });
        reading
            .await
            .map_err(|error| ServiceError::internal("the comparison was interrupted").with_source(error))?
    }
}

fn compare(left: &[ImageLayer], right: &[ImageLayer], with: &ImageDependencies) -> Result<ImageDiff> {
    let same = left
        .iter()
        .zip(right)
        .take_while(|(one, other)| one.diff_id == other.diff_id);
    let shared = same.count();
    let mut diff = ImageDiff {
        shared_layers: shared as u64,
        left_layers: (left.len() - shared) as u64,
        right_layers: (right.len() - shared) as u64,
        ..ImageDiff::default()
    };
    if left.len() == shared && right.len() == shared {
        return Ok(diff);
    }
    let mut base = Tree::default();
    for layer in &left[..shared] {
        read(layer, with, |archive| base.apply(archive))?;
    }
    let (mut one, mut index) = (base.clone(), ChunkIndex::<u64>::default());
    for layer in &left[shared..] {
        read(layer, with, |archive| one.apply(archive))?;
        cut(layer, with, |id, length| {
            // One that occurs twice is stored once.
            let _is_new = index.insert(id, length);
        })?;
    }
    let mut other = base;
    let (mut in_both, mut right_bytes, mut seen) = (0, 0, ChunkIndex::<()>::default());
    for layer in &right[shared..] {
        read(layer, with, |archive| other.apply(archive))?;
        cut(layer, with, |id, length| {
            if seen.insert(id, ()) {
                let side = if index.get(&id).is_some() {
                    &mut in_both
                } else {
                    &mut right_bytes
                };
                *side += length;
            }
        })?;
    }
    let all_left: u64 = index.places().sum();
    diff.shared_bytes = in_both;
    diff.left_bytes = all_left.saturating_sub(in_both);
    diff.right_bytes = right_bytes;
    diff.changes = changes(&one, &other);
    Ok(diff)
}

fn changes(left: &Tree, right: &Tree) -> Vec<PathChange> {
    let merkle = |tree: &Tree| MerkleTree::new(tree.entries().map(|(path, entry)| (path.clone(), entry.digest)));
    let (one, other) = (merkle(left), merkle(right));
    let mut changes = Vec::new();
    one.compare(&other, |difference| {
        let (Difference::Left(path) | Difference::Right(path) | Difference::Both(path)) = difference;
        changes.push(PathChange {
            path: format!("/{}", String::from_utf8_lossy(path)),
            left_size: left.size(path),
            right_size: right.size(path),
        });
    });
    changes
}

fn open<'c>(layer: &ImageLayer, with: &'c ImageDependencies) -> Result<Box<dyn Read + 'c>> {
    if let Some(archive) = with.snapshotter.archive(&layer.diff_id) {
        return Ok(Box::new(BufReader::with_capacity(256 * 1024, archive)));
    }
    let file = with.content.open(&layer.blob.digest).map_err(stored)?;
    let mut file = BufReader::with_capacity(256 * 1024, file);
    let start = std::io::BufRead::fill_buf(&mut file).map_err(|error| unreadable(layer, error))?;
    let packing = Packing::detect(start);
    let reader = unpacked(packing, file).map_err(|error| unreadable(layer, error))?;
    Ok(reader)
}

fn read(
    layer: &ImageLayer,
    with: &ImageDependencies,
    apply: impl FnOnce(&mut dyn Read) -> std::io::Result<()>,
) -> Result<()> {
    apply(&mut open(layer, with)?).map_err(|error| unreadable(layer, error))
}

/// Cuts a layer's archive into chunks and tells each with its length.
fn cut(layer: &ImageLayer, with: &ImageDependencies, mut tell: impl FnMut(ChunkId, u64)) -> Result<()> {
    for chunk in chunks(open(layer, with)?, ChunkSizes::default()) {
        let chunk = chunk.map_err(|error| unreadable(layer, error.source))?;
        tell(chunk.id, chunk.bytes.len() as u64);
    }
    Ok(())
}

fn unreadable(layer: &ImageLayer, error: std::io::Error) -> ServiceError {
    let message = format!("the archive of layer {} cannot be read", layer.diff_id);
    ServiceError::new(hyperbox_types::ErrorKind::FailedPrecondition, message)
        .with_source(error)
        .with_hint("'hb system check --repair' may bring it back")
}
