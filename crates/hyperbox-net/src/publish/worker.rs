// SPDX-License-Identifier: MIT
//! What publishing does, step by step, on a thread of its own: one job after the other, in the network namespace of whoever started it.
//!
//! Order makes it safe: a port is bound before anybody hears of it, rules come last; they go first, and when a withdrawal has returned the
//! port is free. Known connections of a container whose ports were withdrawn are cut behind that, but before the next container with its
//! address has any.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyperbox_core::seam::{NetworkError, PublishRequest, PublishedPort};
use hyperbox_types::{ContainerId, Protocol};
use rustix::io::Errno;

use super::book::{Book, Holder};
use super::cutter::Cutter;
use super::failure::{self, Obstacle};
use super::forwarder::Forwarder;
use super::holder;
use super::plan::{Binding, Plan, Way, plans};
use super::socket::Held;
use crate::error::failed;
use crate::firewall::{Firewall, PortRule};

const FREE_NUMBERS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// What that file has unless somebody changed it.
const USUAL_FREE_NUMBERS: (u16, u16) = (32768, 60999);
/// It exists on a host with IPv6.
const IPV6: &str = "/proc/thread-self/net/if_inet6";

/// Everything that is published.
#[derive(Debug)]
pub(super) struct Ports {
    firewall: Arc<Firewall>,
    cutter: Cutter,
    forwarder: Forwarder,
    book: Book,
    /// The containers that have something published, with the addresses that lead to it.
    targets: BTreeMap<ContainerId, Vec<IpAddr>>,
    has_ipv6: bool,
}

/// A binding with its number and socket.
#[derive(Debug)]
struct Reserved {
    plan: Plan,
    number: u16,
    sockets: Vec<Option<Held>>,
}

impl Ports {
    /// Opens what is needed, in the network namespace of the calling thread.
    pub(super) fn open(firewall: Arc<Firewall>) -> io::Result<Self> {
        Ok(Self {
            firewall,
            cutter: Cutter::start()?,
            forwarder: Forwarder::start()?,
            book: Book::new(free_numbers()),
            targets: BTreeMap::new(),
            has_ipv6: std::fs::exists(IPV6).unwrap_or(false),
        })
    }

    /// Publishes all ports of a container or none. What it had before is withdrawn.
    pub(super) fn publish(&mut self, request: &PublishRequest) -> Result<Vec<PublishedPort>, NetworkError> {
        if self.targets.contains_key(&request.container) {
            self.withdraw(&request.container)?;
        }
        let plans = plans(request, self.has_ipv6)?;
        let targets: Vec<_> = plans.iter().flat_map(Plan::targets).collect();
        self.cutter.wait_for(&targets);
        let mut reserved = Vec::new();
        for plan in plans {
            match self.reserve(request, plan) {
                Ok(one) => reserved.push(one),
                Err(error) => {
                    self.book.remove(&request.container);
                    return Err(error);
                }
            }
        }
        if reserved.is_empty() {
            return Ok(Vec::new());
        }
        let rules = reserved
            .iter()
            .flat_map(|one| one.rules(&request.network.link))
            .collect();
        if let Err(source) = self.firewall.add_ports(&request.container, rules) {
            self.book.remove(&request.container);
            return Err(failed(
                &request.network.name,
                "set the nftables elements of published ports",
                source,
            ));
        }
        Ok(self.serve(&request.container, reserved))
    }

    /// Withdraws the ports of a container: rules, sockets, and behind that the connections.
    pub(super) fn withdraw(&mut self, container: &ContainerId) -> Result<(), NetworkError> {
        let Some(targets) = self.targets.remove(container) else {
            return Ok(());
        };
        let removed = self.firewall.remove_ports(container);
        self.forwarder.stop(container);
        self.book.remove(container);
        self.cutter.cut(&targets);
        removed.map_err(|source| {
            failed(
                container.as_str(),
                "remove the nftables elements of published ports",
                source,
            )
        })
    }

    /// Takes over what living containers have, and forgets everything else.
    pub(super) fn adopt(&mut self, living: &[PublishRequest]) -> Result<(), NetworkError> {
        for container in std::mem::take(&mut self.targets).into_keys() {
            self.forwarder.stop(&container);
            self.book.remove(&container);
        }
        let mut rules: BTreeMap<ContainerId, Vec<PortRule>> = BTreeMap::new();
        let mut adopted = Vec::new();
        for request in living {
            let plans = plans(request, self.has_ipv6).unwrap_or_else(|error| {
                tracing::warn!(container = %request.container, %error, "ports of a container are not published any more");
                Vec::new()
            });
            let mut reserved = Vec::new();
            for plan in plans {
                match self.reserve(request, plan) {
                    Ok(one) => reserved.push(one),
                    Err(error) => {
                        tracing::warn!(container = %request.container, %error, "a port is not published any more");
                    }
                }
            }
            let own = reserved.iter().flat_map(|one| one.rules(&request.network.link));
            rules.entry(request.container.clone()).or_default().extend(own);
            adopted.push((request.container.clone(), reserved));
        }
        rules.retain(|_, rules| !rules.is_empty());
        let result = self.firewall.adopt_ports(rules);
        for (container, reserved) in adopted {
            self.serve(&container, reserved);
        }
        result.map_err(|source| failed("ports", "set the nftables elements of published ports", source))
    }

