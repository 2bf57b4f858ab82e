// SPDX-License-Identifier: MIT
//! A connection to the machine's message bus, for calls one after another. Blocking; every call ends within [`PATIENCE`].

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::wire::{Answer, Argument, HEADER, Method, answer, call, remaining};

/// firewalld answers late while it loads its rules, on slow machines for seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// A line of the greeting is shorter.
const LINE: usize = 512;

const HELLO: Method = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "Hello",
};

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// There is no bus, or it does not answer.
    #[error("cannot speak to the message bus")]
    Bus(#[source] io::Error),
    /// Whoever was called said no, or nobody is there.
    #[error("{member}: {text} ({name})")]
    Refused {
        member: &'static str,
        name: String,
        text: String,
    },
}

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
}

impl Bus {
    /// Connects, with the identity of this process.
    ///
    /// # Errors
    /// [`CallError::Bus`] when nobody listens there or it is no message bus.
    pub(super) fn connect(path: &Path) -> Result<Self, CallError> {
        let mut bus = Self {
            stream: greet(path).map_err(CallError::Bus)?,
            serial: 0,
        };
        bus.call(HELLO, &[])?;
        Ok(bus)
    }

    /// Calls a method and returns the text that it returned.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub(super) fn call(&mut self, method: Method, arguments: &[Argument<'_>]) -> Result<Vec<String>, CallError> {
        self.serial += 1;
        let deadline = Instant::now() + PATIENCE;
        let message = call(self.serial, method, arguments);
        self.stream.write_all(&message).map_err(CallError::Bus)?;
        match self.wait(deadline).map_err(CallError::Bus)? {
            Answer::Returned(texts) => Ok(texts),
            Answer::Refused { name, text } => Err(CallError::Refused {
                member: method.member,
                name,
                text,
            }),
        }
    }

    /// Reads until the answer; signals and others' messages are passed over.
    fn wait(&mut self, deadline: Instant) -> io::Result<Answer> {
        loop {
            if Instant::now() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let mut header = [0; HEADER];
            self.stream.read_exact(&mut header)?;
            let length = remaining(&header).ok_or_else(|| io::Error::other("a message is too large"))?;
            let mut rest = vec![0; length];
            self.stream.read_exact(&mut rest)?;
            if let Some(answer) = answer(&header, &rest, self.serial) {
                return Ok(answer);
            }
        }
    }
}

/// Says who we are: the bus asks the kernel whether it is true (`AUTH EXTERNAL`).
fn greet(path: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let user = rustix::process::geteuid().as_raw().to_string();
    let user: String = user.bytes().map(|byte| format!("{byte:02x}")).collect();
    stream.write_all(format!("\0AUTH EXTERNAL {user}\r\n").as_bytes())?;
    let answer = line(&mut stream)?;
    if !answer.starts_with(b"OK ") {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the message bus does not let us in",
        ));
    }
    stream.write_all(b"BEGIN\r\n")?;
    Ok(stream)
}

fn line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
        if line.len() > LINE {
            return Err(io::Error::other("this is no message bus"));
        }
    }
    Ok(line)
}
