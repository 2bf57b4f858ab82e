// SPDX-License-Identifier: MIT
//! What stays on the disk of a directory that is written anew, forgotten or damaged.

use super::*;

fn shelf() -> (tempfile::TempDir, Shelf) {
    let root = tempfile::tempdir().expect("directory");
    let shelf = Shelf::open(root.path()).expect("shelf").0;
    (root, shelf)
}

fn kept(shelf: &Shelf) -> Arc<Directory> {
    let name = DirectoryName {
        session: "key a".to_owned(),
        name: "context".to_owned(),
        shared_key: String::new(),
    };
    Arc::new(Directory::kept(shelf, name).expect("directory"))
}

/// Remembers a file of four bytes; the pack is mostly garbage.
fn fill(directory: &Arc<Directory>, shelf: &Shelf, offset: u64) {
    let transfer = directory.begin(shelf).expect("transfer");
    transfer.pack().reserve(2 * GARBAGE).expect("room");
    transfer.pack().write(0, b"text").expect("written");
    let key = FileKey {
        path: b"f".to_vec(),
        size: 4,
        modified: 1,
        mode: 0o644,
    };
    let digest = [0; 32];
    transfer.keep(
        key,
        Region {
            offset,
            length: 4,
            digest,
        },
    );
}

fn names(root: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(root.path()).expect("listing");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn what_cannot_be_copied_leaves_no_file() {
    let (root, shelf) = shelf();
    let directory = kept(&shelf);
    // There is room, but nothing was written there.
    fill(&directory, &shelf, GARBAGE);
    directory.tidy(&shelf).expect_err("nothing to copy");
    assert_eq!(names(&root), ["1.pack"]);
    fill(&directory, &shelf, 0);
    directory.tidy(&shelf).expect("tidy");
    directory.save(&shelf).expect("saved");
    assert_eq!(names(&root), ["3.index", "3.pack"]);
}

#[test]
fn what_is_forgotten_gets_no_new_file() {
    let (root, shelf) = shelf();
    let directory = kept(&shelf);
    fill(&directory, &shelf, 0);
    directory.save(&shelf).expect("saved");
    let (_, mut found) = Shelf::open(root.path()).expect("shelf");
    let next = Arc::new(found.pop().expect("a directory"));
    directory.forget(&shelf);
    directory.tidy(&shelf).expect("tidy");
    assert_eq!(names(&root), [""; 0]);
    // The same when nobody had read it yet.
    next.forget(&shelf);
    let transfer = next.begin(&shelf).expect("transfer");
    transfer.pack().write(0, b"text").expect("written");
    next.tidy(&shelf).expect("tidy");
    assert_eq!((names(&root).len(), next.size().1), (0, 0));
}

#[test]
fn an_index_that_does_not_read_is_nothing() {
    let (root, shelf) = shelf();
    let directory = kept(&shelf);
    fill(&directory, &shelf, 0);
    directory.save(&shelf).expect("saved");
    drop(directory);
    let (shelf, mut found) = Shelf::open(root.path()).expect("shelf");
    let directory = Arc::new(found.pop().expect("a directory"));
    assert_eq!(directory.size().1, 1);
    std::fs::remove_file(root.path().join("1.index")).expect("removed");
    directory.begin(&shelf).expect("transfer");
    assert_eq!(directory.size(), (0, 0));
    fill(&directory, &shelf, 0);
    directory.save(&shelf).expect("saved");
    assert_eq!(names(&root), ["2.index", "2.pack"]);
}
