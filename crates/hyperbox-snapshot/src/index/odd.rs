// SPDX-License-Identifier: MIT
//! The file beside a layer's tar, for data that the tar has at odd places. Made when the first such data come, which is rare.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Where odd data go.
#[derive(Debug)]
pub(crate) struct Odd {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    length: u64,
}

impl Odd {
    /// Names the file; nothing is made yet.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            length: 0,
        }
    }

    /// Appends whole blocks; returns where they begin.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::new(File::create_new(&self.path)?)),
        };
        file.write_all(bytes)?;
        let start = self.length;
        self.length += bytes.len() as u64;
        Ok(start)
    }

    /// Writes what is still held, and returns the length; 0 when there is no file.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        if let Some(file) = &mut self.file {
            file.flush()?;
        }
        Ok(self.length)
    }
}
