// SPDX-License-Identifier: MIT
//! Reading an archive into a spool directory: every regular file under a number, with its digest.
//!
//! The archive is foreign: names are only ever used as keys of a map, never as paths on disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use hyperbox_types::{ByteSize, Digest};
use sha2::{Digest as _, Sha256};

use super::DockerEntry;
use crate::image::compression::{CUT_SHORT, Packing, is_cut_short, unpacked};
use crate::{Result, ServiceError};

/// More files than any archive of images has.
const MAX_FILES: usize = 100_000;
/// The longest JSON document that is read.
const MAX_DOCUMENT: u64 = 16 << 20;

/// A file of the archive.
#[derive(Debug, Clone)]
pub(in crate::image) struct Spooled {
    pub path: PathBuf,
    pub digest: Digest,
    pub size: ByteSize,
}

/// The spooled archive. The files go with the directory, which the caller removes.
#[derive(Debug, Default)]
pub(super) struct Archive {
    files: HashMap<PathBuf, Spooled>,
    links: BTreeMap<PathBuf, PathBuf>,
}

/// Spools an archive, plain or compressed in any way that Docker takes.
///
/// # Errors
/// `InvalidArgument` for what is no archive, and I/O classes.
pub(super) fn spool(stream: impl Read, directory: &Path) -> Result<Archive> {
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let packing = Packing::detect(stream.fill_buf().map_err(malformed)?);
    spool_tar(unpacked(packing, stream).map_err(malformed)?, directory)
}

fn spool_tar(stream: impl Read, directory: &Path) -> Result<Archive> {
    let mut archive = Archive::default();
    let mut reader = tar::Archive::new(stream);
    for entry in reader.entries().map_err(malformed)? {
        let mut entry = entry.map_err(malformed)?;
        let name = clean(&entry.path().map_err(malformed)?);
        match entry.header().entry_type() {
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                if archive.files.len() >= MAX_FILES {
                    return Err(ServiceError::invalid(
                        "the archive has more files than any archive of images",
                    ));
                }
                let path = directory.join(archive.files.len().to_string());
                let length = entry.size();
                let spooled = copy(&mut entry, path)?;
                // The tar library takes the end of the stream for the end of the entry.
                if spooled.size.0 < length {
                    return Err(ServiceError::invalid(CUT_SHORT));
                }
                archive.files.insert(name, spooled);
            }
            tar::EntryType::Symlink | tar::EntryType::Link => {
                if let Some(target) = entry.link_name().map_err(malformed)? {
                    let base = match entry.header().entry_type() {
                        tar::EntryType::Symlink => name.parent().unwrap_or(Path::new("")).to_owned(),
                        _ => PathBuf::new(),
                    };
                    archive.links.insert(name, clean(&base.join(target)));
                }
            }
            _ => {}
        }
    }
    Ok(archive)
}

fn copy(from: &mut impl Read, path: PathBuf) -> Result<Spooled> {
    let spooling = |error: std::io::Error| {
        let kind = crate::seam::io_kind(&error);
        ServiceError::from_mechanism(format!("cannot spool to {}", path.display()), kind, error)
    };
    let mut file = File::create_new(&path).map_err(spooling)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut size = 0;
    loop {
        let length = from.read(&mut buffer).map_err(malformed)?;
        if length == 0 {
            break;
        }
        hasher.update(&buffer[..length]);
        file.write_all(&buffer[..length]).map_err(spooling)?;
        size += length as u64;
    }
    drop(file);
    Ok(Spooled {
        path,
        digest: Digest::from_sha256(hasher.finalize().into()),
        size: ByteSize(size),
    })
}

/// Docker tells of two mistakes only: archives that end too early, and what is no archive.
fn malformed(error: std::io::Error) -> ServiceError {
    // These are the tar library's own words for a block that is not whole.
    let text = error.to_string();
    let short = text.contains("failed to read entire block") || text.contains("unexpected EOF");
    if short || is_cut_short(&error) {
        return ServiceError::invalid(CUT_SHORT).with_source(error);
    }
    if text.contains("cksum") || text.contains("checksum") {
        return ServiceError::invalid("archive/tar: invalid tar header").with_source(error);
    }
    ServiceError::from_mechanism("invalid archive", hyperbox_types::ErrorKind::InvalidArgument, error)
}

