// SPDX-License-Identifier: MIT
//! Unpacking as root: owners, devices and attributes of overlayfs are part of it.

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hyperbox_core::seam::SnapshotError;
use rustix::fs::CWD;
use tempfile::TempDir;

use super::{Limits, UnpackSummary, unpack_into};
use crate::archive::tests::Tarball;

/// A directory to unpack into, inside one that shows what was written outside.
struct Cage {
    outer: TempDir,
    root: PathBuf,
}

impl Cage {
    fn new() -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test needs root: it makes devices and sets owners"
        );
        let outer = TempDir::new().unwrap();
        let root = outer.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        fs::write(outer.path().join("outside/precious"), "untouched").unwrap();
        Self { outer, root }
    }

    fn unpack(&self, archive: Tarball) -> Result<UnpackSummary, SnapshotError> {
        self.unpack_bytes(archive.end(), &Limits::default())
    }

    fn unpack_bytes(&self, bytes: Vec<u8>, limits: &Limits) -> Result<UnpackSummary, SnapshotError> {
        let root = hyperbox_sys::tree::open_directory(CWD, &self.root).unwrap();
        unpack_into(root, Cursor::new(bytes), limits)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Nothing but what was there is outside, and it is as it was.
    fn assert_intact(&self, what: &str) {
        let names = |path: &Path| -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(path)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(self.outer.path()), ["outside", "root"], "{what}");
        let outside = self.outer.path().join("outside");
        assert_eq!(names(&outside), ["precious"], "{what}");
        let precious = fs::metadata(outside.join("precious")).unwrap();
        assert_eq!(
            (precious.nlink(), precious.mode() & 0o7777, precious.uid()),
            (1, 0o644, 0),
            "{what}"
        );
        assert_eq!(fs::read(outside.join("precious")).unwrap(), b"untouched", "{what}");
        assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o7777, 0o755, "{what}");
    }
}

