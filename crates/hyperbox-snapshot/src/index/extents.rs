// SPDX-License-Identifier: MIT
//! Where a file's data are: in the tar, or laid out anew when the tar's pieces are not aligned to blocks.

use std::io::BufRead;

use hyperbox_core::seam::SnapshotError;

use super::Odd;
use crate::archive::{Archive, Entry, Segment};
use crate::failure::on_entry;

/// Bytes of a block, of a tar and of the index.
const BLOCK: u64 = 512;
/// The same, of bytes in memory.
const BLOCK_LENGTH: usize = 512;

/// The file that an extent is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The layer's tar.
    Tar,
    /// The file beside it.
    Odd,
}

/// A run of a file's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where in the file: a multiple of a block.
    pub(super) offset: u64,
    /// A multiple of a block, but for the file's end.
    pub(super) length: u64,
    pub(super) place: Place,
    /// Where in that place: a multiple of a block.
    pub(super) at: u64,
}

/// Passes over an entry's data and returns where they are, and how many bytes they are.
pub(super) fn take<R: BufRead>(
    entry: &Entry,
    archive: &mut Archive<R>,
    odd: &mut Odd,
) -> Result<(Vec<Extent>, u64), SnapshotError> {
    let whole = [Segment {
        offset: 0,
        length: entry.size,
    }];
    let segments = entry.segments.as_deref().unwrap_or(&whole);
    let length = segments.iter().map(|segment| segment.length).sum();
    let found = match in_tar(segments, entry.size, archive.position()) {
        Some(found) => {
            archive.copy(length, |_| Ok(()))?;
            found
        }
        None => lay_out(segments, entry, archive, odd)?,
    };
    Ok((found, length))
}

/// Maps pieces that follow each other from `position` on; `None` when one of them is not aligned.
fn in_tar(segments: &[Segment], size: u64, position: u64) -> Option<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = position;
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        let ends_file = segment.offset + segment.length == size;
        let aligned = segment.offset.is_multiple_of(BLOCK)
            && at.is_multiple_of(BLOCK)
            && (ends_file || segment.length.is_multiple_of(BLOCK));
        if !aligned {
            return None;
        }
        push(&mut extents, segment.offset, segment.length, Place::Tar, at);
        at += segment.length;
    }
    Some(extents)
}

/// Writes the pieces' blocks one after the other, with zeros where a block has no data.
fn lay_out<R: BufRead>(
    segments: &[Segment],
    entry: &Entry,
    archive: &mut Archive<R>,
    odd: &mut Odd,
) -> Result<Vec<Extent>, SnapshotError> {
    let failed = |error: std::io::Error| {
        on_entry(
            "write",
            &entry.path,
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        )
    };
    let mut extents: Vec<Extent> = Vec::new();
    let mut block = Block::default();
    for segment in segments {
        let mut offset = segment.offset;
        archive.copy(segment.length, |mut bytes| {
            while !bytes.is_empty() {
                let start = offset - offset % BLOCK;
                if block.start != Some(start) {
                    block.flush(odd, entry.size, &mut extents).map_err(failed)?;
                    block.start = Some(start);
                }
                // Less than a block, which any integer holds.
                let within = usize::try_from(offset - start).unwrap_or_default();
                let amount = bytes.len().min(BLOCK_LENGTH - within);
                block.bytes[within..within + amount].copy_from_slice(&bytes[..amount]);
                bytes = &bytes[amount..];
                offset += amount as u64;
            }
            Ok(())
        })?;
    }
    block.flush(odd, entry.size, &mut extents).map_err(failed)?;
    Ok(extents)
}

/// A block that is being filled.
struct Block {
    start: Option<u64>,
    bytes: [u8; BLOCK_LENGTH],
}

impl Default for Block {
    fn default() -> Self {
        Self {
            start: None,
            bytes: [0; BLOCK_LENGTH],
        }
    }
}

impl Block {
    fn flush(&mut self, odd: &mut Odd, size: u64, extents: &mut Vec<Extent>) -> std::io::Result<()> {
        if let Some(start) = self.start.take() {
            let at = odd.append(&self.bytes)?;
            push(extents, start, BLOCK.min(size - start), Place::Odd, at);
            self.bytes = [0; BLOCK_LENGTH];
        }
        Ok(())
    }
}

/// Appends a run, or makes the last one longer.
fn push(extents: &mut Vec<Extent>, offset: u64, length: u64, place: Place, at: u64) {
    if let Some(last) = extents.last_mut()
        && last.place == place
        && last.offset + last.length == offset
        && last.at + last.length == at
    {
        last.length += length;
        return;
    }
    extents.push(Extent {
        offset,
        length,
        place,
        at,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_pieces_are_mapped() {
        let segments = |pairs: &[(u64, u64)]| -> Vec<Segment> {
            let make = |(offset, length): &(u64, u64)| Segment {
                offset: *offset,
                length: *length,
            };
            pairs.iter().map(make).collect()
        };
        type Case<'a> = (&'a [(u64, u64)], u64, Option<&'a [(u64, u64, u64)]>);
        let cases: &[Case<'_>] = &[
            (&[(0, 1000)], 1000, Some(&[(0, 1000, 1024)])),
            (&[(0, 0)], 0, Some(&[])),
            (
                &[(0, 512), (4096, 100)],
                4196,
                Some(&[(0, 512, 1024), (4096, 100, 1536)]),
            ),
            (&[(0, 512), (512, 512)], 1024, Some(&[(0, 1024, 1024)])),
            (&[(0, 512), (4096, 0)], 4096, Some(&[(0, 512, 1024)])),
            (&[(0, 100)], 4096, None),
            (&[(7, 512)], 4096, None),
            (&[(0, 100), (512, 100)], 612, None),
        ];
        for (pairs, size, expected) in cases {
            let found = in_tar(&segments(pairs), *size, 1024).map(|found| {
                let triple = |extent: &Extent| (extent.offset, extent.length, extent.at);
                found.iter().map(triple).collect::<Vec<_>>()
            });
            assert_eq!(found.as_deref(), *expected, "{pairs:?}");
        }
        assert_eq!(in_tar(&segments(&[(0, 512)]), 512, 1000), None);
    }
}
