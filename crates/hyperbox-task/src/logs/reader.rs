// SPDX-License-Identifier: MIT
//! Reads a log forwards through its rotations. Blocking; one batch of entries at a time.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{LogEntry, LogQuery};

use super::entry;
use super::files::{open_all, open_younger};
use super::part::LogPart;
use super::tail::start_of_last;

/// Read at a time.
const BLOCK: usize = 64 * 1024;

/// An entry is never longer: 16 KiB of output, each byte escaped, and the frame around it.
const MAX_LINE: usize = 256 * 1024;

/// A position in a log that may go on.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    /// Where compressed files are unpacked.
    directory: PathBuf,
    query: LogQuery,
    parts: VecDeque<LogPart>,
    offset: u64,
    /// Where the youngest file ended when it was opened: without `follow`, a writer that is faster than we must not keep us.
    end: u64,
    pending: Vec<u8>,
    finished: bool,
}

impl Reader {
    /// Opens the log where the query begins. A log that does not exist is empty.
    pub(crate) fn open(path: &Path, query: LogQuery) -> io::Result<Self> {
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let mut parts = open_all(path)?;
        let (first, offset) = match query.tail {
            None => (0, 0),
            Some(count) => start_of_last(&parts, &directory, count, &|line| {
                entry::parse(line).is_some_and(|entry| entry::is_chosen(&entry, &query))
            })?,
        };
        parts.drain(..first);
        let end = match parts.last() {
            Some(part) if !query.follow => part.file(&directory)?.metadata()?.len(),
            _ => u64::MAX,
        };
        Ok(Self {
            path: path.to_owned(),
            directory,
            query,
            parts: parts.into(),
            offset,
            end,
            pending: Vec::new(),
            finished: false,
        })
    }

    /// Reads on. An empty batch means that there is nothing more now.
    pub(crate) fn next_batch(&mut self) -> io::Result<Vec<LogEntry>> {
        let mut entries = Vec::new();
        while entries.is_empty() && !self.finished {
            if !self.read_block()? && !self.advance()? {
                break;
            }
            self.take_lines(&mut entries);
        }
        Ok(entries)
    }

    /// Tells whether the query's end was passed, so that nothing can follow.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Reads a block of the current file; `false` at its end.
    fn read_block(&mut self) -> io::Result<bool> {
        let Some(part) = self.parts.front() else {
            return Ok(false);
        };
        let left = if self.parts.len() == 1 {
            self.end.saturating_sub(self.offset)
        } else {
            u64::MAX
        };
        let wanted = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let file = part.file(&self.directory)?;
        let before = self.pending.len();
        self.pending.resize(before + wanted, 0);
        let result = file.read_at(&mut self.pending[before..], self.offset);
        self.pending.truncate(before + result.as_ref().copied().unwrap_or(0));
        let count = result?;
        self.offset += count as u64;
        Ok(count > 0)
    }

    /// Goes on to the next file at the end of one, or back to the start of one that was emptied; `false` when there is nothing.
    fn advance(&mut self) -> io::Result<bool> {
        if !self.query.follow && self.parts.len() <= 1 {
            return Ok(false);
        }
        let Some(current) = self.parts.front() else {
            self.parts = open_all(&self.path)?.into();
            return Ok(!self.parts.is_empty());
        };
        if self.parts.len() == 1 {
            if current.file(&self.directory)?.metadata()?.len() < self.offset {
                self.start_of_file();
                return Ok(true);
            }
            if current.is_current(&self.path) {
                return Ok(false);
            }
            let younger = open_younger(&self.path, current)?;
            if younger.is_empty() {
                return Ok(false);
            }
            self.parts.extend(younger);
        }
        // Nothing is written to a file after it was renamed, but something may have been just before.
        if self.read_block()? {
            return Ok(true);
        }
        self.parts.pop_front();
        self.start_of_file();
        Ok(true)
    }

    fn start_of_file(&mut self) {
        self.offset = 0;
        self.pending.clear();
    }