    /// Finds a number that all bindings of a plan can have, and binds them.
    fn reserve(&mut self, request: &PublishRequest, plan: Plan) -> Result<Reserved, NetworkError> {
        if plan.bindings.iter().all(|binding| binding.way == Way::Routed) {
            let sockets = plan.bindings.iter().map(|_| None).collect();
            return Ok(Reserved {
                plan,
                number: 0,
                sockets,
            });
        }
        let mut obstacle = None;
        for number in self.book.candidates(plan.numbers).filter(|number| *number != 0) {
            match self.bind(&plan, number) {
                Ok(sockets) => {
                    if plan.numbers.is_none() {
                        self.book.chose(number);
                    }
                    for host in plan.places(number) {
                        self.book
                            .insert(plan.container.protocol, host, &request.container, &request.name);
                    }
                    return Ok(Reserved { plan, number, sockets });
                }
                Err(found) => obstacle = Some(found),
            }
        }
        if let Some(Obstacle::Kernel {
            host, error, process, ..
        }) = &mut obstacle
            && Errno::from_io_error(error) == Some(Errno::ADDRINUSE)
        {
            *process = holder::find(plan.container.protocol, *host);
        }
        Err(failure::error(
            &request.network.name,
            plan.container,
            plan.numbers,
            obstacle,
        ))
    }

    fn bind(&self, plan: &Plan, number: u16) -> Result<Vec<Option<Held>>, Obstacle> {
        // Docker looks at sockets only where no container has the port.
        let places = plan.places(number);
        let holders = places.filter_map(|(host, _)| self.book.holder(plan.container.protocol, host));
        if let Some(holder) = holders.min_by_key(Holder::rank) {
            let (host, name) = (holder.host, holder.name.to_owned());
            return Err(Obstacle::Container { host, name });
        }
        let bind = |binding: &Binding| {
            if binding.way == Way::Routed {
                return Ok(None);
            }
            let host = SocketAddr::new(binding.address, number);
            Held::bind(plan.container.protocol, host).map_err(|error| Obstacle::Kernel {
                host,
                target: binding.target.ip(),
                error,
                process: None,
            })
        };
        plan.bindings.iter().map(bind).collect()
    }

    /// Hands the sockets to the forwarder, and makes the kernel decide anew on datagrams of clients that were too early.
    fn serve(&mut self, container: &ContainerId, reserved: Vec<Reserved>) -> Vec<PublishedPort> {
        let mut published = Vec::new();
        let mut datagrams = Vec::new();
        let targets = self.targets.entry(container.clone()).or_default();
        for one in reserved {
            let port = one.plan.container;
            for (binding, socket) in one.plan.bindings.iter().zip(one.sockets) {
                let number = if binding.way == Way::Routed { 0 } else { one.number };
                let host = SocketAddr::new(binding.address, number);
                published.push(PublishedPort {
                    container: port,
                    host_address: host.ip(),
                    host_port: host.port(),
                });
                if binding.way == Way::Translated && port.protocol == Protocol::Udp {
                    datagrams.push((host, binding.target));
                }
                if !targets.contains(&binding.target.ip()) {
                    targets.push(binding.target.ip());
                }
                if let Some(socket) = socket {
                    self.forwarder.serve(container, socket, binding.target);
                }
            }
        }
        self.cutter.cut_datagrams(datagrams);
        published.sort();
        published
    }
}

impl Plan {
    /// Returns the addresses of the container.
    fn targets(&self) -> impl Iterator<Item = IpAddr> {
        self.bindings.iter().map(|binding| binding.target.ip())
    }

    /// Returns the places of the host that are used under a number, and whether only the forwarder leads from there.
    fn places(&self, number: u16) -> impl Iterator<Item = (SocketAddr, bool)> {
        let used = self.bindings.iter().filter(|binding| binding.way != Way::Routed);
        used.map(move |binding| (SocketAddr::new(binding.address, number), binding.way == Way::Forwarded))
    }
}

impl Reserved {
    /// Returns what the kernel is told; nothing where only the forwarder can help.
    fn rules(&self, bridge: &str) -> Vec<PortRule> {
        let known = self
            .plan
            .bindings
            .iter()
            .filter(|binding| binding.way != Way::Forwarded);
        let rules = known.map(|binding| PortRule {
            bridge: bridge.to_owned(),
            protocol: self.plan.container.protocol,
            host: (binding.way == Way::Translated).then(|| SocketAddr::new(binding.address, self.number)),
            target: binding.target,
            direct: binding.direct,
        });
        rules.collect()
    }
}

/// Returns the first and last number that may be chosen for a wish without one: those that the kernel gives to sockets, as in Docker.
pub(crate) fn free_numbers() -> (u16, u16) {
    let text = std::fs::read_to_string(FREE_NUMBERS).unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(first)), Some(Ok(last))) if 0 < first && first <= last => (first, last),
        _ => USUAL_FREE_NUMBERS,
    }
}
