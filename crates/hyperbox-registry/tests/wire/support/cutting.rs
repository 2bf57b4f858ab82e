// SPDX-License-Identifier: MIT
//! A TCP forwarder that cuts connections, to put between the client and a real registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// When to cut a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// After so many bytes in either direction.
    pub(crate) after: usize,
    /// How many connections are cut; later ones are left alone.
    pub(crate) times: usize,
}

/// A running forwarder.
pub(crate) struct Cutting {
    host: String,
    left: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

impl Cutting {
    pub(crate) async fn start(target: &str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let host = listener.local_addr().expect("a bound listener").to_string();
        let left = Arc::new(AtomicUsize::new(cut.times));
        let (shared, target) = (Arc::clone(&left), target.to_owned());
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (left, target) = (Arc::clone(&shared), target.clone());
                connections.spawn(async move {
                    // Both ends may hang up: that is what this is for.
                    drop(forward(client, &target, cut.after, &left).await);
                });
            }
        });
        Self {
            host,
            left,
            accepting: accepting.abort_handle(),
        }
    }

    /// Returns `127.0.0.1:port`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Returns how many connections may still be cut.
    pub(crate) fn left(&self) -> usize {
        self.left.load(Ordering::SeqCst)
    }
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(mut client: TcpStream, target: &str, after: usize, left: &AtomicUsize) -> std::io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    let (client_reader, client_writer) = client.split();
    let (server_reader, server_writer) = server.split();
    // The first direction to end takes the other one with it.
    tokio::select! {
        ended = copy(client_reader, server_writer, after, left) => ended,
        ended = copy(server_reader, client_writer, after, left) => ended,
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    after: usize,
    left: &AtomicUsize,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut total = 0;
    loop {
        let length = from.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        total += length;
        to.write_all(&buffer[..length]).await?;
        let cut = |left: usize| left.checked_sub(1);
        if total > after && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut).is_ok() {
            return Ok(());
        }
    }
}
