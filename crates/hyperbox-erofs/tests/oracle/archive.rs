// SPDX-License-Identifier: MIT
//! Archives to compare on, written with everything that pax headers can say.

use tar::{EntryType, Header};

/// What a member is.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Directory,
    File(Vec<u8>),
    Symlink(String),
    HardLink(String),
    CharacterDevice(u32, u32),
    BlockDevice(u32, u32),
    Fifo,
}

/// A member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) path: String,
    pub(crate) body: Body,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
    pub(crate) modified: (i64, u32),
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
}

impl Member {
    pub(crate) fn new(path: impl Into<String>, body: Body) -> Self {
        Self {
            path: path.into(),
            body,
            mode: 0o755,
            owner: (0, 0),
            modified: (1_700_000_000, 0),
            xattrs: Vec::new(),
        }
    }
}

/// Writes an archive.
pub(crate) fn pack(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = Header::new_ustar();
        let (kind, data, link) = match &member.body {
            Body::Directory => (EntryType::Directory, &[][..], None),
            Body::File(data) => (EntryType::Regular, &data[..], None),
            Body::Symlink(target) => (EntryType::Symlink, &[][..], Some(target)),
            Body::HardLink(target) => (EntryType::Link, &[][..], Some(target)),
            Body::CharacterDevice(..) => (EntryType::Char, &[][..], None),
            Body::BlockDevice(..) => (EntryType::Block, &[][..], None),
            Body::Fifo => (EntryType::Fifo, &[][..], None),
        };
        header.set_entry_type(kind);
        header.set_mode(member.mode);
        header.set_size(data.len() as u64);
        if let Body::CharacterDevice(major, minor) | Body::BlockDevice(major, minor) = member.body {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        }
        let (seconds, nanoseconds) = member.modified;
        let time = decimal(seconds, nanoseconds);
        let (uid, gid) = (member.owner.0.to_string(), member.owner.1.to_string());
        let mut records: Vec<(String, &[u8])> = vec![
            ("path".into(), member.path.as_bytes()),
            ("mtime".into(), time.as_bytes()),
            ("uid".into(), uid.as_bytes()),
            ("gid".into(), gid.as_bytes()),
        ];
        if let Some(link) = link {
            records.push(("linkpath".into(), link.as_bytes()));
        }
        for (name, value) in &member.xattrs {
            records.push((format!("SCHILY.xattr.{name}"), value));
        }
        let records = records.iter().map(|(key, value)| (key.as_str(), *value));
        builder.append_pax_extensions(records).unwrap();
        header.set_cksum();
        builder.append(&header, data).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Seconds and nanoseconds after them as a decimal fraction, as pax writes times.
fn decimal(seconds: i64, nanoseconds: u32) -> String {
    if seconds < 0 && nanoseconds > 0 {
        return format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds);
    }
    format!("{seconds}.{nanoseconds:09}")
}

#[test]
fn decimals() {
    assert_eq!(decimal(5, 1), "5.000000001");
    assert_eq!(decimal(-5, 0), "-5.000000000");
    assert_eq!(decimal(-5, 250_000_000), "-4.750000000");
    assert_eq!(decimal(-1, 999_999_999), "-0.000000001");
}
