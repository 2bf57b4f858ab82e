// SPDX-License-Identifier: MIT
//! TCP: each direction is moved by splice(2) through a pipe, without a copy in this process, and ends on its own.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::Shutdown;
use rustix::net::sockopt::{set_socket_keepalive, set_socket_linger, set_tcp_nodelay};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Bytes in flight in a direction, beside the sockets' own buffers. A quarter of it and four times as much both carry a tenth to a
/// quarter less between loopback and a container: turns become too many, and what is in flight leaves the caches.
const PIPE: usize = 256 * 1024;
/// How long to wait when the machine has no descriptor left.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until it is dropped, and all of them with it.
pub(super) async fn serve(listener: TcpListener, target: SocketAddr, connections: Arc<Semaphore>) -> io::Result<()> {
    let mut carried = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = carried.join_next() => continue,
        };
        match accepted {
            Ok((client, _)) => {
                // One waits here for its turn, the others in the backlog.
                let permit = Arc::clone(&connections)
                    .acquire_owned()
                    .await
                    .map_err(io::Error::other)?;
                carried.spawn(async move {
                    if let Err(error) = carry(client, target).await {
                        tracing::debug!(%target, %error, "a forwarded connection broke");
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%target, %error, "cannot accept a connection");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn carry(client: TcpStream, target: SocketAddr) -> io::Result<()> {
    let container = match TcpStream::connect(target).await {
        Ok(container) => container,
        Err(error) => {
            // The client sees a reset instead of an orderly end: nobody was there.
            set_socket_linger(&client, Some(Duration::ZERO))?;
            return Err(error);
        }
    };
    for socket in [client.as_fd(), container.as_fd()] {
        set_tcp_nodelay(socket, true)?;
        set_socket_keepalive(socket, true)?;
    }
    let both = tokio::try_join!(move_all(&client, &container), move_all(&container, &client));
    both.map(|_| ())
}

/// Moves one direction to its end, and passes the end on.
async fn move_all(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // A bigger pipe needs fewer turns; users who have many already get no more.
    if let Err(error) = fcntl_setpipe_size(&write_end, PIPE) {
        tracing::trace!(%error, "a pipe keeps its size");
    }
    loop {
        // The pipe is empty, so it is the socket that has nothing when the kernel says so.
        let mut pending = from
            .async_io(Interest::READABLE, || move_some(from, &write_end))
            .await?;
        if pending == 0 {
            break;
        }
        while pending > 0 {
            pending -= to
                .async_io(Interest::WRITABLE, || move_pending(&read_end, to, pending))
                .await?;
        }
    }
    match rustix::net::shutdown(to, Shutdown::Write) {
        // The other side has gone already.
        Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn move_some(from: &TcpStream, pipe: &OwnedFd) -> io::Result<usize> {
    splice_once(from.as_fd(), pipe.as_fd(), PIPE)
}

fn move_pending(pipe: &OwnedFd, to: &TcpStream, length: usize) -> io::Result<usize> {
    splice_once(pipe.as_fd(), to.as_fd(), length)
}

fn splice_once(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
    loop {
        match splice(&from, None, &to, None, length, flags) {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}
