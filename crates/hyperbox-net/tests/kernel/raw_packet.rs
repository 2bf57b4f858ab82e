// SPDX-License-Identifier: MIT
//! Packets by raw sockets: SCTP for kernels whose sockets do not know it (RFC 9260), and ICMP echoes (RFC 792).

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto};

/// Length of an IPv4 header without options.
const IP_HEADER: usize = 20;

pub(crate) fn sctp_socket() -> io::Result<OwnedFd> {
    raw_socket(ipproto::SCTP)
}

fn raw_socket(protocol: Protocol) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(protocol))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(10)))?;
    Ok(socket)
}

/// Sends an INIT chunk.
pub(crate) fn send_init(to: Ipv4Addr, port: u16) -> io::Result<()> {
    let mut packet = Vec::new();
    packet.extend(40_000_u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend([0; 8]);
    // Chunk type 1, length 20, initiate tag, window, streams, first sequence number.
    packet.extend([1, 0, 0, 20, 0, 0, 0, 7, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
    let checksum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    rustix::net::sendto(&sctp_socket()?, &packet, SendFlags::empty(), &SocketAddrV4::new(to, 0))?;
    Ok(())
}

/// Receives a packet; returns where it came from, and its destination port.
pub(crate) fn receive_sctp(socket: &OwnedFd) -> io::Result<(Ipv4Addr, u16)> {
    let mut buffer = [0; 256];
    let (_, length) = rustix::net::recv(socket, buffer.as_mut_slice(), RecvFlags::empty())?;
    let packet = &buffer[..length];
    let from: [u8; 4] = packet[12..16].try_into().map_err(io::Error::other)?;
    let port: [u8; 2] = packet[IP_HEADER + 2..IP_HEADER + 4]
        .try_into()
        .map_err(io::Error::other)?;
    let mut body = packet[IP_HEADER..].to_vec();
    let stated: [u8; 4] = body[8..12].try_into().map_err(io::Error::other)?;
    body[8..12].fill(0);
    assert_eq!(crc32c(&body).to_le_bytes(), stated, "the checksum was made anew");
    Ok((from.into(), u16::from_be_bytes(port)))
}

/// Waits for the echo of an ICMP packet.
pub(crate) fn ping(to: Ipv4Addr) -> io::Result<()> {
    let socket = raw_socket(ipproto::ICMP)?;
    // Echo request: type 8, code 0, checksum, identifier, sequence number.
    let request = [8, 0, 0xf7 - 0x17, 0xff, 0, 0, 0x17, 0];
    rustix::net::sendto(&socket, &request, SendFlags::empty(), &SocketAddrV4::new(to, 0))?;
    let mut buffer = [0; 256];
    loop {
        let (_, length) = rustix::net::recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
        if buffer[12..16] == to.octets() && buffer[..length].get(IP_HEADER) == Some(&0) {
            return Ok(());
        }
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut remainder = u32::MAX;
    for byte in bytes {
        remainder ^= u32::from(*byte);
        for _ in 0..8 {
            remainder = (remainder >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(remainder & 1));
        }
    }
    !remainder
}
