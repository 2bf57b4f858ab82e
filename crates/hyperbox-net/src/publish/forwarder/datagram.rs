// SPDX-License-Identifier: MIT
//! UDP: a socket to the container for each client, so that answers find their way back, until both are silent for a while.
//!
//! A socket for all addresses answers from the address that the machine would choose for the client. A machine with several addresses on
//! one way may so answer from another one than was asked; the kernel's translation, which serves nearly everybody, never does.

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
/// Datagrams that are read before others get their turn.
const BURST: usize = 64;
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
    let mut clients = Clients {
        socket: Arc::new(socket),
        target,
        flows: HashMap::new(),
        answers: JoinSet::new(),
    };
    loop {
        tokio::select! {
            ready = clients.socket.readable() => ready?,
            Some(ended) = clients.answers.join_next() => {
                if let Ok(client) = ended {
                    clients.flows.remove(&client);
                }
                continue;
            }
        }
        // Sockets that are silent, which most are, take no memory for datagrams.
        let mut datagram = Vec::with_capacity(LONGEST);
        for _ in 0..BURST {
            datagram.clear();
            match clients.socket.try_recv_buf_from(&mut datagram) {
                Ok((_, client)) => clients.carry(client, &datagram).await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What a client's machine says of an earlier answer is no failure of the socket.
                Err(error) => tracing::debug!(%target, %error, "cannot receive a datagram"),
            }
        }
        tokio::task::yield_now().await;
    }
}

struct Clients {
    socket: Arc<UdpSocket>,
    target: SocketAddr,
    flows: HashMap<SocketAddr, Arc<Flow>>,
    answers: JoinSet<SocketAddr>,
}

impl Clients {
    async fn carry(&mut self, client: SocketAddr, datagram: &[u8]) {
        let flow = match self.flows.get(&client) {
            Some(flow) => flow,
            None if self.flows.len() >= FLOWS => return,
            None => match open(self.target).await {
                Ok(flow) => {
                    let flow = Arc::new(flow);
                    let answer = answer(Arc::downgrade(&self.socket), Arc::clone(&flow), client);
                    self.answers.spawn(answer);
                    self.flows.entry(client).or_insert(flow)
                }
                Err(error) => {
                    tracing::debug!(target = %self.target, %error, "cannot open a socket to a container");
                    return;
                }
            },
        };
        flow.touch();
        // Not `try_send`: the runtime does not know yet whether a new socket takes anything.
        if let Err(error) = flow.socket.send(datagram).await {
            tracing::trace!(target = %self.target, %error, "a datagram was not taken");
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
    loop {
        let end = flow.end();
        let ready = tokio::select! {
            ready = flow.socket.readable() => ready,
            () = sleep_until(end) => {
                if flow.end() <= Instant::now() {
                    return client;
                }
                continue;
            }
        };
        let Some(socket) = to.upgrade().filter(|_| ready.is_ok()) else {
            return client;
        };
        let mut datagram = Vec::with_capacity(LONGEST);
        for _ in 0..BURST {
            datagram.clear();
            match flow.socket.try_recv_buf(&mut datagram) {
                // A full buffer loses datagrams, as the network may.
                Ok(_) => match socket.try_send_to(&datagram, client) {
                    Ok(_) => flow.touch(),
                    Err(error) => tracing::trace!(%client, %error, "an answer was not taken"),
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // Nobody listens in the container: the client hears nothing, as from the kernel's translation.
                Err(error) => tracing::trace!(%client, %error, "no answer"),
            }
        }
        drop(socket);
        tokio::task::yield_now().await;
    }
}
