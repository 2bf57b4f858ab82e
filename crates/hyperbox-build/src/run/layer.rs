// SPDX-License-Identifier: MIT
//! The layer of what a step changed, on its way to the store: mount points are left out, times are clamped.
//!
//! The archive is our own: ustar headers, each with at most one record block of pax before it. Nothing of it is held but one entry's
//! head, and the head of empty entries below a mount point.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyperbox_core::image::ImageLayer;
use hyperbox_core::seam::FileStream;
use tokio::sync::mpsc;

use crate::StepError;
use crate::step::StepContext;

const BLOCK: usize = 512;
/// The largest number in an octal field of 11 digits.
const MOST_IN_ELEVEN: u64 = 0o777_7777_7777;
/// How many pieces of the archive wait to be stored.
const QUEUE: usize = 16;
/// Extended headers of our own archives are far smaller: they hold a path and attributes.
const MOST_RECORDS: u64 = 16 * 1024 * 1024;

/// Stores the layer of `changes`.
pub(super) async fn store(
    mut changes: FileStream,
    stubs: BTreeSet<String>,
    with: &StepContext,
) -> Result<ImageLayer, StepError> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let feeding = async move {
        while let Some(piece) = changes.next().await {
            // Whoever stores it has failed and says so.
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    };
    let kept = tokio::task::spawn_blocking({
        let epoch = with.source_date_epoch.map(|moment| moment.seconds());
        move || {
            let source = Pieces {
                receiver,
                piece: Bytes::new(),
            };
            Filter::new(source, stubs, epoch)
        }
    });
    let storing = async {
        let filter = kept
            .await
            .map_err(|error| StepError::invalid(format!("the layer was interrupted: {error}")))?;
        with.layers.store_reader(Box::new(filter)).await
    };
    let ((), stored) = tokio::join!(feeding, storing);
    stored
}

/// Pieces of a stream, read on a thread that may block.
#[derive(Debug)]
struct Pieces {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = self.piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}

/// An archive without some entries, and with times not after a moment.
#[derive(Debug)]
struct Filter<R> {
    source: R,
    stubs: BTreeSet<String>,
    /// No entry is younger, in seconds since the epoch.
    latest: Option<i64>,
    /// What is to be given out next.
    ready: Vec<u8>,
    given: usize,
    /// How much of an entry's data follows, padding included.
    data: u64,
    /// Heads of directories that are mount points, by path: given out before the first thing in them that is.
    held: BTreeMap<String, Vec<u8>>,
    ended: bool,
}

impl<R: Read> Filter<R> {
    fn new(source: R, stubs: BTreeSet<String>, latest: Option<i64>) -> Self {
        Self {
            source,
            stubs,
            latest,
            ready: Vec::new(),
            given: 0,
            data: 0,
            held: BTreeMap::new(),
            ended: false,
        }
    }

    /// Reads the next entry's head and decides about it.
    fn advance(&mut self) -> io::Result<()> {
        let mut records = Vec::new();
        let mut block = self.block()?;
        if block[156] == b'x' {
            let length = size(&block)?;
            if length > MOST_RECORDS {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "an extended header is too long",
                ));
            }
            let mut content = vec![0; usize::try_from(padded(length)).map_err(io::Error::other)?];
            self.source.read_exact(&mut content)?;
            content.truncate(usize::try_from(length).map_err(io::Error::other)?);
            records = content;
            let extended = block;
            block = self.block()?;
            return self.decide(Some(extended), &records, block);
        }
        if block == [0; BLOCK] {
            self.ended = true;
            self.ready.extend_from_slice(&block);
            return Ok(());
        }
        self.decide(None, &records, block)
    }

    fn decide(&mut self, extended: Option<[u8; BLOCK]>, records: &[u8], mut block: [u8; BLOCK]) -> io::Result<()> {
        let length = match record(records, b"size") {
            Some(text) => number(text, 10)?,
            None => size(&block)?,
        };
        let path = match record(records, b"path") {
            Some(path) => path.to_vec(),
            None => name(&block),
        };
        let path = String::from_utf8_lossy(&path).trim_end_matches('/').to_owned();
        let mut records = records.to_vec();
        if let Some(latest) = self.latest {
            clamp(&mut block, &mut records, latest);
        }
        let mut head = Vec::new();
        if let Some(mut extended) = extended
            && !records.is_empty()
        {
            set_octal(&mut extended[124..136], records.len() as u64);
            if let Some(latest) = self.latest {
                clamp(&mut extended, &mut Vec::new(), latest);
            }
            checksum(&mut extended);
            head.extend_from_slice(&extended);
            head.extend_from_slice(&records);
            head.resize(head.len().next_multiple_of(BLOCK), 0);
        }
        checksum(&mut block);
        head.extend_from_slice(&block);
        let is_directory = block[156] == b'5';
        let is_empty_file = matches!(block[156], b'0' | 0) && length == 0;
        if self.stubs.contains(&path) && (is_directory || is_empty_file) {
            if is_directory {
                self.held.insert(path, head);
            }
            return Ok(());
        }
        let ends = path.match_indices('/').map(|(end, _)| end);
        for directory in ends.map(|end| &path[..end]) {
            if let Some(held) = self.held.remove(directory) {
                self.ready.extend_from_slice(&held);
            }
        }
        self.ready.extend_from_slice(&head);
        self.data = padded(length);
        Ok(())
    }

    fn block(&mut self) -> io::Result<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block)?;
        Ok(block)
    }
}

