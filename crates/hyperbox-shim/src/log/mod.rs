// SPDX-License-Identifier: MIT
//! The container's log: output in, json-file entries on disk out.

mod compression;
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
    /// The part of every entry that tells of the container.
    attributes: Vec<u8>,
    encoded: Vec<u8>,
}

impl Log {
    /// Opens the log; `None` when nothing is kept.
    pub(crate) fn open(target: &LogTarget) -> io::Result<Option<Self>> {
        let LogTarget::JsonFile {
            path,
            max_bytes,
            max_files,
            compress,
            attributes,
        } = target
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            file: LogFile::open(path, *max_bytes, *max_files, *compress)?,
            stdout: Lines::default(),
            stderr: Lines::default(),
            attributes: entry::attributes(attributes),
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

    /// Tells whether a rotated file is being compressed, so that [`Log::compress_some`] has work.
    pub(crate) fn is_compressing(&self) -> bool {
        self.file.is_compressing()
    }

    /// Compresses a little of a rotated file: some milliseconds.
    pub(crate) fn compress_some(&mut self) {
        self.file.compress_some();
    }

    /// Compresses what is left of a rotated file.
    pub(crate) fn compress_rest(&mut self) {
        self.file.compress_rest();
    }

    fn with_stream(&mut self, channel: Channel, feed: impl FnOnce(&mut Lines, &mut dyn FnMut(&[u8], i64))) {
        let (lines, name) = match channel {
            Channel::Stderr => (&mut self.stderr, "stderr"),
            _ => (&mut self.stdout, "stdout"),
        };
        let (file, encoded, attributes) = (&mut self.file, &mut self.encoded, &self.attributes);
        feed(lines, &mut |text, time_ns| {
            encoded.clear();
            entry::append(encoded, text, name, attributes, time_ns);
            file.append(encoded);
        });
    }
}
