// SPDX-License-Identifier: MIT
//! The container's log: output in, json-file entries on disk out.

mod entry;
mod file;
mod lines;

use std::io;

use hyperbox_types::shim::LogTarget;
use hyperbox_types::stream::Channel;

use file::LogFile;
use lines::Lines;

/// Writes the output of a container's first process.
#[derive(Debug)]
pub(crate) struct Log {
    file: LogFile,
    stdout: Lines,
    stderr: Lines,
    encoded: Vec<u8>,
}

impl Log {
    /// Opens the log; `None` when nothing is kept.
    pub(crate) fn open(target: &LogTarget) -> io::Result<Option<Self>> {
        let LogTarget::JsonFile {
            path,
            max_bytes,
            max_files,
        } = target
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            file: LogFile::open(path, *max_bytes, *max_files)?,
            stdout: Lines::default(),
            stderr: Lines::default(),
            encoded: Vec::new(),
        }))
    }

    /// Adds output that was read at `now_ns`.
    pub(crate) fn write(&mut self, channel: Channel, bytes: &[u8], now_ns: i64) {
        self.with_stream(channel, |lines, emit| lines.push(bytes, now_ns, emit));
    }

    /// Ends both streams and writes everything out.
    pub(crate) fn finish(&mut self, now_ns: i64) {
        for channel in [Channel::Stdout, Channel::Stderr] {
            self.with_stream(channel, |lines, emit| lines.finish(now_ns, emit));
        }
        self.file.flush();
    }

    /// Writes whole entries out.
    pub(crate) fn flush(&mut self) {
        self.file.flush();
    }

    /// Tells whether the disk refused entries, so that they should be tried again.
    pub(crate) fn is_failing(&self) -> bool {
        self.file.is_failing()
    }

    fn with_stream(&mut self, channel: Channel, feed: impl FnOnce(&mut Lines, &mut dyn FnMut(&[u8], i64))) {
        let (lines, name) = match channel {
            Channel::Stderr => (&mut self.stderr, "stderr"),
            _ => (&mut self.stdout, "stdout"),
        };
        let (file, encoded) = (&mut self.file, &mut self.encoded);
        feed(lines, &mut |text, time_ns| {
            encoded.clear();
            entry::append(encoded, text, name, time_ns);
            file.append(encoded);
        });
    }
}
