// SPDX-License-Identifier: MIT
//! Lists of chunks, and ranges of bytes, as two stores tell them to one another.
//!
//! All numbers are little-endian. A list: the eight bytes `hbchunk1`, the number of chunks and the length of the whole (64 bits each),
//! then for each chunk its name (32 bytes) and its length (32 bits). Ranges: the eight bytes `hbrange1`, then offset and length (64
//! bits each) of every range, ascending, none empty, none touching the one before.
//!
//! What is read comes from strangers: nothing is allocated for what was only promised, and whatever FastCDC with
//! [`ChunkSizes::of_transfers`] cannot have cut is refused.

use crate::{ChunkId, ChunkSizes};

const LIST: &[u8; 8] = b"hbchunk1";
const RANGES: &[u8; 8] = b"hbrange1";
const HEAD: usize = 24;
const ENTRY: usize = 36;
const RANGE: usize = 16;

/// The most chunks that a list has: 16 GiB of chunks of average length.
pub const MOST_CHUNKS: usize = 1 << 20;
/// The longest list in bytes.
pub const LONGEST_LIST: usize = HEAD + MOST_CHUNKS * ENTRY;
/// The most ranges that are asked for at once.
pub const MOST_RANGES: usize = 1 << 14;
/// The longest question in bytes.
pub const LONGEST_RANGES: usize = RANGES.len() + MOST_RANGES * RANGE;

/// A chunk of a list. Where it begins follows from those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedChunk {
    /// Its name.
    pub id: ChunkId,
    /// How many bytes it has.
    pub length: u32,
}

/// A part of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its first byte.
    pub offset: u64,
    /// How many bytes it has.
    pub length: u64,
}

/// The bytes are no list, or none that could be true.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed list of chunks: {reason}")]
pub struct ListError {
    reason: &'static str,
}

fn refused(reason: &'static str) -> ListError {
    ListError { reason }
}

