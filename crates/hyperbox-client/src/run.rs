// SPDX-License-Identifier: MIT
//! `POST /hyperbox/v1/run`: a container's whole life on one connection ([`hyperbox_types::run`]).

use std::io::{self, Write};

use hyperbox_types::Signal;
use hyperbox_types::run::{RunCommand, RunEvent, RunRequest, TerminalSize};
use hyperbox_types::stream::{Channel, MAX_PAYLOAD, header};

use crate::client::Client;
use crate::error::{ClientError, Result};
use crate::host::Host;
use crate::http::{Method, UpgradedReader, UpgradedWriter};
use crate::stdcopy::Demultiplexer;

/// A control message longer than this is refused.
const MAX_CONTROL: usize = 1024 * 1024;

/// A running request.
#[derive(Debug)]
pub struct RunSession {
    /// Output and events.
    pub reader: RunReader,
    /// Input and commands.
    pub writer: RunWriter,
}

/// One thing that the daemon sent.
#[derive(Debug)]
pub enum RunFrame<'a> {
    /// Bytes of standard output, or of the terminal.
    Stdout(&'a [u8]),
    /// Bytes of standard error.
    Stderr(&'a [u8]),
    /// Something happened to the container.
    Event(RunEvent),
}

/// The reading half of a [`RunSession`].
#[derive(Debug)]
pub struct RunReader {
    frames: Demultiplexer<UpgradedReader>,
    host: Host,
}

/// The writing half of a [`RunSession`].
#[derive(Debug)]
pub struct RunWriter(UpgradedWriter);

impl Client {
    /// Creates, attaches, starts and waits in one request.
    ///
    /// # Errors
    /// [`ClientError::is_unknown_route`] holds when the daemon is another engine; else as creating a container.
    pub fn run(&self, request: &RunRequest) -> Result<RunSession> {
        let upgraded = self
            .request_path(Method::Post, "/hyperbox/v1/run")
            .header("Upgrade", "hyperbox-run")
            .json(request)
            .upgrade()?;
        Ok(RunSession {
            reader: RunReader {
                frames: Demultiplexer::new(upgraded.reader),
                host: self.host().clone(),
            },
            writer: RunWriter(upgraded.writer),
        })
    }
}

impl RunReader {
    /// Returns the next output or event; `None` when the daemon closed the connection.
    ///
    /// # Errors
    /// [`ClientError::Broken`] or [`ClientError::Protocol`].
    pub fn next_frame(&mut self) -> Result<Option<RunFrame<'_>>> {
        let mut control = Vec::new();
        loop {
            // The borrow of a returned piece would last through the loop, so only its length is kept here.
            let (channel, length) = match self.frames.next_piece() {
                Ok(Some((channel, bytes))) => {
                    if matches!(channel, Channel::Control | Channel::SystemError) {
                        control.extend_from_slice(bytes);
                    }
                    (channel, bytes.len())
                }
                Ok(None) => return Ok(None),
                Err(source) => return Err(failure(&self.host, source)),
            };
            match channel {
                Channel::Stdout => return Ok(Some(RunFrame::Stdout(self.frames.last_piece(length)))),
                Channel::Stderr => return Ok(Some(RunFrame::Stderr(self.frames.last_piece(length)))),
                Channel::Stdin => {}
                Channel::Control | Channel::SystemError if control.len() > MAX_CONTROL => {
                    return Err(protocol(&self.host, "an event is too long".to_owned()));
                }
                Channel::Control if self.frames.at_frame_end() => {
                    let event = serde_json::from_slice(&control)
                        .map_err(|error| protocol(&self.host, format!("an event of the run is malformed: {error}")))?;
                    return Ok(Some(RunFrame::Event(event)));
                }
                Channel::SystemError if self.frames.at_frame_end() => {
                    return Err(protocol(&self.host, String::from_utf8_lossy(&control).into_owned()));
                }
                Channel::Control | Channel::SystemError => {}
            }
        }
    }
}

fn failure(host: &Host, source: io::Error) -> ClientError {
    if source.kind() == io::ErrorKind::InvalidData {
        return protocol(host, source.to_string());
    }
    ClientError::Broken {
        host: host.clone(),
        doing: "the container was running",
        source,
    }
}

fn protocol(host: &Host, reason: String) -> ClientError {
    ClientError::Protocol {
        host: host.clone(),
        reason,
    }
}

impl RunWriter {
    /// Sends input.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn input(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(MAX_PAYLOAD) {
            self.frame(Channel::Stdin, piece)?;
        }
        Ok(())
    }

    /// Closes the input.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn close_input(&mut self) -> io::Result<()> {
        self.frame(Channel::Stdin, &[])
    }

    /// Tells the size of the client's terminal.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn resize(&mut self, size: TerminalSize) -> io::Result<()> {
        self.command(RunCommand::Resize(size))
    }

    /// Delivers a signal to the container's first process.
    ///
    /// # Errors
    /// When the connection is gone.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        self.command(RunCommand::Signal { signal })
    }

    /// Leaves the container alone: the reading half ends.
    pub fn abort(&self) {
        self.0.abort();
    }

    fn command(&mut self, command: RunCommand) -> io::Result<()> {
        let text = serde_json::to_vec(&command).map_err(io::Error::other)?;
        self.frame(Channel::Control, &text)
    }

    fn frame(&mut self, channel: Channel, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(bytes.len() + 8);
        frame.extend_from_slice(&header(channel, length));
        frame.extend_from_slice(bytes);
        self.0.write_all(&frame)
    }
}
