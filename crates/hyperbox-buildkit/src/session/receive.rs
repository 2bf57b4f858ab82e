// SPDX-License-Identifier: MIT
//! The receiving side of a transfer of files: which packets may come, what is asked for, where bytes go.
//!
//! ```text
//! STAT…  ─▶ list; a file whose bytes are not remembered ─▶ REQ
//! STAT without stat: the list is complete
//! DATA…  ─▶ bytes of a file that was asked for; an empty one ends it
//! all listed, all ended ─▶ FIN; FIN ─▶ over
//! ```
//! What arrives is foreign: a packet that does not fit ends the transfer with an error. A file that changes while it is sent may be
//! shorter or longer than it was said to be: the bytes that came count, and are not remembered.
//!
//! Blocks on the disk; one thread drives it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use hyperbox_build::context::{Entry, EntryKind};
use sha2::{Digest as _, Sha256};

use super::cache::{FileKey, Transfer};
use super::listing::{ListError, Listed, Listing};
use super::pack::{Pack, Region};
use crate::proto::filesync::{Packet, PacketKind, Stat};

/// What the client is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The bytes of a file are wanted.
    Request(u32),
    /// Nothing more is wanted.
    Finish,
}

/// Why a transfer ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    /// The client says so.
    #[error("error from sender: {0}")]
    Sender(String),
    /// The list is none.
    #[error("the client's list of files is malformed: {0}")]
    List(ListError),
    /// A packet that does not fit.
    #[error("unexpected packet: {0}")]
    Packet(&'static str),
    /// A file is longer than wanted.
    #[error("{path:?} is longer than {limit} bytes")]
    TooLong {
        /// Which.
        path: std::path::PathBuf,
        /// So long it may be.
        limit: u64,
    },
    /// The disk failed.
    #[error("cannot keep a file of the client: {0}")]
    Disk(io::Error),
}

/// Where the bytes of a listed file are.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) pack: Arc<Pack>,
    pub(super) region: Region,
}

/// What was received: entries in order, and for each plain file where its bytes are.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) entries: Vec<Entry>,
    /// By place in `entries`; of a file with several names, only the first.
    pub(super) stored: HashMap<usize, Stored>,
    pub(super) transfer: Transfer,
}

/// A file that was asked for.
#[derive(Debug)]
struct Arriving {
    index: usize,
    key: FileKey,
    offset: u64,
    room: u64,
    written: u64,
    hasher: Sha256,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Listing,
    Filling,
    Finishing,
    Over,
}

/// A transfer that goes on.
#[derive(Debug)]
pub(super) struct Receiver {
    listing: Listing,
    transfer: Transfer,
    /// No file may be longer.
    limit: u64,
    arriving: HashMap<u32, Arriving>,
    stored: HashMap<usize, Stored>,
    phase: Phase,
}

impl Receiver {
    /// Begins one in which no file may be longer than `limit`.
    pub(super) fn new(transfer: Transfer, limit: u64) -> Self {
        Self {
            listing: Listing::default(),
            transfer,
            limit,
            arriving: HashMap::new(),
            stored: HashMap::new(),
            phase: Phase::Listing,
        }
    }

    /// Takes a packet; at most one answer follows from it, besides that everything is there.
    ///
    /// # Errors
    /// Packets that do not fit; the client's own; the disk's. The transfer cannot go on.
    pub(super) fn take(&mut self, packet: Packet, mut reply: impl FnMut(Reply)) -> Result<(), ReceiveError> {
        let kind = PacketKind::try_from(packet.kind).map_err(|_| ReceiveError::Packet("of an unknown kind"))?;
        match (kind, self.phase) {
            (PacketKind::Failure, _) => {
                let text = String::from_utf8_lossy(&packet.data);
                return Err(ReceiveError::Sender(text.chars().take(4096).collect()));
            }
            (PacketKind::Stat, Phase::Listing) => match packet.stat {
                Some(stat) => {
                    if let Some(id) = self.list(stat)? {
                        reply(Reply::Request(id));
                    }
                }
                None => self.phase = Phase::Filling,
            },
            (PacketKind::Data, Phase::Listing | Phase::Filling) if packet.data.is_empty() => {
                self.complete(packet.id)?;
            }
            (PacketKind::Data, Phase::Listing | Phase::Filling) => self.fill(packet.id, &packet.data)?,
            (PacketKind::Finish, Phase::Finishing) => self.phase = Phase::Over,
            (PacketKind::Stat, _) => return Err(ReceiveError::Packet("a file behind the end of the list")),
            (PacketKind::Data, _) => return Err(ReceiveError::Packet("bytes that nobody asked for")),
            (PacketKind::Finish, _) => return Err(ReceiveError::Packet("an end before the end")),
            (PacketKind::Request, _) => return Err(ReceiveError::Packet("a request of the sender")),
        }
        if self.phase == Phase::Filling && self.arriving.is_empty() {
            self.phase = Phase::Finishing;
            reply(Reply::Finish);
        }
        Ok(())
    }

