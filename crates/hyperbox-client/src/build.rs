// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/build`: a whole build on one connection ([`hyperbox_types::build`]).
//!
//! The reading half belongs to one thread; the writing half may be shared, since each call writes whole frames.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hyperbox_types::build::{BuildAnswer, BuildCall, BuildMessage};
use hyperbox_types::stream::{Channel, MAX_PAYLOAD, header};

use crate::client::Client;
use crate::credentials::Credentials;
use crate::error::{ClientError, Result};
use crate::host::Host;
use crate::http::{Method, UpgradedReader, UpgradedWriter};
use crate::stdcopy::Demultiplexer;

/// A message longer than this is refused.
const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// A build that runs.
#[derive(Debug)]
pub struct BuildSession {
    /// What the daemon tells, asks and gives out.
    pub reader: BuildReader,
    /// Answers, and the context.
    pub writer: BuildWriter,
}

/// One thing that the daemon sent.
#[derive(Debug)]
pub enum BuildFrame<'a> {
    /// Bytes of what comes out.
    Output(&'a [u8]),
    /// A message.
    Message(Box<BuildMessage>),
}

/// The reading half of a [`BuildSession`].
#[derive(Debug)]
pub struct BuildReader {
    frames: Demultiplexer<UpgradedReader>,
    host: Host,
}

/// The writing half of a [`BuildSession`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BuildWriter(Arc<Mutex<UpgradedWriter>>);

impl Client {
    /// Begins a build. `credentials` are given to the registries of their keys (hosts).
    ///
    /// # Errors
    /// [`ClientError::is_unknown_route`] holds when the daemon is another engine; `FailedPrecondition` when a directory of the call is
    /// not what the daemon sees at its path; `InvalidArgument`.
    pub fn build(&self, call: &BuildCall, credentials: &BTreeMap<String, Credentials>) -> Result<BuildSession> {
        let mut request = self
            .request_path(Method::Post, "/hyperbox/v1/build")
            .header("Upgrade", "hyperbox-build")
            .json(call);
        if !credentials.is_empty() {
            // A map of strings always encodes.
            let json = serde_json::to_vec(credentials).unwrap_or_default();
            request = request.header("X-Registry-Config", URL_SAFE.encode(json));
        }
        let upgraded = request.upgrade()?;
        Ok(BuildSession {
            reader: BuildReader {
                frames: Demultiplexer::new(upgraded.reader),
                host: self.host().clone(),
            },
            writer: BuildWriter(Arc::new(Mutex::new(upgraded.writer))),
        })
    }
}

impl BuildReader {
    /// Returns what comes next; `None` when the daemon closed the connection.
    ///
    /// # Errors
    /// [`ClientError::Broken`] or [`ClientError::Protocol`].
    pub fn next_frame(&mut self) -> Result<Option<BuildFrame<'_>>> {
        let mut message = Vec::new();
        loop {
            let (channel, length) = match self.frames.next_piece() {
                Ok(Some((channel, bytes))) => {
                    if channel == Channel::Control {
                        message.extend_from_slice(bytes);
                    }
                    (channel, bytes.len())
                }
                Ok(None) => return Ok(None),
                Err(source) => return Err(self.failure(source)),
            };
            match channel {
                Channel::Stdout => return Ok(Some(BuildFrame::Output(self.frames.last_piece(length)))),
                Channel::Control if message.len() > MAX_MESSAGE => {
                    return Err(self.malformed("a message of the build is too long".to_owned()));
                }
                Channel::Control if self.frames.at_frame_end() => {
                    let message = serde_json::from_slice(&message)
                        .map_err(|error| self.malformed(format!("a message of the build is malformed: {error}")))?;
                    return Ok(Some(BuildFrame::Message(message)));
                }
                _ => {}
            }
        }
    }

    fn failure(&self, source: io::Error) -> ClientError {
        if source.kind() == io::ErrorKind::InvalidData {
            return self.malformed(source.to_string());
        }
        ClientError::Broken {
            host: self.host.clone(),
            doing: "the image was built",
            source,
        }
    }

    fn malformed(&self, reason: String) -> ClientError {
        ClientError::Protocol {
            host: self.host.clone(),
            reason,
        }
    }
}

impl BuildWriter {
    /// Sends a part of the context.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn context(&self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(MAX_PAYLOAD) {
            self.frame(Channel::Stdin, piece)?;
        }
        Ok(())
    }

    /// Tells that the context is complete.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn end_context(&self) -> io::Result<()> {
        self.frame(Channel::Stdin, &[])
    }

    /// Answers.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn answer(&self, answer: &BuildAnswer) -> io::Result<()> {
        let text = serde_json::to_vec(answer).map_err(io::Error::other)?;
        self.frame(Channel::Control, &text)
    }

    /// Cancels the build: the reading half ends.
    pub fn abort(&self) {
        self.lock().abort();
    }

    fn frame(&self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut frame = header(channel, length).to_vec();
        frame.extend_from_slice(bytes);
        self.lock().write_all(&frame)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, UpgradedWriter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the bytes of a message's text; what is malformed is nothing.
pub fn decode_data(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap_or_default()
}

/// Returns the text for bytes of a message.
pub fn encode_data(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