#[test]
fn privileged_hostile_archives_stay_inside() {
    let outside = |cage: &Cage| cage.outer.path().join("outside").display().to_string();
    type Make = fn(String) -> Tarball;
    let cases: &[(&str, bool, Make)] = &[
        ("dots", false, |_| Tarball::default().file("../outside/x", "x")),
        ("dots in the middle", false, |_| {
            Tarball::default().file("a/../../outside/x", "x")
        }),
        ("absolute name", true, |outside| {
            Tarball::default().file(&format!("{outside}/x"), "x")
        }),
        ("link as parent, absolute", true, |outside| {
            Tarball::default().symlink("link", &outside).file("link/precious", "x")
        }),
        ("link as parent, relative", true, |_| {
            Tarball::default()
                .symlink("link", "../outside")
                .file("link/precious", "x")
        }),
        ("links in a row", true, |_| {
            Tarball::default()
                .symlink("a", "b")
                .symlink("b", "../outside")
                .file("a/precious", "x")
        }),
        ("a file over a link", true, |outside| {
            Tarball::default()
                .symlink("link", &format!("{outside}/precious"))
                .file("link", "x")
        }),
        ("a directory over a link", true, |outside| {
            Tarball::default()
                .symlink("link", &outside)
                .raw(b'5', b"link", b"", |header| header.set_mode(0o777))
        }),
        ("attributes through a late link", true, |outside| {
            Tarball::default()
                .directory("real")
                .symlink("alias", ".")
                .raw(b'5', b"real/late", b"", |header| header.set_mode(0o777))
                .symlink("alias/real/late", &outside)
        }),
        ("a device over a link", true, |outside| {
            Tarball::default()
                .symlink("link", &format!("{outside}/precious"))
                .raw(b'6', b"link", b"", |_| ())
        }),
        ("a hard link to the outside, absolute", false, |outside| {
            Tarball::default().hard_link("hard", &format!("{outside}/precious"))
        }),
        ("a hard link to the outside, relative", false, |_| {
            Tarball::default().hard_link("hard", "../outside/precious")
        }),
        ("a hard link through a link", false, |_| {
            Tarball::default()
                .symlink("link", "../outside")
                .hard_link("hard", "link/precious")
        }),
        ("writing through a hard link to a link", true, |outside| {
            Tarball::default()
                .symlink("link", &format!("{outside}/precious"))
                .hard_link("hard", "link")
                .file("hard", "x")
        }),
        ("a whiteout of a parent", false, |_| {
            Tarball::default().file("a/.wh...", "")
        }),
        ("a whiteout through a link", true, |_| {
            Tarball::default()
                .symlink("link", "../outside")
                .file("link/.wh.precious", "")
        }),
        ("an opaque link", false, |_| {
            Tarball::default()
                .symlink("link", "../outside")
                .file("link/.wh..wh..opq", "")
        }),
        ("procfs", true, |_| {
            Tarball::default().symlink("link", "/proc/self/cwd").file("link/x", "x")
        }),
        ("a file as parent", false, |_| {
            Tarball::default().file("file", "x").file("file/x", "x")
        }),
        ("the root as a file", false, |_| {
            Tarball::default().file("./", "").file(".", "x")
        }),
        ("a hard link to a directory", false, |_| {
            Tarball::default().directory("a").hard_link("b", "a")
        }),
        ("a hard link to the root", false, |_| {
            Tarball::default().hard_link("b", "/")
        }),
        ("a link to itself", false, |_| {
            Tarball::default().symlink("loop", "loop").file("loop/x", "x")
        }),
        ("too long a name", false, |_| {
            Tarball::default().file(&"a".repeat(300), "x")
        }),
        ("too long a path", false, |_| {
            Tarball::default().file(&"a/".repeat(3000), "x")
        }),
    ];
    for (what, accepted, make) in cases {
        let cage = Cage::new();
        let result = cage.unpack(make(outside(&cage)));
        cage.assert_intact(what);
        match result {
            Ok(_) => assert!(accepted, "{what} was accepted"),
            Err(SnapshotError::Archive { .. }) => assert!(!accepted, "{what}: {result:?}"),
            Err(error) => panic!("{what}: not the archive's fault? {error:?}"),
        }
    }
}

#[test]
fn privileged_links_inside_are_followed() {
    let cage = Cage::new();
    let archive = Tarball::default()
        .directory("usr/bin")
        .symlink("bin", "usr/bin")
        .file("bin/tool", "one")
        .symlink("usr/absolute", "/usr/bin")
        .file("usr/absolute/other", "two")
        .symlink("usr/up", "../../../../usr/bin")
        .hard_link("usr/up/third", "bin/tool")
        // What a link leads to may come later, or from another layer.
        .symlink("lib", "usr/lib/machine")
        .symlink("lib64", "/lib")
        .file("lib64/sub/library", "three");
    cage.unpack(archive).unwrap();
    assert_eq!(cage.text("usr/lib/machine/sub/library"), "three");
    assert_eq!(
        (cage.text("usr/bin/tool"), cage.text("usr/bin/other")),
        ("one".into(), "two".into())
    );
    assert_eq!(fs::metadata(cage.path("usr/bin/third")).unwrap().nlink(), 2);
    cage.assert_intact("links inside");
}

#[test]
fn privileged_later_entries_replace_earlier_ones() {
    let cage = Cage::new();
    let archive = Tarball::default()
        .file("a", "first, longer")
        .hard_link("b", "a")
        .file("a", "second")
        .directory("d")
        .file("d/kept", "kept")
        .raw(b'5', b"d/", b"", |header| header.set_mode(0o700))
        .directory("gone/deep")
        .file("gone/deep/x", "x")
        .file("gone", "now a file")
        .symlink("s", "a")
        .directory("s")
        .file("s/x", "x")
        .hard_link("a", "./a");
    let summary = cage.unpack(archive).unwrap();
    assert!(summary.replaced);
    assert_eq!(
        (cage.text("a"), cage.text("b")),
        ("second".into(), "first, longer".into())
    );
    assert_eq!(
        (cage.text("d/kept"), cage.text("gone"), cage.text("s/x")),
        ("kept".into(), "now a file".into(), "x".into())
    );
    assert_eq!(fs::metadata(cage.path("d")).unwrap().mode() & 0o7777, 0o700);
    assert!(!cage.path("s").symlink_metadata().unwrap().is_symlink());
}

