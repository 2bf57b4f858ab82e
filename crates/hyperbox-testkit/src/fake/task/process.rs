// SPDX-License-Identifier: MIT
//! One pretended process: its attached streams, its input and its end.
//!
//! Each attached stream is served by a task of its own, fed through a channel: output to one client never waits for another, and
//! the stream ends only after everything was written.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use hyperbox_types::run::Streams;
use hyperbox_types::shim::Stdio;
use hyperbox_types::stream::{Channel, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::runtime::Script;
use crate::fake::fault::lock;

/// A process that is not there.
#[derive(Debug)]
pub(super) struct Process {
    terminal: bool,
    takes_input: bool,
    attached: Mutex<Vec<(Streams, mpsc::UnboundedSender<Bytes>)>>,
    input: Arc<Mutex<Vec<u8>>>,
    exit: watch::Sender<Option<i32>>,
}

impl Process {
    pub(super) fn new(stdio: Stdio) -> Self {
        Self {
            terminal: stdio.terminal.is_some(),
            takes_input: stdio.stdin,
            attached: Mutex::default(),
            input: Arc::default(),
            exit: watch::Sender::new(None),
        }
    }

    /// Serves a stream until the process ends.
    pub(super) fn attach(&self, streams: Streams, stream: UnixStream) {
        let (sender, mut output) = mpsc::unbounded_channel::<Bytes>();
        let (mut reader, mut writer) = stream.into_split();
        if self.exit.borrow().is_none() {
            lock(&self.attached).push((streams, sender));
        }
        let input = (streams.stdin && self.takes_input).then(|| Arc::clone(&self.input));
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer).await {
                if let Some(input) = &input {
                    lock(input).extend_from_slice(&buffer[..count]);
                }
            }
        });
        tokio::spawn(async move {
            while let Some(bytes) = output.recv().await {
                if writer.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            // The client may be gone: nobody is left to tell.
            let _gone = writer.shutdown().await;
        });
    }

    /// Sends output to everybody who is attached.
    pub(super) fn write(&self, channel: Channel, bytes: &[u8]) {
        let mut frame = Vec::new();
        if !self.terminal {
            let length = u32::try_from(bytes.len()).expect("a test writes less than 4 GiB at once");
            frame.extend_from_slice(&header(channel, length));
        }
        frame.extend_from_slice(bytes);
        let frame = Bytes::from(frame);
        for (streams, sender) in lock(&self.attached).iter() {
            let wanted = match channel {
                Channel::Stderr if !self.terminal => streams.stderr,
                _ => streams.stdout,
            };
            if wanted {
                // A client that went away reads no more.
                let _gone = sender.send(frame.clone());
            }
        }
    }

    /// Does what a script says.
    pub(super) fn perform(&self, script: &Script) {
        for (channel, bytes) in [(Channel::Stdout, &script.stdout), (Channel::Stderr, &script.stderr)] {
            if !bytes.is_empty() {
                self.write(channel, bytes);
            }
        }
        if let Some(code) = script.exit {
            self.end(code);
        }
    }

    /// Ends the process; a second end changes nothing. Returns whether this was the first.
    pub(super) fn end(&self, code: i32) -> bool {
        let first = self.exit.send_if_modified(|exit| {
            let first = exit.is_none();
            exit.get_or_insert(code);
            first
        });
        lock(&self.attached).clear();
        first
    }

    pub(super) fn input(&self) -> Vec<u8> {
        lock(&self.input).clone()
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        *self.exit.borrow()
    }

    /// Waits for the end. Cancel-safe.
    pub(super) async fn ended(&self) -> i32 {
        let mut exit = self.exit.subscribe();
        let ended = exit.wait_for(Option::is_some).await;
        // The sender is `self.exit`, which lives as long as this borrow.
        ended.ok().and_then(|code| *code).unwrap_or(-1)
    }
}
