// SPDX-License-Identifier: MIT
//! What is remembered of a directory as a file: beside a pack, which files of the client have their bytes where in it.
//!
//! ```text
//! magic | name: 3 × text | number of files, u64
//! each file: path: text | size u64 | modified i64 | mode u32 | offset u64 | length u64 | SHA-256 of its bytes
//! SHA-256 of everything before
//! ```
//! Numbers are little-endian, a text is its length (u32) and its bytes. A file is written beside its place, synchronised and renamed
//! when the pack is on the disk: what a crash leaves is whole or is not there. What does not read is nothing.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::cache::{DirectoryName, FileKey};
use super::pack::Region;

const MAGIC: &[u8] = b"HyperBox context 1\n";
/// Longer texts are none of ours.
const LONGEST_TEXT: usize = 64 * 1024;
/// No beginning of a file is longer.
const LONGEST_HEAD: u64 = 4 * LONGEST_TEXT as u64;
/// Nearly all beginnings are shorter.
const USUAL_HEAD: u64 = 4096;

/// Writes an index to its place.
///
/// # Errors
/// I/O classes; what was there before stays then.
pub(super) fn write<'a>(
    path: &Path,
    name: &DirectoryName,
    files: impl ExactSizeIterator<Item = (&'a FileKey, Region)>,
) -> io::Result<()> {
    let bytes = encode(name, files);
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// Reads whose index it is and how many files it has; `None` for what is no index.
///
/// # Errors
/// I/O classes.
pub(super) fn read_head(path: &Path) -> io::Result<Option<(DirectoryName, u64)>> {
    let (file, mut bytes) = (File::open(path)?, Vec::new());
    (&file).take(USUAL_HEAD).read_to_end(&mut bytes)?;
    let usual = head(&mut bytes.as_slice());
    if usual.is_some() {
        return Ok(usual);
    }
    (&file).take(LONGEST_HEAD - USUAL_HEAD).read_to_end(&mut bytes)?;
    Ok(head(&mut bytes.as_slice()))
}

/// Reads an index; `None` for what is none, or is damaged.
///
/// # Errors
/// I/O classes.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<(FileKey, Region)>>> {
    let bytes = std::fs::read(path)?;
    Ok(decode(&bytes))
}

fn encode<'a>(name: &DirectoryName, files: impl ExactSizeIterator<Item = (&'a FileKey, Region)>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for text in [&name.session, &name.name, &name.shared_key] {
        put_text(&mut bytes, text.as_bytes());
    }
    bytes.extend((files.len() as u64).to_le_bytes());
    for (key, region) in files {
        put_text(&mut bytes, &key.path);
        bytes.extend(key.size.to_le_bytes());
        bytes.extend(key.modified.to_le_bytes());
        bytes.extend(key.mode.to_le_bytes());
        bytes.extend(region.offset.to_le_bytes());
        bytes.extend(region.length.to_le_bytes());
        bytes.extend(region.digest);
    }
    let digest = Sha256::digest(&bytes);
    bytes.extend(digest);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    // Whoever has longer ones does not read them back.
    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(text);
}

fn decode(bytes: &[u8]) -> Option<Vec<(FileKey, Region)>> {
    let (content, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(content).as_slice() != digest {
        return None;
    }
    let rest = &mut &*content;
    let (_, count) = head(rest)?;
    let mut files = Vec::new();
    for _ in 0..count {
        let key = FileKey {
            path: text(rest)?.to_vec(),
            size: u64::from_le_bytes(take(rest)?),
            modified: i64::from_le_bytes(take(rest)?),
            mode: u32::from_le_bytes(take(rest)?),
        };
        let region = Region {
            offset: u64::from_le_bytes(take(rest)?),
            length: u64::from_le_bytes(take(rest)?),
            digest: take(rest)?,
        };
        region.offset.checked_add(region.length)?;
        files.push((key, region));
    }
    rest.is_empty().then_some(files)
}

fn head(rest: &mut &[u8]) -> Option<(DirectoryName, u64)> {
    *rest = rest.strip_prefix(MAGIC)?;
    let mut next = || String::from_utf8(text(rest)?.to_vec()).ok();
    let name = DirectoryName {
        session: next()?,
        name: next()?,
        shared_key: next()?,
    };
    Some((name, u64::from_le_bytes(take(rest)?)))
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
    if length > LONGEST_TEXT {
        return None;
    }
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text)
}

fn take<const LENGTH: usize>(rest: &mut &[u8]) -> Option<[u8; LENGTH]> {
    let (taken, behind) = rest.split_first_chunk::<LENGTH>()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (DirectoryName, Vec<(FileKey, Region)>) {
        let name = DirectoryName {
            session: "key a".to_owned(),
            name: "context".to_owned(),
            shared_key: String::new(),
        };
        let file = |path: &[u8], offset| {
            let key = FileKey {
                path: path.to_vec(),
                size: 3,
                modified: -1,
                mode: 0o644,
            };
            let digest = [7; 32];
            let length = 3;
            (key, Region { offset, length, digest })
        };
        (name, vec![file(b"a/b", 0), file(b"\xff", 1 << 40)])
    }

    #[test]
    fn an_index_comes_back() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("1.index");
        let (name, files) = sample();
        let borrowed: Vec<_> = files.iter().map(|(key, region)| (key, *region)).collect();
        write(&path, &name, borrowed.into_iter()).expect("written");
        assert_eq!(read_head(&path).expect("read"), Some((name.clone(), 2)));
        assert_eq!(read(&path).expect("read"), Some(files.clone()));
        let long = DirectoryName {
            session: "s".repeat(LONGEST_TEXT),
            shared_key: "k".repeat(LONGEST_TEXT),
            ..name
        };
        let borrowed: Vec<_> = files.iter().map(|(key, region)| (key, *region)).collect();
        write(&path, &long, borrowed.into_iter()).expect("written");
        assert_eq!(read_head(&path).expect("read"), Some((long, 2)));
        assert_eq!(std::fs::read_dir(directory.path()).expect("listing").count(), 1);
    }

    #[test]
    fn what_is_damaged_is_nothing() {
        let (name, files) = sample();
        let bytes = encode(
            &name,
            files
                .iter()
                .map(|(key, region)| (key, *region))
                .collect::<Vec<_>>()
                .into_iter(),
        );
        assert!(decode(&bytes).is_some());
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "{length}");
        }
        for index in 0..bytes.len() {
            let mut other = bytes.clone();
            other[index] ^= 0x40;
            assert_eq!(decode(&other), None, "{index}");
        }
        assert_eq!(head(&mut &b"something else"[..]), None);
    }
}