#[test]
fn privileged_attributes_are_exact() {
    let cage = Cage::new();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let archive = Tarball::default()
        .raw(b'5', b"./", b"", |header| header.set_mode(0o751))
        .raw(b'5', b"setgid", b"", |header| {
            header.set_mode(0o2775);
            header.set_gid(1234);
        })
        .pax(&[
            ("mtime", b"1234567890.123456789"),
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"hello\nworld"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.other", b"fine"),
        ])
        .raw(b'0', b"setgid/tool", b"data", |header| {
            header.set_mode(0o6755);
            header.set_uid(1000);
            header.set_gid(2000);
        })
        .pax(&[("SCHILY.xattr.user.note", b"x")])
        .symlink("link", "nowhere")
        .raw(b'3', b"null", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
            header.set_mode(0o666);
            header.set_uid(7);
        })
        .raw(b'6', b"fifo", b"", |header| header.set_mode(0o4622));
    cage.unpack(archive).unwrap();

    assert_eq!(fs::metadata(&cage.root).unwrap().permissions().mode() & 0o7777, 0o751);
    let directory = fs::metadata(cage.path("setgid")).unwrap();
    assert_eq!(
        (directory.mode() & 0o7777, directory.gid(), directory.mtime()),
        (0o2775, 1234, 1_000_000_000)
    );
    let tool = fs::metadata(cage.path("setgid/tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.uid(), tool.gid()), (0o6755, 1000, 2000));
    assert_eq!((tool.mtime(), tool.mtime_nsec()), (1_234_567_890, 123_456_789));
    let attribute = |name: &str| -> Option<Vec<u8>> {
        let mut value = [0; 64];
        let length = rustix::fs::getxattr(cage.path("setgid/tool"), name, &mut value[..]).ok()?;
        Some(value[..length].to_vec())
    };
    assert_eq!(attribute("security.capability").as_deref(), Some(&capability[..]));
    assert_eq!(attribute("user.note").as_deref(), Some(&b"hello\nworld"[..]));
    assert_eq!(attribute("trusted.other").as_deref(), Some(&b"fine"[..]));
    assert_eq!(attribute("trusted.overlay.redirect"), None);
    assert_eq!(fs::read_link(cage.path("link")).unwrap(), Path::new("nowhere"));
    let null = fs::metadata(cage.path("null")).unwrap();
    assert!(null.file_type().is_char_device() && null.rdev() == rustix::fs::makedev(1, 3));
    assert_eq!((null.mode() & 0o7777, null.uid()), (0o666, 7));
    let fifo = fs::metadata(cage.path("fifo")).unwrap();
    assert!(fifo.file_type().is_fifo() && fifo.mode() & 0o7777 == 0o4622);
}

#[test]
fn privileged_whiteouts_become_overlayfs_ones() {
    let cage = Cage::new();
    let archive = Tarball::default()
        .file("etc/.wh.removed", "")
        .directory("var")
        .file("var/.wh..wh..opq", "")
        .file(".wh..wh.plnk/1.2", "bookkeeping")
        .file("opt/.wh.again", "")
        .file("opt/again/new", "x")
        .file("srv/both/new", "x")
        .file("srv/.wh.both", "")
        .file("srv/file", "x")
        .file("srv/.wh.file", "")
        .file("run/.wh.dir", "")
        .directory("run/dir");
    let summary = cage.unpack(archive).unwrap();
    assert!(!summary.opaque_root);
    let whiteout = cage.path("etc/removed").symlink_metadata().unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    assert!(!cage.path(".wh..wh.plnk").exists() && !cage.path("var/.wh..wh..opq").exists());
    let opaque = |name: &str| {
        let mut value = [0; 4];
        rustix::fs::getxattr(cage.path(name), "trusted.overlay.opaque", &mut value[..]).is_ok_and(|_| value[0] == b'y')
    };
    assert!(opaque("var") && opaque("opt/again") && opaque("srv/both") && opaque("run/dir"));
    assert!(!opaque("opt") && !opaque("srv"));
    assert_eq!(
        (cage.text("opt/again/new"), cage.text("srv/file")),
        ("x".into(), "x".into())
    );

    assert!(
        Cage::new()
            .unpack(Tarball::default().file(".wh..wh..opq", "").file("x", ""))
            .unwrap()
            .opaque_root
    );
}

#[test]
fn privileged_limits_hold() {
    let many = (0..20).fold(Tarball::default(), |archive, number| {
        archive.directory(&format!("directory-{number}"))
    });
    let unlimited = Limits::default();
    for (limits, accepted) in [
        (unlimited, true),
        (
            Limits {
                entries: 20,
                ..unlimited
            },
            true,
        ),
        (
            Limits {
                entries: 19,
                ..unlimited
            },
            false,
        ),
        (
            Limits {
                names: 1000,
                ..unlimited
            },
            false,
        ),
    ] {
        let result = Cage::new().unpack_bytes(many.clone().end(), &limits);
        assert_eq!(result.is_ok(), accepted, "{limits:?}: {result:?}");
    }
    let huge = Tarball::default().raw(b'0', b"huge", b"", |header| header.set_size(1 << 50));
    assert!(matches!(Cage::new().unpack(huge), Err(SnapshotError::Archive { .. })));
    let sparse = Tarball::default()
        .pax(&[("GNU.sparse.map", b""), ("GNU.sparse.size", b"9223372036854775807")])
        .file("s", "");
    assert!(matches!(Cage::new().unpack(sparse), Err(SnapshotError::Archive { .. })));
}

#[test]
fn privileged_counts_are_right() {
    let cage = Cage::new();
    let archive = Tarball::default()
        .file("a/b/c", "1234")
        .hard_link("a/hard", "a/b/c")
        .symlink("link", "a")
        .directory("a")
        .file(".wh.gone", "");
    let summary = cage.unpack(archive).unwrap();
    // The root, a, a/b, a/b/c, link, gone.
    assert_eq!((summary.inodes, summary.replaced), (6, false));
    let measured = hyperbox_sys::tree::usage(hyperbox_sys::tree::open_directory(CWD, &cage.root).unwrap()).unwrap();
    assert_eq!(measured.inodes, summary.inodes);
}

/// One random entry, made of few names so that entries meet.
fn entry() -> impl proptest::strategy::Strategy<Value = (u8, String, String)> {
    let name = "(\\.\\./|/|\\./)?([abl]|\\.\\.|\\.wh\\.[ab]|\\.wh\\.\\.wh\\.\\.opq)(/([abl]|\\.\\.|\\.wh\\.[abl]|\\.wh\\.\\.wh\\.\\.opq)){0,3}";
    let link = "(/|\\.\\./)?(a|b|l|\\.\\.|outside|\\.\\./outside|outside/precious)(/(a|b|precious|\\.\\.)){0,2}";
    (proptest::sample::select(b"001256".to_vec()), name, link)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, ..Default::default() })]

    /// Whatever an archive says: nothing outside changes, and there is no panic.
    #[test]
    fn privileged_random_archives_stay_inside(entries in proptest::collection::vec(entry(), 1..25)) {
        let cage = Cage::new();
        // Entry by entry, so that one refused entry does not end it.
        for (kind, path, link) in entries {
            let archive = match kind {
                b'0' => Tarball::default().file(&path, "overwritten"),
                b'1' => Tarball::default().hard_link(&path, &link),
                b'2' => Tarball::default().symlink(&path, &link),
                kind => Tarball::default().raw(kind, path.as_bytes(), b"", |header| header.set_mode(0o777)),
            };
            drop(cage.unpack(archive));
        }
        cage.assert_intact("a random archive");
    }
}
