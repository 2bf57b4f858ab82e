// SPDX-License-Identifier: MIT
//! What a process of a step writes: told as events as it comes, its end kept for the error.

use std::collections::VecDeque;

use hyperbox_core::seam::AttachIo;
use hyperbox_types::stream::{Channel, HEADER_LEN, parse_header};
use tokio::io::AsyncReadExt;

use crate::StepReporter;
use crate::event::LogStream;

/// So many bytes are kept for the error at most.
const TAIL: usize = 16 * 1024;
/// What is passed on at once at most.
const PIECE: usize = 32 * 1024;

/// The last of what a process wrote.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: VecDeque<u8>,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(TAIL)..];
        let excess = (self.bytes.len() + new.len()).saturating_sub(TAIL);
        self.bytes.drain(..excess);
        self.bytes.extend(new);
    }

    /// Returns whole lines, unless there is only a part of one.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        let full = self.bytes.len() == TAIL;
        let mut bytes = Vec::from(self.bytes);
        if full && let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            bytes.drain(..=end);
        }
        bytes
    }
}

/// Passes the output on to its end, which is that of the process, or of its connection.
pub(super) async fn pass_on(mut output: Box<dyn AttachIo>, reporter: &StepReporter, tail: &mut Tail) {
    let mut header = [0; HEADER_LEN];
    let mut buffer = vec![0; PIECE];
    while output.read_exact(&mut header).await.is_ok() {
        let Some((channel, length)) = parse_header(header) else {
            return;
        };
        let stream = match channel {
            Channel::Stderr => LogStream::Error,
            _ => LogStream::Output,
        };
        let mut left = length as usize;
        while left > 0 {
            let wanted = left.min(PIECE);
            let Ok(read @ 1..) = output.read(&mut buffer[..wanted]).await else {
                return;
            };
            reporter.log(stream, &buffer[..read]);
            tail.push(&buffer[..read]);
            left -= read;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use hyperbox_types::Digest;
    use hyperbox_types::stream::header;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::{BuildEvent, event::EventSender};

    #[test]
    fn the_tail_is_the_last_whole_lines() {
        let mut tail = Tail::default();
        tail.push(b"one\n");
        tail.push(b"two");
        assert_eq!(tail.into_bytes(), b"one\ntwo");
        let mut tail = Tail::default();
        tail.push(&[b'x'; TAIL]);
        tail.push(b"\nlast\n");
        assert_eq!(tail.into_bytes(), b"last\n");
    }

    #[tokio::test]
    async fn streams_are_told_apart_and_a_cut_frame_ends() {
        let (sender, events) = EventSender::channel();
        let reporter = StepReporter::new(sender, Digest::from_sha256([1; 32]));
        let (mut far, near) = tokio::io::duplex(1024);
        let writing = async move {
            for (channel, text) in [(Channel::Stdout, "out"), (Channel::Stderr, "err")] {
                let length = u32::try_from(text.len()).expect("short");
                far.write_all(&header(channel, length)).await.expect("header");
                far.write_all(text.as_bytes()).await.expect("text");
            }
            far.write_all(&header(Channel::Stdout, 100)).await.expect("header");
        };
        let mut tail = Tail::default();
        tokio::join!(writing, pass_on(Box::new(near), &reporter, &mut tail));
        drop(reporter);
        let told: Vec<_> = events.collect().await;
        let text = |event: &BuildEvent| match event {
            BuildEvent::Log(log) => (log.stream, log.bytes.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            told.iter().map(text).collect::<Vec<_>>(),
            [
                (LogStream::Output, b"out".to_vec()),
                (LogStream::Error, b"err".to_vec())
            ]
        );
        assert_eq!(tail.into_bytes(), b"outerr");
    }
}
