// SPDX-License-Identifier: MIT
//! Writing tar archives of a tree that may be hostile and may change meanwhile.
//!
//! ustar headers with pax records for what they cannot say, as Docker writes them: whole seconds, no names of owners. The order is
//! that of names, a directory's entries before those of its subdirectories. Files with several links are written once and linked to
//! afterwards. No file is opened before it is known to be a plain one, so nothing blocks and no device notices.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use hyperbox_sys::tree::{Descend, Visit, open_directory, walk_sorted};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use tar::{EntryType, Header};

use super::path::Found;
use crate::unpack::names;

const BLOCK: usize = 512;
/// The largest number in an octal field of 7 digits, and of 11.
const MOST_IN_SEVEN: u64 = 0o777_7777;
const MOST_IN_ELEVEN: u64 = 0o777_7777_7777;

/// Writes what is at a path, named by the path's last component.
pub(super) fn found(found: &Found, out: &mut dyn Write) -> io::Result<()> {
    let mut packer = Packer::new(out);
    match &found.file {
        Some(file) => {
            let file = CString::new(file.as_slice())?;
            packer.add_name(found.directory.as_fd(), &file, &found.name)?;
        }
        None => {
            let stat = rustix::fs::fstat(&found.directory)?;
            let xattrs = packer.xattrs(&format!("/proc/self/fd/{}/.", found.directory.as_raw_fd()))?;
            packer.add_entry(&stat, &found.name, b"", &xattrs, None)?;
            packer.add_tree(found.directory.as_fd(), &found.name)?;
        }
    }
    packer.finish()
}

/// Writes everything below `root`, names relative to it.
pub(super) fn all(root: BorrowedFd<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut packer = Packer::new(out);
    packer.add_tree(root, b"")?;
    packer.finish()
}

/// Writes what an overlay's upper directory changes, as a layer (OCI image-spec, `layer.md`, "Whiteouts").
pub(super) fn layer(upper: OwnedFd, out: &mut dyn Write) -> io::Result<()> {
    let mut packer = Packer::new(out);
    walk_sorted(upper, &mut |visit| {
        let Visit::Entry(entry) = visit else {
            return Ok(Descend::Into);
        };
        let path = entry.path.as_os_str().as_bytes();
        let hidden = match rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entry.kind == FileType::CharacterDevice && stat.st_rdev == 0,
            Err(Errno::NOENT) => return Ok(Descend::Past),
            Err(error) => return Err(error.into()),
        };
        if hidden {
            let (directory, name) = names::split(path);
            packer.add_mark(&names::join(directory, &[b".wh.", name].concat()))?;
            return Ok(Descend::Past);
        }
        packer.add_name(entry.parent, entry.name, path)?;
        if entry.kind == FileType::Directory && is_opaque(entry.parent, entry.name)? {
            packer.add_mark(&names::join(path, b".wh..wh..opq"))?;
        }
        Ok(Descend::Into)
    })?;
    packer.finish()
}

