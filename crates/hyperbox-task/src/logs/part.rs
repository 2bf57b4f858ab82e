// SPDX-License-Identifier: MIT
//! One file of a rotated log, as it was written or compressed.
//!
//! A compressed file is unpacked, when it is first read, to a file without a name: entries are looked for from behind, which gzip
//! cannot do. One that was cut off, or is damaged, has what could be unpacked of it. An open file keeps its identity (device and
//! inode) whatever its name becomes; a compressed one also has the identity that it had before (`hyperbox-shim`, `log/compression.rs`).

use std::cell::OnceCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Device and inode.
type Identity = (u64, u64);

/// Unpacked at a time.
const BLOCK: usize = 64 * 1024;

/// An open log file.
#[derive(Debug)]
pub(crate) struct LogPart {
    opened: File,
    identity: Identity,
    compressed: Option<Compressed>,
}

#[derive(Debug)]
struct Compressed {
    original: Option<Identity>,
    unpacked: OnceCell<File>,
}

impl LogPart {
    /// Opens a file as it was written; `None` when there is none.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        Ok(open_if_there(path)?.map(|(opened, identity)| Self {
            opened,
            identity,
            compressed: None,
        }))
    }

    /// Opens a compressed file; `None` when there is none.
    pub(crate) fn open_compressed(path: &Path) -> io::Result<Option<Self>> {
        let Some((opened, identity)) = open_if_there(path)? else {
            return Ok(None);
        };
        let original = original_of(&opened)?;
        Ok(Some(Self {
            opened,
            identity,
            compressed: Some(Compressed {
                original,
                unpacked: OnceCell::new(),
            }),
        }))
    }

    /// Returns the entries. Blocking; a compressed file is unpacked first.
    ///
    /// # Errors
    /// When there is no space to unpack it.
    pub(crate) fn file(&self, directory: &Path) -> io::Result<&File> {
        let Some(compressed) = &self.compressed else {
            return Ok(&self.opened);
        };
        if compressed.unpacked.get().is_none() {
            let unpacked = unpack(&self.opened, directory)?;
            return Ok(compressed.unpacked.get_or_init(|| unpacked));
        }
        Ok(compressed.unpacked.get().unwrap_or(&self.opened))
    }

    /// Tells whether this is a compressed file that was unpacked.
    #[cfg(test)]
    pub(crate) fn is_unpacked(&self) -> bool {
        let compressed = self.compressed.as_ref();
        compressed.is_some_and(|compressed| compressed.unpacked.get().is_some())
    }

    /// Tells whether this is the file of that name now.
    pub(crate) fn is_current(&self, path: &Path) -> bool {
        identity_of(path) == Some(self.identity)
    }

    /// Tells whether this has the entries of a file that is held open, which may be compressed since.
    pub(crate) fn has_entries_of(&self, held: &Self) -> bool {
        self.identity == held.identity
            || (self.compressed.as_ref()).is_some_and(|compressed| compressed.original == Some(held.identity))
    }
}

/// Returns device and inode of what has that name.
pub(crate) fn identity_of(path: &Path) -> Option<Identity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn open_if_there(path: &Path) -> io::Result<Option<(File, Identity)>> {
    match File::open(path) {
        Ok(file) => {
            let metadata = file.metadata()?;
            Ok(Some((file, (metadata.dev(), metadata.ino()))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads what the header tells of the file that was compressed.
fn original_of(mut file: &File) -> io::Result<Option<Identity>> {
    let decoder = flate2::read::GzDecoder::new(file);
    let field = decoder.header().and_then(|header| header.extra()).map(<[u8]>::to_vec);
    file.rewind()?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
    Ok(field.and_then(|field| {
        let identity = field.strip_prefix(b"HB\x10\x00")?;
        let (device, inode) = identity.split_at_checked(8)?;
        Some((number(device)?, number(inode)?))
    }))
}

fn unpack(mut compressed: &File, directory: &Path) -> io::Result<File> {
    compressed.rewind()?;
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut unpacked = nameless(directory)?;
    let mut buffer = vec![0; BLOCK];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(unpacked),
            Ok(count) => unpacked.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Whatever is behind the damage is lost.
            Err(_) => return Ok(unpacked),
        }
    }
}

/// Makes a file that is gone when it is closed. Never in memory: a log may be larger than that.
fn nameless(directory: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // The file system has no such files (`open(2)`).
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => unnamed(directory),
        Err(error) => Err(error.into()),
    }
}

/// Makes a file and takes its name away. A crash in between leaves an empty one.
fn unnamed(directory: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(format!(".unpacked.{}.{number}", std::process::id()));
        match options.open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            // One that a process with the same id left.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use flate2::{Compression, GzBuilder};

    use super::*;

    #[test]
    fn what_can_be_unpacked_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.1.gz");
        let text: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
        let mut encoder = GzBuilder::new().write(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).unwrap();
        let bytes = encoder.finish().unwrap();
        for (bytes, least) in [
            (&bytes[..], text.len()),
            (&bytes[..bytes.len() / 2], text.len() / 4),
            (b"nonsense", 0),
            (b"", 0),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let part = LogPart::open_compressed(&path).unwrap().unwrap();
            for _ in 0..2 {
                let file = part.file(directory.path()).unwrap();
                let mut unpacked = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
                file.read_exact_at(&mut unpacked, 0).unwrap();
                assert!(
                    text.as_bytes().starts_with(&unpacked) && unpacked.len() >= least,
                    "{}",
                    unpacked.len()
                );
            }
        }
        assert!(
            LogPart::open_compressed(&directory.path().join("none"))
                .unwrap()
                .is_none()
        );
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn where_no_file_can_be_made_nothing_is_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        assert_eq!(nameless(&missing).unwrap_err().kind(), io::ErrorKind::NotFound);
        // No files without a name, and none with one.
        assert!(nameless(Path::new("/proc")).is_err());
    }

    #[test]
    fn a_file_loses_its_name_at_once() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let mut file = unnamed(directory.path()).unwrap();
            file.write_all(b"entry").unwrap();
            let mut read = [0; 5];
            file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!(&read, b"entry");
        }
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
