// SPDX-License-Identifier: MIT
//! The digest of a stream, hashed on a thread of its own once the stream is long.
//!
//! Whoever writes a layer has done with a chunk when it comes here; hashing takes as long as writing does, so that one after the other
//! they would be slower than most decompression. A buffer goes back to whoever fills it when it was hashed. Dropped early, the thread ends
//! with the chunks that it has; it owns nothing else.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use hyperbox_types::Digest;
use sha2::{Digest as _, Sha256};

/// So many bytes are hashed by whoever brings them: for a small layer a thread costs more than it saves.
const HERE: u64 = 1 << 20;
/// So many chunks wait at most.
const WAITING: usize = 4;

/// A digest in the making.
pub(super) struct Hashing {
    stage: Stage,
    length: u64,
    empties: SyncSender<Vec<u8>>,
}

enum Stage {
    Here(Sha256),
    Aside(SyncSender<Vec<u8>>, JoinHandle<Sha256>),
}

impl Hashing {
    /// Begins; buffers go to `empties` afterwards, as far as that has room.
    pub(super) fn new(empties: SyncSender<Vec<u8>>) -> Self {
        Self {
            stage: Stage::Here(Sha256::new()),
            length: 0,
            empties,
        }
    }

    /// Appends a chunk. Waits when the thread is behind by more than a few.
    pub(super) fn append(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.length += chunk.len() as u64;
        match &mut self.stage {
            Stage::Here(hasher) => {
                hasher.update(&chunk);
                give_back(&self.empties, chunk);
                if self.length >= HERE {
                    self.stage = aside(std::mem::take(hasher), self.empties.clone())?;
                }
                Ok(())
            }
            Stage::Aside(chunks, _) => chunks.send(chunk).map_err(|_| died()),
        }
    }

    /// Returns the digest of all that was appended.
    pub(super) fn finish(self) -> io::Result<Digest> {
        let hasher = match self.stage {
            Stage::Here(hasher) => hasher,
            Stage::Aside(chunks, thread) => {
                drop(chunks);
                thread.join().map_err(|_| died())?
            }
        };
        Ok(Digest::from_sha256(hasher.finalize().into()))
    }
}

fn aside(hasher: Sha256, empties: SyncSender<Vec<u8>>) -> io::Result<Stage> {
    let (chunks, waiting) = sync_channel(WAITING);
    let thread = std::thread::Builder::new()
        .name("layer-hash".to_owned())
        .spawn(move || hash(hasher, &waiting, &empties))?;
    Ok(Stage::Aside(chunks, thread))
}

fn hash(mut hasher: Sha256, waiting: &Receiver<Vec<u8>>, empties: &SyncSender<Vec<u8>>) -> Sha256 {
    for chunk in waiting {
        hasher.update(&chunk);
        give_back(empties, chunk);
    }
    hasher
}

fn give_back(empties: &SyncSender<Vec<u8>>, chunk: Vec<u8>) {
    // Full or closed: the buffer is simply freed.
    drop(empties.try_send(chunk));
}

fn died() -> io::Error {
    io::Error::other("the hashing thread died")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_streams_have_their_digests() {
        for chunks in [0_usize, 1, 3, 4, 5, 40] {
            let (empties, recycled) = sync_channel(2);
            let mut hashing = Hashing::new(empties);
            let mut all = Vec::new();
            for number in 0..chunks {
                let chunk = vec![u8::try_from(number).unwrap(); 300_000];
                all.extend_from_slice(&chunk);
                hashing.append(chunk).unwrap();
            }
            let digest = hashing.finish().unwrap();
            assert_eq!(
                digest,
                Digest::from_sha256(Sha256::digest(&all).into()),
                "{chunks} chunks"
            );
            assert_eq!(recycled.try_iter().count(), chunks.min(2));
        }
    }
}
