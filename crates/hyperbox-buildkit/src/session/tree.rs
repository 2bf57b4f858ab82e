// SPDX-License-Identifier: MIT
//! The tree of a client's directory: the list that it sent, and bytes in packs.
//!
//! Nothing of the list becomes a name on this machine, so no path can lead anywhere. Digests are known since the bytes came. Only
//! [`Tree::place`] unpacks, once, into a directory that goes with the tree.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyperbox_build::context::{Entry, EntryKind, FileReader, Tree, TreeError, TreePlace};
use hyperbox_core::time::Timestamp;

use super::cache::ContentCache;
use super::listing::{bytes, find, is_below, order};
use super::receive::{Received, Stored};

/// A client's directory.
#[derive(Debug)]
pub(super) struct SessionTree {
    root: Entry,
    entries: Vec<Entry>,
    stored: HashMap<usize, Stored>,
    /// The first names of files that have several.
    first: HashMap<u64, usize>,
    cache: ContentCache,
    unpacked: Mutex<Option<Unpacked>>,
}

/// A directory that goes with its tree.
#[derive(Debug)]
struct Unpacked(PathBuf);

impl Drop for Unpacked {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.0.display(), %error, "a directory of a build stays until the next start");
            }
            _ => {}
        }
    }
}

impl SessionTree {
    /// Makes the tree of what was received; what the client need not send again is remembered.
    pub(super) fn new(received: Received, cache: &ContentCache) -> Self {
        let Received {
            mut entries,
            stored,
            transfer,
        } = received;
        cache.end(transfer);
        let mut first = HashMap::new();
        let mut lengths = HashMap::new();
        for (index, entry) in entries.iter_mut().enumerate() {
            entry.digest = stored.get(&index).map(|stored| stored.region.digest);
            if let EntryKind::File {
                identity: Some(identity),
                size,
            } = &mut entry.kind
            {
                first.entry(*identity).or_insert(index);
                // A file that grew or shrank while it was sent did so under all of its names.
                *size = *lengths.entry(*identity).or_insert(*size);
            }
        }
        Self {
            root: root(),
            entries,
            stored,
            first,
            cache: cache.clone(),
            unpacked: Mutex::default(),
        }
    }

    /// Reads a small file, all links followed inside the tree; `None` when nothing is there. Blocks.
    ///
    /// # Errors
    /// Circles, what is no file, I/O classes.
    pub(super) fn text(&self, path: &str) -> Result<Option<Vec<u8>>, TreeError> {
        let end = hyperbox_build::context::resolve_in(self, path.as_bytes())?;
        let end = PathBuf::from(OsString::from_vec(end));
        if self.entry(&end)?.is_none() {
            return Ok(None);
        }
        let mut content = Vec::new();
        let read = std::io::Read::read_to_end(&mut self.open(&end)?, &mut content);
        read.map_err(|source| TreeError::Io {
            operation: "read",
            path: end,
            source,
        })?;
        Ok(Some(content))
    }

    fn stored(&self, path: &Path) -> Result<&Stored, TreeError> {
        let index = find(&self.entries, path.as_os_str().as_bytes()).ok_or_else(|| TreeError::NotFound {
            path: path.to_path_buf(),
        })?;
        let index = match self.entries[index].kind {
            EntryKind::File {
                identity: Some(identity),
                ..
            } => self.first.get(&identity).copied().unwrap_or(index),
            _ => index,
        };
        self.stored.get(&index).ok_or_else(|| TreeError::Refused {
            path: path.to_path_buf(),
            reason: "not a file".to_owned(),
        })
    }
}

impl Tree for SessionTree {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        if path.as_os_str().is_empty() {
            return Ok(Some(self.root.clone()));
        }
        let index = find(&self.entries, path.as_os_str().as_bytes());
        Ok(index.map(|index| self.entries[index].clone()))
    }

    fn walk(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError> {
        let start = path.as_os_str().as_bytes().to_vec();
        let first = self
            .entries
            .partition_point(|entry| order(bytes(entry), &start).is_lt());
        let root = start.is_empty().then_some(&self.root);
        let below = self.entries[first..].iter();
        let below = below.take_while(move |entry| bytes(entry) == start || is_below(bytes(entry), &start));
        Ok(Box::new(root.into_iter().chain(below).map(|entry| Ok(entry.clone()))))
    }

    fn open(&self, path: &Path) -> Result<FileReader, TreeError> {
        let stored = self.stored(path)?;
        Ok(Box::new(stored.pack.reader(&stored.region)))
    }

    fn digest(&self, entry: &Entry) -> Result<[u8; 32], TreeError> {
        Ok(self.stored(&entry.path)?.region.digest)
    }

    fn place(&self) -> Result<TreePlace, TreeError> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*unpacked {
            return Ok(TreePlace::Directory(directory.0.clone()));
        }
        let place = Unpacked(self.cache.place());
        hyperbox_build::context::unpack(self, Path::new(""), &place.0).map_err(|error| TreeError::Refused {
            path: PathBuf::from("the context"),
            reason: error.to_string(),
        })?;
        let directory = TreePlace::Directory(place.0.clone());
        *unpacked = Some(place);
        Ok(directory)
    }
}

/// The root, of which clients tell nothing.
fn root() -> Entry {
    Entry {
        path: PathBuf::new(),
        kind: EntryKind::Directory,
        mode: 0o755,
        uid: 0,
        gid: 0,
        modified_at: Timestamp(0),
        attributes: BTreeMap::new(),
        digest: None,
    }
}
