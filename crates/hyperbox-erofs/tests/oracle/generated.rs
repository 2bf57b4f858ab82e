// SPDX-License-Identifier: MIT
//! Generated archives: the kernel shows of our index what GNU tar has extracted, and so does that of `mkfs.erofs`.

use std::fs;

use hyperbox_erofs::Image;
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::archive::{Body, Member, pack};
use crate::mounted::Mounted;
use crate::{index, tools, view};

/// Names of directories that exist in every archive; the empty one is the root.
const DIRECTORIES: [&str; 5] = [".", "a", "a/b", "a/b/.hidden", "z"];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,8}",
        "[!-.0-~]{1,12}".prop_filter("no dots alone", |name| name != "." && name != ".."),
        "[a-zäöü€]{1,40}",
        "\\.[!-.]{1,2}".prop_filter("no dots alone", |name| name != ".."),
        Just("n".repeat(255)),
        "[a-c]{200,255}",
    ]
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        4 => (any::<u8>(), prop_oneof![0..3_usize, 0..3000_usize, 510..515_usize, 4090..9000_usize])
            .prop_map(|(seed, length)| Body::File((0..length).map(|index| seed.wrapping_add((index / 7 % 251) as u8)).collect())),
        2 => prop_oneof!["[a-z/.]{1,60}", "[a-z]{300,900}", "[a-z]{3000,4000}"].prop_map(Body::Symlink),
        1 => (0..300_u32, 0..70_000_u32).prop_map(|(major, minor)| Body::CharacterDevice(major, minor)),
        1 => (0..300_u32, 0..70_000_u32).prop_map(|(major, minor)| Body::BlockDevice(major, minor)),
        1 => Just(Body::Fifo),
        2 => Just(Body::Directory),
        // Which file it is to be is known only when all members are.
        2 => (0..40_usize).prop_map(|index| Body::HardLink(index.to_string())),
    ]
}

/// ext4, where GNU tar extracts to, knows times from 1901 to 2446.
fn modified() -> impl Strategy<Value = (i64, u32)> {
    prop_oneof![
        2 => Just((1_700_000_000, 0)),
        1 => (0..1_i64 << 33, 0..1_000_000_000_u32),
        1 => (-(1_i64 << 31)..0, prop_oneof![Just(0), 1..1_000_000_000_u32]),
    ]
}

fn xattrs() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let one = (
        prop_oneof![
            Just("trusted.x"),
            Just("trusted.overlay.opaque"),
            Just("security.y"),
            Just("trusted.longer.name.of.one")
        ],
        prop_oneof![Just(b"y".to_vec()), vec(any::<u8>(), 0..40), vec(any::<u8>(), 300..700)],
    )
        // The crate `tar` takes a line's end for a record's.
        .prop_map(|(name, value): (&str, Vec<u8>)| {
            (name.to_owned(), value.into_iter().map(|byte| byte.max(11)).collect())
        });
    prop_oneof![3 => Just(Vec::new()), 1 => vec(one, 1..4)]
}

fn member() -> impl Strategy<Value = Member> {
    let owner = prop_oneof![3 => Just((0, 0)), 1 => (0..70_000_u32, 0..70_000_u32), 1 => Just((u32::MAX - 2, 1 << 31))];
    (
        0..DIRECTORIES.len(),
        name(),
        body(),
        0..0o10_000_u32,
        owner,
        modified(),
        xattrs(),
    )
        .prop_map(|(directory, name, body, mode, owner, modified, mut xattrs)| {
            xattrs.sort();
            xattrs.dedup_by(|one, other| one.0 == other.0);
            Member {
                path: format!("{}/{name}", DIRECTORIES[directory]),
                body,
                mode,
                owner,
                modified,
                xattrs,
            }
        })
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    vec(member(), 0..60).prop_map(|generated| {
        let mut members: Vec<Member> = DIRECTORIES.map(|path| Member::new(path, Body::Directory)).to_vec();
        for mut member in generated {
            // Paths of directories are not used again: extractors differ in what they do then.
            let plain = |path: &str| path.trim_start_matches("./").to_owned();
            if members.iter().any(|known| plain(&known.path) == plain(&member.path)) {
                continue;
            }
            if let Body::HardLink(index) = &member.body {
                let files: Vec<&Member> = members
                    .iter()
                    .filter(|known| !matches!(known.body, Body::Directory | Body::HardLink(_)))
                    .collect();
                let Some(target) = files.get(index.parse::<usize>().unwrap() % files.len().max(1)) else {
                    continue;
                };
                member.body = Body::HardLink(target.path.clone());
                // GNU tar gives a link's metadata to the inode, or not: its own say the same here.
                (member.mode, member.owner, member.modified) = (target.mode, target.owner, target.modified);
                member.xattrs = Vec::new();
            }
            members.push(member);
        }
        members
    })
}

fn check(members: &[Member]) {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let archive = pack(members);
    fs::write(place("tar"), &archive).unwrap();
    fs::create_dir(place("extracted")).unwrap();
    tools::extract(&place("tar"), &place("extracted"));
    let expected = view::of_directory(&place("extracted"));

    let ours = index::of_bytes(&archive);
    fs::write(place("ours"), &ours).unwrap();
    let image = Image::open(&ours[..]).unwrap();
    view::assert_same("our reader", &view::of_image(&image, &[&archive]), &expected);
    let mounted = Mounted::new(&place("ours"), &[&place("tar")]);
    view::assert_same("the kernel", &view::of_directory(&mounted.path()), &expected);
    tools::check_index(&place("ours"), &place("tar"));

    tools::make_index(&place("tar"), &place("theirs"));
    let theirs = Image::open(fs::read(place("theirs")).unwrap()).unwrap();
    let mut theirs = view::of_image(&theirs, &[&archive]);
    // It keeps permissions of links, which an archive may claim and Linux never shows.
    theirs
        .values_mut()
        .filter(|seen| seen.is_link())
        .for_each(|seen| seen.mode = 0o120_777);
    view::assert_same("an index of mkfs.erofs", &theirs, &expected);
}

#[test]
fn privileged_generated_archives_are_mounted_as_they_are_extracted() {
    let cases = std::env::var("PROPTEST_CASES").map_or(24, |cases| cases.parse().unwrap());
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Config::default()
    });
    let checked = |members: Vec<Member>| {
        check(&members);
        Ok(())
    };
    runner.run(&members(), checked).unwrap();
}
