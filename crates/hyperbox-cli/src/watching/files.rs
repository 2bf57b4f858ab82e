// SPDX-License-Identifier: MIT
//! Which directories the operating system watches for us.
//!
//! On Linux each directory is watched by itself (inotify(7)), so that what no rule wants (`node_modules`, say) costs no watches; elsewhere a watch
//! covers a whole tree. A file is watched by its directory: editors replace files by others of the same name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use notify::event::{EventKind, MetadataKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::rule::Rules;
use super::{Seen, Watched};
use crate::error::CliError;

/// Whether a watch is for a directory alone.
const EACH_DIRECTORY: bool = cfg!(target_os = "linux");

pub(super) struct Watcher {
    system: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
}

impl Watcher {
    /// Watches what the rules are about, and what the project is described by.
    pub(super) fn start(watched: &Watched, sender: Sender<Seen>) -> Result<Self, CliError> {
        let rules = &watched.rules;
        let handler = move |event: notify::Result<Event>| {
            if let Some(seen) = understood(event) {
                // Nobody listens when the program ends.
                drop(sender.send(seen));
            }
        };
        let system = notify::recommended_watcher(handler).map_err(|error| failed(Path::new("files"), &error))?;
        let mut watcher = Self {
            system,
            watched: BTreeSet::new(),
        };
        for rule in &rules.list {
            let metadata = fs::metadata(&rule.path)
                .map_err(|error| CliError::new(format!("cannot watch {}: {error}", rule.path.display())))?;
            if metadata.is_dir() {
                watcher.tree(rules, &rule.path)?;
            } else if let Some(directory) = rule.path.parent() {
                watcher.directory(directory, RecursiveMode::NonRecursive)?;
            }
        }
        for directory in watched.sources.iter().filter_map(|path| path.parent()) {
            // A file that is only looked for may have no folder.
            if directory.is_dir() {
                watcher.directory(directory, RecursiveMode::NonRecursive)?;
            }
        }
        Ok(watcher)
    }

    fn tree(&mut self, rules: &Rules, root: &Path) -> Result<(), CliError> {
        if !EACH_DIRECTORY {
            return self.directory(root, RecursiveMode::Recursive);
        }
        let mut left = vec![root.to_owned()];
        while let Some(directory) = left.pop() {
            self.directory(&directory, RecursiveMode::NonRecursive)?;
            // A directory that has vanished meanwhile has nothing in it.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_directory && rules.enter(&entry.path()) {
                    left.push(entry.path());
                }
            }
        }
        Ok(())
    }

    fn directory(&mut self, directory: &Path, mode: RecursiveMode) -> Result<(), CliError> {
        if !self.watched.insert(directory.to_owned()) {
            return Ok(());
        }
        match self.system.watch(directory, mode) {
            Err(error) if !directory.exists() => {
                // It went away while we came: what its directory tells is enough.
                drop(error);
                self.watched.remove(directory);
                Ok(())
            }
            watched => watched.map_err(|error| failed(directory, &error)),
        }
    }

    /// Something changed at a path: a directory that is new is watched from now on.
    pub(super) fn entered(&mut self, rules: &Rules, path: &Path) {
        let is_directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        if EACH_DIRECTORY && is_directory && rules.enter(path) {
            // One that was removed and made again has lost its watch.
            self.watched.remove(path);
            // What cannot be watched, for want of watches, is told at the start; here the rest goes on.
            drop(self.tree(rules, path));
        }
    }
}

/// What an event of the system means; nothing when no content changed.
fn understood(event: notify::Result<Event>) -> Option<Seen> {
    let Ok(event) = event else {
        return Some(Seen::Everything);
    };
    if event.need_rescan() {
        return Some(Seen::Everything);
    }
    match event.kind {
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => None,
        _ if event.paths.is_empty() => None,
        _ => Some(Seen::Changed(event.paths)),
    }
}

fn failed(path: &Path, error: &notify::Error) -> CliError {
    let failure = CliError::new(format!("cannot watch {}: {error}", path.display()));
    match error.kind {
        notify::ErrorKind::MaxFilesWatch => {
            failure.with_hint("raise fs.inotify.max_user_watches (sysctl), or ignore directories in the rules")
        }
        _ => failure,
    }
}
