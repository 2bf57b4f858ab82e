// SPDX-License-Identifier: MIT
//! Entry point of the fuzz target: an archive that a stranger sends as a context, with what must hold whatever it is.

use std::io::Read as _;
use std::path::{Component, Path};

use super::{EntryKind, Scratch, SpooledTree, Tree as _, TreePlace};

/// Reads an archive and all that is in it; `directory` is made, and empty afterwards.
///
/// # Panics
/// When a name leads out of the tree, an entry is below something that is no directory, or something is left behind.
pub fn archive(bytes: &[u8], directory: &Path) {
    let scratch = Scratch::open(directory).expect("a scratch directory");
    if let Ok(tree) = SpooledTree::read(bytes, &scratch) {
        for entry in tree.walk(Path::new("")).expect("a walk") {
            let entry = entry.expect("an entry");
            let mut names = entry.path.components();
            assert!(
                names.all(|name| matches!(name, Component::Normal(_))),
                "{:?}",
                entry.path
            );
            if let Some(above) = entry.path.parent() {
                let above = tree.entry(above).expect("a look").expect("what it is in");
                assert_eq!(above.kind, EntryKind::Directory, "{:?}", entry.path);
            }
            if let EntryKind::File { size, .. } = entry.kind {
                let mut content = Vec::new();
                let read = tree.open(&entry.path).expect("a file").read_to_end(&mut content);
                assert_eq!(read.expect("bytes") as u64, size, "{:?}", entry.path);
            }
        }
        // A device or a name that the disk refuses is an error, no more.
        if let Ok(TreePlace::Directory(place)) = tree.place() {
            assert!(place.starts_with(directory));
        }
    }
    assert!(
        std::fs::read_dir(directory).expect("the directory").next().is_none(),
        "something is left"
    );
}
