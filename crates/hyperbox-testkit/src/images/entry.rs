// SPDX-License-Identifier: MIT
//! Entries of layers, and how they are written as a tar.
//!
//! Whatever a real image may contain can be said here, also what no archiver would write: the name of an entry is written as it
//! is, `..` and leading slashes included.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tar::{EntryType, Header};

/// All entries carry this time (2024-01-01), so that the same image has the same digest everywhere.
const MODIFIED: u64 = 1_704_067_200;

/// What a file contains.
#[derive(Debug, Clone)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// The bytes of a file of this machine.
    HostFile(PathBuf),
    /// So many bytes made from the seed; about half of them compress away.
    Generated {
        /// Decides the bytes.
        seed: u64,
        /// How many.
        length: u64,
    },
}

impl Content {
    fn open(&self) -> io::Result<(u64, Box<dyn Read>)> {
        Ok(match self {
            Self::Bytes(bytes) => (bytes.len() as u64, Box::new(io::Cursor::new(bytes.clone()))),
            Self::HostFile(path) => {
                let file = File::open(path)?;
                (file.metadata()?.len(), Box::new(file))
            }
            Self::Generated { seed, length } => (*length, Box::new(Generator::new(*seed).take(*length))),
        })
    }
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File(Content),
    /// A symbolic link to this target.
    Symlink(String),
    /// A hard link to this earlier entry.
    HardLink(String),
    /// A character device.
    CharacterDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as it is written.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// Sets owner and group.
    #[must_use]
    pub fn owned_by(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn with_xattr(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.xattrs.push((name.to_owned(), value.into()));
        self
    }
}

/// The entries of one layer, in order.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    entries: Vec<Entry>,
}

impl Layer {
    /// Makes an empty layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any entry.
    #[must_use]
    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    fn plain(self, path: &str, mode: u32, kind: EntryKind) -> Self {
        self.entry(Entry {
            path: path.to_owned(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            xattrs: Vec::new(),
        })
    }

    /// Adds a directory.
    #[must_use]
    pub fn directory(self, path: &str, mode: u32) -> Self {
        self.plain(path, mode, EntryKind::Directory)
    }

    /// Adds a file.
    #[must_use]
    pub fn file(self, path: &str, mode: u32, bytes: impl Into<Bytes>) -> Self {
        self.plain(path, mode, EntryKind::File(Content::Bytes(bytes.into())))
    }

    /// Adds a file with other content than bytes.
    #[must_use]
    pub fn content(self, path: &str, mode: u32, content: Content) -> Self {
        self.plain(path, mode, EntryKind::File(content))
    }

    /// Adds a symbolic link.
    #[must_use]
    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.plain(path, 0o777, EntryKind::Symlink(target.to_owned()))
    }

    /// Adds a hard link.
    #[must_use]
    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.plain(path, 0o644, EntryKind::HardLink(target.to_owned()))
    }

    /// Adds a character device.
    #[must_use]
    pub fn character_device(self, path: &str, mode: u32, major: u32, minor: u32) -> Self {
        self.plain(path, mode, EntryKind::CharacterDevice(major, minor))
    }

    /// Adds a named pipe.
    #[must_use]
    pub fn fifo(self, path: &str, mode: u32) -> Self {
        self.plain(path, mode, EntryKind::Fifo)
    }

    /// Removes what lower layers have at `directory/name` (OCI image specification, `layer.md#whiteouts`).
    #[must_use]
    pub fn whiteout(self, directory: &str, name: &str) -> Self {
        self.file(&format!("{directory}/.wh.{name}"), 0o644, "")
    }

    /// Hides everything that lower layers have in a directory (`layer.md#opaque-whiteout`).
    #[must_use]
    pub fn opaque(self, directory: &str) -> Self {
        self.file(&format!("{directory}/.wh..wh..opq"), 0o644, "")
    }

    /// Writes the layer as an uncompressed tar.
    ///
    /// # Errors
    /// What the writer or a [`Content::HostFile`] says.
    pub fn write_tar(&self, writer: &mut dyn Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(writer);
        for entry in &self.entries {
            append(&mut builder, entry)?;
        }
        builder.finish()
    }

    /// Returns the layer as an uncompressed tar.
    ///
    /// # Panics
    /// When a [`Content::HostFile`] cannot be read.
    pub fn tar(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write_tar(&mut bytes).expect("writing to memory");
        bytes
    }
}

