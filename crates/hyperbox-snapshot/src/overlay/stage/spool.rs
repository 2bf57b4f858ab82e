// SPDX-License-Identifier: MIT
//! Writing a layer's tar: holes for zeros, and writing to the disk while the rest still arrives.
//!
//! At the commit nearly everything is on the disk already, so that waiting for the rest is short.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// A page: what a hole is made of.
const PAGE: usize = 4096;
/// After so many bytes the disk is asked to begin.
const BEGIN: u64 = 8 << 20;

/// A file that is written from its beginning to its end.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    length: u64,
    begun: u64,
    failure: Failure,
}

/// Whether writing failed: a reader of the same stream only sees that the stream did.
#[derive(Debug, Clone, Default)]
pub(super) struct Failure(Arc<Mutex<Option<io::Error>>>);

impl Failure {
    /// Returns why writing failed, if it did.
    pub(super) fn take(&self) -> Option<io::Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Spool {
    /// Makes the file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::create_new(path)?,
            length: 0,
            begun: 0,
            failure: Failure::default(),
        })
    }

    /// Tells later whether writing failed.
    pub(super) fn failure(&self) -> Failure {
        self.failure.clone()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut at = self.length;
        for run in runs(bytes) {
            match run {
                Run::Data(data) => {
                    self.file.write_all_at(data, at)?;
                    at += data.len() as u64;
                }
                Run::Zeros(length) => at += length as u64,
            }
        }
        // The file ends behind a hole, too.
        if at > self.length && bytes.last() == Some(&0) {
            self.file.set_len(at)?;
        }
        self.length = at;
        if self.length - self.begun >= BEGIN {
            // A hint: where it fails, the commit waits longer.
            drop(hyperbox_sys::writeback::start(
                self.file.as_fd(),
                self.begun,
                self.length - self.begun,
            ));
            self.begun = self.length;
        }
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.append(bytes) {
            let told = io::Error::new(error.kind(), "the layer cannot be written");
            *self.failure.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            return Err(told);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run of bytes.
#[derive(Debug, PartialEq, Eq)]
enum Run<'a> {
    Data(&'a [u8]),
    Zeros(usize),
}

/// Splits bytes into data and pages of zeros.
fn runs(bytes: &[u8]) -> Vec<Run<'_>> {
    let mut runs = Vec::new();
    let mut start = 0;
    let mut zeros = 0;
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        if is_zero(page) {
            let at = number * PAGE;
            if zeros == 0 && at > start {
                runs.push(Run::Data(&bytes[start..at]));
            }
            zeros += page.len();
            start = at + page.len();
        } else if zeros > 0 {
            runs.push(Run::Zeros(zeros));
            zeros = 0;
        }
    }
    if zeros > 0 {
        runs.push(Run::Zeros(zeros));
    } else if start < bytes.len() {
        runs.push(Run::Data(&bytes[start..]));
    }
    runs
}

fn is_zero(page: &[u8]) -> bool {
    // Words at a time; the first one tells for nearly all pages.
    let (words, rest) = page.as_chunks::<8>();
    words.iter().all(|word| u64::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_become_holes_and_nothing_else_does() {
        let page = |byte: u8| vec![byte; PAGE];
        let cases = [
            (vec![], vec![]),
            (vec![1; 10], vec![(10, true)]),
            (vec![0; 10], vec![(10, false)]),
            (
                [page(1), page(0), page(2)].concat(),
                vec![(PAGE, true), (PAGE, false), (PAGE, true)],
            ),
            (
                [page(0), page(0), page(2)].concat(),
                vec![(2 * PAGE, false), (PAGE, true)],
            ),
            (
                [page(1), page(2), page(0)].concat(),
                vec![(2 * PAGE, true), (PAGE, false)],
            ),
            ([page(1), vec![0; 100]].concat(), vec![(PAGE, true), (100, false)]),
        ];
        for (bytes, expected) in cases {
            let found: Vec<_> = runs(&bytes)
                .iter()
                .map(|run| match run {
                    Run::Data(data) => (data.len(), true),
                    Run::Zeros(length) => (*length, false),
                })
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_file_is_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tar");
        let mut spool = Spool::create(&path).unwrap();
        let mut all = Vec::new();
        for number in 0..200_usize {
            let byte = u8::try_from(number % 3).unwrap();
            let piece = vec![byte; number * 531 % 70_000];
            spool.write_all(&piece).unwrap();
            all.extend_from_slice(&piece);
        }
        spool.write_all(&[0; 9000]).unwrap();
        all.extend_from_slice(&[0; 9000]);
        assert!(std::fs::read(&path).unwrap() == all);
        assert!(spool.failure().take().is_none());
    }
}
