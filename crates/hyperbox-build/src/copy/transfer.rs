// SPDX-License-Identifier: MIT
//! Where what is copied goes: destinations, directories on the way, what replaces what.
//!
//! The rules are those of BuildKit's copier (`copy.Copy` of tonistiigi/fsutil): the content of a directory is copied, not the directory;
//! a directory that is there keeps its metadata if it is the destination, and takes the source's further down; a file replaces files
//! and links, never directories. For archives they are those of Docker's `archive.Untar`, in which anything replaces anything.

use std::sync::Arc;

use super::mode::ModeChange;
use super::source::{Filter, Found};
use super::target::Target;
use crate::StepError;
use crate::context::path::{self, Key};
use crate::context::{Entry, EntryKind, SpooledTree, Tree};

/// What COPY changes of what it copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Changing {
    /// Whom everything shall belong to; `None` leaves it to the source.
    pub(super) owner: Option<(u32, u32)>,
    /// What becomes of modes.
    pub(super) mode: Option<ModeChange>,
}

impl Changing {
    fn new_directories(&self) -> (u32, (u32, u32)) {
        let mode = self.mode.as_ref().map_or(0o755, ModeChange::of_new_directories);
        (mode, self.owner.unwrap_or((0, 0)))
    }

    fn entry(&self, entry: &Entry) -> Entry {
        let mut changed = entry.clone();
        if let Some((uid, gid)) = self.owner {
            (changed.uid, changed.gid) = (uid, gid);
        }
        match (&self.mode, &entry.kind) {
            (_, EntryKind::Symlink { .. }) | (None, _) => {}
            (Some(change), kind) => changed.mode = change.apply(entry.mode, *kind == EntryKind::Directory),
        }
        changed
    }
}

/// Whether a directory that is copied to where something is goes into it, or its content does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directories {
    Content,
    Themselves,
}

/// Copies a place. `number` tells this copy from others of the layer: names of one file stay names of one file within one copy.
pub(super) fn copy(
    target: &mut Target,
    source: &Found,
    filter: &Filter,
    destination: &str,
    changing: &Changing,
    directories: Directories,
    number: u64,
) -> Result<(), StepError> {
    let place = prepare(target, source, destination, changing, directories)?;
    source.visit(filter, |relative, entry| {
        let path = path::join(&place, relative);
        let there = target.look(&path)?.map(|entry| entry.kind);
        let is_directory = entry.kind == EntryKind::Directory;
        match there {
            Some(EntryKind::Directory) if is_directory && (relative.is_empty() || filter.included.is_some()) => {
                return Ok(());
            }
            Some(EntryKind::Directory) if !is_directory => {
                let shown = path::shown(&path);
                return Err(StepError::invalid(format!(
                    "cannot replace to directory {shown} with file"
                )));
            }
            Some(kind) if is_directory && kind != EntryKind::Directory => {
                let shown = path::shown(&path);
                return Err(StepError::invalid(format!("cannot copy to non-directory: {shown}")));
            }
            _ => {}
        }
        put(target, &path, &source.tree, entry, changing.entry(entry), number)
    })
}

fn put(
    target: &mut Target,
    path: &[u8],
    tree: &Arc<dyn Tree>,
    source: &Entry,
    entry: Entry,
    number: u64,
) -> Result<(), StepError> {
    let (content, same) = match source.kind {
        EntryKind::File { identity, .. } => (
            Some((Arc::clone(tree), source.path.clone())),
            identity.map(|identity| (number, identity)),
        ),
        _ => (None, None),
    };
    target.put(path, entry, content, same)
}

/// Finds where the source goes, and makes the directories on the way.
fn prepare(
    target: &mut Target,
    source: &Found,
    destination: &str,
    changing: &Changing,
    directories: Directories,
) -> Result<Vec<u8>, StepError> {
    let (mode, owner) = changing.new_directories();
    let text = destination.as_bytes();
    let (above, last) = path::split(text);
    let ensured = if last.is_empty() || last == b"." { text } else { above };
    let ensured = target.resolve(ensured)?;
    target.make_directories(&ensured, mode, owner)?;
    let mut place = target.resolve(text)?;
    let there = if place.is_empty() {
        Some(EntryKind::Directory)
    } else {
        target.look(&place)?.map(|entry| entry.kind)
    };
    let is_directory = source.entry.kind == EntryKind::Directory;
    let goes_into = match directories {
        Directories::Themselves if is_directory => there.is_some(),
        _ => !is_directory && there == Some(EntryKind::Directory),
    };
    if goes_into {
        place = path::join(&place, &source.name);
    }
    let made = if is_directory && directories == Directories::Content && there.is_none() {
        place.clone()
    } else {
        path::split(&place).0.to_vec()
    };
    target.make_directories(&made, mode, owner)?;
    Ok(place)
}

/// Unpacks an archive into a directory, which is made.
pub(super) fn unpack(
    target: &mut Target,
    archive: &Arc<SpooledTree>,
    destination: &str,
    owner: Option<(u32, u32)>,
    number: u64,
) -> Result<(), StepError> {
    let place = target.resolve(destination.as_bytes())?;
    target.make_directories(&place, 0o755, owner.unwrap_or((0, 0)))?;
    let changing = Changing { owner, mode: None };
    let tree: Arc<dyn Tree> = Arc::clone(archive) as Arc<dyn Tree>;
    // The last directory that was resolved: members of one directory follow each other.
    let mut known: Option<(Key, Vec<u8>)> = None;
    for node in archive.nodes() {
        let relative = path::bytes(&node.entry.path);
        if relative.is_empty() {
            continue;
        }
        let (above, name) = path::split(relative);
        let key = Key::new(above);
        let directory = match &known {
            Some((known, directory)) if *known == key => directory.clone(),
            _ => target.resolve(&path::join(&place, above))?,
        };
        let path = path::join(&directory, name);
        known = Some((key, directory));
        if node.implied {
            let path = target.resolve(&path)?;
            target.make_directories(&path, 0o755, (0, 0))?;
        } else {
            put(target, &path, &tree, &node.entry, changing.entry(&node.entry), number)?;
        }
        if node.entry.kind == EntryKind::Directory {
            known = None;
        }
    }
    Ok(())
}
