// SPDX-License-Identifier: MIT
//! Questions that come as datagrams.

use std::io;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::{LARGEST_QUESTION, REST};
use crate::message::Transport;
use crate::resolver::{Reaction, Resolver, forward};

/// Questions that are read before other tasks have their turn.
const BATCH: usize = 32;

/// Answers datagrams until the task is ended.
pub(crate) async fn serve(socket: UdpSocket, resolver: Arc<Resolver>) {
    let socket = Arc::new(socket);
    // As many as the resolver has permits for.
    let mut forwards = JoinSet::new();
    loop {
        let ready = tokio::select! {
            ready = socket.readable() => ready,
            Some(_) = forwards.join_next() => continue,
        };
        if let Err(error) = ready.and_then(|()| read_batch(&socket, &resolver, &mut forwards)) {
            tracing::warn!(%error, "questions cannot be read");
            tokio::time::sleep(REST).await;
        }
    }
}

fn read_batch(socket: &Arc<UdpSocket>, resolver: &Resolver, forwards: &mut JoinSet<()>) -> io::Result<()> {
    let mut buffer = [0; LARGEST_QUESTION];
    for _ in 0..BATCH {
        let (length, client) = match socket.try_recv_from(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let message = buffer.get(..length).unwrap_or_default();
        match resolver.answer(message, Transport::Datagram) {
            Reaction::Silence => {}
            // A full buffer loses an answer, as the network may; the client repeats its question.
            Reaction::Answer(answer) => drop(socket.try_send_to(&answer, client)),
            Reaction::Ask(asking) => {
                let socket = socket.clone();
                forwards.spawn(async move {
                    if let Some(answer) = forward(asking).await {
                        drop(socket.send_to(&answer, client).await);
                    }
                });
            }
        }
    }
    Ok(())
}
