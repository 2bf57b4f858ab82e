// SPDX-License-Identifier: MIT
//! Finds where the last so many entries of a log begin, reading backwards from its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::part::LogPart;

/// Read at a time.
const BLOCK: u64 = 64 * 1024;

/// A position in a log: index of the file, offset in it.
pub(crate) type Position = (usize, u64);

/// Returns where the last `count` lines that satisfy `is_counted` begin; compressed files are unpacked in `directory`.
pub(crate) fn start_of_last(
    parts: &[LogPart],
    directory: &Path,
    count: u64,
    is_counted: &dyn Fn(&[u8]) -> bool,
) -> io::Result<Position> {
    let Some(last) = parts.len().checked_sub(1) else {
        return Ok((0, 0));
    };
    let mut left = count;
    let mut start = (last, complete_length(parts[last].file(directory)?)?);
    for (index, part) in parts.iter().enumerate().rev() {
        let mut lines = BackwardLines::new(part.file(directory)?)?;
        while left > 0 {
            let Some((offset, line)) = lines.next_line()? else {
                break;
            };
            if is_counted(&line) {
                left -= 1;
                start = (index, offset);
            }
        }
        if left == 0 {
            return Ok(start);
        }
    }
    Ok((0, 0))
}

/// Returns the offset behind the last newline.
fn complete_length(file: &File) -> io::Result<u64> {
    Ok(BackwardLines::new(file)?.end)
}

/// The complete lines of a file, last first.
struct BackwardLines<'a> {
    file: &'a File,
    /// Bytes of the file from `position` to `end`; everything from `end` on was given out.
    buffer: Vec<u8>,
    position: u64,
    end: u64,
}

impl<'a> BackwardLines<'a> {
    fn new(file: &'a File) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let mut lines = Self {
            file,
            buffer: Vec::new(),
            position: length,
            end: length,
        };
        lines.drop_incomplete()?;
        Ok(lines)
    }

    /// Skips what is behind the last newline: an entry that is being written, or was cut off.
    fn drop_incomplete(&mut self) -> io::Result<()> {
        loop {
            if let Some(newline) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                self.buffer.truncate(newline + 1);
                break;
            }
            self.buffer.clear();
            self.end = self.position;
            if self.position == 0 {
                return Ok(());
            }
            self.load()?;
        }
        self.end = self.position + self.buffer.len() as u64;
        Ok(())
    }

    /// Returns the line before those given out, without its newline, and its offset.
    fn next_line(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        if self.end == 0 {
            return Ok(None);
        }
        loop {
            // The last byte in the buffer is the newline that ends the wanted line.
            let body = self.buffer.len().saturating_sub(1);
            if let Some(newline) = self.buffer[..body].iter().rposition(|byte| *byte == b'\n') {
                return Ok(Some(self.cut(newline + 1)));
            }
            if self.position == 0 {
                return Ok(Some(self.cut(0)));
            }
            self.load()?;
        }
    }

    fn cut(&mut self, start: usize) -> (u64, Vec<u8>) {
        let mut line = self.buffer.split_off(start);
        line.pop();
        self.end = self.position + start as u64;
        (self.end, line)
    }

    /// Puts the block before the buffer in front of it.
    fn load(&mut self) -> io::Result<()> {
        // Long lines are read in growing blocks, so that their parts are not moved too often.
        let wanted = BLOCK.max(self.buffer.len() as u64).min(self.position);
        let length = usize::try_from(wanted).map_err(io::Error::other)?;
        let mut block = vec![0; length];
        self.file.read_exact_at(&mut block, self.position - wanted)?;
        block.append(&mut self.buffer);
        self.buffer = block;
        self.position -= wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::proptest;

    use super::super::files::{compressed, numbered, open_all};
    use super::*;

    fn tail(files: &[&str], count: u64, is_counted: &dyn Fn(&[u8]) -> bool) -> Position {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for (index, text) in files.iter().rev().enumerate() {
            std::fs::write(numbered(&path, u32::try_from(index).unwrap()), text).unwrap();
        }
        start_of_last(&open_all(&path).unwrap(), directory.path(), count, is_counted).unwrap()
    }

    #[test]
    fn positions_over_files() {
        let files = ["a\nb\n", "c\n", "dd\ne\ncut"];
        for (count, expected) in [
            (0, (2, 5)),
            (1, (2, 3)),
            (2, (2, 0)),
            (3, (1, 0)),
            (4, (0, 2)),
            (5, (0, 0)),
            (9, (0, 0)),
        ] {
            assert_eq!(tail(&files, count, &|_| true), expected, "{count}");
        }
        assert_eq!(tail(&files, 2, &|line| line == b"e" || line == b"b"), (0, 2));
        assert_eq!(tail(&[""], 3, &|_| true), (0, 0));
        assert_eq!(tail(&["no newline"], 3, &|_| true), (0, 0));
        assert_eq!(tail(&[], 3, &|_| true), (0, 0));
    }

    #[test]
    fn only_files_that_are_needed_are_unpacked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "d\n").unwrap();
        for (index, text) in [(1, "c\n"), (2, "a\nb\n")] {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            std::fs::write(compressed(&numbered(&path, index)), encoder.finish().unwrap()).unwrap();
        }
        let parts = open_all(&path).unwrap();
        for (count, expected, unpacked) in [
            (0, (2, 2), 0),
            (1, (2, 0), 0),
            (2, (1, 0), 1),
            (3, (0, 2), 2),
            (9, (0, 0), 2),
        ] {
            let position = start_of_last(&parts, directory.path(), count, &|_| true).unwrap();
            assert_eq!(position, expected, "{count}");
            assert_eq!(
                parts.iter().filter(|part| part.is_unpacked()).count(),
                unpacked,
                "{count}"
            );
        }
    }

    #[test]
    fn lines_longer_than_a_block() {
        let mut text = String::new();
        for letter in ["a", "b", "c"] {
            writeln!(text, "{}", letter.repeat(200_000)).unwrap();
        }
        assert_eq!(tail(&[&text], 2, &|_| true), (0, 200_001));
    }

    proptest! {
        #[test]
        fn agrees_with_reading_forwards(lines in proptest::collection::vec("[a-z]{0,12}", 0..40), count in 0_u64..50) {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let skipped = lines.len().saturating_sub(usize::try_from(count).unwrap());
            let expected = lines[..skipped].iter().map(|line| line.len() as u64 + 1).sum::<u64>();
            proptest::prop_assert_eq!(tail(&[&text], count, &|_| true), (0, expected));
        }
    }
}