    /// Tells whether both sides have said that it is over.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Returns what was received; of one that is over.
    pub(super) fn into_received(self) -> Received {
        Received {
            entries: self.listing.into_entries(),
            stored: self.stored,
            transfer: self.transfer,
        }
    }

    fn list(&mut self, stat: Stat) -> Result<Option<u32>, ReceiveError> {
        let (modified, mode) = (stat.modified, stat.mode);
        let Some(Listed { id, index }) = self.listing.add(stat).map_err(ReceiveError::List)? else {
            return Ok(None);
        };
        let entry = &self.listing.entries()[index];
        let EntryKind::File { size, .. } = entry.kind else {
            return Ok(None);
        };
        self.check_length(index, size)?;
        let key = FileKey {
            path: super::listing::bytes(entry).to_vec(),
            size,
            modified,
            mode,
        };
        if let Some(region) = self.transfer.find(&key) {
            self.store(index, region);
            return Ok(None);
        }
        let arriving = Arriving {
            index,
            key,
            offset: self.transfer.pack().reserve(size).map_err(ReceiveError::Disk)?,
            room: size,
            written: 0,
            hasher: Sha256::new(),
        };
        if size == 0 {
            // Nothing can come of an empty file.
            self.keep(arriving);
            return Ok(None);
        }
        self.arriving.insert(id, arriving);
        Ok(Some(id))
    }

    fn check_length(&self, index: usize, length: u64) -> Result<(), ReceiveError> {
        if length <= self.limit {
            return Ok(());
        }
        Err(ReceiveError::TooLong {
            path: self.listing.entries()[index].path.clone(),
            limit: self.limit,
        })
    }

    fn fill(&mut self, id: u32, bytes: &[u8]) -> Result<(), ReceiveError> {
        let unknown = ReceiveError::Packet("bytes that nobody asked for");
        let arriving = self.arriving.get(&id).ok_or(unknown)?;
        let length = arriving.written.saturating_add(bytes.len() as u64);
        self.check_length(arriving.index, length)?;
        let pack = Arc::clone(self.transfer.pack());
        let Some(arriving) = self.arriving.get_mut(&id) else {
            return Ok(());
        };
        if length > arriving.room {
            arriving.grow(&pack, length).map_err(ReceiveError::Disk)?;
        }
        let at = arriving.offset + arriving.written;
        pack.write(at, bytes).map_err(ReceiveError::Disk)?;
        arriving.hasher.update(bytes);
        arriving.written = length;
        Ok(())
    }

    fn complete(&mut self, id: u32) -> Result<(), ReceiveError> {
        let arriving = self.arriving.remove(&id);
        let arriving = arriving.ok_or(ReceiveError::Packet("the end of bytes that nobody asked for"))?;
        self.keep(arriving);
        Ok(())
    }

    fn keep(&mut self, arriving: Arriving) {
        let region = Region {
            offset: arriving.offset,
            length: arriving.written,
            digest: arriving.hasher.finalize().into(),
        };
        self.store(arriving.index, region);
        if arriving.written == arriving.key.size {
            self.transfer.keep(arriving.key, region);
        } else {
            self.listing.set_size(arriving.index, arriving.written);
        }
    }

    fn store(&mut self, index: usize, region: Region) {
        let pack = Arc::clone(self.transfer.pack());
        self.stored.insert(index, Stored { pack, region });
    }
}

impl Arriving {
    /// Takes more room, and with it what is there already.
    fn grow(&mut self, pack: &Pack, least: u64) -> io::Result<()> {
        let room = least.max(self.room.saturating_mul(2));
        let offset = pack.reserve(room)?;
        pack.copy(pack, self.offset, self.written, offset)?;
        (self.offset, self.room) = (offset, room);
        Ok(())
    }
}

#[cfg(test)]
#[path = "receive_tests.rs"]
mod tests;
