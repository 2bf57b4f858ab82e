// SPDX-License-Identifier: MIT
//! Named pipes of Windows.
//!
//! A pipe that is opened for plain reads and writes does one thing at a time: a read that waits would hold up every write,
//! and a session does both at once. Tokio opens it for overlapped I/O. Each connection has a runtime with one thread, which
//! ends with its last handle; the calls block, like those of the other connections.
//!
//! A pipe has no half that can be closed. As `go-winio` does it for Docker, an empty message tells the peer that nothing more
//! comes; a pipe of bytes does not transport it.

use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::windows::named_pipe::{ClientOptions, NamedPipeClient};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Duplex;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two attempts while all instances of the pipe are taken; there is nothing to wait for.
const BUSY_INTERVAL: Duration = Duration::from_millis(20);
/// `ERROR_PIPE_BUSY`: all instances are taken.
const PIPE_BUSY: i32 = 231;
/// `ERROR_PIPE_NOT_CONNECTED`: the server closed its end.
const NOT_CONNECTED: i32 = 233;

/// A handle of a connection.
struct Pipe(Arc<Shared>);

struct Shared {
    // Before the runtime: it takes the pipe's registration back.
    pipe: NamedPipeClient,
    closed: watch::Sender<bool>,
    runtime: Runtime,
}

impl Shared {
    /// Waits for an operation, unless the connection is closed meanwhile.
    fn wait<T>(&self, operation: impl Future<Output = io::Result<T>>) -> io::Result<Option<T>> {
        let mut closed = self.closed.subscribe();
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                // The sender lives as long as `self`, so this ends only by closing.
                _ = closed.wait_for(|closed| *closed) => Ok(None),
                result = operation => result.map(Some),
            }
        })
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.pipe.readable().await?;
            match self.pipe.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if is_end(&error) => return Ok(0),
                other => return other,
            }
        }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.pipe.writable().await?;
            match self.pipe.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }
}

fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(NOT_CONNECTED)
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        Ok(self.0.wait(self.0.read(buffer))?.unwrap_or_default())
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.0
            .wait(self.0.write(bytes))?
            .ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Duplex for Pipe {
    fn duplicate(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }

    fn close_write(&self) -> io::Result<()> {
        self.0.wait(self.0.write(&[])).map(drop)
    }

    fn close(&self) -> io::Result<()> {
        self.0.closed.send_replace(true);
        Ok(())
    }
}

/// Connects to the pipe at `path`, such as `//./pipe/hyperbox`.
pub(super) fn connect(path: &str) -> io::Result<Box<dyn Duplex>> {
    let path = path.replace('/', "\\");
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("hyperbox-pipe")
        .enable_all()
        .build()?;
    let pipe = runtime.block_on(open(&path))?;
    Ok(Box::new(Pipe(Arc::new(Shared {
        pipe,
        closed: watch::Sender::new(false),
        runtime,
    }))))
}

async fn open(path: &str) -> io::Result<NamedPipeClient> {
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    loop {
        match ClientOptions::new().open(path) {
            Err(error) if error.raw_os_error() == Some(PIPE_BUSY) && Instant::now() < deadline => {
                sleep(BUSY_INTERVAL).await;
            }
            other => return other,
        }
    }
}
