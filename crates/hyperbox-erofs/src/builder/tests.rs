// SPDX-License-Identifier: MIT
//! What a builder accepts, what it refuses, and what it makes of entries that contradict each other.

use std::io::{self, Cursor, Seek, SeekFrom, Write};

use super::Builder;
use crate::error::{BuildError, Fault};
use crate::model::{Device, DeviceNumber, Kind, Limits, Metadata, Node, Options, Timestamp, Xattr};
use crate::read::Image;

fn builder() -> Builder {
    Builder::new(Options::default())
}

fn metadata(permissions: u16) -> Metadata {
    Metadata {
        permissions,
        ..Metadata::default()
    }
}

fn xattr(name: &str, value: &str) -> Xattr {
    Xattr {
        name: name.into(),
        value: value.into(),
    }
}

fn put(builder: &mut Builder, path: &str, node: Node) -> Option<Kind> {
    builder.insert(path.as_bytes(), &metadata(0o640), node).unwrap()
}

fn written(builder: Builder) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let device = Device {
        size: 1 << 40,
        tag: Vec::new(),
    };
    let summary = builder.finish(&[device], &mut out).unwrap();
    let bytes = out.into_inner();
    assert_eq!(summary.size, bytes.len() as u64);
    bytes
}

/// Paths, permissions and links of everything but the root.
fn tree(builder: Builder) -> Vec<(String, u16, u32)> {
    let image = Image::open(written(builder)).unwrap();
    let mut found = Vec::new();
    for entry in image.walk().skip(1) {
        let entry = entry.unwrap();
        found.push((
            String::from_utf8(entry.path).unwrap(),
            entry.inode.permissions,
            entry.inode.links,
        ));
    }
    found
}

fn listed(builder: Builder) -> Vec<String> {
    tree(builder).into_iter().map(|(path, ..)| path).collect()
}

#[test]
fn an_empty_tree_is_a_root() {
    let image = Image::open(written(builder())).unwrap();
    let root = image.root().unwrap();
    assert_eq!((root.kind, root.permissions, root.links), (Kind::Directory, 0o755, 2));
    assert_eq!(image.walk().count(), 1);
}

#[test]
fn missing_parents_are_made_and_described_later() {
    let mut tested = builder();
    assert_eq!(put(&mut tested, "a/b/c", Node::Fifo), None);
    assert_eq!(put(&mut tested, "a/b", Node::Directory), Some(Kind::Directory));
    assert_eq!(put(&mut tested, "./", Node::Directory), Some(Kind::Directory));
    let expected = [("a", 0o755, 3), ("a/b", 0o640, 2), ("a/b/c", 0o640, 1)];
    assert_eq!(
        tree(tested),
        expected.map(|(path, mode, links)| (path.to_owned(), mode, links))
    );
}

#[test]
fn later_entries_replace_earlier_ones() {
    let mut tested = builder();
    put(&mut tested, "d/x/y", Node::Fifo);
    put(&mut tested, "f", Node::Symlink(b"d".to_vec()));
    assert_eq!(put(&mut tested, "d/x", Node::Socket), Some(Kind::Directory));
    assert_eq!(put(&mut tested, "f", Node::Directory), Some(Kind::Symlink));
    put(&mut tested, "f/g", Node::Fifo);
    assert_eq!(listed(tested), ["d", "d/x", "f", "f/g"]);
}

#[test]
fn a_directory_that_was_replaced_is_not_used_any_more() {
    let mut tested = builder();
    put(&mut tested, "a/b/one", Node::Fifo);
    put(&mut tested, "a", Node::Fifo);
    put(&mut tested, "a", Node::Directory);
    put(&mut tested, "a/b/two", Node::Fifo);
    assert_eq!(tested.remove(b"a/b").unwrap(), Some(Kind::Directory));
    put(&mut tested, "a/b/three", Node::Fifo);
    assert_eq!(listed(tested), ["a", "a/b", "a/b/three"]);
}

#[test]
fn removal() {
    let mut tested = builder();
    put(&mut tested, "a/b", Node::Fifo);
    assert_eq!(tested.remove(b"nothing/there").unwrap(), None);
    assert_eq!(tested.remove(b"a/b/c").unwrap(), None);
    assert_eq!(tested.remove(b"/a/").unwrap(), Some(Kind::Directory));
    put(&mut tested, "c", Node::Fifo);
    assert_eq!(tested.remove(b"/").unwrap(), Some(Kind::Directory));
    assert_eq!(listed(tested), [""; 0]);
}

#[test]
fn hard_links() {
    let mut tested = builder();
    put(&mut tested, "d/a", Node::Symlink(b"x".to_vec()));
    assert_eq!(tested.hard_link(b"b", b"d/a").unwrap(), None);
    assert_eq!(tested.hard_link(b"b", b"d/a").unwrap(), Some(Kind::Symlink));
    assert_eq!(tested.hard_link(b"c/e", b"b").unwrap(), None);
    assert_eq!(
        tested.hard_link(b"d", b"d/a").unwrap(),
        Some(Kind::Directory),
        "in place of what holds it"
    );
    let names = [("b", 3), ("c", 2), ("c/e", 3), ("d", 3)];
    let found: Vec<_> = tree(tested).into_iter().map(|(path, _, links)| (path, links)).collect();
    assert_eq!(found, names.map(|(path, links)| (path.to_owned(), links)));
}

