// SPDX-License-Identifier: MIT
//! Tests of lists, good and bad.

use proptest::prelude::*;

use super::*;

const DIRECTORY: u32 = 0x8000_01ed;
const LINK: u32 = 0x0800_01ff;

fn stat(path: &str, mode: u32, link: &str) -> Stat {
    Stat {
        path: path.as_bytes().to_vec(),
        mode,
        link: link.as_bytes().to_vec(),
        ..Stat::default()
    }
}

fn reason(listing: &mut Listing, stat: Stat) -> Option<&'static str> {
    match listing.add(stat) {
        Ok(_) => None,
        Err(ListError::Path { reason, .. }) => Some(reason),
        Err(ListError::TooMuch) => Some("too much"),
    }
}

#[test]
fn a_walk_is_a_list() {
    let mut listing = Listing::default();
    let mut asked = Vec::new();
    for (path, mode, link) in [
        ("a", DIRECTORY, ""),
        ("a/b", DIRECTORY, ""),
        ("a/b/c", 0o644, ""),
        ("a/socket", 0x0100_01ed, ""),
        ("a/z", LINK, "../../x"),
        ("a-b", 0o600, ""),
        ("a.c", 0o644, "a/b/c"),
        ("b", 0o644, ""),
    ] {
        asked.extend(listing.add(stat(path, mode, link)).expect(path));
    }
    let expected = [(2, 2), (5, 4), (7, 6)].map(|(id, index)| Listed { id, index });
    assert_eq!(asked, expected);
    let entries = listing.into_entries();
    let paths: Vec<_> = entries.iter().map(|entry| entry.path.to_str().expect("text")).collect();
    assert_eq!(paths, ["a", "a/b", "a/b/c", "a/z", "a-b", "a.c", "b"]);
    for (index, path) in paths.iter().enumerate() {
        assert_eq!(find(&entries, path.as_bytes()), Some(index));
    }
    assert_eq!(find(&entries, b"a/c"), None);
    let identity = |index: usize| match entries[index].kind {
        EntryKind::File { identity, .. } => identity,
        _ => None,
    };
    assert_eq!((identity(2), identity(5), identity(6)), (Some(1), Some(1), None));
}

#[test]
fn what_is_no_list_is_refused() {
    let directory = |path: &str| stat(path, DIRECTORY, "");
    let file = |path: &str| stat(path, 0o644, "");
    let long_name = "x".repeat(256);
    let long_path = "x/".repeat(2100) + "x";
    for (stats, expected) in [
        (vec![file("")], "a path without a name"),
        (vec![file("/etc/passwd")], "a path without a name"),
        (vec![file("a/")], "a path without a name"),
        (vec![directory("a"), file("a//b")], "a path without a name"),
        (vec![file("..")], "a path that is not clean"),
        (vec![file("../x")], "a path that is not clean"),
        (vec![directory("a"), file("a/../../x")], "a path that is not clean"),
        (vec![file("./a")], "a path that is not clean"),
        (vec![file("a\0b")], "a name with a zero byte"),
        (vec![file(&long_name)], "the name is too long"),
        (vec![file(&long_path)], "the path is too long"),
        (vec![file("a/b")], "in what is no directory of the list"),
        (vec![file("a"), file("a/b")], "in what is no directory of the list"),
        (
            vec![stat("a", LINK, "/"), file("a/b")],
            "in what is no directory of the list",
        ),
        (
            vec![directory("a"), file("a/b/c")],
            "in what is no directory of the list",
        ),
        (vec![directory("a"), directory("b"), file("a/x")], "out of order"),
        (vec![file("b"), file("a")], "out of order"),
        (vec![file("a"), file("a")], "out of order"),
        (vec![directory("a"), file("a")], "out of order"),
        (vec![file("a-b"), directory("a")], "out of order"),
        (vec![stat("a", LINK, "")], "a link to what is no path"),
        (vec![stat("a", LINK, "x\0y")], "a link to what is no path"),
        (vec![stat("a", LINK, &long_path)], "a link to what is no path"),
        (
            vec![stat("a", 0o644, "b")],
            "another name of a file that is not in the list",
        ),
        (
            vec![directory("a"), stat("b", 0o644, "a")],
            "another name of a file that is not in the list",
        ),
        (
            vec![stat("b", 0o644, "b")],
            "another name of a file that is not in the list",
        ),
    ] {
        let mut listing = Listing::default();
        let reasons: Vec<_> = stats
            .clone()
            .into_iter()
            .map(|stat| reason(&mut listing, stat))
            .collect();
        assert_eq!(reasons.last(), Some(&Some(expected)), "{stats:?}");
        assert!(reasons[..reasons.len() - 1].iter().all(Option::is_none), "{stats:?}");
    }
    let negative = Stat { size: -1, ..file("a") };
    assert_eq!(reason(&mut Listing::default(), negative), Some("a negative size"));
    let device = Stat {
        device_major: i64::MAX,
        ..stat("a", 1 << 26, "")
    };
    assert_eq!(reason(&mut Listing::default(), device), Some("a device that cannot be"));
}

#[test]
fn lists_that_take_too_much_memory_are_refused() {
    let mut listing = Listing {
        bytes: MOST_BYTES - ENTRY,
        ..Listing::default()
    };
    assert_eq!(reason(&mut listing, stat("a", 0o644, "")), Some("too much"));
    let mut listing = Listing {
        next_id: u32::MAX,
        ..Listing::default()
    };
    assert_eq!(reason(&mut listing, stat("a", 0o644, "")), Some("too much"));
}

#[test]
fn only_attributes_of_layers_are_kept() {
    let mut listing = Listing::default();
    let names = [
        "security.capability",
        "security.selinux",
        "user.a",
        "trusted.overlay.opaque",
    ];
    let attributes = names.map(|name| (name.to_owned(), vec![1])).into_iter().collect();
    let with = Stat {
        attributes,
        ..stat("a", 0o644, "")
    };
    listing.add(with).expect("listed");
    let kept: Vec<_> = listing.entries()[0].attributes.keys().cloned().collect();
    assert_eq!(kept, ["security.capability", "user.a"]);
}

proptest! {
    #[test]
    fn whatever_is_accepted_stays_inside(
        stats in proptest::collection::vec(("[ab./]{0,5}", prop_oneof![Just(DIRECTORY), Just(LINK), Just(0o644u32)], "[ab/]{0,3}"), 0..20)
    ) {
        let mut listing = Listing::default();
        for (path, mode, link) in stats {
            drop(listing.add(stat(&path, mode, &link)));
        }
        let entries = listing.into_entries();
        for pair in entries.windows(2) {
            prop_assert_eq!(order(bytes(&pair[0]), bytes(&pair[1])), Ordering::Less);
        }
        for entry in &entries {
            prop_assert!(entry.path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            if let Some(parent) = entry.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let parent = find(&entries, parent.as_os_str().as_bytes()).expect("its directory");
                prop_assert_eq!(&entries[parent].kind, &EntryKind::Directory);
            }
        }
    }
}
