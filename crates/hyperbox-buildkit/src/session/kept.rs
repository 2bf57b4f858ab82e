// SPDX-License-Identifier: MIT
//! What is remembered of one directory of a client, in memory and, where it outlives its session, on the disk.
//!
//! On the disk it has a number: `N.pack` and `N.index`. The index is what counts; it is written when the pack is synchronised, and
//! read when a transfer needs it. A pack that is written anew gets the next number, and the old files go when its index is there: of
//! two indexes of one directory the higher number is right. Whoever forgets a directory waits for who writes it down.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hyperbox_core::time::Timestamp;

use super::cache::{DirectoryName, FileKey, Transfer};
use super::kept_index;
use super::pack::{Pack, Region};

/// A file that so many transfers did not meet is forgotten.
const ROUNDS: u64 = 8;
/// A pack is written anew when more than this of it, and more than half, is forgotten.
const GARBAGE: u64 = 64 << 20;

/// Where directories are kept.
#[derive(Debug)]
pub(super) struct Shelf {
    root: PathBuf,
    next: AtomicU64,
}

/// What is remembered of a directory.
#[derive(Debug)]
pub(super) struct Directory {
    name: DirectoryName,
    /// The order of uses.
    used: AtomicU64,
    created_at: Timestamp,
    /// In nanoseconds since the epoch.
    used_at: AtomicI64,
    /// Transfers of this daemon.
    uses: AtomicU64,
    content: Mutex<Content>,
    /// Held while files with names are made, written or removed, and taken before the content; whether it was forgotten.
    forgotten: Mutex<bool>,
}

#[derive(Debug)]
struct Content {
    pack: Arc<Pack>,
    files: HashMap<FileKey, Remembered>,
    round: u64,
    /// What the pack is called on the disk, if anything.
    number: Option<u64>,
    /// Files of an index that was not read yet.
    unread: usize,
    /// Whether the index does not say what is here.
    changed: bool,
    /// Numbers of packs that this one replaces.
    replaced: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    region: Region,
    round: u64,
}

impl Shelf {
    /// Opens a shelf and what is on it, the longest unused first; what does not belong there is removed.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn open(root: &Path) -> io::Result<(Self, Vec<Directory>)> {
        std::fs::create_dir_all(root)?;
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(root)? {
            let path = entry?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            let extension = path.extension().and_then(|extension| extension.to_str());
            match (number, extension) {
                (Some(number), Some("index")) => numbers.push(number),
                (Some(number), Some("pack")) if root.join(format!("{number}.index")).exists() => {}
                _ => std::fs::remove_file(&path)?,
            }
        }
        // Of several of one directory, the last one counts.
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        let shelf = Self {
            root: root.to_path_buf(),
            next: AtomicU64::new(numbers.first().map_or(1, |last| last + 1)),
        };
        let mut found: Vec<(SystemTime, Directory)> = Vec::new();
        for number in numbers {
            let opened = shelf.find(number).unwrap_or_else(|error| {
                tracing::warn!(number, %error, "files of a build's client are asked for again");
                None
            });
            match opened {
                Some((time, directory)) if found.iter().all(|(_, other)| other.name != directory.name) => {
                    found.push((time, directory));
                }
                _ => shelf.remove(number),
            }
        }
        found.sort_by_key(|(time, _)| *time);
        Ok((shelf, found.into_iter().map(|(_, directory)| directory).collect()))
    }

    fn find(&self, number: u64) -> io::Result<Option<(SystemTime, Directory)>> {
        let index = self.path(number, "index");
        let Some((name, files)) = kept_index::read_head(&index)? else {
            return Ok(None);
        };
        let time = std::fs::metadata(&index)?.modified()?;
        let pack = Pack::open(&self.path(number, "pack"))?;
        let mut directory = Directory::passing(pack, name);
        directory.used_at = AtomicI64::new(moment(time).0);
        let made = std::fs::metadata(self.path(number, "pack"))?;
        // Some file systems do not know it.
        directory.created_at = moment(made.created().unwrap_or(time));
        let content = directory.content.get_mut().unwrap_or_else(PoisonError::into_inner);
        content.number = Some(number);
        content.unread = usize::try_from(files).unwrap_or(usize::MAX);
        Ok(Some((time, directory)))
    }

    fn path(&self, number: u64, extension: &str) -> PathBuf {
        self.root.join(format!("{number}.{extension}"))
    }

    fn create(&self) -> io::Result<(u64, Arc<Pack>)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Ok((number, Pack::create(&self.path(number, "pack"))?))
    }

    /// Removes a directory's files, the index first: what is left by a crash between goes at the next start.
    fn remove(&self, number: u64) {
        for extension in ["index", "pack"] {
            match std::fs::remove_file(self.path(number, extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(number, %error, "files of a build's client stay until the next start");
                }
                _ => {}
            }
        }
    }
}