fn append(builder: &mut tar::Builder<&mut dyn Write>, entry: &Entry) -> io::Result<()> {
    let mut extensions: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, value) in &entry.xattrs {
        extensions.push((format!("SCHILY.xattr.{name}"), value.clone()));
    }
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_mtime(MODIFIED);
    header.set_uid(entry.uid);
    header.set_gid(entry.gid);
    // The bytes are set directly: `set_path` would refuse the hostile names that tests need.
    put(&mut header.as_old_mut().name, &entry.path, "path", &mut extensions);
    let mut link = |target: &str, header: &mut Header| {
        put(&mut header.as_old_mut().linkname, target, "linkpath", &mut extensions);
    };
    let mut body: (u64, Box<dyn Read>) = (0, Box::new(io::empty()));
    match &entry.kind {
        EntryKind::Directory => header.set_entry_type(EntryType::Directory),
        EntryKind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            body = content.open()?;
        }
        EntryKind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            link(target, &mut header);
        }
        EntryKind::HardLink(target) => {
            header.set_entry_type(EntryType::Link);
            link(target, &mut header);
        }
        EntryKind::CharacterDevice(major, minor) => device(&mut header, EntryType::Char, *major, *minor)?,
        EntryKind::BlockDevice(major, minor) => device(&mut header, EntryType::Block, *major, *minor)?,
        EntryKind::Fifo => header.set_entry_type(EntryType::Fifo),
    }
    header.set_size(body.0);
    header.set_cksum();
    if !extensions.is_empty() {
        let records = extensions.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        builder.append_pax_extensions(records)?;
    }
    builder.append(&header, body.1)
}

fn device(header: &mut Header, kind: EntryType, major: u32, minor: u32) -> io::Result<()> {
    header.set_entry_type(kind);
    header.set_device_major(major)?;
    header.set_device_minor(minor)
}

/// Writes a name into its field, or into a PAX record when it is too long.
fn put(field: &mut [u8; 100], text: &str, record: &str, extensions: &mut Vec<(String, Vec<u8>)>) {
    let bytes = text.as_bytes();
    if bytes.len() > field.len() {
        extensions.push((record.to_owned(), bytes.to_vec()));
    }
    let count = bytes.len().min(field.len());
    field[..count].copy_from_slice(&bytes[..count]);
}

/// Pseudo-random bytes (xorshift64*), every other 64-byte run of which is one repeated byte.
struct Generator {
    state: u64,
    block: Vec<u8>,
    position: usize,
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            block: Vec::new(),
            position: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn refill(&mut self) {
        self.block.clear();
        self.position = 0;
        for _ in 0..512 {
            for _ in 0..8 {
                let word = self.next();
                self.block.extend_from_slice(&word.to_le_bytes());
            }
            let byte = self.next().to_le_bytes()[0];
            self.block.extend_from_slice(&[byte; 64]);
        }
    }
}

impl Read for Generator {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.block.len() {
            self.refill();
        }
        let count = buffer.len().min(self.block.len() - self.position);
        buffer[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_length_and_hostility_survive() {
        let long = "d/".repeat(150) + "f";
        let tar = Layer::new()
            .file("../escape", 0o644, "x")
            .file(&long, 0o600, "y")
            .symlink("link", &long)
            .entry(Entry {
                path: "attributed".to_owned(),
                kind: EntryKind::Fifo,
                mode: 0o600,
                uid: 5,
                gid: 6,
                xattrs: vec![("user.test".to_owned(), b"value".to_vec())],
            })
            .tar();
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut names = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(String::from_utf8(entry.path_bytes().to_vec()).unwrap());
            if names.len() == 3 {
                assert_eq!(entry.link_name_bytes().unwrap().as_ref(), long.as_bytes());
            }
            if names.len() == 4 {
                let extension = entry.pax_extensions().unwrap().unwrap().next().unwrap().unwrap();
                assert_eq!(extension.key().unwrap(), "SCHILY.xattr.user.test");
            }
        }
        assert_eq!(names, ["../escape", &long, "link", "attributed"]);
    }

    #[test]
    fn generated_content_is_the_same_each_time() {
        let content = Content::Generated {
            seed: 7,
            length: 100_000,
        };
        let read = || {
            let mut bytes = Vec::new();
            content.open().unwrap().1.read_to_end(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(read().len(), 100_000);
        assert_eq!(read(), read());
    }
}
