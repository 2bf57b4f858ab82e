// SPDX-License-Identifier: MIT
//! Archives that GNU tar writes, unpacked by us and by GNU tar: the trees must be the same.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use hyperbox_snapshot::LayerForm;

use super::{add, open, tree};

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes one of everything.
fn furnish(root: &Path) {
    let deep = root.join("directory/".repeat(30));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("n".repeat(250)), "long names").unwrap();
    symlink("t".repeat(300), root.join("long-link")).unwrap();
    fs::hard_link(deep.join("n".repeat(250)), deep.join("hard")).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not\xffutf-8\n")), "name").unwrap();
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("large"), vec![0x42; 3_000_001]).unwrap();
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("nothing", 0)] {
        fs::write(root.join(name), name).unwrap();
        chown(root.join(name), Some(1000), Some(100_000)).unwrap();
        fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    fs::create_dir(root.join("sticky")).unwrap();
    fs::write(root.join("sticky/child"), "x").unwrap();
    fs::set_permissions(root.join("sticky"), PermissionsExt::from_mode(0o3777)).unwrap();
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
        ("disk", FileType::BlockDevice, rustix::fs::makedev(259, 70_000)),
    ] {
        rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    }
    symlink("nowhere", root.join("link")).unwrap();
    rustix::fs::chownat(
        CWD,
        root.join("link"),
        Some(rustix::fs::Uid::from_raw(5)),
        Some(rustix::fs::Gid::from_raw(6)),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )
    .unwrap();
    for (name, from) in [("sparse-start", 0), ("sparse-middle", 1 << 20), ("sparse-many", 7)] {
        let file = fs::File::create(root.join(name)).unwrap();
        file.set_len(6 << 20).unwrap();
        let count = if name == "sparse-many" { 60 } else { 1 };
        for number in 0..count {
            rustix::io::pwrite(&file, b"data in between", from + number * (100 << 10)).unwrap();
        }
    }
    fs::File::create(root.join("sparse-all"))
        .unwrap()
        .set_len(5 << 20)
        .unwrap();
    fs::write(root.join("attributes"), "x").unwrap();
    rustix::fs::setxattr(root.join("attributes"), "user.lines", b"1\n2\0=3", XattrFlags::empty()).unwrap();
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    rustix::fs::setxattr(
        root.join("attributes"),
        "security.capability",
        capability,
        XattrFlags::empty(),
    )
    .unwrap();
    for (name, seconds, nanoseconds) in [
        ("empty", 1, 999_999_999),
        ("sticky", 1_234_567_890, 5),
        ("large", -5, 250_000_000),
    ] {
        let time = Timespec {
            tv_sec: seconds,
            tv_nsec: nanoseconds,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        rustix::fs::utimensat(CWD, root.join(name), &times, rustix::fs::AtFlags::empty()).unwrap();
    }
}

both_forms!(privileged_gnu_tar_agrees,);

async fn privileged_gnu_tar_agrees(form: LayerForm) {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    fs::create_dir(&source).unwrap();
    furnish(&source);
    let snapshotter = open(&directory.path().join("snapshots"), form);
    let formats: &[(&str, &[&str])] = &[
        ("pax", &["--format=posix", "--xattrs", "--xattrs-include=*"]),
        (
            "pax, sparse 1.0",
            &["--format=posix", "--sparse", "--xattrs", "--xattrs-include=*"],
        ),
        (
            "pax, sparse 0.1",
            &["--format=posix", "--sparse", "--sparse-version=0.1"],
        ),
        (
            "pax, sparse 0.0",
            &["--format=posix", "--sparse", "--sparse-version=0.0"],
        ),
        ("GNU", &["--format=gnu"]),
        ("GNU, sparse", &["--format=gnu", "--sparse"]),
        ("GNU, old", &["--format=oldgnu", "--sparse", "--blocking-factor=1"]),
        (
            "ustar",
            &[
                "--format=ustar",
                "--exclude=n*",
                "--exclude=hard",
                "--exclude=long-link",
                "--exclude=set*",
                "--exclude=disk",
                "--exclude=large",
                "--exclude=directory",
            ],
        ),
        ("gzip", &["--format=gnu", "--gzip"]),
        ("zstd", &["--format=posix", "--zstd", "--sparse"]),
    ];
    for (what, options) in formats {
        let archive = directory.path().join("archive");
        run(Command::new("tar")
            .arg("-C")
            .arg(&source)
            .args(*options)
            .arg("-cf")
            .arg(&archive)
            .arg("."));
        let theirs = directory.path().join("theirs");
        fs::create_dir(&theirs).unwrap();
        run(Command::new("tar")
            .arg("-C")
            .arg(&theirs)
            .args([
                "-xp",
                "--numeric-owner",
                "--same-owner",
                "--xattrs",
                "--xattrs-include=*",
                "-f",
            ])
            .arg(&archive));
        let layer = add(&snapshotter, &archive).await;
        let hyperbox_types::RootMount::Overlay { lower, .. } =
            hyperbox_core::seam::Snapshotter::view(&snapshotter, &[layer]).unwrap()
        else {
            panic!("a layer's view is an overlay");
        };
        let differences = tree::differences(&theirs, &lower[0], form);
        assert!(
            differences.is_empty(),
            "{what}: GNU tar's tree first:\n{}",
            differences.join("\n")
        );
        assert!(tree::describe(&theirs, tree::Holes::Shown).len() > 8, "{what}");
        fs::remove_dir_all(&theirs).unwrap();
    }
}
