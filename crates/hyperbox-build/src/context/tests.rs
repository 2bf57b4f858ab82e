// SPDX-License-Identifier: MIT
//! Trees of archives and of directories: the same files are the same entries, whatever they come from; nothing hostile gets anywhere.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Ignore;
use proptest::prelude::*;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::directory::Owners;
use super::git::Git;
use super::remote::{Address, GitAddress};
use super::{DigestCache, DirectoryTree, Entry, EntryKind, Scratch, SpooledTree, Tree, TreeError, TreePlace};

fn scratch() -> (TempDir, Scratch) {
    let directory = TempDir::new().expect("a directory");
    let scratch = Scratch::open(&directory.path().join("scratch")).expect("scratch");
    (directory, scratch)
}

/// One member: its type, name, target and bytes, whatever they are.
fn member(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn paths(tree: &dyn Tree, below: &str) -> Vec<String> {
    let entries = tree.walk(Path::new(below)).expect("a walk");
    entries
        .map(|entry| entry.expect("an entry").path.display().to_string())
        .collect()
}

fn refusal(archive: &[u8]) -> String {
    let (_directory, scratch) = scratch();
    match SpooledTree::read(archive, &scratch) {
        Err(error @ TreeError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?} is no refusal"),
    }
}

#[test]
fn hostile_archives_are_refused() {
    let link = || member(b'2', "l", "/etc", b"");
    let file = || member(b'0', "f", "", b"x");
    for (what, archive) in [
        ("above the root", member(b'0', "../x", "", b"")),
        ("above the root on the way", member(b'0', "a/../../x", "", b"")),
        ("through a file", [file(), member(b'0', "f/x", "", b"")].concat()),
        (
            "a link to itself",
            [member(b'2', "l", "l", b""), member(b'0', "l/x", "", b"")].concat(),
        ),
        ("a hard link to nothing", member(b'1', "h", "nope", b"")),
        ("a hard link out", [link(), member(b'1', "h", "l/passwd", b"")].concat()),
        (
            "a hard link to a directory",
            [member(b'5', "d", "", b""), member(b'1', "h", "d", b"")].concat(),
        ),
        ("a file as root", member(b'0', ".", "", b"x")),
        ("a link to the empty name", member(b'2', "l", "", b"")),
        ("a sparse file", member(b'S', "s", "", b"")),
        ("an unknown type", member(b'Z', "z", "", b"")),
        ("a damaged header", {
            let mut bytes = file();
            bytes[3] = 7;
            bytes
        }),
        ("a file that is cut", file()[..512].to_vec()),
        ("a header that is cut", file()[..300].to_vec()),
        (
            "a damaged extension",
            [member(b'x', "p", "", b"99 a=b\n"), file()].concat(),
        ),
        (
            "a NUL in a name",
            [member(b'x', "p", "", b"12 path=a\0b\n"), file()].concat(),
        ),
        (
            "an owner that is none",
            [member(b'x', "p", "", b"18 uid=4294967295\n"), file()].concat(),
        ),
    ] {
        let reason = refusal(&archive);
        assert!(!reason.is_empty(), "{what}");
    }
    let mut endless = member(b'L', "x", "", b"");
    let mut header = tar::Header::from_byte_slice(&endless[..512]).clone();
    for size in [1 << 40, u64::MAX] {
        header.set_size(size);
        header.set_cksum();
        endless[..512].copy_from_slice(header.as_bytes());
        assert!(refusal(&endless).contains("too large"), "{size}");
    }
}

#[test]
fn later_members_replace_earlier_ones_and_links_stay_inside() {
    let (_directory, scratch) = scratch();
    let archive = [
        member(b'0', "d/a", "", b"1"),
        member(b'0', "d/a", "", b"22"),
        member(b'2', "l", "../../d", b""),
        member(b'0', "l/b", "", b"3"),
        member(b'0', "gone/x", "", b"4"),
        member(b'0', "gone", "", b"5"),
        member(b'1', "again", "d/a", b""),
        member(b'0', "/abs", "", b"6"),
    ]
    .concat();
    let tree = SpooledTree::read(archive.as_slice(), &scratch).expect("a tree");
    assert_eq!(paths(&tree, ""), ["", "abs", "again", "d", "d/a", "d/b", "gone", "l"]);
    assert_eq!(paths(&tree, "d"), ["d", "d/a", "d/b"]);
    assert_eq!(paths(&tree, "nope"), Vec::<String>::new());
    let identity = |path: &str| match tree.entry(Path::new(path)).expect("a look").expect("an entry").kind {
        EntryKind::File { size, identity } => (size, identity),
        other => panic!("{other:?}"),
    };
    assert_eq!(identity("d/a"), identity("again"));
    assert!(identity("d/a").1.is_some() && identity("d/b").1.is_none());
    assert!(
        tree.entry(Path::new("l/b")).expect("a look").is_none(),
        "no link is followed"
    );
    assert!(matches!(tree.open(Path::new("nope")), Err(TreeError::NotFound { .. })));
    assert!(matches!(tree.open(Path::new("d")), Err(TreeError::Refused { .. })));
}

/// Makes files, and an archive of them by GNU tar.
fn files(place: &Path) -> Vec<u8> {
    std::fs::create_dir_all(place.join("d/deep")).expect("a directory");
    std::fs::write(place.join("d/f"), "hello").expect("a file");
    std::fs::write(place.join("d/long"), vec![7; 100_000]).expect("a file");
    std::fs::hard_link(place.join("d/f"), place.join("again")).expect("a link");
    std::fs::set_permissions(place.join("d/f"), std::fs::Permissions::from_mode(0o4711)).expect("a mode");
    symlink("../../etc/passwd", place.join("d/out")).expect("a link");
    symlink("d", place.join("way")).expect("a link");
    let name: String = "n".repeat(120);
    std::fs::write(place.join(&name), "").expect("a file");
    let tar = Command::new("tar")
        .args(["--format=pax", "-c", "-C"])
        .arg(place)
        .arg(".")
        .output();
    tar.expect("tar runs").stdout
}

fn described(tree: &dyn Tree) -> Vec<(Entry, Option<[u8; 32]>)> {
    let entries = tree.walk(Path::new("")).expect("a walk").map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut digest = None;
        if let EntryKind::File { identity, .. } = &mut entry.kind {
            *identity = identity.map(|_| 0);
        }
        if matches!(entry.kind, EntryKind::File { .. }) {
            digest = Some(tree.digest(&entry).expect("a digest"));
        }
        entry.modified_at = Timestamp(0);
        (entry, digest)
    });
    entries.collect()
}