fn is_opaque(parent: BorrowedFd<'_>, name: &std::ffi::CStr) -> io::Result<bool> {
    let directory = match open_directory(parent, name) {
        Ok(directory) => directory,
        // It was replaced meanwhile.
        Err(_) => return Ok(false),
    };
    let mut value = [0_u8; 8];
    match rustix::fs::fgetxattr(&directory, "trusted.overlay.opaque", &mut value) {
        Ok(length) => Ok(&value[..length] == b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// An archive that is being written.
pub(crate) struct Packer<'w> {
    out: &'w mut dyn Write,
    /// Names of files that have several links, by device and inode.
    linked: HashMap<(u64, u64), Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'w> Packer<'w> {
    pub(crate) fn new(out: &'w mut dyn Write) -> Self {
        Self {
            out,
            linked: HashMap::new(),
            buffer: vec![0; 128 * 1024],
        }
    }

    /// Ends the archive: two blocks of zeros.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])
    }

    fn add_tree(&mut self, root: BorrowedFd<'_>, prefix: &[u8]) -> io::Result<()> {
        let root = open_directory(root, c".")?;
        walk_sorted(root, &mut |visit| {
            if let Visit::Entry(entry) = visit {
                let path = entry.path.as_os_str().as_bytes();
                let name = match prefix {
                    b"/" => [b"/", path].concat(),
                    prefix => names::join(prefix, path),
                };
                self.add_name(entry.parent, entry.name, &name)?;
            }
            Ok(Descend::Into)
        })
    }

    /// Writes one name of a directory; what vanished meanwhile and what no archive can hold is left out.
    pub(crate) fn add_name(&mut self, parent: BorrowedFd<'_>, name: &std::ffi::CStr, as_name: &[u8]) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            result => result?,
        };
        let stat = rustix::fs::fstat(&file)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let itself = format!("/proc/self/fd/{}", file.as_raw_fd());
        match kind {
            FileType::Socket | FileType::Unknown => Ok(()),
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(&file, c"", Vec::new())?;
                self.add_entry(&stat, as_name, text.to_bytes(), &[], None)
            }
            FileType::RegularFile => {
                let identity = (stat.st_dev, stat.st_ino);
                if stat.st_nlink > 1 {
                    if let Some(first) = self.linked.get(&identity).cloned() {
                        return self.add_link(&stat, as_name, &first);
                    }
                    self.linked.insert(identity, as_name.to_vec());
                }
                let xattrs = self.xattrs(&itself)?;
                // The descriptor is of the plain file that was looked at, whatever has its name by now.
                let data = File::open(&itself)?;
                self.add_entry(&stat, as_name, b"", &xattrs, Some(data))
            }
            FileType::Directory => {
                let xattrs = self.xattrs(&itself)?;
                self.add_entry(&stat, as_name, b"", &xattrs, None)
            }
            FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
                self.add_entry(&stat, as_name, b"", &[], None)
            }
        }
    }

    /// Writes an empty plain file: the mark of something that is gone.
    pub(crate) fn add_mark(&mut self, name: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0);
        self.begin(header, &Numbers::default(), name, b"", Vec::new())
    }

    fn add_link(&mut self, stat: &Stat, name: &[u8], first: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Link);
        header.set_mode(stat.st_mode & 0o7777);
        let numbers = Numbers {
            size: 0,
            ..Numbers::of(stat)
        };
        self.begin(header, &numbers, name, first, Vec::new())
    }

    fn add_entry(
        &mut self,
        stat: &Stat,
        name: &[u8],
        link: &[u8],
        xattrs: &[(Vec<u8>, Vec<u8>)],
        data: Option<File>,
    ) -> io::Result<()> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut header = Header::new_ustar();
        header.set_mode(stat.st_mode & 0o7777);
        header.set_entry_type(match kind {
            FileType::Directory => EntryType::Directory,
            FileType::Symlink => EntryType::Symlink,
            FileType::Fifo => EntryType::Fifo,
            FileType::CharacterDevice => EntryType::Char,
            FileType::BlockDevice => EntryType::Block,
            _ => EntryType::Regular,
        });
        if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            header.set_device_major(rustix::fs::major(stat.st_rdev))?;
            header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        }
        let size = match &data {
            Some(data) => data.metadata()?.len(),
            None => 0,
        };
        let numbers = Numbers {
            size,
            ..Numbers::of(stat)
        };
        let named = if kind == FileType::Directory && !name.ends_with(b"/") {
            [name, b"/"].concat()
        } else {
            name.to_vec()
        };
        let mut records = Vec::new();
        for (key, value) in xattrs {
            record(&mut records, &[b"SCHILY.xattr.", key.as_slice()].concat(), value);
        }
        self.begin(header, &numbers, &named, link, records)?;
        match data {
            Some(data) => self.copy(data, size),
            None => Ok(()),
        }
    }

    /// Writes a header, and before it what it has no room for.
    fn begin(
        &mut self,
        mut header: Header,
        numbers: &Numbers,
        name: &[u8],
        link: &[u8],
        mut records: Vec<u8>,
    ) -> io::Result<()> {
        for (key, value, most) in [
            (b"size".as_slice(), numbers.size, MOST_IN_ELEVEN),
            (b"uid", numbers.uid.into(), MOST_IN_SEVEN),
            (b"gid", numbers.gid.into(), MOST_IN_SEVEN),
        ] {
            if value > most {
                record(&mut records, key, value.to_string().as_bytes());
            }
        }
        let mtime = u64::try_from(numbers.mtime)
            .ok()
            .filter(|mtime| *mtime <= MOST_IN_ELEVEN);
        if mtime.is_none() {
            record(&mut records, b"mtime", numbers.mtime.to_string().as_bytes());
        }
        header.set_size(if numbers.size > MOST_IN_ELEVEN { 0 } else { numbers.size });
        header.set_uid(u64::from(numbers.uid).min(MOST_IN_SEVEN));
        header.set_gid(u64::from(numbers.gid).min(MOST_IN_SEVEN));
        header.set_mtime(mtime.unwrap_or(0));
        let fields = header.as_old_mut();
        if !fill(&mut fields.name, name) {
            record(&mut records, b"path", name);
        }
        if !fill(&mut fields.linkname, link) {
            record(&mut records, b"linkpath", link);
        }
        header.set_cksum();
        if !records.is_empty() {
            self.extension(name, &records)?;
        }
        self.out.write_all(header.as_bytes())
    }

    fn extension(&mut self, name: &[u8], records: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(records.len() as u64);
        let short = [
            b"PaxHeaders.0/",
            names::split(name.strip_suffix(b"/").unwrap_or(name)).1,
        ]
        .concat();
        // Cut off: readers use it only when they know no pax.
        fill(&mut header.as_old_mut().name, &short);
        header.set_cksum();
        self.out.write_all(header.as_bytes())?;
        self.out.write_all(records)?;
        self.pad(records.len() as u64)
    }

    /// Writes as many bytes as the header promised: a file that shrank is filled up with zeros.
    fn copy(&mut self, mut data: File, size: u64) -> io::Result<()> {
        let mut left = size;
        let mut ended = false;
        while left > 0 {
            let most = usize::try_from(left).map_or(self.buffer.len(), |left| left.min(self.buffer.len()));
            let length = if ended { 0 } else { data.read(&mut self.buffer[..most])? };
            let length = if length == 0 {
                ended = true;
                self.buffer[..most].fill(0);
                most
            } else {
                length
            };
            self.out.write_all(&self.buffer[..length])?;
            left -= length as u64;
        }
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if rest == 0 {
            return Ok(());
        }
        self.out.write_all(&[0; BLOCK][rest..])
    }

    /// Reads file capabilities and the user's own attributes; the others say something of this machine only.
    fn xattrs(&mut self, path: &str) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut list = vec![0; 64 * 1024];
        let length = match rustix::fs::listxattr(path, &mut list) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::RANGE | Errno::TOOBIG) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for key in list[..length].split(|byte| *byte == 0) {
            if key != b"security.capability" && !key.starts_with(b"user.") {
                continue;
            }
            let mut value = vec![0; 64 * 1024];
            match rustix::fs::getxattr(path, key, &mut value) {
                Ok(length) => {
                    value.truncate(length);
                    found.push((key.to_vec(), value));
                }
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.sort();
        Ok(found)
    }
}

/// The numbers of a header.
#[derive(Default)]
struct Numbers {
    size: u64,
    uid: u32,
    gid: u32,
    mtime: i64,
}

impl Numbers {
    fn of(stat: &Stat) -> Self {
        Self {
            size: 0,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
        }
    }
}

/// Puts text into a field, cut off when it is too long; tells whether the field now says it all.
fn fill(field: &mut [u8; 100], text: &[u8]) -> bool {
    let length = text.len().min(field.len());
    field.fill(0);
    field[..length].copy_from_slice(&text[..length]);
    length == text.len()
}

/// Appends a pax record, `LENGTH KEY=VALUE\n`, whose length counts itself (POSIX.1-2017, pax, "Extended Header").
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_themselves() {
        for (value, expected) in [(1, 9), (89, 98), (90, 99), (91, 101), (92, 102), (1000, 1011)] {
            let mut records = Vec::new();
            record(&mut records, b"path", &vec![b'x'; value]);
            let length: usize = String::from_utf8_lossy(&records)
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .expect("a number");
            assert_eq!((records.len(), length), (expected, expected), "{value}");
        }
    }
}
