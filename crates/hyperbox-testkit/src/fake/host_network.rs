// SPDX-License-Identifier: MIT
//! A host's network with what a test puts into it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hyperbox_core::seam::{BoundPort, HostNetwork};
use ipnet::Ipv4Net;

use super::fault::lock;

/// What Linux has unless somebody changed it.
const PASSING: (u16, u16) = (32_768, 60_999);

/// A pretended [`HostNetwork`].
#[derive(Debug, Clone, Default)]
pub struct FakeHostNetwork {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    bound: BTreeMap<BoundPort, (u32, String)>,
    routes: Vec<Ipv4Net>,
    links: Vec<String>,
}

impl FakeHostNetwork {
    /// Pretends that a process has a port.
    pub fn bind(&self, port: BoundPort, process: u32, name: &str) {
        lock(&self.state).bound.insert(port, (process, name.to_owned()));
    }

    /// Pretends that nobody has a port any more.
    pub fn release(&self, port: BoundPort) {
        lock(&self.state).bound.remove(&port);
    }

    /// Pretends that there is a route.
    pub fn add_route(&self, subnet: Ipv4Net) {
        lock(&self.state).routes.push(subnet);
    }

    /// Pretends that there is a link.
    pub fn add_link(&self, name: &str) {
        lock(&self.state).links.push(name.to_owned());
    }
}

impl HostNetwork for FakeHostNetwork {
    fn bound_ports(&self) -> Vec<BoundPort> {
        lock(&self.state).bound.keys().copied().collect()
    }

    fn holder(&self, port: BoundPort) -> Option<(u32, String)> {
        lock(&self.state).bound.get(&port).cloned()
    }

    fn passing_ports(&self) -> (u16, u16) {
        PASSING
    }

    fn routed_subnets(&self) -> Vec<Ipv4Net> {
        lock(&self.state).routes.clone()
    }

    fn has_link(&self, name: &str) -> bool {
        lock(&self.state).links.iter().any(|link| link == name)
    }
}
