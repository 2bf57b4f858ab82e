// SPDX-License-Identifier: MIT
//! What the host's network uses already, by whomever.

use std::net::SocketAddr;

use hyperbox_types::Protocol;
use ipnet::Ipv4Net;

/// A port of the host on which somebody receives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BoundPort {
    /// The protocol.
    pub protocol: Protocol,
    /// Address and number; the unspecified address means all of its family.
    pub host: SocketAddr,
}

/// Reads the host's network. Nothing is changed, and nothing is remembered: each call tells what is there at that moment, and what is free
/// may be taken before anybody can bind it.
///
/// Calls block for less than a millisecond, except [`HostNetwork::holder`], which looks at all processes.
pub trait HostNetwork: Send + Sync + std::fmt::Debug {
    /// Returns the ports on which sockets of the host receive, those that this engine publishes included. SCTP is not looked at.
    fn bound_ports(&self) -> Vec<BoundPort>;

    /// Returns id and name of the process that keeps a port from being bound.
    fn holder(&self, port: BoundPort) -> Option<(u32, String)>;

    /// Returns the first and last of the numbers that the kernel gives to sockets that want any.
    fn passing_ports(&self) -> (u16, u16);

    /// Returns the subnets that the host has routes to, and those that other daemons are about to use; not the default route.
    fn routed_subnets(&self) -> Vec<Ipv4Net>;

    /// Tells whether the host has a link of this name.
    fn has_link(&self, name: &str) -> bool;
}