fn as_root() {
    let is_root = rustix::process::geteuid().is_root();
    assert!(
        is_root,
        "this test must be run as root: it makes devices and files of others"
    );
}

#[test]
fn privileged_a_directory_and_its_archive_are_the_same_tree() {
    as_root();
    let (directory, scratch) = scratch();
    let place = directory.path().join("files");
    let archive = files(&place);
    let kept = DirectoryTree::open(&place, Owners::Kept, DigestCache::default()).expect("a tree");
    let spooled = SpooledTree::read(archive.as_slice(), &scratch).expect("a tree");
    assert_eq!(described(&kept), described(&spooled));
    let TreePlace::Directory(unpacked) = spooled.place().expect("a place") else {
        panic!("an archive is unpacked into a directory");
    };
    let again = DirectoryTree::open(&unpacked, Owners::Kept, DigestCache::default()).expect("a tree");
    assert_eq!(described(&again), described(&kept));
    assert_eq!(
        spooled.place().expect("a place"),
        TreePlace::Directory(unpacked.clone())
    );
    drop((spooled, again));
    assert!(!unpacked.exists(), "what was unpacked goes with the tree");
    for path in ["d/out/x", "way/f", "../files/d/f", "/etc", "d/f/x"] {
        assert!(
            kept.entry(Path::new(path)).ok().flatten().is_none(),
            "{path} is not there"
        );
        assert!(kept.open(Path::new(path)).is_err(), "{path} cannot be opened");
    }
}