/// Writes a list; `None` when there are more chunks than a list may have.
pub fn encode_list(chunks: &[ListedChunk]) -> Option<Vec<u8>> {
    if chunks.len() > MOST_CHUNKS {
        return None;
    }
    let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let mut bytes = Vec::with_capacity(HEAD + chunks.len() * ENTRY);
    bytes.extend_from_slice(LIST);
    bytes.extend_from_slice(&(chunks.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&total.to_le_bytes());
    for chunk in chunks {
        bytes.extend_from_slice(&chunk.id.0);
        bytes.extend_from_slice(&chunk.length.to_le_bytes());
    }
    Some(bytes)
}

/// Reads a list.
///
/// # Errors
/// [`ListError`] for anything that [`encode_list`] does not write of chunks of these sizes.
pub fn decode_list(bytes: &[u8]) -> Result<Vec<ListedChunk>, ListError> {
    let head = bytes.get(..HEAD).ok_or(refused("it ends in its head"))?;
    if head[..8] != *LIST {
        return Err(refused("it does not begin like one"));
    }
    let (count, total) = (number(&head[8..16]), number(&head[16..24]));
    let (entries, rest) = bytes[HEAD..].as_chunks::<ENTRY>();
    if entries.len() > MOST_CHUNKS {
        return Err(refused("it has too many chunks"));
    }
    if !rest.is_empty() || entries.len() as u64 != count {
        return Err(refused("it has another number of chunks than it says"));
    }
    let mut sum = 0;
    let mut chunks = Vec::with_capacity(entries.len());
    for (number, entry) in entries.iter().enumerate() {
        let (id, length) = entry.split_at(32);
        let length = length.try_into().map_or(0, u32::from_le_bytes);
        let is_last = number + 1 == entries.len();
        if !ChunkSizes::of_transfers().allow(length, is_last) {
            return Err(refused("a chunk has a length that none can have"));
        }
        sum += u64::from(length);
        let id = ChunkId(id.try_into().unwrap_or_default());
        chunks.push(ListedChunk { id, length });
    }
    if sum != total {
        return Err(refused("its chunks have another length than it says"));
    }
    Ok(chunks)
}

/// Writes ranges. The caller sees to their order and number.
pub fn encode_ranges(ranges: &[Range]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(RANGES.len() + ranges.len() * RANGE);
    bytes.extend_from_slice(RANGES);
    for range in ranges {
        bytes.extend_from_slice(&range.offset.to_le_bytes());
        bytes.extend_from_slice(&range.length.to_le_bytes());
    }
    bytes
}

/// Reads ranges.
///
/// # Errors
/// [`ListError`] unless they are in order, apart from one another, and at most [`MOST_RANGES`].
pub fn decode_ranges(bytes: &[u8]) -> Result<Vec<Range>, ListError> {
    let entries = bytes
        .strip_prefix(RANGES)
        .ok_or(refused("it does not begin like one"))?;
    let (entries, rest) = entries.as_chunks::<RANGE>();
    if !rest.is_empty() || entries.is_empty() || entries.len() > MOST_RANGES {
        return Err(refused("it has no allowed number of ranges"));
    }
    let mut ranges: Vec<Range> = Vec::with_capacity(entries.len());
    for entry in entries {
        let (offset, length) = (number(&entry[..8]), number(&entry[8..]));
        let is_apart = ranges
            .last()
            .is_none_or(|before| offset > before.offset.saturating_add(before.length));
        if length == 0 || offset.checked_add(length).is_none() || !is_apart {
            return Err(refused("a range is empty, endless or out of order"));
        }
        ranges.push(Range { offset, length });
    }
    Ok(ranges)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn chunk(number: u8, length: u32) -> ListedChunk {
        ListedChunk {
            id: ChunkId([number; 32]),
            length,
        }
    }

    fn listed(chunks: &[ListedChunk]) -> Vec<u8> {
        encode_list(chunks).expect("few chunks")
    }

    #[test]
    fn lists_come_back_as_they_were() {
        for chunks in [
            vec![],
            vec![chunk(1, 1)],
            vec![chunk(1, 4 << 10), chunk(2, 64 << 10), chunk(1, 7)],
        ] {
            assert_eq!(decode_list(&listed(&chunks)), Ok(chunks));
        }
    }

    #[test]
    fn lists_that_cannot_be_true_are_refused() {
        let good = listed(&[chunk(1, 20_000), chunk(2, 5)]);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        let longer = [good.as_slice(), &[0]].concat();
        for (what, bytes) in [
            ("nothing", vec![]),
            ("another beginning", with(0, b'x')),
            ("more chunks than there are", with(8, 3)),
            ("endlessly many chunks", with(15, 0xff)),
            ("another length of the whole", with(16, 1)),
            ("cut", good[..good.len() - 1].to_vec()),
            ("something behind the end", longer),
            (
                "a short chunk that is not the last",
                listed(&[chunk(1, 5), chunk(2, 5)]),
            ),
            ("an empty chunk", listed(&[chunk(1, 0)])),
            ("a chunk beyond the maximum", listed(&[chunk(1, (64 << 10) + 1)])),
        ] {
            assert!(decode_list(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn ranges_are_in_order_and_apart() {
        let range = |offset, length| Range { offset, length };
        for (ranges, fine) in [
            (vec![range(0, 1)], true),
            (vec![range(0, 1), range(2, 5), range(u64::MAX - 1, 1)], true),
            (vec![], false),
            (vec![range(0, 0)], false),
            (vec![range(0, 1), range(1, 1)], false),
            (vec![range(5, 1), range(1, 1)], false),
            (vec![range(u64::MAX, 1)], false),
            (vec![range(u64::MAX - 1, 1), range(u64::MAX - 1, 1)], false),
        ] {
            let decoded = decode_ranges(&encode_ranges(&ranges));
            assert_eq!(decoded.is_ok(), fine, "{ranges:?}");
            assert!(decoded.is_err() || decoded == Ok(ranges));
        }
        assert!(decode_ranges(b"hbrange1").is_err() && decode_ranges(b"hbrange1123").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(chunks) = decode_list(&bytes) {
                assert_eq!(encode_list(&chunks), Some(bytes.clone()));
            }
            if let Ok(ranges) = decode_ranges(&bytes) {
                assert_eq!(encode_ranges(&ranges), bytes);
            }
        }
    }
}
