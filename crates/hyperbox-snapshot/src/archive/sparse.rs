// SPDX-License-Identifier: MIT
//! Maps of sparse files, in the formats that GNU tar writes ("Sparse Formats" in its manual). Pure.

use std::io;

use hyperbox_core::seam::SnapshotError;
use tar::GnuSparseHeader;

use super::pax::{self, Record};
use crate::failure::{refused, shown};

/// Data of a sparse file; between two segments is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// Where an entry's map is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// In the header, in binary (the old GNU format).
    InHeader,
    /// In pax records that were read already (0.0 and 0.1).
    Known { segments: Vec<Segment>, real_size: u64 },
    /// At the beginning of the data, as text (1.0).
    InData { real_size: u64 },
}

/// What an entry's pax records say of its map.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) name: Option<Vec<u8>>,
    version: Option<(u64, u64)>,
    real_size: Option<u64>,
    segments: Option<Vec<Segment>>,
}

impl Records {
    /// Collects the `GNU.sparse.` records. Those of version 0.0 repeat their keys, so order matters.
    pub(super) fn collect(records: &[Record]) -> Result<Self, SnapshotError> {
        let damaged = || refused("the pax records of a sparse file are damaged");
        let mut found = Self::default();
        let (mut major, mut minor, mut offset) = (None, None, None);
        for record in records {
            let Some(key) = record.key.strip_prefix(b"GNU.sparse.") else {
                continue;
            };
            let number = || pax::number(&record.value).ok_or_else(damaged);
            match key {
                b"name" => found.name = Some(record.value.clone()),
                b"major" => major = Some(number()?),
                b"minor" => minor = Some(number()?),
                b"size" | b"realsize" => found.real_size = Some(number()?),
                b"offset" => offset = Some(number()?),
                b"numbytes" => {
                    let segment = Segment {
                        offset: offset.take().ok_or_else(damaged)?,
                        length: number()?,
                    };
                    found.segments.get_or_insert_default().push(segment);
                }
                b"map" => found.segments = Some(parse_map(&record.value).ok_or_else(damaged)?),
                b"numblocks" if number()? == 0 => found.segments = found.segments.or_else(|| Some(Vec::new())),
                _ => {}
            }
        }
        found.version = major.zip(minor);
        Ok(found)
    }

    /// Tells the format; `None` for a file without holes.
    pub(super) fn format(self, path: &[u8]) -> Result<Option<Format>, SnapshotError> {
        let incomplete = || refused(format!("{}: sparse, but of unknown length", shown(path)));
        match (self.version, self.segments) {
            (Some((1, 0)), _) => Ok(Some(Format::InData {
                real_size: self.real_size.ok_or_else(incomplete)?,
            })),
            (Some((0, _)) | None, Some(segments)) => Ok(Some(Format::Known {
                segments,
                real_size: self.real_size.ok_or_else(incomplete)?,
            })),
            (Some((0, _)) | None, None) => Ok(None),
            (Some((major, minor)), _) => Err(refused(format!(
                "{}: unknown format {major}.{minor} of a sparse file",
                shown(path)
            ))),
        }
    }
}

/// Reads `offset,length,offset,length…`.
fn parse_map(text: &[u8]) -> Option<Vec<Segment>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers = text
        .split(|byte| *byte == b',')
        .map(pax::number)
        .collect::<Option<Vec<u64>>>()?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    rest.is_empty().then(|| {
        pairs
            .iter()
            .map(|[offset, length]| Segment {
                offset: *offset,
                length: *length,
            })
            .collect()
    })
}

/// Appends the used slots of a binary map.
pub(super) fn collect(slots: &[GnuSparseHeader], segments: &mut Vec<Segment>) -> io::Result<()> {
    for slot in slots {
        if !slot.is_empty() {
            segments.push(Segment {
                offset: slot.offset()?,
                length: slot.length()?,
            });
        }
    }
    Ok(())
}

/// Checks that segments are in order, inside the file, and exactly as long as the data.
pub(super) fn check(segments: &[Segment], data: u64, real_size: u64) -> Result<(), &'static str> {
    let mut end = 0_u64;
    let mut sum = 0_u64;
    for segment in segments {
        if segment.offset < end {
            return Err("the segments of a sparse file overlap");
        }
        end = segment
            .offset
            .checked_add(segment.length)
            .ok_or("a segment of a sparse file is too long")?;
        // Cannot overflow: the segments do not overlap and end before 2⁶⁴.
        sum += segment.length;
    }
    if end > real_size || real_size > i64::MAX.cast_unsigned() {
        return Err("a segment of a sparse file lies outside of it");
    }
    if sum != data {
        return Err("the map of a sparse file does not fit its data");
    }
    Ok(())
}

