// SPDX-License-Identifier: MIT
//! A layer that comes in becomes a file: compressed with gzip unless it is already gzip or Zstandard, hashed, looked through.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::Path;

use hyperbox_types::{ByteSize, Digest};
use sha2::{Digest as _, Sha256};

use super::super::archive::Spooled;
use super::super::compression::{CUT_SHORT, Packing, is_cut_short, unpacked};
use super::super::manifest::media_type;
use crate::{Result, ServiceError};

/// Whether a layer has anything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) enum Content {
    /// Entries, or something that nobody looked into.
    Something,
    /// Nothing but the zeros that end an archive.
    Nothing,
}

/// A layer in a file.
#[derive(Debug)]
pub(in crate::image) struct SpooledLayer {
    pub file: Spooled,
    pub media_type: &'static str,
    pub content: Content,
}

/// Writes a layer to a file.
///
/// # Errors
/// `InvalidArgument` for a compressed stream that is malformed, and I/O classes.
pub(in crate::image) fn spool_layer(source: impl Read, target: &Path) -> Result<SpooledLayer> {
    let failed = |error: std::io::Error| {
        let kind = crate::seam::io_kind(&error);
        ServiceError::from_mechanism("cannot spool the layer", kind, error)
    };
    let mut source = BufReader::with_capacity(64 * 1024, source);
    let packing = Packing::detect(source.fill_buf().map_err(failed)?);
    let mut file = Hashing {
        file: File::create(target).map_err(failed)?,
        hasher: Sha256::new(),
        length: 0,
    };
    let mut content = Content::Something;
    let media_type = match packing {
        Packing::Gzip | Packing::Zstd => {
            std::io::copy(&mut source, &mut file).map_err(failed)?;
            if packing == Packing::Gzip {
                media_type::OCI_LAYER_GZIP
            } else {
                media_type::OCI_LAYER_ZSTD
            }
        }
        Packing::Plain | Packing::Bzip2 | Packing::Xz => {
            let mut plain = Watched {
                stream: unpacked(packing, source).map_err(failed)?,
                content: Content::Nothing,
            };
            // Level 1: a quarter of the time of the default for a tenth more bytes. The header has no time, so equal layers are equal.
            let mut encoder = flate2::GzBuilder::new().write(&mut file, flate2::Compression::fast());
            std::io::copy(&mut plain, &mut encoder).map_err(broken)?;
            encoder.finish().map_err(failed)?;
            content = plain.content;
            media_type::OCI_LAYER_GZIP
        }
    };
    let file = Spooled {
        path: target.to_owned(),
        digest: Digest::from_sha256(file.hasher.finalize().into()),
        size: ByteSize(file.length),
    };
    Ok(SpooledLayer {
        file,
        media_type,
        content,
    })
}

/// A compressed stream that ends too early is told as Docker tells it.
fn broken(error: std::io::Error) -> ServiceError {
    if is_cut_short(&error) {
        return ServiceError::invalid(CUT_SHORT).with_source(error);
    }
    let kind = crate::seam::io_kind(&error);
    ServiceError::from_mechanism("cannot spool the layer", kind, error)
}

/// Looks whether anything but zeros passes.
struct Watched<R> {
    stream: R,
    content: Content,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.stream.read(buffer)?;
        if self.content == Content::Nothing && buffer[..length].iter().any(|byte| *byte != 0) {
            self.content = Content::Something;
        }
        Ok(length)
    }
}

struct Hashing {
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
