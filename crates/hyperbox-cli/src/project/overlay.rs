// SPDX-License-Identifier: MIT
//! The file system with one more file: a Compose file that is proposed and not written.

use std::io;
use std::path::{Path, PathBuf};

use hyperbox_project::compose::Files;

/// Files, one of which is only a text.
pub(crate) struct Overlay<'a> {
    pub(crate) files: &'a dyn Files,
    pub(crate) path: PathBuf,
    pub(crate) text: &'a str,
}

impl Files for Overlay<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == self.path {
            return Ok(self.text.to_owned());
        }
        self.files.read(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        path == self.path || self.files.is_file(path)
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.names(directory)
    }
}
