// SPDX-License-Identifier: MIT
//! What no archive holds, or no extraction shows: inline files, sockets, lists of access control, marks of overlay.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use hyperbox_erofs::{Builder, DeviceNumber, Image, Metadata, Node, Options, Xattr};

use crate::mounted::Mounted;
use crate::{tools, view};

fn described(xattrs: &[(&str, &[u8])]) -> Metadata {
    let xattrs = xattrs.iter().map(|(name, value)| Xattr {
        name: name.as_bytes().to_vec(),
        value: value.to_vec(),
    });
    Metadata {
        permissions: 0o644,
        xattrs: xattrs.collect(),
        ..Metadata::default()
    }
}

fn mount(builder: Builder, directory: &Path) -> Mounted {
    let index = directory.join("index");
    builder.finish(&[], fs::File::create(&index).unwrap()).unwrap();
    tools::run(std::process::Command::new(tools::erofs_tool("fsck.erofs")).arg(&index));
    let mounted = Mounted::new(&index, &[]);
    let image = Image::open(fs::File::open(&index).unwrap()).unwrap();
    view::assert_same(
        "our reader",
        &view::of_image(&image, &[]),
        &view::of_directory(&mounted.path()),
    );
    mounted
}

#[test]
fn privileged_inline_files_of_all_lengths() {
    let directory = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Options::default());
    let lengths = (0..1600).step_by(13).chain([384, 385, 511, 512, 513, 1024, 100_000]);
    let content = |length: usize| -> Vec<u8> { (0..length).map(|index| (index % 251) as u8).collect() };
    for length in lengths.clone() {
        let xattrs: &[(&str, &[u8])] = if length % 2 == 0 {
            &[("user.even", b"yes"), ("user.more", &[7; 90])]
        } else {
            &[]
        };
        builder
            .insert(
                format!("{length}").as_bytes(),
                &described(xattrs),
                Node::Inline(content(length)),
            )
            .unwrap();
    }
    let mounted = mount(builder, directory.path());
    for length in lengths {
        assert!(
            fs::read(mounted.path().join(format!("{length}"))).unwrap() == content(length),
            "{length}"
        );
    }
}

#[test]
fn privileged_targets_of_all_lengths() {
    let directory = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Options::default());
    for length in (1..1000).chain([4095]) {
        let xattrs: &[(&str, &[u8])] = if length % 3 == 0 {
            &[("trusted.x", &[1; 50])]
        } else {
            &[]
        };
        let node = Node::Symlink(vec![b'a' + (length % 26) as u8; length]);
        builder
            .insert(format!("{length}").as_bytes(), &described(xattrs), node)
            .unwrap();
    }
    let mounted = mount(builder, directory.path());
    for length in (1..1000).chain([4095]) {
        let target = fs::read_link(mounted.path().join(format!("{length}"))).unwrap();
        assert_eq!(target.as_os_str().len(), length);
    }
}

#[test]
fn privileged_lists_of_access_control_and_marks_of_overlay() {
    let directory = tempfile::tempdir().unwrap();
    // acl(5) in the form of the system call: version 2; owner rw, user 1000 r, group r, mask r, others nothing.
    let acl: Vec<u8> = [2_u32.to_le_bytes().to_vec()]
        .into_iter()
        .chain(
            [
                (1, 6, u32::MAX),
                (2, 4, 1000),
                (4, 4, u32::MAX),
                (16, 4, u32::MAX),
                (32, 0, u32::MAX),
            ]
            .map(|(tag, permissions, id): (u16, u16, u32)| {
                [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
            }),
        )
        .flatten()
        .collect();
    let mut builder = Builder::new(Options::default());
    let metadata = Metadata {
        permissions: 0o640,
        ..described(&[("system.posix_acl_access", &acl)])
    };
    builder.insert(b"file", &metadata, Node::Inline(b"x".to_vec())).unwrap();
    builder
        .insert(b"gone", &described(&[]), Node::CharacterDevice(DeviceNumber::WHITEOUT))
        .unwrap();
    builder.insert(b"socket", &described(&[]), Node::Socket).unwrap();
    builder
        .mark_directory(
            b"hidden",
            Xattr {
                name: b"trusted.overlay.opaque".to_vec(),
                value: b"y".to_vec(),
            },
        )
        .unwrap();
    let mounted = mount(builder, directory.path());
    let seen = view::of_directory(&mounted.path());
    assert_eq!(seen[&b"file"[..]].xattrs, [(b"system.posix_acl_access".to_vec(), acl)]);
    assert_eq!((seen[&b"gone"[..]].mode, seen[&b"gone"[..]].device), (0o020_644, 0));
    assert_eq!(seen[&b"socket"[..]].mode, 0o140_644);
    assert_eq!(
        seen[&b"hidden"[..]].xattrs,
        [(b"trusted.overlay.opaque".to_vec(), b"y".to_vec())]
    );
    let mode = fs::metadata(mounted.path().join("file")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn privileged_many_attributes() {
    let directory = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Options::default());
    let names: Vec<String> = (0..300).map(|number| format!("trusted.number{number}")).collect();
    let shared: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"the same"[..])).collect();
    for name in ["one", "two"] {
        let mut all = shared.clone();
        all.push(("user.own", name.as_bytes()));
        builder
            .insert(name.as_bytes(), &described(&all), Node::Inline(b"content".to_vec()))
            .unwrap();
    }
    builder
        .insert(
            b"long",
            &described(&[("user.long", &[5; 65_535])]),
            Node::Inline(b"x".to_vec()),
        )
        .unwrap();
    let mounted = mount(builder, directory.path());
    let seen = view::of_directory(&mounted.path());
    for name in ["one", "two"] {
        let xattrs = &seen[name.as_bytes()].xattrs;
        assert_eq!(xattrs.len(), 301, "255 are shared, the others are not");
        assert_eq!(xattrs[300], (b"user.own".to_vec(), name.as_bytes().to_vec()));
    }
}
