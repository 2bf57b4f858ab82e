// SPDX-License-Identifier: MIT
//! Removes a link and comes back as soon as it is gone for everybody, not only when the kernel has freed what it consisted of.
//!
//! `RTM_DELLINK` first takes the link away, which ends with its announcement, and then waits for grace periods of RCU (`netdev_run_todo`):
//! 15–20 ms that hold no lock and that nobody has to wait for. `sendto(2)` comes back only after both, so a thread of its own sends the
//! request, and the announcement is what is waited for. A process that ends meanwhile changes nothing: the kernel is at work already.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink};

use super::link::{find, remove, removed_link};
use crate::netlink::{Family, Messages, Socket};

/// `RTMGRP_LINK`.
const GROUP: u32 = 1;
const BUFFER: usize = 32 * 1024;
const STACK: usize = 128 * 1024;

/// Removes a link; `socket` is one to the same network namespace. That it is gone already is success.
///
/// # Errors
/// What the kernel says. Then the link may still be there.
pub(crate) fn remove_and_see(socket: &mut Socket, name: &str, index: u32) -> io::Result<()> {
    // Opened before the request is sent, so that the announcement cannot be missed.
    let announcements = listen()?;
    let mut own = Socket::open(Family::Route)?;
    let (end, ended) = UnixStream::pair()?;
    let thread = std::thread::Builder::new()
        .name("net-departure".to_owned())
        .stack_size(STACK);
    let thread = thread.spawn(move || {
        let result = remove(&mut own, index);
        // Closing it tells the one who waits.
        drop(end);
        result
    })?;
    if !is_announced(&announcements, &ended, name)? {
        return outcome(thread);
    }
    // Answered only once the kernel's lock for links is free: then nothing of the link shows any more, in /sys either.
    match find(socket, name)? {
        Some(link) if link.index == index => outcome(thread),
        _ => Ok(()),
    }
}

fn listen() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &netlink::SocketAddrNetlink::new(0, GROUP))?;
    Ok(socket)
}

fn outcome(thread: JoinHandle<io::Result<()>>) -> io::Result<()> {
    thread
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread that removes a link has panicked")))
}

/// Waits for the announcement; false when the request was answered before, one way or the other.
fn is_announced(announcements: &OwnedFd, ended: &UnixStream, name: &str) -> io::Result<bool> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let mut descriptors = [
            PollFd::from_borrowed_fd(announcements.as_fd(), PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match poll(&mut descriptors, None) {
            Ok(_) if !descriptors[1].revents().is_empty() => return Ok(false),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        match rustix::net::recv(announcements, &mut buffer, RecvFlags::empty()) {
            Ok((_, length)) => {
                let mut messages = Messages(&buffer[..length.min(buffer.len())]);
                if messages.any(|message| removed_link(message.kind, message.body).as_deref() == Some(name)) {
                    return Ok(true);
                }
            }
            // Lost announcements cost time only: the end of the request tells as well.
            Err(Errno::AGAIN | Errno::INTR | Errno::NOBUFS) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
