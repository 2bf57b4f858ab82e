// SPDX-License-Identifier: MIT
//! A root filesystem as a layer is made for it: what is below, and what the layer changes.
//!
//! Nothing is written: changes are held by path until [`super::layer`] reads them as an archive. Links of the root filesystem are
//! followed inside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_core::time::Timestamp;

use crate::StepError;
use crate::context::path::{self, Key, as_path};
use crate::context::{Entry, EntryKind, Tree, TreeError};

/// Something that the layer has.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// What it is; the path is that in the root filesystem.
    pub(super) entry: Entry,
    /// Where the bytes of a file are.
    pub(super) content: Option<(Arc<dyn Tree>, PathBuf)>,
    /// Files with the same pair are one file with several names.
    pub(super) same: Option<(u64, u64)>,
    /// Whether nothing was there before.
    fresh: bool,
}

/// A root filesystem with the changes of a layer.
pub(super) struct Target {
    below: Option<Arc<dyn Tree>>,
    made: BTreeMap<Key, Made>,
    /// Directories below that the layer replaces as a whole.
    hidden: BTreeSet<Key>,
    /// The time of directories that are made on the way.
    pub(super) now: Timestamp,
}

/// What a finished layer holds, in order.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) made: Vec<Made>,
    /// Directories of [`Self::made`] that show nothing of what is below.
    pub(super) opaque: BTreeSet<Key>,
}

impl Target {
    /// `below` is what the layer will lie on; `None` is nothing.
    pub(super) fn new(below: Option<Arc<dyn Tree>>, now: Timestamp) -> Self {
        Self {
            below,
            made: BTreeMap::new(),
            hidden: BTreeSet::new(),
            now,
        }
    }

    /// Tells what is at a path, following nothing.
    pub(super) fn look(&self, path: &[u8]) -> Result<Option<Entry>, StepError> {
        if let Some(made) = self.made.get(&Key::new(path)) {
            return Ok(Some(made.entry.clone()));
        }
        let Some(below) = &self.below else {
            return Ok(None);
        };
        let mut above = path;
        while !above.is_empty() {
            let key = Key::new(above);
            if self.hidden.contains(&key) {
                return Ok(None);
            }
            if let Some(made) = self.made.get(&key)
                && (made.fresh || made.entry.kind != EntryKind::Directory)
            {
                return Ok(None);
            }
            above = path::split(above).0;
        }
        below.entry(&as_path(path)).map_err(|error| unreadable(path, error))
    }

    /// Follows the links of a path inside the root filesystem.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Vec<u8>, StepError> {
        path::resolve(path, |path| self.look(path).map_err(Failure)).map_err(|Failure(error)| error)
    }

    /// Makes a directory and those above it, which belong to `owner`; what is there stays as it is.
    pub(super) fn make_directories(&mut self, path: &[u8], mode: u32, owner: (u32, u32)) -> Result<(), StepError> {
        let mut reached = Vec::new();
        for name in path::names(path) {
            reached = path::join(&reached, name);
            match self.look(&reached)?.map(|entry| entry.kind) {
                Some(EntryKind::Directory) => {}
                Some(_) => {
                    let shown = path::shown(&reached);
                    return Err(StepError::invalid(format!("mkdir {shown}: not a directory")));
                }
                None => {
                    let entry = Entry {
                        path: as_path(&reached),
                        kind: EntryKind::Directory,
                        mode,
                        uid: owner.0,
                        gid: owner.1,
                        modified_at: self.now,
                        attributes: BTreeMap::new(),
                        digest: None,
                    };
                    self.put(&reached, entry, None, None)?;
                }
            }
        }
        Ok(())
    }

    /// Puts something at a path, whose directory is there. What is there goes, but for the content of a directory under a directory.
    pub(super) fn put(
        &mut self,
        path: &[u8],
        mut entry: Entry,
        content: Option<(Arc<dyn Tree>, PathBuf)>,
        same: Option<(u64, u64)>,
    ) -> Result<(), StepError> {
        let before = self.look(path)?.map(|entry| entry.kind);
        if before == Some(EntryKind::Directory) && entry.kind != EntryKind::Directory {
            self.remove(path)?;
        }
        let key = Key::new(path);
        let was_fresh = self.made.get(&key).is_some_and(|made| made.fresh);
        entry.path = as_path(path);
        let fresh = was_fresh || before.is_none();
        self.made.insert(
            key,
            Made {
                entry,
                content,
                same,
                fresh,
            },
        );
        Ok(())
    }

    fn remove(&mut self, path: &[u8]) -> Result<(), StepError> {
        let key = Key::new(path);
        let at_or_below = self.made.range(key.clone()..).map(|(known, _)| known);
        let gone: Vec<Key> = at_or_below
            .take_while(|known| known.is_at_or_below(&key))
            .cloned()
            .collect();
        for known in gone {
            self.made.remove(&known);
        }
        if let Some(below) = &self.below {
            let there = below.entry(&as_path(path)).map_err(|error| unreadable(path, error))?;
            if there.is_some_and(|entry| entry.kind == EntryKind::Directory) {
                self.hidden.insert(key);
            }
        }
        Ok(())
    }

    /// Returns the changes, with the directories above each as they are: a layer that leaves them out would make them anew.
    pub(super) fn finish(mut self) -> Result<Changes, StepError> {
        let paths: Vec<Vec<u8>> = self
            .made
            .values()
            .map(|made| path::bytes(&made.entry.path).to_vec())
            .collect();
        for path in paths {
            let mut above = path::split(&path).0;
            while !above.is_empty() && !self.made.contains_key(&Key::new(above)) {
                if let Some(entry) = self.look(above)? {
                    let made = Made {
                        entry,
                        content: None,
                        same: None,
                        fresh: false,
                    };
                    self.made.insert(Key::new(above), made);
                }
                above = path::split(above).0;
            }
        }
        Ok(Changes {
            made: self.made.into_values().collect(),
            opaque: self.hidden,
        })
    }
}

/// Lets the errors of looking pass through [`path::resolve`].
struct Failure(StepError);

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        Self(StepError::invalid(error.to_string()))
    }
}

fn unreadable(path: &[u8], source: TreeError) -> StepError {
    StepError::Tree {
        doing: format!("cannot look at {} of the root filesystem", path::shown(path)),
        source,
    }
}