/// Normalises a name of the archive to a key: relative, without `.` and `..`.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

impl Archive {
    /// Returns a file by name, following links within the archive.
    ///
    /// # Errors
    /// `InvalidArgument` when the archive lacks it.
    pub(super) fn file(&self, name: &str) -> Result<&Spooled> {
        let mut key = clean(Path::new(name));
        for _ in 0..8 {
            if let Some(file) = self.files.get(&key) {
                return Ok(file);
            }
            match self.links.get(&key) {
                Some(target) => key.clone_from(target),
                None => break,
            }
        }
        Err(ServiceError::invalid(format!("open {name}: no such file or directory")))
    }

    /// Returns the blob of an OCI layout.
    ///
    /// # Errors
    /// `InvalidArgument` when the archive lacks it or has something else in its place.
    pub(super) fn blob(&self, digest: &Digest) -> Result<&Spooled> {
        let file = self.file(&format!("blobs/{}/{}", digest.algorithm().as_str(), digest.hex()))?;
        if file.digest != *digest && digest.algorithm() == file.digest.algorithm() {
            return Err(ServiceError::invalid(format!(
                "invalid archive: blob {digest} has the digest {}",
                file.digest
            )));
        }
        Ok(file)
    }

    /// Reads a small document; `None` when the archive lacks it.
    ///
    /// # Errors
    /// `InvalidArgument` when it is too long.
    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Ok(file) = self.file(name) else { return Ok(None) };
        read_document(file).map(Some)
    }

    /// Returns Docker's list of images, if the archive has one.
    ///
    /// # Errors
    /// `InvalidArgument` when it is malformed.
    pub(super) fn docker_entries(&self) -> Result<Option<Vec<DockerEntry>>> {
        let Some(bytes) = self.document("manifest.json")? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| ServiceError::invalid(list_mistake(&bytes, &error)))
    }
}

/// Says in the words of Go's decoder what is wrong with a list of images.
fn list_mistake(bytes: &[u8], error: &serde_json::Error) -> String {
    let incomplete = |error: serde_json::Error| error.is_eof();
    if serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_err_and(incomplete) {
        return CUT_SHORT.to_owned();
    }
    let found = match bytes.trim_ascii_start().first() {
        Some(b'{') => "object",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'-' | b'0'..=b'9') => "number",
        _ => return format!("invalid archive: manifest.json: {error}"),
    };
    format!("json: cannot unmarshal {found} into Go value of type []tarexport.manifestItem")
}

/// Reads a spooled document.
///
/// # Errors
/// `InvalidArgument` when it is too long.
pub(super) fn read_document(file: &Spooled) -> Result<Vec<u8>> {
    if file.size.0 > MAX_DOCUMENT {
        return Err(ServiceError::invalid(format!(
            "invalid archive: a document of {} is too long",
            file.size
        )));
    }
    std::fs::read(&file.path).map_err(|error| {
        let kind = crate::seam::io_kind(&error);
        ServiceError::from_mechanism(format!("cannot read {}", file.path.display()), kind, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_keys_only() {
        for (name, key) in [
            ("./a/b", "a/b"),
            ("../../etc/passwd", "etc/passwd"),
            ("/abs", "abs"),
            ("a/../b", "b"),
            ("", ""),
        ] {
            assert_eq!(clean(Path::new(name)), Path::new(key), "{name}");
        }
    }

    #[test]
    fn garbage_is_refused() {
        let directory = std::env::temp_dir();
        for bytes in [
            &b"no archive at all"[..],
            &[0x1f, 0x8b, 0, 0],
            &[0x28, 0xb5, 0x2f, 0xfd, 1],
        ] {
            let spooled = spool(bytes, &directory);
            assert!(
                spooled.is_err() || spooled.is_ok_and(|archive| archive.files.is_empty()),
                "{bytes:?}"
            );
        }
    }
}
