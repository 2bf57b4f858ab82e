// SPDX-License-Identifier: MIT
//! Tar archives that somebody else made, read member by member: ustar, pax and GNU's long names.
//!
//! Nothing is believed: a header has a checksum, extended headers have a limit ([`MOST_RECORDS`]), numbers are in range. Names are
//! handed out as they are; what they mean is decided by [`super::index`]. Sparse files are refused: no build tool makes contexts of
//! them. Holds no more than one header and its extensions.
//!
//! Source: POSIX.1-2008, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format".

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt as _;

use hyperbox_core::time::Timestamp;
use tar::Header;

const BLOCK: usize = 512;
/// Extended headers and long names hold a path and attributes; Linux allows 64 KiB per attribute.
const MOST_RECORDS: u64 = 4 * 1024 * 1024;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberKind {
    /// A file of so many bytes, which follow.
    File {
        size: u64,
    },
    Directory,
    Symlink(Vec<u8>),
    /// Another name of an earlier member.
    HardLink(Vec<u8>),
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Pipe,
}

/// A member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Its name as it is written.
    pub(crate) path: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified_at: Timestamp,
    pub(crate) attributes: BTreeMap<OsString, Vec<u8>>,
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    /// It is not one, or a hostile one.
    #[error("malformed archive: {0}")]
    Malformed(String),
    /// Its stream failed.
    #[error("cannot read an archive")]
    Stream(#[source] io::Error),
}

