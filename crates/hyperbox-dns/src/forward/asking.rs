// SPDX-License-Identifier: MIT
//! A question on its way through the servers.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyperbox_core::seam::NameServer;
use rustix::net::SocketType;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::exchange::exchange;
use super::plan::Plan;
use super::sockets::Sockets;
use crate::message::{Question, Transport};

/// A question that others are asked.
#[derive(Debug)]
pub(crate) struct Asking {
    /// What the client has sent.
    pub(crate) message: Vec<u8>,
    /// What it says.
    pub(crate) question: Question,
    /// How the client has sent it, and how servers are asked.
    pub(crate) transport: Transport,
    /// Who can be asked, in order.
    pub(crate) servers: Vec<NameServer>,
    /// The port of all servers.
    pub(crate) port: u16,
    /// How long to try.
    pub(crate) patience: Duration,
    /// The container's namespace.
    pub(crate) namespace: Arc<OwnedFd>,
    /// Where sockets come from.
    pub(crate) sockets: Arc<Sockets>,
    /// The right to be one of the questions that are on their way: the container's, and the service's.
    #[expect(dead_code, reason = "held until the question is answered, not read")]
    pub(crate) permits: [OwnedSemaphorePermit; 2],
}

impl Asking {
    pub(super) async fn socket(&self, server: NameServer, kind: SocketType) -> io::Result<OwnedFd> {
        let namespace = server.from_container.then_some(&self.namespace);
        self.sockets.make(namespace, server.address, kind).await
    }
}

/// Asks the servers; returns the first answer, or `None` when nobody has one in time.
pub(crate) async fn ask(asking: &Asking) -> Option<Vec<u8>> {
    let begin = Instant::now();
    let mut plan = Plan::new(&asking.servers, asking.transport, asking.patience);
    let mut turn = begin;
    let mut asked = FuturesUnordered::new();
    loop {
        if Instant::now() >= turn
            && let Some(server) = plan.next()
        {
            asked.push(async move { (server, exchange(asking, server).await) });
            turn += plan.share();
        }
        if asked.is_empty() {
            return None;
        }
        tokio::select! {
            Some((server, answer)) = asked.next() => {
                if answer.is_some() {
                    return answer;
                }
                plan.failed(server);
                turn = Instant::now();
            }
            () = sleep_until(turn), if !plan.is_done() => {}
            () = sleep_until(begin + asking.patience) => return None,
        }
    }
}
