// SPDX-License-Identifier: MIT
//! From headers to what an entry is: the one place that decides between a header's fields and what extensions say instead.
//! Pure.

use std::io;

use hyperbox_core::seam::SnapshotError;
use tar::{EntryType, Header};

use super::pax::{self, Record};
use super::{is_plain_file, sparse};
use crate::failure::{refused, shown};

/// What precedes an entry's own header and describes it.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) long_name: Option<Vec<u8>>,
    pub(super) long_link: Option<Vec<u8>>,
    pub(super) records: Vec<Record>,
}

impl Extensions {
    pub(super) fn is_empty(&self) -> bool {
        self.long_name.is_none() && self.long_link.is_none() && self.records.is_empty()
    }
}

/// What kind of file an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Directory,
    Fifo,
    Character(Device),
    Block(Device),
}

/// A device number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Device {
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// A moment: seconds since the epoch and nanoseconds after that second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Moment {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

/// One entry of an archive. Names are as they were found, not checked at all.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Moment,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Length of the file that it makes.
    pub(crate) size: u64,
    /// Where the data belong, when the file has holes.
    pub(crate) segments: Option<Vec<sparse::Segment>>,
    /// Set for a kind that has no data here although the archive has some.
    pub(super) skips_data: bool,
}

/// An entry, with what is needed to read its data.
pub(super) struct Described {
    pub(super) entry: Entry,
    pub(super) size: u64,
    pub(super) sparse_format: Option<sparse::Format>,
}

/// Puts together what the header and its extensions say.
pub(super) fn describe(header: &Header, extensions: Extensions) -> Result<Described, SnapshotError> {
    let records = &extensions.records;
    let sparse_records = sparse::Records::collect(records)?;
    let mut path = match (pax::last(records, b"path"), extensions.long_name) {
        (Some(path), _) => path.to_vec(),
        (None, Some(path)) => path,
        (None, None) => header.path_bytes().into_owned(),
    };
    if let Some(name) = &sparse_records.name {
        path.clone_from(name);
    }
    let link = match (pax::last(records, b"linkpath"), extensions.long_link) {
        (Some(link), _) => link.to_vec(),
        (None, Some(link)) => link,
        (None, None) => header
            .link_name_bytes()
            .map(|link| link.into_owned())
            .unwrap_or_default(),
    };
    let field = |source: io::Error| SnapshotError::Archive {
        reason: format!("{}: a field of its header is damaged", shown(&path)),
        source: Some(source),
    };
    let kind = kind(header, &path).map_err(|error| error.into_refusal(&path))?;
    let size = match pax::last(records, b"size") {
        Some(size) => pax::number(size).ok_or_else(|| refused(format!("{}: its size is no number", shown(&path))))?,
        None => or_blank(&header.as_old().size, header.entry_size()).map_err(field)?,
    };
    let sparse_format = if header.entry_type() == EntryType::GNUSparse {
        Some(sparse::Format::InHeader)
    } else if is_plain_file(header.entry_type()) {
        sparse_records.format(&path)?
    } else {
        None
    };
    let entry = Entry {
        kind,
        mode: mode(header).map_err(field)? & 0o7777,
        uid: owner(
            pax::last(records, b"uid"),
            or_blank(&header.as_old().uid, header.uid()),
            &path,
        )?,
        gid: owner(
            pax::last(records, b"gid"),
            or_blank(&header.as_old().gid, header.gid()),
            &path,
        )?,
        mtime: mtime(header, records).map_err(field)?,
        xattrs: pax::xattrs(records),
        size: 0,
        segments: None,
        skips_data: header.entry_type().as_byte() == b'D',
        link,
        path,
    };
    Ok(Described {
        entry,
        size,
        sparse_format,
    })
}

enum UnknownKind {
    Type(u8),
    Device(io::Error),
}

impl UnknownKind {
    fn into_refusal(self, path: &[u8]) -> SnapshotError {
        match self {
            Self::Type(byte) => refused(format!("{}: unknown type {:?}", shown(path), char::from(byte))),
            Self::Device(source) => SnapshotError::Archive {
                reason: format!("{}: its device number is damaged", shown(path)),
                source: Some(source),
            },
        }
    }
}

fn kind(header: &Header, path: &[u8]) -> Result<Kind, UnknownKind> {
    let device = || -> Result<Device, UnknownKind> {
        // Both are at the same place in ustar's and GNU's header.
        let fields = &header.as_bytes()[329..345];
        let number = |field: &[u8], value: io::Result<Option<u32>>| {
            let number = or_blank(field, value.map(|number| number.unwrap_or_default().into()));
            let number = number.and_then(|number| u32::try_from(number).map_err(io::Error::other));
            number.map_err(UnknownKind::Device)
        };
        Ok(Device {
            major: number(&fields[..8], header.device_major())?,
            minor: number(&fields[8..], header.device_minor())?,
        })
    };
    Ok(match header.entry_type().as_byte() {
        // Before POSIX a directory was a file whose name ends with a slash.
        b'0' if path.ends_with(b"/") => Kind::Directory,
        b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Character(device()?),
        b'4' => Kind::Block(device()?),
        // GNU's incremental archives list a directory's names in its data.
        b'5' | b'D' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => return Err(UnknownKind::Type(other)),
    })
}

/// An id of 2³²-1 means "leave it" to chown(2), so it is no id.
fn owner(record: Option<&[u8]>, field: io::Result<u64>, path: &[u8]) -> Result<u32, SnapshotError> {
    let id = match (record, field) {
        (Some(text), _) => pax::number(text),
        (None, Ok(id)) => Some(id),
        (None, Err(_)) => None,
    };
    id.and_then(|id| u32::try_from(id).ok())
        .filter(|id| *id != u32::MAX)
        .ok_or_else(|| refused(format!("{}: its owner's id is out of range", shown(path))))
}

fn mode(header: &Header) -> io::Result<u32> {
    let mode = or_blank(&header.as_old().mode, header.mode().map(u64::from))?;
    // The file type's bits, which some writers put there too, are cut off by the caller.
    u32::try_from(mode).map_err(io::Error::other)
}

/// A blank field means zero, as GNU tar and Go read it.
fn or_blank(field: &[u8], value: io::Result<u64>) -> io::Result<u64> {
    match value {
        Err(_) if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
        value => value,
    }
}

fn mtime(header: &Header, records: &[Record]) -> io::Result<Moment> {
    if let Some(moment) = pax::last(records, b"mtime").and_then(pax::moment) {
        return Ok(moment);
    }
    let seconds = or_blank(&header.as_old().mtime, header.mtime())?;
    Ok(Moment {
        seconds: seconds.cast_signed(),
        nanoseconds: 0,
    })
}
