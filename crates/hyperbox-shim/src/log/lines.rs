// SPDX-License-Identifier: MIT
//! Cuts one output stream into log entries as Docker does. Pure.
//!
//! An entry is a line with its newline; a line longer than [`MAX_LINE`] becomes several entries without newline, the last of
//! which has it; what is left at the end of the stream becomes an entry without newline. All parts of one line have the time
//! of the first.

/// The longest entry in bytes, as in Docker's `logger.Copier`.
pub(crate) const MAX_LINE: usize = 16 * 1024;

/// The unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
    partial_since: Option<i64>,
}

impl Lines {
    /// Adds output that was read at `now_ns` and gives each entry with its time to `emit`.
    pub(crate) fn push(&mut self, mut bytes: &[u8], now_ns: i64, emit: &mut dyn FnMut(&[u8], i64)) {
        while !bytes.is_empty() {
            let room = MAX_LINE - self.pending.len();
            // A newline right behind a full buffer ends a line of its own: the full buffer went out as a part before.
            let window = &bytes[..bytes.len().min(room)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                let time = self.partial_since.take().unwrap_or(now_ns);
                if self.pending.is_empty() {
                    emit(&bytes[..=end], time);
                } else {
                    self.pending.extend_from_slice(&bytes[..=end]);
                    emit(&self.pending, time);
                    self.pending = Vec::new();
                }
                bytes = &bytes[end + 1..];
            } else {
                self.pending.extend_from_slice(window);
                bytes = &bytes[window.len()..];
                if self.pending.len() == MAX_LINE {
                    self.emit_part(now_ns, emit);
                }
            }
        }
    }

    /// Gives out what is left at the end of the stream.
    pub(crate) fn finish(&mut self, now_ns: i64, emit: &mut dyn FnMut(&[u8], i64)) {
        if !self.pending.is_empty() {
            self.emit_part(now_ns, emit);
        }
        self.partial_since = None;
    }

    fn emit_part(&mut self, now_ns: i64, emit: &mut dyn FnMut(&[u8], i64)) {
        let time = *self.partial_since.get_or_insert(now_ns);
        emit(&self.pending, time);
        self.pending = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(chunks: &[&[u8]]) -> Vec<(Vec<u8>, i64)> {
        let mut lines = Lines::default();
        let mut entries = Vec::new();
        let mut emit = |text: &[u8], time: i64| entries.push((text.to_vec(), time));
        let mut now = 0;
        for chunk in chunks {
            now += 1;
            lines.push(chunk, now, &mut emit);
        }
        lines.finish(now + 1, &mut emit);
        entries
    }

    #[test]
    fn lines_are_joined_over_reads() {
        let entries = cut(&[b"one\ntw", b"o\n\nthr", b"ee"]);
        let expected: [(&[u8], i64); 4] = [(b"one\n", 1), (b"two\n", 2), (b"\n", 2), (b"three", 4)];
        assert_eq!(entries, expected.map(|(text, time)| (text.to_vec(), time)));
    }

    #[test]
    fn long_lines_become_parts_with_one_time() {
        let long = vec![b'x'; MAX_LINE + 10];
        let entries = cut(&[&long, b"end\n", b"next\n"]);
        let sizes: Vec<_> = entries.iter().map(|(text, time)| (text.len(), *time)).collect();
        assert_eq!(sizes, [(MAX_LINE, 1), (14, 1), (5, 3)]);
    }

    #[test]
    fn a_line_of_exactly_the_limit_ends_with_an_empty_entry() {
        let mut text = vec![b'x'; MAX_LINE];
        text.push(b'\n');
        let sizes: Vec<_> = cut(&[&text]).iter().map(|(text, _)| text.len()).collect();
        assert_eq!(sizes, [MAX_LINE, 1]);
    }
}
