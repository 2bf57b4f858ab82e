// SPDX-License-Identifier: MIT
//! Which content files of the web had under which entity tag (RFC 9110, section 8.8.3), so that one that has not changed is not fetched
//! to find that out.
//!
//! **On disk** there is a small file for each address, named by the address's SHA-256 (an address can hold secrets), with the newest
//! [`MOST_TAGS`] tags: servers that are several machines have several for one content. It is written beside and renamed: a crash leaves
//! the old or the new one, and what cannot be read is nothing. At most [`MOST_ADDRESSES`] are kept, those that were learned last.
//!
//! **Concurrency.** Two who learn about one address at the same time leave what one of them knows; the other tag is learned again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hyperbox_types::Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// So many tags of one address are remembered.
const MOST_TAGS: usize = 8;
/// So many addresses are remembered.
const MOST_ADDRESSES: usize = 1000;
/// No document is longer.
const LONGEST: u64 = 64 * 1024;
/// What is written now.
const VERSION: u32 = 1;

/// Remembers entity tags. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct EntityTags {
    directory: Arc<PathBuf>,
    next: Arc<AtomicU64>,
}

/// A tag and what it stood for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    tag: String,
    content: Digest,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The newest first.
    known: Vec<Known>,
}

impl EntityTags {
    /// Opens a directory, which is made, and removes what a crash left half-written in it.
    ///
    /// # Errors
    /// I/O classes.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.path().extension().is_some() {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self {
            directory: Arc::new(directory.to_path_buf()),
            next: Arc::default(),
        })
    }

    /// Returns what is known of an address. Blocks for microseconds.
    pub(super) fn of(&self, address: &str) -> Vec<Known> {
        self.read(&self.place(address)).known
    }

    /// Remembers a tag of an address. Blocks. What cannot be written is forgotten.
    pub(super) fn learn(&self, address: &str, tag: &str, content: [u8; 32]) {
        let place = self.place(address);
        let mut document = self.read(&place);
        let new = Known {
            tag: tag.to_owned(),
            content: Digest::from_sha256(content),
        };
        if document.known.first() == Some(&new) {
            return;
        }
        let is_new = document.known.is_empty();
        document.version = VERSION;
        document.known.retain(|known| known.tag != tag);
        document.known.insert(0, new);
        document.known.truncate(MOST_TAGS);
        let written = self.write(&place, &document);
        let kept = written.and_then(|()| if is_new { self.forget_oldest() } else { Ok(()) });
        if let Err(error) = kept {
            tracing::warn!(%error, "the entity tag of a file that was fetched is not remembered");
        }
    }

    fn place(&self, address: &str) -> PathBuf {
        let digest = Digest::from_sha256(Sha256::digest(address).into());
        self.directory.join(digest.hex())
    }

    fn read(&self, place: &Path) -> Document {
        let short = fs::metadata(place).is_ok_and(|metadata| metadata.len() <= LONGEST);
        let text = short.then(|| fs::read(place).ok()).flatten();
        let document: Option<Document> = text.and_then(|text| serde_json::from_slice(&text).ok());
        document
            .filter(|document| document.version == VERSION)
            .unwrap_or_default()
    }

    fn write(&self, place: &Path, document: &Document) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let staged = place.with_extension(format!("{number}.new"));
        fs::write(&staged, serde_json::to_vec(document)?)?;
        fs::rename(&staged, place)
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut places = Vec::new();
        for entry in fs::read_dir(self.directory.as_path())? {
            let entry = entry?;
            // One that is being written has an extension, and may be gone by now.
            if entry.path().extension().is_none()
                && let Ok(metadata) = entry.metadata()
            {
                places.push((metadata.modified()?, entry.path()));
            }
        }
        places.sort();
        let more = places.len().saturating_sub(MOST_ADDRESSES);
        places
            .iter()
            .take(more)
            .try_for_each(|(_, place)| fs::remove_file(place))
    }
}

/// Returns the tags alone.
pub(super) fn tags(known: &[Known]) -> Vec<String> {
    known.iter().map(|known| known.tag.clone()).collect()
}

/// Returns what a tag stands for; a weak one is compared by what it says (RFC 9110, section 8.8.3.2).
pub(super) fn content(known: &[Known], tag: &str) -> Option<[u8; 32]> {
    let opaque = |tag: &str| tag.trim_start_matches("W/").to_owned();
    let found = known.iter().find(|known| opaque(&known.tag) == opaque(tag))?;
    let hex = found.content.hex();
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..hex.len()).step_by(2)) {
        *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_remembered_by_address_the_newest_first() {
        let directory = tempfile::tempdir().unwrap();
        let known = EntityTags::open(directory.path()).unwrap();
        assert!(known.of("http://a/x").is_empty());
        known.learn("http://a/x", "\"1\"", [1; 32]);
        known.learn("http://a/x", "W/\"2\"", [2; 32]);
        known.learn("http://a/y", "\"1\"", [3; 32]);
        let again = EntityTags::open(directory.path()).unwrap();
        let of = again.of("http://a/x");
        assert_eq!(tags(&of), ["W/\"2\"", "\"1\""]);
        for (tag, expected) in [
            ("\"1\"", Some([1; 32])),
            ("W/\"1\"", Some([1; 32])),
            ("\"2\"", Some([2; 32])),
            ("\"3\"", None),
        ] {
            assert_eq!(content(&of, tag), expected, "{tag}");
        }
        again.learn("http://a/x", "\"1\"", [4; 32]);
        assert_eq!(
            content(&again.of("http://a/x"), "\"1\""),
            Some([4; 32]),
            "the last word counts"
        );
        for number in 0..MOST_TAGS + 3 {
            again.learn("http://a/x", &format!("\"n{number}\""), [9; 32]);
        }
        assert_eq!(again.of("http://a/x").len(), MOST_TAGS);
        assert_eq!(again.of("http://a/y").len(), 1);
    }

    #[test]
    fn what_cannot_be_read_is_nothing_and_halves_go() {
        let directory = tempfile::tempdir().unwrap();
        let known = EntityTags::open(directory.path()).unwrap();
        for text in [
            "",
            "{",
            "{\"version\":2,\"known\":[]}",
            "{\"version\":1,\"known\":[{\"tag\":1}]}",
        ] {
            fs::write(known.place("http://a/x"), text).unwrap();
            assert!(known.of("http://a/x").is_empty(), "{text}");
        }
        let half = known.place("http://a/x").with_extension("0.new");
        fs::write(&half, "{").unwrap();
        EntityTags::open(directory.path()).unwrap();
        assert!(!half.exists());
    }
}
