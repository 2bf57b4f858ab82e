// SPDX-License-Identifier: MIT
//! Sockets that hold ports of the host.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use hyperbox_types::Protocol;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Connections that wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket that holds a port, and takes what arrives there.
#[derive(Debug)]
pub(super) enum Held {
    Stream(TcpListener),
    Datagram(UdpSocket),
}

impl Held {
    /// Binds a port in the network namespace of the calling thread; none for SCTP, which has no sockets on many kernels.
    pub(super) fn bind(protocol: Protocol, host: SocketAddr) -> io::Result<Option<Self>> {
        let kind = match protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
            Protocol::Sctp => return Ok(None),
        };
        let family = match host {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, kind, flags, None)?;
        if host.is_ipv6() {
            set_ipv6_v6only(&socket, true)?;
        }
        if protocol == Protocol::Udp {
            rustix::net::bind(&socket, &host)?;
            return Ok(Some(Self::Datagram(socket.into())));
        }
        // Connections that ended a moment ago do not keep the port; somebody who listens does.
        set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &host)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Some(Self::Stream(socket.into())))
    }
}