#[test]
fn hard_links_that_cannot_be() {
    let mut tested = builder();
    put(&mut tested, "d", Node::Directory);
    assert!(matches!(
        tested.hard_link(b"x", b"y"),
        Err(BuildError::MissingTarget { .. })
    ));
    assert!(matches!(
        tested.hard_link(b"x", b"d"),
        Err(BuildError::DirectoryTarget { .. })
    ));
    assert!(matches!(
        tested.hard_link(b"x", b"/"),
        Err(BuildError::DirectoryTarget { .. })
    ));
    put(&mut tested, "f", Node::Fifo);
    assert!(matches!(tested.hard_link(b"/", b"f"), Err(BuildError::Root)));
    assert!(matches!(
        tested.hard_link(b"f/g", b"f"),
        Err(BuildError::NotADirectory { .. })
    ));
}

#[test]
fn what_is_refused() {
    let far = Node::contiguous(1024, 3 << 40);
    let cases: [(&str, Node, Fault); 8] = [
        ("a/../b", Node::Fifo, Fault::Input),
        ("/", Node::Fifo, Fault::Input),
        ("file/below", Node::Fifo, Fault::Input),
        ("s", Node::Symlink(Vec::new()), Fault::Unsupported),
        ("s", Node::Symlink(vec![b'x'; 4096]), Fault::Unsupported),
        (
            "c",
            Node::CharacterDevice(DeviceNumber { major: 4096, minor: 0 }),
            Fault::Unsupported,
        ),
        ("r", far, Fault::Input),
        ("r", Node::contiguous(5, 1), Fault::Unsupported),
    ];
    let mut tested = builder();
    put(&mut tested, "file", Node::Inline(b"x".to_vec()));
    for (path, node, fault) in cases {
        let error = tested.insert(path.as_bytes(), &metadata(0), node).unwrap_err();
        assert_eq!(error.fault(), fault, "{path}: {error}");
    }
    let late = Metadata {
        modified: Timestamp {
            seconds: 0,
            nanoseconds: 1_000_000_000,
        },
        ..Metadata::default()
    };
    assert!(tested.insert(b"x", &late, Node::Fifo).is_err());
    let odd = Metadata {
        xattrs: vec![xattr("odd.name", "")],
        ..Metadata::default()
    };
    assert!(tested.insert(b"x", &odd, Node::Fifo).is_err());
    assert_eq!(listed(tested), ["file"]);
}

#[test]
fn limits() {
    let limited = |inodes, held, chunks| {
        Builder::new(Options {
            limits: Limits { inodes, held, chunks },
        })
    };
    let fails = |mut tested: Builder, path: &str, node| {
        let error = tested.insert(path.as_bytes(), &metadata(0), node).unwrap_err();
        assert_eq!(error.fault(), Fault::Limit, "{error}");
    };
    fails(limited(2, 1000, 1000), "a/b", Node::Fifo);
    fails(limited(100, 10, 1000), "abcdefghijklmn", Node::Fifo);
    fails(limited(100, 1000, 1000), "a", Node::Inline(vec![0; 1001]));
    let holes = (0..1000).map(|index| crate::Extent {
        file_offset: index * 1024,
        length: 512,
        device: 1,
        device_offset: 0,
    });
    let sparse = Node::Regular {
        size: 1 << 20,
        extents: holes.collect(),
    };
    fails(limited(100, 1 << 20, 1000), "a", sparse);
}

#[test]
fn data_beyond_their_device_are_refused() {
    let mut tested = builder();
    put(&mut tested, "dir/name", Node::contiguous(1000, 1024));
    let sized = |size| Device { size, tag: Vec::new() };
    let error = tested
        .finish(&[sized(1024 + 1023)], Cursor::new(Vec::new()))
        .unwrap_err();
    assert!(
        matches!(&error, BuildError::Extents { path, .. } if path == "dir/name"),
        "{error}"
    );
    let mut tested = builder();
    put(&mut tested, "name", Node::contiguous(1000, 1024));
    tested.finish(&[sized(1024 + 1024)], Cursor::new(Vec::new())).unwrap();
    let mut tested = builder();
    put(&mut tested, "name", Node::contiguous(1, 0));
    assert!(
        tested.finish(&[], Cursor::new(Vec::new())).is_err(),
        "there is no device"
    );
}

