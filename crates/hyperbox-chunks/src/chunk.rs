// SPDX-License-Identifier: MIT
//! Cutting a stream into chunks by content: FastCDC as of 2020 (Xia et al., "The Design of Fast Content-Defined Chunking for Data
//! Deduplication Based Storage Systems", IEEE TPDS 31:9), by the crate `fastcdc`.
//!
//! Equal bytes give equal chunks on every machine: gear table, masks and normalisation are those of the crate's `v2020` without a
//! seed, and [`ChunkSizes::default`] is part of every format that stores chunks. A chunk is named by the SHA-256 of its bytes.

use std::fmt;
use std::io::{self, Read};

use fastcdc::v2020::{Error, StreamCDC};
use sha2::{Digest as _, Sha256};

/// The name of a chunk: the SHA-256 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

impl ChunkId {
    /// Returns the name of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ChunkId({self})")
    }
}

/// How long chunks are, in bytes. The last one of a stream may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSizes {
    minimum: usize,
    average: usize,
    maximum: usize,
}

impl Default for ChunkSizes {
    /// 16, 64 and 256 KiB: small enough that an edited file of a layer costs a few of them, large enough that the index of a gigabyte
    /// has some 16,000 entries.
    fn default() -> Self {
        Self {
            minimum: 16 << 10,
            average: 64 << 10,
            maximum: 256 << 10,
        }
    }
}

impl ChunkSizes {
    /// Returns the sizes of chunks that stores tell one another of: 4, 16 and 64 KiB. Nobody keeps them, so their number matters less than
    /// what is moved around an edit.
    pub fn of_transfers() -> Self {
        Self {
            minimum: 4 << 10,
            average: 16 << 10,
            maximum: 64 << 10,
        }
    }

    /// Returns sizes; `None` unless minimum ≤ average ≤ maximum, within what FastCDC is defined for (64 to 1 MiB, 256 to 4 MiB, 1 KiB
    /// to 16 MiB).
    pub fn new(minimum: usize, average: usize, maximum: usize) -> Option<Self> {
        use fastcdc::v2020::{AVERAGE_MAX, AVERAGE_MIN, MAXIMUM_MAX, MAXIMUM_MIN, MINIMUM_MAX, MINIMUM_MIN};
        let fits = (MINIMUM_MIN..=MINIMUM_MAX).contains(&minimum)
            && (AVERAGE_MIN..=AVERAGE_MAX).contains(&average)
            && (MAXIMUM_MIN..=MAXIMUM_MAX).contains(&maximum);
        (fits && minimum <= average && average <= maximum).then_some(Self {
            minimum,
            average,
            maximum,
        })
    }

    /// Tells whether a chunk of these sizes can be so long.
    pub fn allow(&self, length: u32, is_last: bool) -> bool {
        let length = length as usize;
        length > 0 && length <= self.maximum && (is_last || length >= self.minimum)
    }
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it begins in the stream.
    pub offset: u64,
    /// Its name.
    pub id: ChunkId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The stream could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what is to be cut into chunks")]
pub struct ChunkError {
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Cuts a stream. Holds one maximal chunk and its successor's beginning in memory.
pub fn chunks<R: Read>(stream: R, sizes: ChunkSizes) -> Chunks<R> {
    Chunks {
        cutter: StreamCDC::new(stream, sizes.minimum, sizes.average, sizes.maximum),
        ended: false,
    }
}

/// The chunks of a stream, in order; ends after the first error.
pub struct Chunks<R: Read> {
    cutter: StreamCDC<R>,
    ended: bool,
}

impl<R: Read> fmt::Debug for Chunks<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Chunks")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Iterator for Chunks<R> {
    type Item = Result<Chunk, ChunkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.cutter.next() {
            Some(Ok(found)) => Some(Ok(Chunk {
                offset: found.offset,
                id: ChunkId::of(&found.data),
                bytes: found.data,
            })),
            Some(Err(Error::Empty)) | None => {
                self.ended = true;
                None
            }
            Some(Err(Error::IoError(source))) => {
                self.ended = true;
                Some(Err(ChunkError { source }))
            }
            Some(Err(Error::Other(reason))) => {
                self.ended = true;
                let source = io::Error::other(reason);
                Some(Err(ChunkError { source }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Bytes without a pattern, the same each time.
    fn noise(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    fn cut(bytes: &[u8]) -> Vec<Chunk> {
        chunks(bytes, ChunkSizes::default()).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn chunks_make_up_the_stream_and_keep_their_sizes() {
        for length in [0, 1, 16 << 10, 300_000, 5_000_000] {
            let bytes = noise(7, length);
            let chunks = cut(&bytes);
            let joined: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.clone()).collect();
            assert_eq!(joined, bytes);
            let mut offset = 0;
            for (number, chunk) in chunks.iter().enumerate() {
                assert_eq!((chunk.offset, chunk.id), (offset, ChunkId::of(&chunk.bytes)));
                offset += chunk.bytes.len() as u64;
                assert!(chunk.bytes.len() <= 256 << 10);
                assert!(chunk.bytes.len() >= 16 << 10 || number + 1 == chunks.len());
            }
        }
    }

    #[test]
    fn an_insertion_moves_no_boundary_but_its_own() {
        let before = noise(3, 8 << 20);
        let mut after = before.clone();
        after.splice(3_000_000..3_000_000, *b"something new");
        let known: HashSet<ChunkId> = cut(&before).iter().map(|chunk| chunk.id).collect();
        let (after, all) = (cut(&after), known.len());
        let new = after.iter().filter(|chunk| !known.contains(&chunk.id)).count();
        assert!(new <= 3, "{new} of {all} chunks are new");
    }

    #[test]
    fn boundaries_are_part_of_the_format() {
        let cuts: Vec<u64> = cut(&noise(1, 400_000)).iter().map(|chunk| chunk.offset).collect();
        assert_eq!(cuts, [0, 122_194, 252_163, 269_685, 361_514]);
    }

    #[test]
    fn errors_end_the_stream() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
        }
        let mut chunks = chunks(Broken, ChunkSizes::default());
        assert!(chunks.next().unwrap().is_err());
        assert!(chunks.next().is_none());
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for (minimum, average, maximum) in [
            (0, 0, 0),
            (1 << 20, 1 << 10, 1 << 20),
            (64, 256, 1 << 30),
            (100, 300, 200),
        ] {
            assert_eq!(ChunkSizes::new(minimum, average, maximum), None);
        }
        assert!(ChunkSizes::new(64, 256, 1024).is_some());
    }
}
