// SPDX-License-Identifier: MIT
//! Packets beyond 64 KiB between this machine and its containers ("BIG TCP"), where the configuration asks for them.
//!
//! A socket cuts what it sends to the size of the link it sees: the loopback interface for a published port, whatever it is translated to.
//! Each link behind must take as much, or the kernel cuts the packet to the MTU there. So all of them are raised: the loopback interface,
//! the bridge, and both ends of each pair. The loopback interface stays raised, as others may rely on it by then.
//!
//! A kernel that refuses leaves everything as it is: slower, not broken.

use crate::netlink::Socket;
use crate::route;
use crate::worker::Kernel;

/// 192 KiB: half of the processor time of 64 KiB; more gains nothing.
const SIZE: u32 = 192 * 1024;
const LOOPBACK: &str = "lo";

/// Raises what the machine's own sockets see.
pub(crate) fn raise_loopback(kernel: &mut Kernel) {
    if kernel.big_packets {
        raise(&mut kernel.route, LOOPBACK);
    }
}

/// Raises links of the machine.
pub(crate) fn raise_here(kernel: &mut Kernel, names: &[&str]) {
    if kernel.big_packets {
        for name in names {
            raise(&mut kernel.route, name);
        }
    }
}

/// Raises a link in a namespace that `socket` speaks for.
pub(crate) fn raise(socket: &mut Socket, name: &str) {
    if let Err(error) = route::raise_packet_size(socket, name, SIZE) {
        tracing::warn!(link = name, %error, "packets on a link stay at their size");
    }
}
