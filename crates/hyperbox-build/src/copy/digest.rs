// SPDX-License-Identifier: MIT
//! The digest of what a step reads: paths, kinds, modes, owners, attributes, targets of links and bytes; never times.
//!
//! What the step sets itself (`--chown`, `--chmod` as digits) does not count. Each field has its length before it, so that no two
//! selections give the same bytes to hash.

use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use super::source::{Filter, Found, unreadable};
use super::transfer::Changing;
use crate::StepError;
use crate::context::path;
use crate::context::{Entry, EntryKind};

/// What is being hashed.
pub(super) struct Hashing {
    hasher: Sha256,
    cancel: CancellationToken,
}

impl Hashing {
    /// `kind` keeps digests of different things apart; a cancelled one fails at its next entry.
    pub(super) fn new(kind: &str, cancel: CancellationToken) -> Self {
        let hasher = Sha256::new();
        let mut hashing = Self { hasher, cancel };
        hashing.field(kind.as_bytes());
        hashing
    }

    pub(super) fn field(&mut self, bytes: &[u8]) {
        self.hasher.update((bytes.len() as u64).to_be_bytes());
        self.hasher.update(bytes);
    }

    fn numbers<const N: usize>(&mut self, numbers: [u32; N]) {
        for number in numbers {
            self.hasher.update(number.to_be_bytes());
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }

    /// Adds a place and what is meant of it.
    pub(super) fn found(&mut self, found: &Found, filter: &Filter, changing: &Changing) -> Result<(), StepError> {
        let is_directory = found.entry.kind == EntryKind::Directory;
        // The name of a directory whose content is copied goes nowhere.
        self.field(if is_directory { b"" } else { &found.name });
        found.visit(filter, |relative, entry| {
            // Nor does its metadata.
            if is_directory && relative.is_empty() {
                return Ok(());
            }
            self.entry(relative, found, entry, changing)
        })?;
        self.field(b"end");
        Ok(())
    }

    fn entry(&mut self, relative: &[u8], found: &Found, entry: &Entry, changing: &Changing) -> Result<(), StepError> {
        if self.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        self.field(relative);
        if changing.owner.is_none() {
            self.numbers([entry.uid, entry.gid]);
        }
        let is_link = matches!(entry.kind, EntryKind::Symlink { .. });
        if !is_link {
            let changed = changing.mode.as_ref();
            let mode = changed.map_or(entry.mode, |change| {
                change.apply(entry.mode, entry.kind == EntryKind::Directory)
            });
            self.numbers([mode]);
        }
        self.numbers([u32::try_from(entry.attributes.len()).unwrap_or(u32::MAX)]);
        for (key, value) in &entry.attributes {
            self.field(key.as_bytes());
            self.field(value);
        }
        match &entry.kind {
            EntryKind::File { size, .. } => {
                self.field(b"file");
                self.field(&size.to_be_bytes());
                let digest = found.tree.digest(entry);
                self.field(&digest.map_err(|error| unreadable(path::bytes(&entry.path), error))?);
            }
            EntryKind::Directory => self.field(b"directory"),
            EntryKind::Symlink { target } => {
                self.field(b"link");
                self.field(target.as_os_str().as_bytes());
            }
            EntryKind::CharacterDevice { major, minor } => {
                self.field(b"character device");
                self.numbers([*major, *minor]);
            }
            EntryKind::BlockDevice { major, minor } => {
                self.field(b"block device");
                self.numbers([*major, *minor]);
            }
            EntryKind::Pipe => self.field(b"pipe"),
        }
        Ok(())
    }
}