    fn take_lines(&mut self, entries: &mut Vec<LogEntry>) {
        let mut start = 0;
        while let Some(length) = self.pending[start..].iter().position(|byte| *byte == b'\n') {
            let entry = entry::parse(&self.pending[start..start + length]);
            start += length + 1;
            let Some(entry) = entry else {
                continue;
            };
            if self.query.until_ns.is_some_and(|until| entry.time_ns > until) {
                self.finished = true;
                return;
            }
            let recent = self.query.since_ns.is_none_or(|since| entry.time_ns >= since);
            if recent && entry::is_chosen(&entry, &self.query) {
                entries.push(entry);
            }
        }
        self.pending.drain(..start);
        if self.pending.len() > MAX_LINE {
            // Not an entry of ours; whatever follows its end is parsed again.
            self.pending.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::super::files::{compressed, numbered};
    use super::*;

    const ALL: LogQuery = LogQuery {
        stdout: true,
        stderr: true,
        since_ns: None,
        until_ns: None,
        tail: None,
        follow: false,
    };

    const FOLLOW: LogQuery = LogQuery { follow: true, ..ALL };

    fn line(text: &str, stream: &str, second: u32) -> String {
        format!("{{\"log\":\"{text}\\n\",\"stream\":\"{stream}\",\"time\":\"1970-01-01T00:00:{second:02}Z\"}}\n")
    }

    fn texts(reader: &mut Reader) -> Vec<String> {
        let mut texts = Vec::new();
        loop {
            let batch = reader.next_batch().unwrap();
            if batch.is_empty() {
                return texts;
            }
            texts.extend(
                batch
                    .into_iter()
                    .map(|entry| String::from_utf8(entry.bytes).unwrap().trim().to_owned()),
            );
        }
    }

    #[test]
    fn queries_choose() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(numbered(&path, 1), line("a", "stdout", 1) + &line("b", "stderr", 2)).unwrap();
        std::fs::write(
            &path,
            line("c", "stdout", 3) + "broken\n" + &line("d", "stderr", 4) + "{\"log\":\"cu",
        )
        .unwrap();
        for (query, expected) in [
            (ALL, "a b c d"),
            (LogQuery { stderr: false, ..ALL }, "a c"),
            (
                LogQuery {
                    stdout: false,
                    tail: Some(1),
                    ..ALL
                },
                "d",
            ),
            (LogQuery { tail: Some(3), ..ALL }, "b c d"),
            (LogQuery { tail: Some(0), ..ALL }, ""),
            (
                LogQuery {
                    since_ns: Some(2_000_000_000),
                    ..ALL
                },
                "b c d",
            ),
            (
                LogQuery {
                    until_ns: Some(2_000_000_000),
                    ..ALL
                },
                "a b",
            ),
            (
                LogQuery {
                    since_ns: Some(2_000_000_000),
                    tail: Some(4),
                    until_ns: Some(3_000_000_000),
                    ..ALL
                },
                "b c",
            ),
        ] {
            assert_eq!(
                texts(&mut Reader::open(&path, query).unwrap()).join(" "),
                expected,
                "{query:?}"
            );
        }
    }

    #[test]
    fn rotation_and_truncation_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut reader = Reader::open(&path, FOLLOW).unwrap();
        assert!(texts(&mut reader).is_empty());
        std::fs::write(&path, line("a", "stdout", 1)).unwrap();
        assert_eq!(texts(&mut reader), ["a"]);
        let mut old = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        old.write_all(line("b", "stdout", 2).as_bytes()).unwrap();
        // Twice at once: the file we hold becomes PATH.2.
        std::fs::rename(&path, numbered(&path, 2)).unwrap();
        std::fs::write(numbered(&path, 1), line("c", "stdout", 3)).unwrap();
        std::fs::write(&path, line("d", "stdout", 4)).unwrap();
        assert_eq!(texts(&mut reader), ["b", "c", "d"]);
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        assert!(texts(&mut reader).is_empty());
        let mut current = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        current.write_all(line("e", "stdout", 5).as_bytes()).unwrap();
        assert_eq!(texts(&mut reader), ["e"]);
    }

    /// Compresses as the shim does.
    fn compress(rotated: &Path) {
        let metadata = std::fs::metadata(rotated).unwrap();
        let mut field = b"HB\x10\x00".to_vec();
        field.extend_from_slice(&metadata.dev().to_le_bytes());
        field.extend_from_slice(&metadata.ino().to_le_bytes());
        let mut encoder = flate2::GzBuilder::new()
            .extra(field)
            .write(Vec::new(), flate2::Compression::default());
        encoder.write_all(&std::fs::read(rotated).unwrap()).unwrap();
        std::fs::write(compressed(rotated), encoder.finish().unwrap()).unwrap();
        std::fs::remove_file(rotated).unwrap();
    }

    #[test]
    fn compressed_files_are_read_and_followed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for (index, text) in [(3, "a"), (2, "b"), (1, "c")] {
            let rotated = numbered(&path, index);
            std::fs::write(&rotated, line(text, "stdout", 4 - index)).unwrap();
            if index > 1 {
                compress(&rotated);
            }
        }
        std::fs::write(&path, line("d", "stdout", 4)).unwrap();
        let tail = LogQuery { tail: Some(3), ..ALL };
        assert_eq!(texts(&mut Reader::open(&path, ALL).unwrap()), ["a", "b", "c", "d"]);
        assert_eq!(texts(&mut Reader::open(&path, tail).unwrap()), ["b", "c", "d"]);
        let mut follower = Reader::open(&path, LogQuery { follow: true, ..tail }).unwrap();
        assert_eq!(texts(&mut follower), ["b", "c", "d"]);
        let mut old = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        old.write_all(line("e", "stdout", 5).as_bytes()).unwrap();
        // The file that is held is rotated twice and compressed meanwhile, and so is one that nobody held.
        for (index, text) in [(2, "f"), (1, "g")] {
            std::fs::rename(&path, numbered(&path, index)).unwrap();
            compress(&numbered(&path, index));
            std::fs::write(&path, line(text, "stdout", 6)).unwrap();
        }
        assert_eq!(texts(&mut follower), ["e", "f", "g"]);
    }

    #[test]
    fn without_follow_the_end_is_that_of_the_opening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, line("a", "stdout", 1)).unwrap();
        let mut reader = Reader::open(&path, ALL).unwrap();
        let mut current = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        current.write_all(line("b", "stdout", 2).as_bytes()).unwrap();
        assert_eq!(texts(&mut reader), ["a"]);
    }

    #[test]
    fn half_an_entry_waits_for_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let whole = line("whole", "stdout", 1);
        std::fs::write(&path, &whole[..10]).unwrap();
        let mut reader = Reader::open(&path, FOLLOW).unwrap();
        assert!(texts(&mut reader).is_empty());
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(texts(&mut reader), ["whole"]);
    }
}
