// SPDX-License-Identifier: MIT
//! The archive of a layer, made while it is read: sorted, ustar with pax records for what ustar cannot say, whole seconds, no names of
//! owners. The same changes give the same bytes. At most one file is open, and one header held.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt as _;

use hyperbox_core::time::Timestamp;
use tar::{EntryType, Header};

use super::target::{Changes, Made};
use crate::context::path::{self, Key};
use crate::context::{EntryKind, FileReader};

const BLOCK: usize = 512;
/// The largest number in an octal field of 7 digits, and of 11.
const MOST_IN_SEVEN: u64 = 0o777_7777;
const MOST_IN_ELEVEN: u64 = 0o777_7777_7777;

/// Reads changes as an archive.
pub(super) struct Layer {
    waiting: std::vec::IntoIter<Made>,
    opaque: BTreeSet<Key>,
    /// No time is later than this, in seconds.
    latest: Option<i64>,
    /// The first names of files that have several.
    names: HashMap<(u64, u64), Vec<u8>>,
    head: io::Cursor<Vec<u8>>,
    data: Option<Data>,
    is_over: bool,
}

struct Data {
    file: FileReader,
    left: u64,
    padding: usize,
    name: Vec<u8>,
}

impl Layer {
    pub(super) fn new(changes: Changes, latest: Option<Timestamp>) -> Self {
        Self {
            waiting: changes.made.into_iter(),
            opaque: changes.opaque,
            latest: latest.map(Timestamp::seconds),
            names: HashMap::new(),
            head: io::Cursor::default(),
            data: None,
            is_over: false,
        }
    }

    /// Prepares what is read next; tells whether there is something.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(made) = self.waiting.next() else {
            if self.is_over {
                return Ok(false);
            }
            self.is_over = true;
            self.head = io::Cursor::new(vec![0; 2 * BLOCK]);
            return Ok(true);
        };
        let name = path::bytes(&made.entry.path).to_vec();
        let first = made.same.and_then(|same| self.names.get(&same).cloned());
        let mut head = header(&made, &name, first.as_deref(), self.latest)?;
        if made.entry.kind == EntryKind::Directory && self.opaque.contains(&Key::new(&name)) {
            head.extend(mark(&path::join(&name, b".wh..wh..opq"))?);
        }
        self.head = io::Cursor::new(head);
        if first.is_some() {
            return Ok(true);
        }
        if let (EntryKind::File { size, .. }, Some((tree, source))) = (&made.entry.kind, &made.content) {
            if let Some(same) = made.same {
                self.names.insert(same, name.clone());
            }
            if *size > 0 {
                let padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
                self.data = Some(Data {
                    file: tree.open(source).map_err(io::Error::other)?,
                    left: *size,
                    padding: usize::try_from(padding).unwrap_or(0),
                    name,
                });
            }
        }
        Ok(true)
    }
}

impl Read for Layer {
    /// Fills the buffer unless the archive ends: what is read here goes from thread to thread as it is, and a layer of many small files
    /// would go in pieces of a few bytes.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_piece(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }
}

impl Layer {
    /// Reads some bytes; none at the end alone.
    fn read_piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.head.read(buffer)?;
            if read > 0 {
                return Ok(read);
            }
            if let Some(data) = &mut self.data {
                let most = usize::try_from(data.left).unwrap_or(usize::MAX).min(buffer.len());
                if most > 0 {
                    let read = data.file.read(&mut buffer[..most])?;
                    if read == 0 {
                        let message = format!("{} has become shorter while it was copied", path::shown(&data.name));
                        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
                    }
                    data.left -= read as u64;
                    return Ok(read);
                }
                self.head = io::Cursor::new(vec![0; data.padding]);
                self.data = None;
                continue;
            }
            if !self.advance()? {
                return Ok(0);
            }
        }
    }
}

