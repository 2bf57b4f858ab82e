// SPDX-License-Identifier: MIT
//! Tests of the filter of layers.

use tar::{Builder, EntryType, Header};

use super::*;

fn archive(entries: &[(&str, EntryType, &str, u64)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, content, time) in entries {
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_mtime(*time);
        header.set_size(content.len() as u64);
        if path.len() > 200 {
            builder
                .append_pax_extensions([("path", path.as_bytes()), ("mtime", b"99999999999.5")])
                .expect("records");
            header.set_path("short").expect("name");
        } else {
            header.set_path(path).expect("name");
        }
        header.set_cksum();
        builder.append(&header, content.as_bytes()).expect("entry");
    }
    builder.into_inner().expect("archive")
}

fn filtered(archive: &[u8], stubs: &[&str], latest: Option<i64>) -> Vec<(String, u64, String)> {
    let stubs = stubs.iter().map(|path| (*path).to_owned()).collect();
    let mut bytes = Vec::new();
    let mut filter = Filter::new(archive, stubs, latest);
    filter.read_to_end(&mut bytes).expect("filtered");
    let mut list = Vec::new();
    let mut archive = tar::Archive::new(&bytes[..]);
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("entry");
        let path = entry.path().expect("path").display().to_string();
        let time = entry.header().mtime().expect("time");
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("content");
        list.push((path, time, text));
    }
    list
}

fn names(list: &[(String, u64, String)]) -> Vec<&str> {
    list.iter().map(|(path, _, _)| path.as_str()).collect()
}

#[test]
fn mount_points_go_unless_something_is_in_them() {
    use EntryType::{Directory, Regular};
    let entries = [
        ("etc", Directory, "", 1),
        ("etc/hosts", Regular, "", 1),
        ("kept", Directory, "", 1),
        ("run", Directory, "", 1),
        ("written", Regular, "text", 1),
        ("kept/by", Directory, "", 1),
        ("kept/by/file", Regular, "text", 1),
        ("run/secrets", Directory, "", 1),
        ("run/secrets/x", Regular, "", 1),
    ];
    let stubs = [
        "etc/hosts",
        "kept",
        "kept/by",
        "run/secrets",
        "run/secrets/x",
        "run",
        "written",
    ];
    let list = filtered(&archive(&entries), &stubs, None);
    assert_eq!(names(&list), ["etc", "written", "kept", "kept/by", "kept/by/file"]);
    assert_eq!(list[4].2, "text");
}

#[test]
fn without_mount_points_nothing_changes() {
    let long = "d/".repeat(120) + "f";
    let bytes = archive(&[("a", EntryType::Regular, "1", 5), (&long, EntryType::Regular, "2", 6)]);
    let mut same = Vec::new();
    Filter::new(&bytes[..], BTreeSet::new(), None)
        .read_to_end(&mut same)
        .expect("read");
    assert!(same == bytes, "it is another archive");
}

#[test]
fn times_are_clamped_in_both_places() {
    let long = "d/".repeat(120) + "f";
    let bytes = archive(&[
        ("old", EntryType::Regular, "", 5),
        ("new", EntryType::Regular, "x", 50),
        (&long, EntryType::Regular, "y", 7),
    ]);
    let list = filtered(&bytes, &[], Some(10));
    assert_eq!(list[0].1, 5);
    assert_eq!((list[1].1, list[1].2.as_str()), (10, "x"));
    assert_eq!(
        (list[2].1, list[2].0.as_str(), list[2].2.as_str()),
        (10, long.as_str(), "y")
    );
}

#[test]
fn archives_that_are_cut_off_are_errors() {
    let bytes = archive(&[("a", EntryType::Regular, "text", 5)]);
    for length in [100, 512, 600] {
        let mut out = Vec::new();
        let result = Filter::new(&bytes[..length], BTreeSet::new(), None).read_to_end(&mut out);
        assert!(result.is_err(), "{length}");
    }
}
