// SPDX-License-Identifier: MIT
//! The standard streams of one process and the clients attached to them.
//!
//! Output is read only while every attached client keeps up, and goes to the log and to all of them; input comes from any
//! client and is read only while the process takes it. With a terminal both directions are the pseudo-terminal's master. All
//! descriptors are non-blocking.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hyperbox_types::run::TerminalSize;
use hyperbox_types::stream::Channel;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::termios::Winsize;

use crate::client::Client;

/// Input in bytes that may wait for the process.
const INPUT_LIMIT: usize = 64 * 1024;

/// The shim's ends of a process's streams.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Writes standard input.
    pub(crate) stdin: Option<OwnedFd>,
    /// Reads standard output, or the terminal.
    pub(crate) stdout: Option<OwnedFd>,
    /// Reads standard error.
    pub(crate) stderr: Option<OwnedFd>,
    /// Whether it is a terminal.
    pub(crate) terminal: bool,
    /// Whether the end of one client's input is the end of the process's.
    pub(crate) stdin_once: bool,
}

/// Streams and clients of one process.
#[derive(Debug)]
pub(crate) struct ProcessIo {
    ends: Ends,
    input: VecDeque<u8>,
    input_closing: bool,
    clients: Vec<Client>,
    ended: bool,
}

/// What came of trying to read output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The stream has ended.
    End,
}

impl ProcessIo {
    /// Takes over the streams.
    pub(crate) fn new(ends: Ends) -> io::Result<Self> {
        for end in [&ends.stdin, &ends.stdout, &ends.stderr].into_iter().flatten() {
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self {
            ends,
            input: VecDeque::new(),
            input_closing: false,
            clients: Vec::new(),
            ended: false,
        })
    }

    /// Tells whether output is framed.
    pub(crate) fn is_framed(&self) -> bool {
        !self.ends.terminal
    }

    /// Adds a client.
    pub(crate) fn attach(&mut self, client: Client) {
        self.clients.push(client);
    }

    /// Returns the clients.
    pub(crate) fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Returns the end that gives this channel, when it should be polled now.
    pub(crate) fn readable_end(&self, channel: Channel) -> Option<BorrowedFd<'_>> {
        let end = self.end(channel)?;
        (self.ended || self.clients.iter().all(Client::keeps_up)).then(|| end.as_fd())
    }

    /// Returns the end that takes input, when it should be polled now.
    pub(crate) fn writable_end(&self) -> Option<BorrowedFd<'_>> {
        (!self.input.is_empty()).then(|| self.ends.stdin.as_ref().map(AsFd::as_fd))?
    }

    /// Tells whether more input may be read from clients.
    pub(crate) fn takes_input(&self) -> bool {
        self.input.len() < INPUT_LIMIT
    }

    /// Reads output once into `buffer` and passes it to the clients.
    pub(crate) fn read_output(&mut self, channel: Channel, buffer: &mut [u8]) -> Output {
        let Some(end) = self.end(channel) else {
            return Output::End;
        };
        match rustix::io::read(end, &mut *buffer) {
            Ok(count @ 1..) => {
                for client in &mut self.clients {
                    client.output(channel, &buffer[..count]);
                }
                Output::Bytes(count)
            }
            Err(Errno::AGAIN | Errno::INTR) => Output::Nothing,
            // The master of a pseudo-terminal fails with EIO once nobody has the other side open.
            Ok(_) | Err(_) => {
                self.close_output(channel);
                Output::End
            }
        }
    }

    /// Tells whether all output has been read.
    pub(crate) fn output_is_complete(&self) -> bool {
        self.ends.stdout.is_none() && self.ends.stderr.is_none()
    }

    /// The process has ended: what is left is read whether clients keep up or not, as it cannot grow any more.
    pub(crate) fn process_ended(&mut self) {
        self.ended = true;
        self.ends.stdin = None;
        self.input = VecDeque::new();
    }

    /// Gives up on output, and lets the clients go once they have what was read.
    pub(crate) fn finish(&mut self) {
        self.ends.stdout = None;
        self.ends.stderr = None;
        self.clients.iter_mut().for_each(Client::finish);
        self.sweep();
    }

    /// Handles what a poll said of one client. `buffer` is scratch space.
    pub(crate) fn on_client(&mut self, index: usize, flags: PollFlags, buffer: &mut [u8]) {
        let takes_input = self.takes_input();
        let Some(client) = self.clients.get_mut(index) else {
            return;
        };
        client.on_ready(flags);
        if !takes_input || !flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        let Some(count) = client.read_input(buffer) else {
            return;
        };
        if count > 0 {
            self.push_input(&buffer[..count]);
        } else if self.ends.stdin_once {
            self.close_input();
        }
    }

    /// Adds input; it is dropped when the process takes none any more.
    pub(crate) fn push_input(&mut self, bytes: &[u8]) {
        if self.ends.stdin.is_some() && !self.input_closing {
            self.input.extend(bytes);
            self.write_input();
        }
    }

    /// Continues to write input.
    pub(crate) fn write_input(&mut self) {
        while let Some(stdin) = &self.ends.stdin {
            let (front, _) = self.input.as_slices();
            if front.is_empty() {
                break;
            }
            match rustix::io::write(stdin, front) {
                Ok(count) => drop(self.input.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                // The process does not read any more; what clients still send is read and dropped.
                Err(_) => {
                    self.input.clear();
                    self.ends.stdin = None;
                }
            }
        }
        if self.input.is_empty() {
            self.input.shrink_to(0);
            if self.input_closing {
                self.ends.stdin = None;
            }
        }
    }

    /// Closes standard input once what waits is delivered. A terminal has no such end: nothing happens there.
    pub(crate) fn close_input(&mut self) {
        if !self.ends.terminal {
            self.input_closing = true;
            self.write_input();
        }
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// `InvalidInput` when there is none.
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let Some(master) = self.ends.stdout.as_ref().filter(|_| self.ends.terminal) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the process has no terminal",
            ));
        };
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        Ok(rustix::termios::tcsetwinsize(master, size)?)
    }

    /// Forgets clients that are done.
    pub(crate) fn sweep(&mut self) {
        self.clients.retain(|client| !client.is_over());
    }

    fn end(&self, channel: Channel) -> Option<&OwnedFd> {
        match channel {
            Channel::Stderr => self.ends.stderr.as_ref(),
            _ => self.ends.stdout.as_ref(),
        }
    }

    fn close_output(&mut self, channel: Channel) {
        match channel {
            Channel::Stderr => self.ends.stderr = None,
            _ => self.ends.stdout = None,
        }
    }
}