impl<R: Read> Read for Filter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.given < self.ready.len() {
                let rest = &self.ready[self.given..];
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                self.given += length;
                return Ok(length);
            }
            self.ready.clear();
            self.given = 0;
            if self.data > 0 {
                let wanted = usize::try_from(self.data).unwrap_or(usize::MAX).min(buffer.len());
                let read = self.source.read(&mut buffer[..wanted])?;
                if read == 0 && wanted > 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.data -= read as u64;
                return Ok(read);
            }
            if self.ended {
                return self.source.read(buffer);
            }
            self.advance()?;
        }
    }
}

/// Takes the time back to `latest` if it is later.
fn clamp(block: &mut [u8; BLOCK], records: &mut Vec<u8>, latest: i64) {
    let text = record(records, b"mtime").map(<[u8]>::to_vec);
    let recorded = text.and_then(|text| {
        let whole = text.split(|byte| *byte == b'.').next()?.to_vec();
        String::from_utf8(whole).ok()?.parse::<i64>().ok()
    });
    let own = number(trimmed(&block[136..148]), 8).ok();
    let own = own.and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
    if recorded.unwrap_or(own) <= latest {
        return;
    }
    *records = without_record(records, b"mtime");
    set_octal(
        &mut block[136..148],
        u64::try_from(latest).unwrap_or(0).min(MOST_IN_ELEVEN),
    );
}

/// Returns the value of a record of pax (pax(1), "pax Extended Header").
fn record<'a>(records: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    each_record(records)
        .find(|(_, key, _)| *key == wanted)
        .map(|(_, _, value)| value)
}

fn without_record(records: &[u8], unwanted: &[u8]) -> Vec<u8> {
    let kept = each_record(records).filter(|(_, key, _)| *key != unwanted);
    kept.flat_map(|(whole, _, _)| whole.to_vec()).collect()
}

/// Lists records: all of it, key, value. Ends at what is malformed.
fn each_record(mut records: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let space = records.iter().position(|byte| *byte == b' ')?;
        let length = usize::try_from(number(&records[..space], 10).ok()?).ok()?;
        let whole = records.get(..length).filter(|_| length > space + 1)?;
        let text = whole[space + 1..].strip_suffix(b"\n")?;
        let equals = text.iter().position(|byte| *byte == b'=')?;
        records = &records[length..];
        Some((whole, &text[..equals], &text[equals + 1..]))
    })
}

/// Returns the name of a ustar header.
fn name(block: &[u8; BLOCK]) -> Vec<u8> {
    let until_zero = |field: &[u8]| field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
    let (name, prefix) = (until_zero(&block[..100]), until_zero(&block[345..500]));
    if prefix.is_empty() || &block[257..262] != b"ustar" {
        return name;
    }
    [prefix, name].join(&b'/')
}

fn size(block: &[u8; BLOCK]) -> io::Result<u64> {
    // Links say the size of what they link to, and have no data.
    if matches!(block[156], b'1'..=b'6') {
        return Ok(0);
    }
    number(trimmed(&block[124..136]), 8)
}

fn trimmed(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    field[..end].trim_ascii()
}

fn number(text: &[u8], radix: u32) -> io::Result<u64> {
    let text = std::str::from_utf8(text).map_err(io::Error::other)?;
    if text.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(text, radix).map_err(io::Error::other)
}

fn set_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let text = format!("{value:0digits$o}\0");
    field.copy_from_slice(text.as_bytes());
}

fn checksum(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
}

fn padded(length: u64) -> u64 {
    length.next_multiple_of(BLOCK as u64)
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
