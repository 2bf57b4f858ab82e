// SPDX-License-Identifier: MIT
//! The one forwarder of the process: carries what the kernel cannot translate.
//!
//! That is what crosses address families, what comes from `::1` where the kernel has no way back to it, and whatever arrives at the
//! listening sockets while rules are missing.
//! One thread with a runtime of its own serves all sockets, in the network namespace of the thread that called [`Forwarder::start`].
//! Everything is bounded: connections in all, flows for each socket, bytes in flight for each direction.

mod datagram;
mod stream;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use hyperbox_types::ContainerId;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::socket::Held;

/// Connections at a time; more wait in the backlog of their socket. Each takes six descriptors.
const CONNECTIONS: usize = 2048;
const STACK: usize = 512 * 1024;

enum Command {
    Serve {
        container: ContainerId,
        socket: Held,
        target: SocketAddr,
    },
    Stop {
        container: ContainerId,
        stopped: SyncSender<()>,
    },
}

/// A handle of the thread, which ends, with all that it carries, when the handle is dropped.
#[derive(Debug)]
pub(super) struct Forwarder {
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (commands, receiver) = unbounded_channel();
        let thread = std::thread::Builder::new()
            .name("net-forwarder".to_owned())
            .stack_size(STACK);
        Ok(Self {
            commands: Some(commands),
            thread: Some(thread.spawn(move || runtime.block_on(run(receiver)))?),
        })
    }

    /// Begins to carry what arrives at a socket.
    pub(super) fn serve(&self, container: &ContainerId, socket: Held, target: SocketAddr) {
        let command = Command::Serve {
            container: container.clone(),
            socket,
            target,
        };
        if !self.send(command) {
            tracing::error!(%container, "the forwarder has stopped: a published port is not served");
        }
    }

    /// Ends everything of a container; when it returns its sockets are closed.
    pub(super) fn stop(&self, container: &ContainerId) {
        let (stopped, receiver) = sync_channel(1);
        let command = Command::Stop {
            container: container.clone(),
            stopped,
        };
        if self.send(command) {
            // It fails only if the thread is gone, and its sockets with it.
            let _ = receiver.recv();
        }
    }

    fn send(&self, command: Command) -> bool {
        let commands = self.commands.as_ref();
        commands.is_some_and(|commands| commands.send(command).is_ok())
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        drop(self.commands.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the forwarder has panicked");
        }
    }
}

async fn run(mut commands: UnboundedReceiver<Command>) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let mut served: HashMap<ContainerId, JoinSet<()>> = HashMap::new();
    while let Some(command) = commands.recv().await {
        match command {
            Command::Serve {
                container,
                socket,
                target,
            } => {
                let connections = Arc::clone(&connections);
                served.entry(container).or_default().spawn(async move {
                    if let Err(error) = serve(socket, target, connections).await {
                        tracing::warn!(%target, %error, "a published port is not served");
                    }
                });
            }
            Command::Stop { container, stopped } => {
                if let Some(mut tasks) = served.remove(&container) {
                    tasks.shutdown().await;
                }
                // It fails when whoever asked has gone away.
                let _ = stopped.send(());
            }
        }
    }
}

async fn serve(socket: Held, target: SocketAddr, connections: Arc<Semaphore>) -> io::Result<()> {
    match socket {
        Held::Stream(listener) => {
            stream::serve(tokio::net::TcpListener::from_std(listener)?, target, connections).await
        }
        Held::Datagram(socket) => datagram::serve(tokio::net::UdpSocket::from_std(socket)?, target).await,
    }
}
