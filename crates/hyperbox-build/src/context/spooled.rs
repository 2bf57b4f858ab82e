// SPDX-License-Identifier: MIT
//! The tree of an archive: an index in memory, the bytes of files one after the other in a file without a name.
//!
//! Nothing of the archive becomes a name on this machine, so no path can lead anywhere, and a crash leaves nothing. Files are hashed
//! while they are spooled: asking for a digest costs nothing. Only [`Tree::place`] unpacks, once, into a directory that goes with the
//! tree.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Cursor, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyperbox_core::image::compression::{Packing, unpacked};
use hyperbox_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

use super::archive::{ArchiveError, Member, MemberKind, Members};
use super::index::{Index, Node, Region};
use super::path;
use super::scratch::{Scratch, ScratchDirectory};
use super::{Entry, FileReader, Tree, TreeError, TreePlace};

/// As many bytes tell how a stream is compressed.
const MAGIC: usize = 6;

/// The tree of an archive.
#[derive(Debug)]
pub(crate) struct SpooledTree {
    index: Index,
    bytes: Arc<File>,
    scratch: Scratch,
    unpacked: Mutex<Option<ScratchDirectory>>,
}

impl SpooledTree {
    /// Reads an archive, plain or compressed, to its end.
    ///
    /// # Errors
    /// `InvalidArgument` for malformed and hostile archives, else I/O classes.
    pub(crate) fn read(stream: impl Read, scratch: &Scratch) -> Result<Self, TreeError> {
        let stream = decompressed(stream).map_err(|error| failed("read", error))?;
        let mut members = Members::new(stream);
        let mut spool = Spool::new(scratch)?;
        let mut index = Index::new();
        while let Some(member) = members.next().map_err(from_archive)? {
            let region = match member.kind {
                MemberKind::File { size } => Some(spool.keep(&mut members, size)?),
                _ => None,
            };
            index.add(member, region)?;
        }
        let rest = io::copy(&mut members.into_stream(), &mut io::sink());
        // What follows an archive is nobody's business: a broken end of a compressed stream is none of ours either.
        drop(rest);
        spool.into_tree(index, scratch)
    }

    /// Makes a tree of one file in its root.
    ///
    /// # Errors
    /// `InvalidArgument` for names that are none, I/O classes.
    pub(crate) fn of_file(
        name: &str,
        mode: u32,
        modified_at: Timestamp,
        mut content: impl Read,
        scratch: &Scratch,
    ) -> Result<Self, TreeError> {
        let mut spool = Spool::new(scratch)?;
        let region = spool.keep(&mut content, u64::MAX)?;
        let mut index = Index::new();
        let member = Member {
            path: name.as_bytes().to_vec(),
            kind: MemberKind::File { size: region.length },
            mode,
            uid: 0,
            gid: 0,
            modified_at,
            attributes: std::collections::BTreeMap::new(),
        };
        index.add(member, Some(region))?;
        spool.into_tree(index, scratch)
    }

    /// Returns nodes in order, with what only archives know.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.index.below(b"")
    }

    fn node(&self, path: &Path) -> Result<&Node, TreeError> {
        let node = self.index.get(path::bytes(path));
        node.ok_or_else(|| TreeError::NotFound {
            path: path.to_path_buf(),
        })
    }

    fn region(&self, path: &Path) -> Result<Region, TreeError> {
        self.node(path)?.region.ok_or_else(|| TreeError::Refused {
            path: path.to_path_buf(),
            reason: "not a file".to_owned(),
        })
    }
}

impl Tree for SpooledTree {
    fn entry(&self, path: &Path) -> Result<Option<Entry>, TreeError> {
        Ok(self.index.get(path::bytes(path)).map(|node| node.entry.clone()))
    }

