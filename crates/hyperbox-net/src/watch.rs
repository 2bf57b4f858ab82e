// SPDX-License-Identifier: MIT
//! Notices when somebody removes a network's bridge, and has it made again with everything that was on it.
//!
//! The kernel announces every change of links. One thread, asleep but for such announcements, looks for the end of a bridge that
//! belongs to a known network; the work is a job of the worker's. A network that is removed by the driver is not known any more by
//! then. When announcements were lost, all bridges are looked at.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use hyperbox_core::seam::NetworkError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use crate::bridge::BridgeNetwork;
use crate::error::failed;
use crate::firewall::Firewall;
use crate::membership::Memberships;
use crate::netlink::Messages;
use crate::route;
use crate::spares::Spares;
use crate::worker::{Kernel, Worker};

/// `RTMGRP_LINK`.
const GROUP: u32 = 1;
const BUFFER: usize = 64 * 1024;
const STACK: usize = 256 * 1024;

/// What is needed to restore a bridge.
#[derive(Debug, Clone)]
pub(crate) struct Restorer {
    pub(crate) worker: Worker,
    pub(crate) memberships: Memberships,
    pub(crate) spares: Spares,
    pub(crate) firewall: Arc<Firewall>,
}

/// A handle of the thread.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Closing it ends the thread.
    _end: UnixStream,
}

impl Watch {
    /// Starts the thread in the network namespace of the calling thread.
    pub(crate) fn start(restorer: Restorer) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUP))?;
        let (end, ended) = UnixStream::pair()?;
        let thread = std::thread::Builder::new()
            .name("net-links".to_owned())
            .stack_size(STACK);
        thread.spawn(move || {
            if let Err(error) = run(&socket, &ended, &restorer) {
                tracing::warn!(%error, "changes of links are not noticed any more");
            }
        })?;
        Ok(Self { _end: end })
    }
}

fn run(socket: &OwnedFd, ended: &UnixStream, restorer: &Restorer) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut descriptors = [
            PollFd::new(ended, PollFlags::IN),
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) if !descriptors[0].revents().is_empty() => return Ok(()),
            Ok(_) | Err(Errno::INTR) => notice(socket, &mut buffer, restorer)?,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads all announcements that are there.
fn notice(socket: &OwnedFd, buffer: &mut [u8], restorer: &Restorer) -> io::Result<()> {
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => {
                for received in Messages(&buffer[..length.min(buffer.len())]) {
                    if let Some(bridge) = route::removed_link(received.kind, received.body) {
                        restorer.restore_if_known(Some(bridge));
                    }
                }
            }
            Err(Errno::AGAIN) => return Ok(()),
            Err(Errno::INTR) => {}
            // Announcements were lost.
            Err(Errno::NOBUFS) => restorer.restore_if_known(None),
            Err(error) => return Err(error.into()),
        }
    }
}

impl Restorer {
    /// Has the networks restored whose bridge has that name, or all of them.
    fn restore_if_known(&self, bridge: Option<String>) {
        if self.memberships.of_bridge(bridge.as_deref()).is_empty() {
            return;
        }
        let (memberships, spares) = (self.memberships.clone(), self.spares.clone());
        let firewall = Arc::clone(&self.firewall);
        self.worker.post(move |kernel| {
            // Looked up again: the network may have been removed while this job waited.
            for (network, links) in memberships.of_bridge(bridge.as_deref()) {
                // Their ports are not put back.
                drop(spares.drain(&network.settings.id));
                match restore(kernel, &network, &links, &firewall) {
                    Ok(0) => {}
                    Ok(ports) => tracing::warn!(bridge = network.link(), ports, "put links back on a restored bridge"),
                    Err(error) => tracing::warn!(bridge = network.link(), %error, "cannot restore a bridge"),
                }
            }
        });
    }
}

/// Makes a bridge again if it is missing, and puts the links back that are not on it; returns how many.
///
/// That it is there says nothing: whoever made an endpoint first has made the bridge, too.
fn restore(
    kernel: &mut Kernel,
    network: &BridgeNetwork,
    links: &[String],
    firewall: &Firewall,
) -> Result<usize, NetworkError> {
    let name = network.link();
    let found = route::find(&mut kernel.route, name).map_err(|source| failed(name, "look for the bridge", source))?;
    let index = match found {
        Some(link) => link.index,
        None => network.ensure(kernel, firewall)?,
    };
    let present = route::list(&mut kernel.route).map_err(|source| failed(name, "list the links", source))?;
    let astray = present
        .iter()
        .filter(|link| link.master.is_none() && links.contains(&link.name));
    let mut count = 0;
    for link in astray {
        let joined = route::set_master(&mut kernel.route, &link.name, index);
        let isolated = joined.and_then(|()| {
            if network.options.icc {
                return Ok(());
            }
            route::isolate_port(&mut kernel.route, &link.name)
        });
        match isolated {
            Ok(()) => count += 1,
            // A link that is gone belongs to a container that is about to be released.
            Err(error) => tracing::debug!(link = link.name, %error, "a container's link is not put back on its bridge"),
        }
    }
    Ok(count)
}
