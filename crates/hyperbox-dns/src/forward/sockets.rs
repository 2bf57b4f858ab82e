// SPDX-License-Identifier: MIT
//! Sockets in the right namespace.
//!
//! A socket belongs to the network namespace of the thread that makes it, for ever. No thread of the runtime may change its namespace,
//! so one thread of ours makes the sockets that stand in a container's: it goes there, makes the socket, goes home. It never waits for
//! the network. A thread that cannot go home ends, since it would make the next socket in the wrong place; the next wish starts
//! another. The thread is only made when the first container asks for such a socket.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use hyperbox_sys::network_namespace;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::sync::oneshot;

const STACK: usize = 128 * 1024;

/// A wish for a socket.
#[derive(Debug)]
struct Wish {
    namespace: Arc<OwnedFd>,
    family: AddressFamily,
    kind: SocketType,
    made: oneshot::Sender<io::Result<OwnedFd>>,
}

/// Makes sockets.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    wishes: Mutex<Option<Sender<Wish>>>,
}

impl Sockets {
    /// Makes a socket that can reach `peer`, in `namespace` or in that of the process. It has no port yet: the kernel chooses a random
    /// one when the socket is connected (RFC 5452 §9.2).
    pub(super) async fn make(
        &self,
        namespace: Option<&Arc<OwnedFd>>,
        peer: IpAddr,
        kind: SocketType,
    ) -> io::Result<OwnedFd> {
        let family = if peer.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let Some(namespace) = namespace else {
            return socket(family, kind);
        };
        let (made, socket) = oneshot::channel();
        self.send(Wish {
            namespace: namespace.clone(),
            family,
            kind,
            made,
        })?;
        socket
            .await
            .map_err(|_| io::Error::other("the thread that makes sockets has stopped"))?
    }

    fn send(&self, wish: Wish) -> io::Result<()> {
        let mut wishes = self.wishes.lock().unwrap_or_else(PoisonError::into_inner);
        let unsent = match wishes.as_ref() {
            Some(wishes) => wishes.send(wish).err().map(|unsent| unsent.0),
            None => Some(wish),
        };
        let Some(wish) = unsent else {
            return Ok(());
        };
        let fresh = start()?;
        let sent = fresh.send(wish);
        *wishes = Some(fresh);
        sent.map_err(|_| io::Error::other("the thread that makes sockets has stopped"))
    }
}

fn start() -> io::Result<Sender<Wish>> {
    let home = network_namespace::current()?;
    let (sender, wishes) = channel();
    let thread = std::thread::Builder::new()
        .name("dns-sockets".to_owned())
        .stack_size(STACK);
    thread.spawn(move || run(&home, &wishes))?;
    Ok(sender)
}

fn socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    Ok(socket_with(
        family,
        kind,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?)
}

/// Makes sockets until nobody can wish any more, or the way home is lost.
fn run(home: &OwnedFd, wishes: &Receiver<Wish>) {
    while let Ok(wish) = wishes.recv() {
        let moved = move_into_link_name_space(wish.namespace.as_fd(), Some(LinkNameSpaceType::Network));
        let made = moved
            .map_err(io::Error::from)
            .and_then(|()| socket(wish.family, wish.kind));
        let returned = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network));
        // Nobody may be waiting any more; the socket is closed then.
        drop(wish.made.send(made));
        if let Err(error) = returned {
            tracing::error!(%error, "the thread that makes sockets cannot leave a container's namespace");
            return;
        }
    }
}