/// Reads members; the reading of [`Members`] itself is that of the current member's bytes.
#[derive(Debug)]
pub(crate) struct Members<R> {
    stream: R,
    left: u64,
    padding: u64,
    global: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<R: Read> Members<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self {
            stream,
            left: 0,
            padding: 0,
            global: BTreeMap::new(),
        }
    }

    /// Returns the next member; `None` at the end: a block of zeros, or where the stream ends.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut records = self.global.clone();
        let (mut long_name, mut long_link) = (None, None);
        loop {
            let Some(block) = self.next_block()? else {
                return Ok(None);
            };
            let header = Header::from_byte_slice(&block);
            let size = number(&header.as_old().size, header.entry_size())?;
            match header.entry_type().as_byte() {
                b'g' => {
                    let data = self.extension(size)?;
                    self.global.extend(parse_records(&data)?);
                    records.extend(self.global.clone());
                }
                b'x' | b'X' => {
                    let data = self.extension(size)?;
                    records.extend(parse_records(&data)?);
                }
                b'L' => long_name = Some(until_nul(&self.extension(size)?).to_vec()),
                b'K' => long_link = Some(until_nul(&self.extension(size)?).to_vec()),
                _ => {
                    let member = describe(header, size, &records, long_name, long_link)?;
                    self.begin(match member.kind {
                        MemberKind::File { size } => size,
                        _ => record_number(&records, b"size")?.unwrap_or(size),
                    });
                    return Ok(Some(member));
                }
            }
        }
    }

    /// Returns what follows.
    pub(crate) fn into_stream(self) -> R {
        self.stream
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        // A size may be anything up to the largest number.
        self.padding = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
    }

    /// Skips what is left of the current member and reads a header.
    fn next_block(&mut self) -> Result<Option<[u8; BLOCK]>, ArchiveError> {
        let rest = self.left.saturating_add(self.padding);
        let skipped = io::copy(&mut self.stream.by_ref().take(rest), &mut io::sink()).map_err(ArchiveError::Stream)?;
        // A last member without its padding is whole.
        if skipped < self.left {
            return Err(malformed("it ends in the middle of a file"));
        }
        self.begin(0);
        let mut block = [0; BLOCK];
        let mut have = 0;
        while have < BLOCK {
            match self.stream.read(&mut block[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(malformed("it ends in the middle of a header")),
                Ok(read) => have += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Stream(error)),
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u32 = block[..148]
            .iter()
            .chain(&block[156..])
            .map(|byte| u32::from(*byte))
            .sum();
        match Header::from_byte_slice(&block).cksum() {
            Ok(told) if told == sum + 8 * u32::from(b' ') => Ok(Some(block)),
            _ => Err(malformed("a header's checksum is wrong")),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MOST_RECORDS {
            return Err(malformed("an extended header is too large"));
        }
        self.begin(size);
        let mut data = Vec::new();
        self.read_to_end(&mut data).map_err(ArchiveError::Stream)?;
        Ok(data)
    }
}

impl<R: Read> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.stream.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

fn malformed(reason: impl Into<String>) -> ArchiveError {
    ArchiveError::Malformed(reason.into())
}

type Records = BTreeMap<Vec<u8>, Vec<u8>>;

fn describe(
    header: &Header,
    size: u64,
    records: &Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
) -> Result<Member, ArchiveError> {
    if records.keys().any(|key| key.starts_with(b"GNU.sparse.")) {
        return Err(malformed("sparse files are not supported"));
    }
    let told = |key: &[u8]| records.get(key).filter(|value| !value.is_empty()).cloned();
    let path = told(b"path")
        .or(long_name)
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let link = told(b"linkpath").or(long_link).unwrap_or_else(|| {
        header
            .link_name_bytes()
            .map(|name| name.into_owned())
            .unwrap_or_default()
    });
    if path.contains(&0) || link.contains(&0) {
        return Err(malformed("a name has a NUL"));
    }
    let size = record_number(records, b"size")?.unwrap_or(size);
    let old = header.as_old();
    let uid = number(&old.uid, header.uid())?;
    let gid = number(&old.gid, header.gid())?;
    let mode = number(&old.mode, header.mode().map(u64::from))?;
    Ok(Member {
        kind: kind(header, &path, link, size)?,
        mode: u32::try_from(mode & 0o7777).unwrap_or_default(),
        uid: owner(record_number(records, b"uid")?.unwrap_or(uid))?,
        gid: owner(record_number(records, b"gid")?.unwrap_or(gid))?,
        modified_at: modified_at(header, records)?,
        attributes: attributes(records),
        path,
    })
}

fn kind(header: &Header, path: &[u8], link: Vec<u8>, size: u64) -> Result<MemberKind, ArchiveError> {
    let device = || -> Result<(u32, u32), ArchiveError> {
        let fields = &header.as_bytes()[329..345];
        let part = |field: &[u8], value: io::Result<Option<u32>>| {
            let value = value.map(|value| u64::from(value.unwrap_or_default()));
            let value = number(field, value)?;
            u32::try_from(value).map_err(|_| malformed("a device number is out of range"))
        };
        Ok((
            part(&fields[..8], header.device_major())?,
            part(&fields[8..], header.device_minor())?,
        ))
    };
    Ok(match header.entry_type().as_byte() {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 | b'0' if path.ends_with(b"/") => MemberKind::Directory,
        0 | b'0' | b'7' => MemberKind::File { size },
        b'1' => MemberKind::HardLink(link),
        b'2' => MemberKind::Symlink(link),
        b'3' => device().map(|(major, minor)| MemberKind::CharacterDevice { major, minor })?,
        b'4' => device().map(|(major, minor)| MemberKind::BlockDevice { major, minor })?,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Pipe,
        b'S' => return Err(malformed("sparse files are not supported")),
        other => return Err(malformed(format!("unhandled type {:?}", char::from(other)))),
    })
}

/// A field of blanks means zero, as GNU tar and Go read it.
fn number(field: &[u8], value: io::Result<u64>) -> Result<u64, ArchiveError> {
    match value {
        Err(_) if field.iter().all(|byte| matches!(byte, 0 | b' ')) => Ok(0),
        Err(_) => Err(malformed("a number in a header is none")),
        Ok(value) => Ok(value),
    }
}

/// An id of 2³²-1 means "leave it" to chown(2), so it is no id.
fn owner(id: u64) -> Result<u32, ArchiveError> {
    let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| malformed("an owner is out of range"))
}

fn modified_at(header: &Header, records: &Records) -> Result<Timestamp, ArchiveError> {
    if let Some(moment) = records.get(b"mtime".as_slice()).and_then(|text| moment(text)) {
        return Ok(moment);
    }
    let seconds = number(&header.as_old().mtime, header.mtime())?;
    let seconds = i64::try_from(seconds).unwrap_or(0);
    Ok(Timestamp(seconds.saturating_mul(1_000_000_000)))
}

/// Reads seconds with a sign and a fraction.
fn moment(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: i64 = digits.parse().ok()?;
    let sign = if whole.starts_with('-') { -1 } else { 1 };
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(sign * nanoseconds)
        .map(Timestamp)
}

/// Extended attributes: star's records, which GNU tar, bsdtar and Go write.
fn attributes(records: &Records) -> BTreeMap<OsString, Vec<u8>> {
    let named = records.iter().filter_map(|(key, value)| {
        let name = key.strip_prefix(b"SCHILY.xattr.")?;
        super::keeps_attribute(name).then(|| (OsString::from_vec(name.to_vec()), value.clone()))
    });
    named.collect()
}

fn record_number(records: &Records, key: &[u8]) -> Result<Option<u64>, ArchiveError> {
    let Some(value) = records.get(key).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| malformed("a number in a pax header is none"))
}

/// `"%d %s=%s\n"`: the length decides where a record ends, a value may hold anything.
fn parse_records(mut data: &[u8]) -> Result<Records, ArchiveError> {
    let mut records = Records::new();
    while !data.is_empty() {
        let (key, value, rest) = split_record(data).ok_or_else(|| malformed("a pax header is damaged"))?;
        records.insert(key.to_vec(), value.to_vec());
        data = rest;
    }
    Ok(records)
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&data[..space]).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let length: usize = digits.parse().ok()?;
    let record = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some((&record[..equals], &record[equals + 1..], &data[length..]))
}

fn until_nul(data: &[u8]) -> &[u8] {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    &data[..end]
}
