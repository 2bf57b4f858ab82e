// SPDX-License-Identifier: MIT
use std::io::Cursor;

use hyperbox_core::seam::SnapshotError;
use tar::Header;

use super::{Archive, BLOCK, Device, Entry, Kind, Moment};

/// Writes archives, also such as no decent program would write.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tarball(pub(crate) Vec<u8>);

impl Tarball {
    /// Appends one header, changed by `change` before its checksum is made, and data.
    pub(crate) fn raw(mut self, kind: u8, path: &[u8], data: &[u8], change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len().min(100)].copy_from_slice(&path[..path.len().min(100)]);
        header.as_old_mut().linkflag = [kind];
        header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        self.named(b'0', path.as_bytes(), b"", text.as_bytes())
    }

    pub(crate) fn directory(self, path: &str) -> Self {
        self.named(b'5', path.as_bytes(), b"", b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.named(b'2', path.as_bytes(), target.as_bytes(), b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.named(b'1', path.as_bytes(), target.as_bytes(), b"")
    }

    /// Appends an entry, with GNU long names where they are needed.
    pub(crate) fn named(mut self, kind: u8, path: &[u8], link: &[u8], data: &[u8]) -> Self {
        for (kind, text) in [(b'L', path), (b'K', link)] {
            if text.len() > 100 {
                self = self.raw(kind, b"././@LongLink", &[text, b"\0"].concat(), |_| ());
            }
        }
        let link = &link[..link.len().min(100)];
        self.raw(kind, path, data, |header| {
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        })
    }

    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.raw(b'x', b"PaxHeaders/x", &data, |_| ())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

fn entries(bytes: Vec<u8>) -> Result<Vec<Entry>, SnapshotError> {
    let mut archive = Archive::new(Cursor::new(bytes));
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

#[test]
fn extensions_describe_the_next_entry_only() {
    let long = "d/".repeat(120) + "file";
    let archive = Tarball::default()
        .pax(&[
            ("path", b"from-pax"),
            ("uid", b"70000"),
            ("mtime", b"5.25"),
            ("SCHILY.xattr.user.a", b"1\n2"),
        ])
        .file("short", "abc")
        .raw(b'g', b"global", b"19 path=everything\n", |_| ())
        .file(&long, "x")
        .file("last", "");
    let found = entries(archive.end()).unwrap();
    let names: Vec<&[u8]> = found.iter().map(|entry| entry.path.as_slice()).collect();
    assert_eq!(names, [&b"from-pax"[..], long.as_bytes(), b"last"]);
    assert_eq!(
        (found[0].uid, found[0].mtime),
        (
            70000,
            Moment {
                seconds: 5,
                nanoseconds: 250_000_000
            }
        )
    );
    assert_eq!(found[0].xattrs, [(b"user.a".to_vec(), b"1\n2".to_vec())]);
    assert_eq!((found[1].uid, found[1].mtime.seconds), (0, 1_000_000_000));
}

#[test]
fn kinds_and_numbers() {
    let archive = Tarball::default()
        .raw(b'\0', b"old/", b"", |_| ())
        .raw(b'3', b"null", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .raw(b'7', b"contiguous", b"data", |header| header.set_uid(4_000_000_000))
        .raw(b'D', b"dumpdir", b"Yname\0\0", |header| {
            header.set_mtime((-5_i64).cast_unsigned());
        })
        .raw(b'2', b"link", b"", |header| header.set_size(1 << 40))
        .raw(b'3', b"blank", b"", |header| {
            let bytes = header.as_mut_bytes();
            bytes[100..148].fill(b' ');
            bytes[329..345].fill(0);
        });
    let mut found = entries(archive.end()).unwrap();
    let blank = found.pop().unwrap();
    let zero = Device { major: 0, minor: 0 };
    assert_eq!(
        (blank.kind, blank.mode, blank.uid, blank.mtime),
        (Kind::Character(zero), 0, 0, Moment::default())
    );
    let kinds: Vec<Kind> = found.iter().map(|entry| entry.kind).collect();
    let device = Kind::Character(Device { major: 1, minor: 3 });
    assert_eq!(
        kinds,
        [Kind::Directory, device, Kind::File, Kind::Directory, Kind::Symlink]
    );
    assert_eq!((found[2].uid, found[2].size), (4_000_000_000, 4));
    assert_eq!(found[3].mtime.seconds, -5);
}

#[test]
fn the_end_may_be_missing_but_not_half() {
    let one = Tarball::default().file("a", "text");
    assert_eq!(entries(one.0.clone()).unwrap().len(), 1);
    assert_eq!(entries(one.clone().end()).unwrap().len(), 1);
    assert_eq!(entries(Vec::new()).unwrap().len(), 0);
    let single_zero_block = [one.0.clone(), vec![0; BLOCK]].concat();
    assert_eq!(entries(single_zero_block.clone()).unwrap().len(), 1);
    for bad in [
        one.0[..700].to_vec(),
        one.0[..300].to_vec(),
        [single_zero_block, one.0.clone()].concat(),
        [&one.0[..], b"x"].concat(),
    ] {
        assert!(matches!(entries(bad), Err(SnapshotError::Archive { .. })));
    }
}

#[test]
fn malformed_headers_are_refused() {
    let one = || Tarball::default();
    for (what, archive) in [
        ("unknown type", one().raw(b'~', b"x", b"", |_| ())),
        ("multi-volume", one().raw(b'M', b"x", b"", |_| ())),
        (
            "size",
            one().raw(b'0', b"x", b"", |header| header.as_old_mut().size = *b"not a number"),
        ),
        (
            "endless",
            one().raw(b'0', b"x", b"", |header| header.set_size(u64::MAX)),
        ),
        (
            "uid",
            one().raw(b'0', b"x", b"", |header| header.set_uid(u64::from(u32::MAX))),
        ),
        ("pax uid", one().pax(&[("uid", b"-1")]).file("x", "")),
        (
            "huge name",
            one().raw(b'L', b"x", b"", |header| header.set_size(1 << 32)),
        ),
        ("pax", one().raw(b'x', b"x", b"99 path=a\n", |_| ()).file("x", "")),
        ("lonely extension", one().pax(&[("path", b"x")])),
        (
            "sparse",
            one().raw(b'S', b"x", b"data", |header| {
                header.as_gnu_mut().unwrap().set_real_size(2);
            }),
        ),
        (
            "sparse map",
            one()
                .pax(&[
                    ("GNU.sparse.major", b"1"),
                    ("GNU.sparse.minor", b"0"),
                    ("GNU.sparse.realsize", b"9"),
                ])
                .file("x", "x"),
        ),
    ] {
        let result = entries(archive.end());
        assert!(
            matches!(result, Err(SnapshotError::Archive { .. })),
            "{what}: {result:?}"
        );
    }
    let mut damaged = one().file("x", "").end();
    damaged[3] ^= 1;
    assert!(entries(damaged).is_err(), "checksum");
}

proptest::proptest! {
    /// Whatever the bytes are: an answer, no panic, no endless loop.
    #[test]
    fn never_panics(
        flips in proptest::collection::vec((0_usize..6000, proptest::num::u8::ANY), 0..20),
        cut in 0_usize..6000,
    ) {
        let mut bytes = Tarball::default()
            .pax(&[("path", b"p"), ("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")])
            .file("x", "1\n0\n1\n")
            .file(&"n".repeat(300), "text")
            .raw(b'S', b"s", b"data", |header| {
                let gnu = header.as_gnu_mut().unwrap();
                gnu.set_real_size(4);
                gnu.sparse[0].set_offset(0);
                gnu.sparse[0].set_length(4);
                gnu.set_is_extended(false);
            })
            .end();
        for (at, value) in flips {
            let at = at % bytes.len();
            bytes[at] = value;
            let block = at / BLOCK * BLOCK;
            if at % BLOCK < 148 && block + BLOCK <= bytes.len() {
                // A right checksum lets the change through to what it is about.
                let mut header = Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[block..block + BLOCK]);
                header.set_cksum();
                bytes[block..block + BLOCK].copy_from_slice(header.as_bytes());
            }
        }
        bytes.truncate(bytes.len() - cut % bytes.len());
        drop(entries(bytes));
    }
}
