// SPDX-License-Identifier: MIT
//! Reading tar archives: ustar, pax (POSIX.1-2001), GNU long names and GNU sparse files (old format and pax 0.0, 0.1, 1.0).
//!
//! Headers are decoded by the `tar` crate. Which header describes which entry is decided here, because that crate reads
//! extension headers of any size into memory, splits pax records at newlines (binary xattrs contain them) and knows no pax
//! sparse files. Where writers and readers disagree, Go's `archive/tar` is followed, since Docker and containerd use it: an
//! image must unpack here as it does there.
//!
//! Nothing is trusted and nothing is written here. Memory per entry is bounded by [`LONGEST_EXTENSION`] and [`MOST_SEGMENTS`].

mod entry;
mod pax;
mod sparse;

use std::io::{self, BufRead};

use hyperbox_core::seam::SnapshotError;
use tar::{EntryType, Header};

use self::entry::{Described, Extensions};
pub(crate) use self::entry::{Device, Entry, Kind, Moment};
pub(crate) use self::sparse::Segment;
use crate::failure::{on_stream, refused, shown};

/// The longest extension header that is read into memory, as in Go's `archive/tar` (`maxSpecialFileSize`).
const LONGEST_EXTENSION: u64 = 1 << 20;
/// The most data segments of a sparse file.
const MOST_SEGMENTS: usize = 1 << 20;
const BLOCK: usize = 512;

/// Reads entries one after the other.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    stream: R,
    /// Bytes of the current entry's data that were not read yet.
    left: u64,
    /// What fills the last block of the current entry.
    padding: u64,
    /// Bytes of the stream that were read.
    position: u64,
}

