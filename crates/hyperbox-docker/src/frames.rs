// SPDX-License-Identifier: MIT
//! Reading the frames that a client of `POST /hyperbox/v1/run` sends ([`hyperbox_types::stream`]).
//!
//! The reader is fed with whatever arrives and gives complete frames. A frame that is longer than [`LIMIT`] or has a channel that
//! clients may not use ends the connection.

use bytes::{Buf, Bytes, BytesMut};
use hyperbox_types::stream::{Channel, HEADER_LEN, parse_header};

/// The longest payload that is accepted.
pub(crate) const LIMIT: usize = 1024 * 1024;

/// Puts frames together.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
}

/// The client does not speak the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl FrameReader {
    /// Adds bytes that arrived.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete frame; `None` when more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<(Channel, Bytes)>, Malformed> {
        let Some(header) = self.buffer.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let (channel, length) = parse_header(*header).ok_or(Malformed)?;
        if !matches!(channel, Channel::Stdin | Channel::Control) {
            return Err(Malformed);
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= LIMIT)
            .ok_or(Malformed)?;
        if self.buffer.len() < HEADER_LEN + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER_LEN);
        Ok(Some((channel, self.buffer.split_to(length).freeze())))
    }
}

#[cfg(test)]
mod tests {
    use hyperbox_types::stream::header;

    use super::*;

    #[test]
    fn frames_come_in_any_pieces() {
        let mut bytes = header(Channel::Stdin, 3).to_vec();
        bytes.extend_from_slice(b"abc");
        bytes.extend_from_slice(&header(Channel::Stdin, 0));
        bytes.extend_from_slice(&header(Channel::Control, 2));
        bytes.extend_from_slice(b"{}");
        for size in 1..bytes.len() {
            let mut reader = FrameReader::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                reader.feed(piece);
                while let Some(frame) = reader.next().expect("well-formed") {
                    frames.push(frame);
                }
            }
            let expected = [
                (Channel::Stdin, "abc".into()),
                (Channel::Stdin, Bytes::new()),
                (Channel::Control, "{}".into()),
            ];
            assert_eq!(frames, expected, "pieces of {size}");
        }
    }

    #[test]
    fn foreign_frames_are_refused() {
        for bytes in [header(Channel::Stdout, 1), header(Channel::Stdin, u32::MAX), [9; 8]] {
            let mut reader = FrameReader::default();
            reader.feed(&bytes);
            assert_eq!(reader.next(), Err(Malformed));
        }
    }
}
