// SPDX-License-Identifier: MIT
//! Bytes of clients' files that came in earlier builds, so that only what has changed is asked for again.
//!
//! A file is known by its directory ([`DirectoryName`]) and by path, length, time and mode, as rsync and BuildKit know it. What a client
//! calls its directories (`sharedkey`: the directory's base name and what identifies the client) is all there is to tell two
//! directories from each other. A client that names none shares nothing with later sessions.
//!
//! The bytes of each directory are in one file ([`Pack`]); trees hold the packs that they read of, so forgetting disturbs no
//! build. Files that no transfer has met for some transfers are forgotten; a pack that is mostly forgotten is written anew. When
//! all packs are longer than the limit, or there are too many, directories are forgotten, the longest unused first.
//!
//! ```text
//! ROOT/kept/N.pack    bytes of a directory
//! ROOT/kept/N.index   which files they are (kept_index); its time is that of the last use
//! ROOT/M/             a tree that a build has unpacked
//! ```
//! What outlives its session outlives the daemon: after a transfer that brought something, the pack is synchronised and its index
//! written, beside the build. A crash before that costs the transfer; a pack without an index goes at the next start. What a pack gives
//! is checked against its digests as it is read.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyperbox_build::{ForeignKept, Kept, KeptKind};
use hyperbox_types::{ByteSize, Digest};
use sha2::{Digest as _, Sha256};

use super::kept::{Directory, Shelf};
use super::pack::{Pack, Region};

/// So many directories are remembered; each has an open file. Builds whose directory has a new name each time leave many.
const MOST_DIRECTORIES: usize = 256;

/// What the name of a session begins with that has a key.
pub(super) const KEY: &str = "key ";
/// So many files are remembered of all directories together; each takes about 200 bytes.
const MOST_FILES: usize = 2_000_000;

/// What a client's directory is known by from one session to the next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DirectoryName {
    /// The key of the session; where there is none, what names the session itself.
    pub(super) session: String,
    /// The directory's name in the session, and what the request says of it.
    pub(super) name: String,
    pub(super) shared_key: String,
}

impl DirectoryName {
    /// Tells whether later sessions may ask for the same directory.
    fn outlives_its_session(&self) -> bool {
        self.session.starts_with(KEY)
    }

    /// Returns what it is called where everything kept is listed; clients have no use for the names of their keys.
    fn id(&self) -> String {
        let mut digest = Sha256::new();
        for text in [&self.session, &self.name, &self.shared_key] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        Digest::from_sha256(digest.finalize().into()).hex().to_owned()
    }
}

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
    pub(super) modified: i64,
    /// As Go writes it.
    pub(super) mode: u32,
}

/// All that is remembered. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ContentCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    shelf: Shelf,
    limit: u64,
    clock: AtomicU64,
    next_tree: AtomicU64,
    directories: Mutex<HashMap<DirectoryName, Arc<Directory>>>,
}

/// A transfer of a directory's files: what it finds and keeps stays while it is used.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) directory: Option<Arc<Directory>>,
    pub(super) pack: Arc<Pack>,
    pub(super) round: u64,
}

impl Transfer {
    /// Returns where new bytes go.
    pub(super) fn pack(&self) -> &Arc<Pack> {
        &self.pack
    }

    /// Finds a file's bytes.
    pub(super) fn find(&self, key: &FileKey) -> Option<Region> {
        self.directory.as_ref()?.find(&self.pack, key, self.round)
    }

    /// Remembers a file's bytes, which are in the transfer's pack.
    pub(super) fn keep(&self, key: FileKey, region: Region) {
        if let Some(directory) = &self.directory {
            directory.keep(&self.pack, key, region, self.round);
        }
    }
}