/// Reads a textual map block by block: the number of segments, then offsets and lengths, a newline after each.
#[derive(Debug)]
pub(super) struct TextMap {
    most: usize,
    digits: Vec<u8>,
    expected: Option<usize>,
    numbers: Vec<u64>,
}

impl TextMap {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            digits: Vec::new(),
            expected: None,
            numbers: Vec::new(),
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.expected.is_some_and(|expected| self.numbers.len() == expected * 2)
    }

    pub(super) fn feed(&mut self, block: &[u8]) -> Result<(), &'static str> {
        for byte in block {
            if self.is_complete() {
                break;
            }
            if *byte != b'\n' {
                self.digits.push(*byte);
                if self.digits.len() > 20 {
                    return Err("the map of a sparse file is damaged");
                }
                continue;
            }
            let number = pax::number(&self.digits).ok_or("the map of a sparse file is damaged")?;
            self.digits.clear();
            if self.expected.is_some() {
                self.numbers.push(number);
            } else {
                let count = usize::try_from(number).ok().filter(|count| *count <= self.most);
                self.expected = Some(count.ok_or("too many segments in a sparse file")?);
            }
        }
        Ok(())
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        let (pairs, _) = self.numbers.as_chunks::<2>();
        pairs
            .iter()
            .map(|[offset, length]| Segment {
                offset: *offset,
                length: *length,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segments(pairs: &[(u64, u64)]) -> Vec<Segment> {
        pairs
            .iter()
            .map(|(offset, length)| Segment {
                offset: *offset,
                length: *length,
            })
            .collect()
    }

    fn records(pairs: &[(&str, &str)]) -> Vec<Record> {
        pairs
            .iter()
            .map(|(key, value)| Record {
                key: format!("GNU.sparse.{key}").into_bytes(),
                value: value.as_bytes().to_vec(),
            })
            .collect()
    }

    #[test]
    fn maps_must_fit() {
        for (pairs, data, real_size, fits) in [
            (&[(0, 4), (8, 4)][..], 8, 12, true),
            (&[(0, 4), (8, 4), (100, 0)], 8, 100, true),
            (&[], 0, 1 << 40, true),
            (&[(0, 4), (3, 4)], 8, 12, false),
            (&[(8, 4), (0, 4)], 8, 12, false),
            (&[(0, 4)], 8, 12, false),
            (&[(0, 13)], 13, 12, false),
            (&[(u64::MAX, 2)], 2, 12, false),
            (&[], 0, u64::MAX, false),
        ] {
            assert_eq!(check(&segments(pairs), data, real_size).is_ok(), fits, "{pairs:?}");
        }
    }

    #[test]
    fn pax_versions() {
        let format = |pairs: &[(&str, &str)]| Records::collect(&records(pairs)).and_then(|found| found.format(b"f"));
        let known = |pairs: &[(u64, u64)], real_size| {
            Some(Format::Known {
                segments: segments(pairs),
                real_size,
            })
        };
        assert_eq!(
            format(&[
                ("offset", "0"),
                ("numbytes", "5"),
                ("offset", "9"),
                ("numbytes", "1"),
                ("size", "10")
            ])
            .unwrap(),
            known(&[(0, 5), (9, 1)], 10)
        );
        assert_eq!(
            format(&[("map", "0,5,9,1"), ("size", "10")]).unwrap(),
            known(&[(0, 5), (9, 1)], 10)
        );
        assert_eq!(
            format(&[("major", "1"), ("minor", "0"), ("realsize", "10")]).unwrap(),
            Some(Format::InData { real_size: 10 })
        );
        assert_eq!(format(&[]).unwrap(), None);
        for bad in [
            &[("map", "0,5,9"), ("size", "10")][..],
            &[("map", "0,5")],
            &[("numbytes", "5"), ("size", "10")],
            &[("major", "2"), ("minor", "0"), ("size", "10")],
            &[("major", "1"), ("minor", "0")],
            &[("offset", "x")],
        ] {
            assert!(format(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn textual_maps_arrive_in_pieces() {
        let mut map = TextMap::new(10);
        map.feed(b"2\n0\n51").unwrap();
        assert!(!map.is_complete());
        map.feed(b"2\n1024\n1\n\0\0\0").unwrap();
        assert!(map.is_complete());
        assert_eq!(map.into_segments(), segments(&[(0, 512), (1024, 1)]));
        assert!(TextMap::new(10).feed(b"11\n").is_err());
        assert!(TextMap::new(10).feed(b"x\n").is_err());
        assert!(TextMap::new(10).feed(&[b'1'; 30]).is_err());
    }
}
