// SPDX-License-Identifier: MIT
//! UDP: a socket to the container for each client, so that answers find their way back, until both are silent for a while.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// As Docker's proxy has it.
const SILENCE: Duration = Duration::from_secs(90);
/// Clients of a socket at a time; datagrams of others are dropped.
const FLOWS: usize = 1024;
/// Longest datagram (RFC 768).
const LONGEST: usize = 65_535;

#[derive(Debug)]
struct Flow {
    socket: UdpSocket,
    /// When something was last sent in either direction.
    used: Mutex<Instant>,
}

impl Flow {
    fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn end(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) + SILENCE
    }
}

/// Carries datagrams until it is dropped. Only this future owns the socket, so that dropping it frees the port.
pub(super) async fn serve(socket: UdpSocket, target: SocketAddr) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut flows: HashMap<SocketAddr, Arc<Flow>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut buffer = vec![0; LONGEST];
    loop {
        let (length, client) = tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok(received) => received,
                // What a client's machine says of an earlier answer is no failure of the socket.
                Err(error) => {
                    tracing::debug!(%target, %error, "cannot receive a datagram");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            Some(ended) = answers.join_next() => {
                if let Ok(client) = ended {
                    flows.remove(&client);
                }
                continue;
            }
        };
        let flow = match flows.get(&client) {
            Some(flow) => Arc::clone(flow),
            None if flows.len() >= FLOWS => continue,
            None => match open(target).await {
                Ok(flow) => {
                    let flow = Arc::new(flow);
                    flows.insert(client, Arc::clone(&flow));
                    answers.spawn(answer(Arc::downgrade(&socket), Arc::clone(&flow), client));
                    flow
                }
                Err(error) => {
                    tracing::debug!(%target, %error, "cannot open a socket to a container");
                    continue;
                }
            },
        };
        flow.touch();
        if let Err(error) = flow.socket.send(&buffer[..length]).await {
            tracing::trace!(%target, %error, "a datagram was not taken");
        }
    }
}

async fn open(target: SocketAddr) -> io::Result<Flow> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(target).await?;
    Ok(Flow {
        socket,
        used: Mutex::new(Instant::now()),
    })
}

/// Carries the container's answers to one client; returns the client when both have been silent.
async fn answer(to: Weak<UdpSocket>, flow: Arc<Flow>, client: SocketAddr) -> SocketAddr {
    let mut buffer = vec![0; LONGEST];
    loop {
        let end = flow.end();
        let received = tokio::select! {
            received = flow.socket.recv(&mut buffer) => received,
            () = sleep_until(end) => {
                if flow.end() <= Instant::now() {
                    return client;
                }
                continue;
            }
        };
        let Some(socket) = to.upgrade() else {
            return client;
        };
        match received {
            // A full buffer loses datagrams, as the network may.
            Ok(length) => match socket.try_send_to(&buffer[..length], client) {
                Ok(_) => flow.touch(),
                Err(error) => tracing::trace!(%client, %error, "an answer was not taken"),
            },
            // Nobody listens in the container: the client hears nothing, as from the kernel's translation.
            Err(error) => tracing::trace!(%client, %error, "no answer"),
        }
    }
}