#[test]
fn marks_of_directories_stay() {
    let mut tested = builder();
    let described = Metadata {
        xattrs: vec![xattr("user.a", "1"), xattr("trusted.overlay.opaque", "n")],
        ..metadata(0o700)
    };
    tested
        .mark_directory(b"d", xattr("trusted.overlay.opaque", "x"))
        .unwrap();
    tested
        .mark_directory(b"d", xattr("trusted.overlay.opaque", "y"))
        .unwrap();
    tested.insert(b"d", &described, Node::Directory).unwrap();
    tested.insert(b"e", &described, Node::Directory).unwrap();
    tested
        .mark_directory(b"e", xattr("trusted.overlay.opaque", "y"))
        .unwrap();
    put(&mut tested, "f", Node::Fifo);
    assert!(tested.mark_directory(b"f", xattr("user.x", "")).is_err());
    let image = Image::open(written(tested)).unwrap();
    for name in [b"d", b"e"] {
        let directory = image.find(name).unwrap().unwrap();
        assert_eq!(directory.permissions, 0o700);
        let expected = [xattr("trusted.overlay.opaque", "y"), xattr("user.a", "1")];
        assert_eq!(image.xattrs(&directory).unwrap(), expected);
    }
}

#[test]
fn what_is_there_can_be_asked() {
    let mut tested = builder();
    put(&mut tested, "a/link", Node::Symlink(b"t".to_vec()));
    put(&mut tested, "a/b", Node::CharacterDevice(DeviceNumber::WHITEOUT));
    assert_eq!(
        tested.kind(b"a/b").unwrap(),
        Some(Kind::CharacterDevice(DeviceNumber::WHITEOUT))
    );
    assert_eq!(tested.kind(b"a/b/c").unwrap(), None);
    assert!(tested.kind(b"..").is_err());
    assert_eq!(tested.link_target(b"a/link").unwrap(), Some(&b"t"[..]));
    assert_eq!(tested.link_target(b"a/b").unwrap(), None);
    assert_eq!(tested.names(b"a").unwrap().collect::<Vec<_>>(), [&b"b"[..], b"link"]);
    assert_eq!(tested.names(b"a/b").unwrap().count(), 0);
}

#[test]
fn the_same_tree_gives_the_same_bytes_in_any_order() {
    let entries: Vec<(String, Node, &str)> = (0..300)
        .map(|number| {
            let node = match number % 3 {
                0 => Node::contiguous(number, number * 512),
                1 => Node::Symlink(vec![b'x'; usize::try_from(number).unwrap() + 1]),
                _ => Node::Inline(vec![1; usize::try_from(number).unwrap() * 4]),
            };
            (
                format!("d{}/{number}", number % 7),
                node,
                if number % 2 == 0 { "even" } else { "odd" },
            )
        })
        .collect();
    let build = |reversed: bool| {
        let mut tested = builder();
        let mut entries = entries.clone();
        if reversed {
            entries.reverse();
        }
        for (path, node, value) in entries {
            let described = Metadata {
                xattrs: vec![xattr("user.parity", value)],
                ..metadata(0o600)
            };
            tested.insert(path.as_bytes(), &described, node).unwrap();
        }
        written(tested)
    };
    assert!(build(false) == build(true));
}

#[test]
fn images_that_differ_only_in_the_time_of_all_have_different_uuids() {
    let image = |seconds| {
        let mut tested = builder();
        let modified = Timestamp {
            seconds,
            nanoseconds: 0,
        };
        let described = Metadata {
            modified,
            ..Metadata::implied_directory()
        };
        tested.insert(b"", &described, Node::Directory).unwrap();
        Image::open(written(tested)).unwrap().uuid()
    };
    assert_ne!(image(1), image(2));
}

#[test]
fn deep_trees_do_not_exhaust_the_stack() {
    let mut tested = builder();
    let path = "d/".repeat(100_000);
    put(&mut tested, &path, Node::Directory);
    tested.remove(b"d").unwrap();
    put(&mut tested, &path, Node::Directory);
    let image = Image::open(written(tested)).unwrap();
    assert_eq!(image.inodes(), 100_001);
}

/// A disk with room for so many bytes.
struct Small {
    inner: Cursor<Vec<u8>>,
    room: u64,
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = usize::try_from(self.room.saturating_sub(self.inner.position())).unwrap();
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.inner.write(&bytes[..bytes.len().min(left)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Small {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}

#[test]
fn what_was_not_written_whole_is_no_image() {
    let made = || {
        let mut tested = builder();
        for number in 0..2000 {
            put(
                &mut tested,
                &format!("directory/{number}"),
                Node::Inline(vec![1; number]),
            );
        }
        tested
    };
    let whole = u64::try_from(written(made()).len()).unwrap();
    assert!(whole > 1 << 20);
    for room in (0..whole)
        .step_by(usize::try_from(whole / 20).unwrap())
        .chain([whole - 1])
    {
        let inner = Cursor::new(Vec::new());
        let mut out = Small { inner, room };
        let device = Device {
            size: 0,
            tag: Vec::new(),
        };
        let error = made().finish(&[device], &mut out).unwrap_err();
        assert_eq!(error.fault(), Fault::Io, "{room}");
        assert!(Image::open(out.inner.into_inner()).is_err(), "{room}");
    }
}