impl Directory {
    /// Makes one that goes with the daemon.
    pub(super) fn passing(pack: Arc<Pack>, name: DirectoryName) -> Self {
        let content = Content {
            pack,
            files: HashMap::new(),
            round: 0,
            number: None,
            unread: 0,
            changed: false,
            replaced: Vec::new(),
        };
        let now = Timestamp::now();
        Self {
            name,
            used: AtomicU64::new(0),
            created_at: now,
            used_at: AtomicI64::new(now.0),
            uses: AtomicU64::new(0),
            content: Mutex::new(content),
            forgotten: Mutex::new(false),
        }
    }

    /// Makes one that the next daemon finds.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn kept(shelf: &Shelf, name: DirectoryName) -> io::Result<Self> {
        let (number, pack) = shelf.create()?;
        let mut directory = Self::passing(pack, name);
        let content = directory.content.get_mut().unwrap_or_else(PoisonError::into_inner);
        content.number = Some(number);
        Ok(directory)
    }

    /// Returns what it is known by.
    pub(super) fn name(&self) -> &DirectoryName {
        &self.name
    }

    /// Returns when it was last used.
    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Says when it was last used.
    pub(super) fn use_at(&self, moment: u64) {
        self.used.store(moment, Ordering::Relaxed);
    }

    /// Returns when it was made.
    pub(super) fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// Returns when a transfer last began.
    pub(super) fn used_at(&self) -> Timestamp {
        Timestamp(self.used_at.load(Ordering::Relaxed))
    }

    /// Returns how many transfers this daemon began.
    pub(super) fn uses(&self) -> u64 {
        self.uses.load(Ordering::Relaxed)
    }

    /// Returns bytes and files.
    pub(super) fn size(&self) -> (u64, usize) {
        let content = lock(&self.content);
        (content.pack.length(), content.files.len().max(content.unread))
    }

    /// Tells whether its pack gave something else than was written.
    pub(super) fn is_damaged(&self) -> bool {
        lock(&self.content).pack.is_damaged()
    }

    /// Begins a transfer. Blocks.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn begin(self: &Arc<Self>, shelf: &Shelf) -> io::Result<Transfer> {
        if lock(&self.content).unread > 0 {
            let forgotten = lock(&self.forgotten);
            lock(&self.content).read(shelf, *forgotten)?;
        }
        let mut content = lock(&self.content);
        if let Some(number) = content.number {
            touch(&shelf.path(number, "index"));
        }
        content.round += 1;
        self.used_at.store(Timestamp::now().0, Ordering::Relaxed);
        self.uses.fetch_add(1, Ordering::Relaxed);
        Ok(Transfer {
            directory: Some(Arc::clone(self)),
            pack: Arc::clone(&content.pack),
            round: content.round,
        })
    }

    /// Finds a file's bytes.
    pub(super) fn find(&self, pack: &Arc<Pack>, key: &FileKey, round: u64) -> Option<Region> {
        let mut content = self.content(pack)?;
        let known = content.files.get_mut(key)?;
        known.round = round;
        Some(known.region)
    }

    /// Remembers a file's bytes.
    pub(super) fn keep(&self, pack: &Arc<Pack>, key: FileKey, region: Region, round: u64) {
        if let Some(mut content) = self.content(pack) {
            content.files.insert(key, Remembered { region, round });
            content.changed = true;
        }
    }

    /// Returns what is remembered, unless it was written anew meanwhile.
    fn content(&self, pack: &Arc<Pack>) -> Option<MutexGuard<'_, Content>> {
        let content = lock(&self.content);
        Arc::ptr_eq(&content.pack, pack).then_some(content)
    }

    /// Forgets what transfers do not meet any more, and writes the pack anew when it is mostly that.
    ///
    /// # Errors
    /// I/O classes; everything stays then.
    pub(super) fn tidy(&self, shelf: &Shelf) -> io::Result<()> {
        if !lock(&self.content).forget_unmet() {
            return Ok(());
        }
        let forgotten = lock(&self.forgotten);
        let mut content = lock(&self.content);
        // Meanwhile another transfer may have done it, and what nobody finds any more needs no other file.
        match *forgotten || !content.is_mostly_garbage() {
            true => Ok(()),
            false => content.write_anew(shelf),
        }
    }

    /// Tells whether there is something to write down.
    pub(super) fn wants_saving(&self) -> bool {
        let content = lock(&self.content);
        content.number.is_some() && content.changed
    }

    /// Writes down what is remembered, for the next daemon. Blocks until it is on the disk.
    ///
    /// # Errors
    /// I/O classes; what was written before stays then.
    pub(super) fn save(&self, shelf: &Shelf) -> io::Result<()> {
        let forgotten = lock(&self.forgotten);
        let (number, pack, files) = {
            let mut content = lock(&self.content);
            let Some(number) = content.number.filter(|_| content.changed && !*forgotten) else {
                return Ok(());
            };
            content.changed = false;
            let files = content.files.iter().map(|(key, known)| (key.clone(), known.region));
            (number, Arc::clone(&content.pack), files.collect::<Vec<_>>())
        };
        let written = pack.sync().and_then(|()| {
            let files = files.iter().map(|(key, region)| (key, *region));
            kept_index::write(&shelf.path(number, "index"), &self.name, files)
        });
        let mut content = lock(&self.content);
        if written.is_err() {
            content.changed = true;
            return written;
        }
        let replaced = std::mem::take(&mut content.replaced);
        drop(content);
        replaced.into_iter().for_each(|number| shelf.remove(number));
        Ok(())
    }

    /// Removes its files. What reads of them goes on.
    pub(super) fn forget(&self, shelf: &Shelf) {
        let mut forgotten = lock(&self.forgotten);
        *forgotten = true;
        let content = lock(&self.content);
        let numbers: Vec<u64> = content.replaced.iter().copied().chain(content.number).collect();
        drop(content);
        numbers.into_iter().for_each(|number| shelf.remove(number));
    }
}