    fn walk(&self, path: &Path) -> Result<Box<dyn Iterator<Item = Result<Entry, TreeError>> + Send + '_>, TreeError> {
        let entries = self.index.below(path::bytes(path));
        Ok(Box::new(entries.map(|node| Ok(node.entry.clone()))))
    }

    fn open(&self, path: &Path) -> Result<FileReader, TreeError> {
        let region = self.region(path)?;
        Ok(Box::new(RegionReader {
            bytes: Arc::clone(&self.bytes),
            offset: region.offset,
            left: region.length,
        }))
    }

    fn digest(&self, entry: &Entry) -> Result<[u8; 32], TreeError> {
        Ok(self.region(&entry.path)?.digest)
    }

    fn place(&self) -> Result<TreePlace, TreeError> {
        let mut unpacked = self.unpacked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(directory) = &*unpacked {
            return Ok(TreePlace::Directory(directory.shown().to_path_buf()));
        }
        let directory = self.scratch.directory().map_err(|error| failed("make", error))?;
        let place = directory.shown().join("tree");
        crate::run::materialise::tree(self, Path::new(""), &place).map_err(|error| TreeError::Refused {
            path: place.clone(),
            reason: error.to_string(),
        })?;
        let directory = directory.at(place);
        let place = directory.shown().to_path_buf();
        *unpacked = Some(directory);
        Ok(TreePlace::Directory(place))
    }
}

/// Files on their way into one.
struct Spool {
    file: BufWriter<File>,
    length: u64,
}

impl Spool {
    fn new(scratch: &Scratch) -> Result<Self, TreeError> {
        let file = scratch.file().map_err(|error| failed("make", error))?;
        Ok(Self {
            file: BufWriter::with_capacity(256 * 1024, file),
            length: 0,
        })
    }

    fn keep(&mut self, content: &mut impl Read, most: u64) -> Result<Region, TreeError> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; usize::try_from(most).unwrap_or(usize::MAX).clamp(1, 64 * 1024)];
        let offset = self.length;
        loop {
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed("read", error)),
            };
            hasher.update(&buffer[..read]);
            self.file
                .write_all(&buffer[..read])
                .map_err(|error| failed("write", error))?;
            self.length += read as u64;
        }
        Ok(Region {
            offset,
            length: self.length - offset,
            digest: hasher.finalize().into(),
        })
    }

    fn into_tree(self, index: Index, scratch: &Scratch) -> Result<SpooledTree, TreeError> {
        let file = self
            .file
            .into_inner()
            .map_err(|error| failed("write", error.into_error()))?;
        Ok(SpooledTree {
            index,
            bytes: Arc::new(file),
            scratch: scratch.clone(),
            unpacked: Mutex::new(None),
        })
    }
}

#[derive(Debug)]
struct RegionReader {
    bytes: Arc<File>,
    offset: u64,
    left: u64,
}

impl Read for RegionReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.bytes.read_at(&mut buffer[..most], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Decompresses what is compressed.
fn decompressed<'s>(mut stream: impl Read + 's) -> io::Result<Box<dyn Read + 's>> {
    let mut start = Vec::with_capacity(MAGIC);
    stream.by_ref().take(MAGIC as u64).read_to_end(&mut start)?;
    let packing = Packing::detect(&start);
    unpacked(
        packing,
        BufReader::with_capacity(128 * 1024, Cursor::new(start).chain(stream)),
    )
}

/// Tells whether a stream is an archive, plain or compressed: whether its first header is one (or it ends properly without any).
/// What cannot be decompressed is none.
pub(crate) fn is_archive(stream: impl Read) -> bool {
    let Ok(stream) = decompressed(stream) else {
        return false;
    };
    matches!(Members::new(stream).next(), Ok(Some(_)))
}

fn failed(operation: &'static str, source: io::Error) -> TreeError {
    match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => TreeError::Refused {
            path: PathBuf::from("archive"),
            reason: source.to_string(),
        },
        _ => TreeError::Io {
            operation,
            path: PathBuf::from("the spooled archive"),
            source,
        },
    }
}

fn from_archive(error: ArchiveError) -> TreeError {
    match error {
        ArchiveError::Malformed(reason) => TreeError::Refused {
            path: PathBuf::from("archive"),
            reason,
        },
        ArchiveError::Stream(error) => failed("read", error),
    }
}
