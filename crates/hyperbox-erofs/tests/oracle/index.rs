// SPDX-License-Identifier: MIT
//! From an archive to its index: what the engine does for a layer, without its defences.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read as _};
use std::path::Path;

use hyperbox_erofs::{Builder, Device, DeviceNumber, Extent, Metadata, Node, Options, Summary, Timestamp, Xattr};
use tar::{Archive, Entry, EntryType};

/// Builds the index of an archive in memory.
pub(crate) fn of_bytes(archive: &[u8]) -> Vec<u8> {
    let mut builder = Builder::new(Options::default());
    fill(&mut builder, Archive::new(archive));
    let mut out = Cursor::new(Vec::new());
    builder.finish(&[device(archive.len() as u64)], &mut out).unwrap();
    out.into_inner()
}

/// Builds the index of an archive beside it.
pub(crate) fn of_file(archive: &Path, index: &Path) -> Summary {
    let mut builder = Builder::new(Options::default());
    let file = File::open(archive).unwrap();
    let length = file.metadata().unwrap().len();
    fill(&mut builder, Archive::new(std::io::BufReader::new(file)));
    builder.finish(&[device(length)], File::create(index).unwrap()).unwrap()
}

pub(crate) fn device(size: u64) -> Device {
    Device {
        size,
        tag: b"the archive".to_vec(),
    }
}

fn fill<R: std::io::Read>(builder: &mut Builder, mut archive: Archive<R>) {
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let records: BTreeMap<String, Vec<u8>> = entry
            .pax_extensions()
            .unwrap()
            .into_iter()
            .flatten()
            .map(|record| record.unwrap())
            .map(|record| (record.key().unwrap().to_owned(), record.value_bytes().to_vec()))
            .collect();
        let path = entry.path_bytes().into_owned();
        let metadata = metadata(&entry, &records);
        let link = entry
            .link_name_bytes()
            .map(|link| link.into_owned())
            .unwrap_or_default();
        let node = match entry.header().entry_type() {
            EntryType::Link => {
                builder.hard_link(&path, &link).unwrap();
                continue;
            }
            EntryType::Directory => Node::Directory,
            EntryType::Symlink => Node::Symlink(link),
            EntryType::Fifo => Node::Fifo,
            EntryType::Char => Node::CharacterDevice(number(&entry)),
            EntryType::Block => Node::BlockDevice(number(&entry)),
            EntryType::GNUSparse => sparse(&mut entry),
            _ => Node::contiguous(entry.size(), entry.raw_file_position()),
        };
        builder.insert(&path, &metadata, node).unwrap();
    }
}

/// The crate `tar` fills holes up, and does not tell where they were: the map is read from the header again, which has room for four.
fn sparse<R: std::io::Read>(entry: &mut Entry<'_, R>) -> Node {
    let header = entry.header().as_gnu().unwrap();
    assert!(!header.is_extended(), "more holes than a test needs");
    let size = header.real_size().unwrap();
    let mut device_offset = entry.raw_file_position();
    let mut extents = Vec::new();
    for segment in header.sparse.iter().filter(|segment| !segment.is_empty()) {
        let length = segment.length().unwrap();
        extents.push(Extent {
            file_offset: segment.offset().unwrap(),
            length,
            device: 1,
            device_offset,
        });
        device_offset += length;
    }
    let mut first = [0; 1];
    let _ = entry.read(&mut first).unwrap();
    Node::Regular { size, extents }
}

fn number<R: std::io::Read>(entry: &Entry<'_, R>) -> DeviceNumber {
    DeviceNumber {
        major: entry.header().device_major().unwrap().unwrap_or_default(),
        minor: entry.header().device_minor().unwrap().unwrap_or_default(),
    }
}

fn metadata<R: std::io::Read>(entry: &Entry<'_, R>, records: &BTreeMap<String, Vec<u8>>) -> Metadata {
    let header = entry.header();
    let text = |key: &str| records.get(key).map(|value| String::from_utf8(value.clone()).unwrap());
    let owner =
        |key: &str, default: u64| text(key).map_or(u32::try_from(default).unwrap(), |text| text.parse().unwrap());
    Metadata {
        permissions: u16::try_from(header.mode().unwrap() & 0o7777).unwrap(),
        uid: owner("uid", header.uid().unwrap()),
        gid: owner("gid", header.gid().unwrap()),
        modified: text("mtime").map_or_else(
            || Timestamp {
                seconds: header.mtime().unwrap().cast_signed(),
                nanoseconds: 0,
            },
            |text| time(&text),
        ),
        xattrs: records
            .iter()
            .filter_map(|(key, value)| {
                Some(Xattr {
                    name: key.strip_prefix("SCHILY.xattr.")?.as_bytes().to_vec(),
                    value: value.clone(),
                })
            })
            .collect(),
    }
}

fn time(text: &str) -> Timestamp {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds: u32 = format!("{fraction:0<9}")[..9].parse().unwrap();
    let seconds: i64 = whole.parse().unwrap();
    if whole.starts_with('-') && nanoseconds > 0 {
        return Timestamp {
            seconds: seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        };
    }
    Timestamp { seconds, nanoseconds }
}