impl ContentCache {
    /// Opens what an earlier daemon kept, in a directory of its own; everything else in it is removed. `limit` is what it may occupy on
    /// the disk while no build goes on.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn open(root: &Path, limit: ByteSize) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        rustix::fs::chmod(root, rustix::fs::Mode::RWXU)?;
        for entry in std::fs::read_dir(root)? {
            let entry = entry?;
            match entry.file_type()?.is_dir() {
                true if entry.file_name() == "kept" => {}
                true => std::fs::remove_dir_all(entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        let (shelf, kept) = Shelf::open(&root.join("kept"))?;
        let clock = AtomicU64::new(0);
        let directories = kept.into_iter().map(|directory| {
            directory.use_at(clock.fetch_add(1, Ordering::Relaxed));
            (directory.name().clone(), Arc::new(directory))
        });
        let directories = Mutex::new(directories.collect());
        let shared = Shared {
            root: root.to_path_buf(),
            shelf,
            limit: limit.0,
            clock,
            next_tree: AtomicU64::new(0),
            directories,
        };
        let cache = Self {
            shared: Arc::new(shared),
        };
        cache.shrink();
        Ok(cache)
    }

    /// Begins a transfer; without a name, of files that nobody asks for again. Blocks.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn begin(&self, name: Option<DirectoryName>) -> io::Result<Transfer> {
        let Some(name) = name else {
            return Ok(Transfer {
                directory: None,
                pack: Pack::new(&self.shared.root)?,
                round: 0,
            });
        };
        let directory = self.directory(name)?;
        directory.use_at(self.shared.clock.fetch_add(1, Ordering::Relaxed));
        directory.begin(&self.shared.shelf)
    }

    fn directory(&self, name: DirectoryName) -> io::Result<Arc<Directory>> {
        let mut directories = lock(&self.shared.directories);
        // Room is given by what clients say; what nobody could keep anyway is no reason to refuse the next one.
        let usable = |known: &Arc<Directory>| known.size().0 <= self.shared.limit && !known.is_damaged();
        if let Some(known) = directories.get(&name).filter(|known| usable(known)) {
            return Ok(Arc::clone(known));
        }
        let made = match name.outlives_its_session() {
            true => Directory::kept(&self.shared.shelf, name.clone())?,
            false => Directory::passing(Pack::new(&self.shared.root)?, name.clone()),
        };
        let made = Arc::new(made);
        let replaced = directories.insert(name, Arc::clone(&made));
        drop(directories);
        if let Some(replaced) = replaced {
            replaced.forget(&self.shared.shelf);
        }
        Ok(made)
    }

    /// Ends a transfer that went well, and forgets what is too much. Blocks.
    pub(super) fn end(&self, transfer: Transfer) {
        let Transfer {
            directory: Some(directory),
            ..
        } = transfer
        else {
            return;
        };
        if let Err(error) = directory.tidy(&self.shared.shelf) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "files of a build's client stay longer than needed"
            );
        }
        self.shrink();
        if directory.wants_saving() {
            self.save_beside(directory);
        }
    }

    /// Writes what is remembered of a directory down, while the build goes on.
    fn save_beside(&self, directory: Arc<Directory>) {
        let shared = Arc::clone(&self.shared);
        let save = move || {
            if let Err(error) = directory.save(&shared.shelf) {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "files of a build's client are asked for again by the next daemon"
                );
            }
        };
        match tokio::runtime::Handle::try_current() {
            // Nobody waits for it: without it, the next daemon asks again.
            Ok(runtime) => drop(runtime.spawn_blocking(save)),
            Err(_) => save(),
        }
    }

    /// Forgets what a session without a key has brought: nobody else will ask for it.
    pub(super) fn forget(&self, session: &str) {
        // It has no files with names.
        lock(&self.shared.directories).retain(|name, _| name.session != session);
    }

    /// Returns the path of a new directory in which a tree can be unpacked; it is not made.
    pub(super) fn place(&self) -> PathBuf {
        let number = self.shared.next_tree.fetch_add(1, Ordering::Relaxed);
        self.shared.root.join(number.to_string())
    }

    fn shrink(&self) {
        let mut forgotten = Vec::new();
        let mut directories = lock(&self.shared.directories);
        let mut oldest: Vec<_> = directories
            .values()
            .map(|known| (known.used(), known.size(), Arc::clone(known)))
            .collect();
        oldest.sort_by_key(|(used, ..)| *used);
        let sizes = oldest.iter().map(|(_, size, _)| size);
        let (mut bytes, mut files) = sizes.fold((0, 0), |(bytes, files), size| (bytes + size.0, files + size.1));
        for (_, size, known) in oldest {
            if bytes <= self.shared.limit && files <= MOST_FILES && directories.len() <= MOST_DIRECTORIES {
                break;
            }
            directories.remove(known.name());
            (bytes, files) = (bytes - size.0, files - size.1);
            forgotten.push(known);
        }
        drop(directories);
        for directory in forgotten {
            directory.forget(&self.shared.shelf);
        }
    }
}

impl ForeignKept for ContentCache {
    fn kept(&self) -> Vec<Kept> {
        let directories = lock(&self.shared.directories);
        let some = directories.iter().filter(|(_, directory)| directory.size().0 > 0);
        let kept = some.map(|(name, directory)| Kept {
            id: name.id(),
            kind: KeptKind::Context,
            description: format!("local source for {}", name.name),
            size: ByteSize(directory.size().0),
            // A transfer holds it.
            in_use: Arc::strong_count(directory) > 1,
            shared: false,
            created_at: directory.created_at(),
            used_at: Some(directory.used_at()),
            uses: directory.uses(),
        });
        kept.collect()
    }

    fn remove(&self, id: &str) -> Option<ByteSize> {
        let removed = {
            let mut directories = lock(&self.shared.directories);
            let name = directories.keys().find(|name| name.id() == id)?.clone();
            directories.remove(&name)?
        };
        let size = removed.size().0;
        removed.forget(&self.shared.shelf);
        Some(ByteSize(size))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "cache_tests.rs"]
mod tests;