#[test]
fn what_is_ignored_is_not_there() {
    let (directory, _scratch) = scratch();
    let place = directory.path().join("files");
    files(&place);
    let ignore = Ignore::parse("d\n!d/deep\nn*\n").expect("patterns");
    let tree = DirectoryTree::open(&place, Owners::Root, DigestCache::default()).expect("a tree");
    let tree = tree.without(ignore);
    assert_eq!(paths(&tree, ""), ["", "again", "d", "d/deep", "way"]);
    assert!(tree.entry(Path::new("d/f")).expect("a look").is_none());
    assert!(tree.open(Path::new("d/f")).is_err());
    assert!(
        tree.entry(Path::new("d")).expect("a look").is_some(),
        "it is there for what is in it"
    );
    let tree = DirectoryTree::open(&place, Owners::Root, DigestCache::default()).expect("a tree");
    let tree = tree.without(Ignore::parse("d\n!d/nope\n").expect("patterns"));
    assert!(tree.entry(Path::new("d")).expect("a look").is_none());
}

#[test]
fn what_is_known_of_a_file_is_what_reading_it_again_tells() {
    // Files that are older than what counts as just now: those of this crate.
    let place = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = |digests: &DigestCache| DirectoryTree::open(place, Owners::Root, digests.clone()).expect("a tree");
    let known = DigestCache::default();
    let first = described(&tree(&known));
    let again = tree(&known);
    let walked: Vec<Entry> = again
        .walk(Path::new(""))
        .expect("walk")
        .map(|entry| entry.expect("entry"))
        .collect();
    assert!(
        walked.iter().any(|entry| entry.digest.is_some()),
        "nothing was recognised"
    );
    let forgetful = |(entry, digest): (Entry, Option<[u8; 32]>)| (Entry { digest: None, ..entry }, digest);
    let first: Vec<_> = first.into_iter().map(forgetful).collect();
    let again: Vec<_> = described(&again).into_iter().map(forgetful).collect();
    assert_eq!(first, again);
}

#[test]
fn a_file_that_changes_has_another_digest() {
    let (directory, _scratch) = scratch();
    let place = directory.path().join("files");
    std::fs::create_dir(&place).expect("a directory");
    let digests = DigestCache::default();
    let mut seen = std::collections::BTreeSet::new();
    for text in ["one", "two", "six"] {
        std::fs::write(place.join("f"), text).expect("a file");
        let tree = DirectoryTree::open(&place, Owners::Root, digests.clone()).expect("a tree");
        let entry = tree.entry(Path::new("f")).expect("a look").expect("the file");
        assert!(seen.insert(tree.digest(&entry).expect("a digest")), "{text}");
    }
}

fn git(place: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args([
        "-c",
        "user.name=n",
        "-c",
        "user.email=e@x",
        "-c",
        "init.defaultBranch=main",
    ]);
    let output = command.args(arguments).current_dir(place).output().expect("git runs");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[tokio::test]
async fn addresses_that_git_must_not_follow_are_refused() {
    let (directory, scratch) = scratch();
    let repository = directory.path().join("r.git");
    std::fs::create_dir(&repository).expect("a directory");
    git(&repository, &["init", "-q"]);
    let git = Git {
        scratch,
        cancel: CancellationToken::new(),
    };
    let local = repository.display().to_string();
    for remote in [
        local.as_str(),
        &format!("file://{local}"),
        "ext::sh -c true",
        "--upload-pack=true",
    ] {
        let address = GitAddress {
            remote: remote.to_owned(),
            ..GitAddress::default()
        };
        assert!(git.resolve(&address).await.is_err(), "{remote}");
    }
    let Some(Address::Git(option)) = Address::parse("https://x/y.git#--upload-pack=x") else {
        panic!("an address of git");
    };
    let error = git.resolve(&option).await.unwrap_err();
    assert_eq!(error.kind(), hyperbox_types::ErrorKind::InvalidArgument);
    git.cancel.cancel();
    let address = GitAddress {
        remote: "git://127.0.0.1:1/x".to_owned(),
        ..GitAddress::default()
    };
    assert!(git.resolve(&address).await.is_err());
}

/// A server of repositories on a port of its own, ended with the value.
struct Server(std::process::Child, u16);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serve(directory: &Path) -> Server {
    for _ in 0..20 {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").port()
        };
        // `git daemon` would leave this one behind when it is killed.
        let programs = git(directory, &["--exec-path"]);
        let mut command = Command::new(Path::new(&programs).join("git-daemon"));
        command.args(["--listen=127.0.0.1", "--export-all", "--reuseaddr"]);
        command
            .arg(format!("--port={port}"))
            .arg(format!("--base-path={}", directory.display()));
        let child = command.stderr(std::process::Stdio::null()).spawn().expect("git runs");
        let mut server = Server(child, port);
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        loop {
            if listens() {
                return server;
            }
            if server.0.try_wait().expect("a child").is_some() {
                // Somebody else has taken the port meanwhile.
                break;
            }
            std::thread::yield_now();
        }
    }
    panic!("no server of repositories could be started");
}