impl Content {
    /// Forgets what transfers do not meet any more; tells whether the pack is mostly that.
    fn forget_unmet(&mut self) -> bool {
        let (oldest, before) = (self.round.saturating_sub(ROUNDS), self.files.len());
        self.files.retain(|_, known| known.round > oldest || oldest == 0);
        self.changed |= self.files.len() != before;
        self.is_mostly_garbage()
    }

    fn is_mostly_garbage(&self) -> bool {
        let live: u64 = self.files.values().map(|known| known.region.length).sum();
        let garbage = self.pack.length().saturating_sub(live);
        garbage > GARBAGE && garbage > live
    }

    /// Writes the pack anew without what is forgotten; a pack that was not finished goes at once.
    fn write_anew(&mut self, shelf: &Shelf) -> io::Result<()> {
        let (number, pack) = match self.number {
            Some(_) => {
                let (number, pack) = shelf.create()?;
                (Some(number), pack)
            }
            None => (None, Pack::new(&shelf.root)?),
        };
        let mut files = self.files.clone();
        let copied = files.values_mut().try_for_each(|known| {
            let Region { offset, length, .. } = known.region;
            known.region.offset = pack.reserve(length)?;
            pack.copy(&self.pack, offset, length, known.region.offset)
        });
        if let Err(error) = copied {
            number.into_iter().for_each(|number| shelf.remove(number));
            return Err(error);
        }
        self.replaced.extend(std::mem::replace(&mut self.number, number));
        (self.files, self.pack, self.changed) = (files, pack, true);
        Ok(())
    }

    /// Reads the index; what is damaged is nothing, and the pack begins anew. What was forgotten is nothing too, and has no files.
    fn read(&mut self, shelf: &Shelf, forgotten: bool) -> io::Result<()> {
        let unread = std::mem::take(&mut self.unread);
        let Some(number) = self.number.filter(|_| unread > 0 && !forgotten) else {
            return Ok(());
        };
        let length = self.pack.length();
        let read = kept_index::read(&shelf.path(number, "index")).unwrap_or_else(|error| {
            tracing::warn!(number, %error, "what is known of a build client's files does not read");
            None
        });
        let files = read.filter(|files| {
            let end = |region: &Region| region.offset.saturating_add(region.length);
            files.iter().all(|(_, region)| end(region) <= length)
        });
        let round = self.round;
        match files {
            Some(files) => {
                let files = files
                    .into_iter()
                    .map(|(key, region)| (key, Remembered { region, round }));
                self.files.extend(files);
            }
            None => {
                tracing::warn!(
                    number,
                    "files of a build's client are asked for again: their index is damaged"
                );
                let (fresh, pack) = shelf.create()?;
                self.replaced.push(number);
                (self.number, self.pack) = (Some(fresh), pack);
            }
        }
        Ok(())
    }
}

fn moment(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Says that an index is used; what has none yet is written later.
fn touch(index: &Path) {
    let now = rustix::fs::Timespec {
        tv_sec: 0,
        tv_nsec: rustix::fs::UTIME_NOW,
    };
    let times = rustix::fs::Timestamps {
        last_access: now,
        last_modification: now,
    };
    let touched = rustix::fs::utimensat(rustix::fs::CWD, index, &times, rustix::fs::AtFlags::empty());
    if let Err(error) = touched
        && error != rustix::io::Errno::NOENT
    {
        tracing::debug!(path = %index.display(), %error, "the time of a use is not known to the next daemon");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "kept_tests.rs"]
mod tests;