impl<R: BufRead> Archive<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            left: 0,
            padding: 0,
            position: 0,
        }
    }

    /// Returns where in the stream the next byte of the current entry's data is.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Returns the next entry; what was not read of the last one is passed over. `None` is the end of the archive.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, SnapshotError> {
        let mut extensions = Extensions::default();
        loop {
            self.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let Some(header) = self.header()? else {
                return if extensions.is_empty() {
                    Ok(None)
                } else {
                    Err(refused("the archive ends after an extension header"))
                };
            };
            match header.entry_type().as_byte() {
                b'L' => extensions.long_name = Some(cut_at_nul(self.extension(&header)?)),
                b'K' => extensions.long_link = Some(cut_at_nul(self.extension(&header)?)),
                b'x' | b'X' => extensions.records = pax::parse(&self.extension(&header)?)?,
                // As in Go, global headers say nothing of single entries. A volume label names the archive.
                b'g' | b'V' => self.begin_data(header_size(&header)?)?,
                _ => return self.entry(&header, extensions).map(Some),
            }
        }
    }

    /// Hands `length` bytes of the current entry's data to `sink`, piece by piece.
    pub(crate) fn copy(
        &mut self,
        length: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut left = length;
        if left > self.left {
            return Err(refused("an entry's data are shorter than its map says"));
        }
        while left > 0 {
            let available = self.stream.fill_buf().map_err(on_stream)?;
            if available.is_empty() {
                return Err(on_stream(io::ErrorKind::UnexpectedEof.into()));
            }
            let amount = usize::try_from(left).map_or(available.len(), |left| left.min(available.len()));
            sink(&available[..amount])?;
            self.stream.consume(amount);
            self.position += amount as u64;
            left -= amount as u64;
            self.left -= amount as u64;
        }
        Ok(())
    }

    /// Returns the stream, positioned behind the archive's end.
    pub(crate) fn into_stream(self) -> R {
        self.stream
    }

    fn entry(&mut self, header: &Header, extensions: Extensions) -> Result<Entry, SnapshotError> {
        let Described {
            mut entry,
            size,
            sparse_format,
        } = entry::describe(header, extensions)?;
        let has_data = matches!(entry.kind, Kind::File);
        self.begin_data(if has_data || entry.skips_data { size } else { 0 })?;
        if let Some(format) = sparse_format {
            let (segments, real_size) = self.sparse_map(header, format, &entry.path)?;
            sparse::check(&segments, self.left, real_size)
                .map_err(|reason| refused(format!("{}: {reason}", shown(&entry.path))))?;
            entry.size = real_size;
            entry.segments = Some(segments);
        } else if has_data {
            entry.size = size;
        }
        Ok(entry)
    }

    fn sparse_map(
        &mut self,
        header: &Header,
        format: sparse::Format,
        path: &[u8],
    ) -> Result<(Vec<Segment>, u64), SnapshotError> {
        match format {
            sparse::Format::Known { segments, real_size } => Ok((segments, real_size)),
            sparse::Format::InData { real_size } => Ok((self.map_in_data(path)?, real_size)),
            sparse::Format::InHeader => self.map_in_header(header, path),
        }
    }

    /// GNU's pax format 1.0: the map is text at the beginning of the data, padded to whole blocks.
    fn map_in_data(&mut self, path: &[u8]) -> Result<Vec<Segment>, SnapshotError> {
        let mut map = sparse::TextMap::new(MOST_SEGMENTS);
        while !map.is_complete() {
            let mut block = [0; BLOCK];
            let mut filled = 0;
            self.copy(BLOCK as u64, |bytes| {
                block[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
                Ok(())
            })?;
            map.feed(&block)
                .map_err(|reason| refused(format!("{}: {reason}", shown(path))))?;
        }
        Ok(map.into_segments())
    }

    /// The old GNU format: the map is in the header and in extension blocks that follow it and are no part of the size.
    fn map_in_header(&mut self, header: &Header, path: &[u8]) -> Result<(Vec<Segment>, u64), SnapshotError> {
        let damaged = |source| SnapshotError::Archive {
            reason: format!("{}: the map of a sparse file is damaged", shown(path)),
            source: Some(source),
        };
        let gnu = header
            .as_gnu()
            .ok_or_else(|| refused(format!("{}: sparse, but not in GNU format", shown(path))))?;
        let real_size = gnu.real_size().map_err(damaged)?;
        let mut segments = Vec::new();
        sparse::collect(&gnu.sparse, &mut segments).map_err(damaged)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            self.stream.read_exact(block.as_mut_bytes()).map_err(on_stream)?;
            self.position += BLOCK as u64;
            sparse::collect(block.sparse(), &mut segments).map_err(damaged)?;
            more = block.is_extended();
            if segments.len() > MOST_SEGMENTS {
                return Err(refused(format!("{}: too many segments in a sparse file", shown(path))));
            }
        }
        Ok((segments, real_size))
    }

    /// Reads a header; `None` at the end: two blocks of zeros, or the stream's end where a header would begin.
    fn header(&mut self) -> Result<Option<Header>, SnapshotError> {
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK];
            if self.block(&mut second)? && second.iter().any(|byte| *byte != 0) {
                return Err(refused("a lone block of zeros inside the archive"));
            }
            return Ok(None);
        }
        let stored = header.cksum().map_err(damaged_header)?;
        // Historic writers summed signed bytes; everybody accepts both.
        let bytes = || {
            header
                .as_bytes()
                .iter()
                .enumerate()
                .map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte })
        };
        let unsigned: u32 = bytes().map(u32::from).sum();
        let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
        if stored != unsigned && i64::from(stored) != signed {
            return Err(refused(
                "a header's checksum is wrong: this is no tar archive, or it is damaged",
            ));
        }
        Ok(Some(header))
    }

    /// Reads one block; `false` when the stream ends before it.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, SnapshotError> {
        if self.stream.fill_buf().map_err(on_stream)?.is_empty() {
            return Ok(false);
        }
        self.stream.read_exact(block).map_err(on_stream)?;
        self.position += BLOCK as u64;
        Ok(true)
    }

    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, SnapshotError> {
        let size = header_size(header)?;
        if size > LONGEST_EXTENSION {
            return Err(refused(format!("an extension header of {size} bytes")));
        }
        self.begin_data(size)?;
        let mut data = Vec::new();
        self.copy(size, |bytes| {
            data.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(data)
    }

    fn begin_data(&mut self, size: u64) -> Result<(), SnapshotError> {
        // Everything that counts bytes further on (file offsets, sums) is signed in the kernel.
        if size > i64::MAX.cast_unsigned() - BLOCK as u64 {
            return Err(refused(format!("an entry of {size} bytes")));
        }
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn skip(&mut self, mut amount: u64) -> Result<(), SnapshotError> {
        while amount > 0 {
            let available = self.stream.fill_buf().map_err(on_stream)?.len();
            if available == 0 {
                return Err(on_stream(io::ErrorKind::UnexpectedEof.into()));
            }
            let step = usize::try_from(amount).map_or(available, |amount| amount.min(available));
            self.stream.consume(step);
            self.position += step as u64;
            amount -= step as u64;
        }
        Ok(())
    }
}

fn header_size(header: &Header) -> Result<u64, SnapshotError> {
    header.entry_size().map_err(damaged_header)
}

fn damaged_header(source: io::Error) -> SnapshotError {
    SnapshotError::Archive {
        reason: "a header is damaged".to_owned(),
        source: Some(source),
    }
}

fn cut_at_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

/// Whether the type byte is one of a plain file's.
fn is_plain_file(kind: EntryType) -> bool {
    matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse)
}

#[cfg(test)]
pub(crate) mod tests;