#[tokio::test]
async fn repositories_are_checked_out() {
    let (directory, scratch) = scratch();
    let work = directory.path().join("r.git");
    std::fs::create_dir_all(work.join("sub")).expect("a directory");
    git(&work, &["init", "-q"]);
    std::fs::write(work.join("sub/f"), "1").expect("a file");
    symlink("/etc", work.join("way")).expect("a link");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "1"]);
    git(&work, &["tag", "-a", "v1", "-m", "v1"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    std::fs::write(work.join("g"), "2").expect("a file");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "2"]);
    let server = serve(directory.path());
    let git = Git {
        scratch,
        cancel: CancellationToken::new(),
    };
    let remote = format!("git://127.0.0.1:{}/r.git", server.1);
    for (fragment, keep, expected) in [
        ("", false, vec!["", "g", "sub", "sub/f", "way"]),
        ("#v1", false, vec!["", "sub", "sub/f", "way"]),
        ("#main", false, vec!["", "g", "sub", "sub/f", "way"]),
        (format!("#{first}").as_str(), false, vec!["", "sub", "sub/f", "way"]),
        ("#v1:sub", false, vec!["", "f"]),
        ("?tag=v1&subdir=sub", false, vec!["", "f"]),
    ] {
        let Some(Address::Git(address)) = Address::parse(&format!("{remote}{fragment}")) else {
            panic!("an address of git");
        };
        let commit = git.resolve(&address).await.expect("a commit");
        let tree = git.check_out(&address, &commit, keep, DigestCache::default()).await;
        let tree = tree.unwrap_or_else(|error| panic!("{fragment}: {error}"));
        assert_eq!(paths(&tree, ""), expected, "{fragment}");
    }
    for (fragment, message) in [
        ("#nope", "repository does not contain ref nope"),
        ("#v1:nope", "subdir not found nope"),
        ("#v1:way", "subdir not a directory way"),
        ("#v1:way/x", "subdir not found way/x"),
        ("#v1:sub/f", "subdir not a directory sub/f"),
    ] {
        let Some(Address::Git(address)) = Address::parse(&format!("{remote}{fragment}")) else {
            panic!("an address of git");
        };
        let error = match git.resolve(&address).await {
            Err(error) => error,
            Ok(commit) => {
                let tree = git.check_out(&address, &commit, false, DigestCache::default()).await;
                tree.expect_err("no tree")
            }
        };
        assert!(error.to_string().starts_with(message), "{fragment}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn privileged_no_archive_panics_or_leads_out(
        members in prop::collection::vec(("[0-7xLgS]", "[abl./]{0,6}", "[abl./]{0,6}", 0_usize..40), 0..12),
        damage in prop::option::of((0_usize..6000, any::<u8>())),
    ) {
        as_root();
        let (_directory, scratch) = scratch();
        let mut archive: Vec<u8> = members
            .iter()
            .flat_map(|(kind, name, link, size)| member(kind.as_bytes()[0], name, link, &vec![b'a'; *size]))
            .collect();
        if let Some((place, byte)) = damage && let Some(target) = archive.get_mut(place) {
            *target = byte;
        }
        if let Ok(tree) = SpooledTree::read(archive.as_slice(), &scratch) {
            let entries: Vec<Entry> = tree.walk(Path::new("")).expect("a walk").map(|entry| entry.expect("an entry")).collect();
            for entry in &entries {
                prop_assert!(entry.path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{:?}", entry.path);
                let above = entry.path.parent().map(|above| tree.entry(above).expect("a look"));
                prop_assert!(above.is_none_or(|above| above.is_some_and(|above| above.kind == EntryKind::Directory)));
            }
            prop_assert!(tree.place().is_ok());
        }
    }
}
