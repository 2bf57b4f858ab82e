// SPDX-License-Identifier: MIT
//! Notices when somebody removes a network's bridge, and has it made again with everything that was on it; likewise addresses of bridges,
//! and routes to `::1`.
//!
//! The kernel announces every change of links, addresses and routes. One thread, asleep but for such announcements, looks for the end of a bridge that
//! belongs to a known network; the work is a job of the worker's. A network that is removed by the driver is not known any more by
//! then. When announcements were lost, all bridges are looked at. A bridge that somebody sets down stays so; when it comes up again it gets
//! what it lost by that. After addresses were lost the thread pauses, so that somebody who removes them whenever they come back does not
//! take the worker, which all drivers share.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use hyperbox_core::seam::NetworkError;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use crate::bridge::BridgeNetwork;
use crate::error::failed;
use crate::firewall::Firewall;
use crate::membership::Memberships;
use crate::netlink::Messages;
use crate::packet_size;
use crate::route;
use crate::spares::Spares;
use crate::worker::{Kernel, Worker};

/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR` and `RTMGRP_IPV6_ROUTE`.
const GROUPS: u32 = 1 | 0x10 | 0x100 | 0x400;
/// What is announced meanwhile is read afterwards.
const PAUSE: Duration = Duration::from_millis(100);
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

/// Why a bridge may not be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// An address of it is no more.
    LostAddress,
    /// It was set up.
    CameUp,
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
        rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUPS))?;
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
    let mut lacking = BTreeSet::new();
    while !has_ended(ended, Some(socket), None)? {
        let losers = notice(socket, &mut buffer, &mut lacking, restorer)?;
        if losers.is_empty() {
            continue;
        }
        for bridge in losers {
            restorer.complete(bridge, Cause::LostAddress);
        }
        if has_ended(ended, None, Some(PAUSE))? {
            return Ok(());
        }
    }
    Ok(())
}

/// Waits for something to read from the socket, or for the end of the thread, or for the time.
pub(crate) fn has_ended(ended: &UnixStream, socket: Option<&OwnedFd>, time: Option<Duration>) -> io::Result<bool> {
    let mut descriptors = vec![PollFd::new(ended, PollFlags::IN)];
    descriptors.extend(socket.map(|socket| PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)));
    let time = time.map(Timespec::try_from).transpose().map_err(io::Error::other)?;
    match poll(&mut descriptors, time.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(!descriptors[0].revents().is_empty()),
        Err(error) => Err(error.into()),
    }
}

/// Reads all announcements that are there; returns the bridges that have lost an address. `lacking` are those that have since they were
/// last seen to be up.
fn notice(
    socket: &OwnedFd,
    buffer: &mut [u8],
    lacking: &mut BTreeSet<String>,
    restorer: &Restorer,
) -> io::Result<BTreeSet<String>> {
    let mut losers = BTreeSet::new();
    loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((_, length)) => {
                for received in Messages(&buffer[..length.min(buffer.len())]) {
                    read(received.kind, received.body, lacking, &mut losers, restorer);
                }
            }
            Err(Errno::AGAIN) => return Ok(losers),
            Err(Errno::INTR) => {}
            // Announcements were lost.
            Err(Errno::NOBUFS) => {
                restorer.restore_if_known(None);
                restorer.restore_loopback();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn read(kind: u16, body: &[u8], lacking: &mut BTreeSet<String>, losers: &mut BTreeSet<String>, restorer: &Restorer) {
    if let Some(bridge) = route::removed_link(kind, body) {
        lacking.remove(&bridge);
        restorer.restore_if_known(Some(bridge));
    }
    if let Some(address) = route::lost_address(kind, body) {
        for bridge in restorer.memberships.bridges_with(address) {
            lacking.insert(bridge.clone());
            losers.insert(bridge);
        }
    }
    if let Some(bridge) = route::link_that_is_up(kind, body)
        && (lacking.remove(&bridge) || restorer.firewall.waits_for(&bridge))
    {
        restorer.complete(bridge, Cause::CameUp);
    }
    if route::is_lost_loopback_route(kind, body) {
        restorer.restore_loopback();
    }
}

impl Restorer {
    /// Has a bridge get what it lost: somebody has removed its address, or it came up again, and the kernel removes IPv6 addresses and routes
    /// of a link that is set down.
    fn complete(&self, bridge: String, cause: Cause) {
        let (memberships, firewall) = (self.memberships.clone(), Arc::clone(&self.firewall));
        self.worker.post(move |kernel| {
            for (network, _) in memberships.of_bridge(Some(&bridge)) {
                let lacks = network.lacks_addresses(kernel).unwrap_or_else(|error| {
                    tracing::warn!(bridge, %error, "cannot look for the addresses of a bridge");
                    false
                });
                let waits = cause == Cause::CameUp && firewall.waits_for(&bridge);
                if !lacks && !waits {
                    continue;
                }
                match network.ensure(kernel, &firewall) {
                    Ok(_) if lacks => tracing::warn!(bridge, "a bridge had lost addresses: they were restored"),
                    Ok(_) => {}
                    Err(error) => tracing::warn!(bridge, %error, "cannot restore a bridge"),
                }
            }
        });
    }

    /// Has what makes containers reachable from `::1` restored.
    fn restore_loopback(&self) {
        if let Err(error) = self.firewall.restore_loopback() {
            tracing::warn!(%error, "cannot restore the way from [::1] to containers");
        }
    }

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
    packet_size::raise_here(kernel, &[name]);
    Ok(count)
}
