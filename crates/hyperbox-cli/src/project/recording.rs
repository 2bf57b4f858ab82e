// SPDX-License-Identifier: MIT
//! The file system, with a memory of what was asked for: whoever watches a project has to know the files that it is described by, those that
//! are included and those that are not there yet as well.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use hyperbox_project::compose::{Disk, Files};

/// Reads from the disk and remembers each path.
#[derive(Debug, Default)]
pub(crate) struct Recording(RefCell<BTreeSet<PathBuf>>);

impl Recording {
    /// Returns the paths that were read or looked for.
    pub(crate) fn into_paths(self) -> BTreeSet<PathBuf> {
        self.0.into_inner()
    }

    fn note(&self, path: &Path) {
        self.0.borrow_mut().insert(path.to_owned());
    }
}

impl Files for Recording {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.note(path);
        Disk.read(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.note(path);
        Disk.is_file(path)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        Disk.names(directory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_what_is_missing_is_remembered() {
        let scratch = tempfile::tempdir().unwrap();
        let (there, missing) = (scratch.path().join("there"), scratch.path().join("missing"));
        std::fs::write(&there, "text").unwrap();
        let files = Recording::default();
        assert_eq!(files.read(&there).unwrap(), "text");
        assert!(!files.is_file(&missing));
        assert_eq!(files.into_paths(), BTreeSet::from([there, missing]));
    }
}