fn header(made: &Made, name: &[u8], first: Option<&[u8]>, latest: Option<i64>) -> io::Result<Vec<u8>> {
    let entry = &made.entry;
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    header.set_mode(entry.mode & 0o7777);
    let (mut size, mut link) = (0, first.unwrap_or_default().to_vec());
    let mut named = name.to_vec();
    let kind = match &entry.kind {
        EntryKind::File { .. } if first.is_some() => EntryType::Link,
        EntryKind::File { size: length, .. } => {
            size = *length;
            EntryType::Regular
        }
        EntryKind::Directory => {
            named.push(b'/');
            EntryType::Directory
        }
        EntryKind::Symlink { target } => {
            // Links have no mode; archives show this one.
            header.set_mode(0o777);
            link = target.as_os_str().as_bytes().to_vec();
            EntryType::Symlink
        }
        EntryKind::CharacterDevice { major, minor } => {
            devices(&mut header, *major, *minor)?;
            EntryType::Char
        }
        EntryKind::BlockDevice { major, minor } => {
            devices(&mut header, *major, *minor)?;
            EntryType::Block
        }
        EntryKind::Pipe => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    name_fields(&mut header, &named, &link, &mut records);
    let seconds = entry.modified_at.seconds();
    let seconds = latest.map_or(seconds, |latest| seconds.min(latest));
    number_fields(
        &mut header,
        [u64::from(entry.uid), u64::from(entry.gid)],
        size,
        seconds,
        &mut records,
    );
    if first.is_none() && !matches!(entry.kind, EntryKind::Symlink { .. }) {
        for (key, value) in &entry.attributes {
            record(&mut records, &[b"SCHILY.xattr.", key.as_bytes()].concat(), value);
        }
    }
    Ok(assemble(header, records))
}

fn devices(header: &mut Header, major: u32, minor: u32) -> io::Result<()> {
    header.set_device_major(major)?;
    header.set_device_minor(minor)
}

/// An empty plain file: a mark for whoever unpacks.
fn mark(name: &[u8]) -> io::Result<Vec<u8>> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0);
    let mut records = Vec::new();
    name_fields(&mut header, name, b"", &mut records);
    number_fields(&mut header, [0, 0], 0, 0, &mut records);
    Ok(assemble(header, records))
}

fn name_fields(header: &mut Header, name: &[u8], link: &[u8], records: &mut Vec<u8>) {
    let fields = header.as_old_mut();
    if name.len() > fields.name.len() {
        record(records, b"path", name);
    }
    fill(&mut fields.name, name);
    if link.len() > fields.linkname.len() {
        record(records, b"linkpath", link);
    }
    fill(&mut fields.linkname, link);
}

fn fill(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

fn number_fields(header: &mut Header, owners: [u64; 2], size: u64, seconds: i64, records: &mut Vec<u8>) {
    let [uid, gid] = owners;
    for (id, key) in [(uid, b"uid".as_slice()), (gid, b"gid")] {
        if id > MOST_IN_SEVEN {
            record(records, key, id.to_string().as_bytes());
        }
    }
    header.set_uid(if uid > MOST_IN_SEVEN { 0 } else { uid });
    header.set_gid(if gid > MOST_IN_SEVEN { 0 } else { gid });
    if size > MOST_IN_ELEVEN {
        record(records, b"size", size.to_string().as_bytes());
    }
    header.set_size(if size > MOST_IN_ELEVEN { 0 } else { size });
    match u64::try_from(seconds).ok().filter(|seconds| *seconds <= MOST_IN_ELEVEN) {
        Some(seconds) => header.set_mtime(seconds),
        None => {
            record(records, b"mtime", seconds.to_string().as_bytes());
            header.set_mtime(0);
        }
    }
}

/// Adds `"%d %s=%s\n"`, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend(length.to_string().as_bytes());
    records.push(b' ');
    records.extend(key);
    records.push(b'=');
    records.extend(value);
    records.push(b'\n');
}

fn assemble(mut header: Header, records: Vec<u8>) -> Vec<u8> {
    let mut head = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let mut extended = Header::new_ustar();
        extended.set_entry_type(EntryType::XHeader);
        extended.set_mode(0o644);
        extended.set_uid(0);
        extended.set_gid(0);
        extended.set_mtime(0);
        extended.set_size(records.len() as u64);
        fill(&mut extended.as_old_mut().name, b"PaxHeaders/0");
        extended.set_cksum();
        head.extend_from_slice(extended.as_bytes());
        head.extend_from_slice(&records);
        head.resize(head.len().next_multiple_of(BLOCK), 0);
    }
    header.set_cksum();
    head.extend_from_slice(header.as_bytes());
    head
}
