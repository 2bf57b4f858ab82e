// SPDX-License-Identifier: MIT
//! What is used at the moment: ports by containers and other programs, subnets and links by networks.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use hyperbox_core::container::ContainerRecord;
use hyperbox_core::seam::BoundPort;
use hyperbox_project::range::{Allotment, Bound, Holder};
use hyperbox_types::Protocol;
use ipnet::{IpNet, Ipv4Net};

use super::Isolation;
use super::networks::Around;
use crate::labels;

impl Isolation {
    /// Lists what is bound on the host: by containers of this engine, by other programs, and what other projects claim.
    pub(super) fn bound(&self, project: &str) -> Vec<Bound> {
        let mut bound = Vec::new();
        let mut own: BTreeSet<BoundPort> = BTreeSet::new();
        for record in self.engine.containers.list() {
            for port in &record.state.ports {
                let host = SocketAddr::new(port.host_address, port.host_port);
                let protocol = port.container.protocol;
                own.insert(BoundPort { protocol, host });
                bound.push(of_port(protocol, host, holder(&record)));
            }
        }
        // Each port of a container is bound by a socket of this process: what is left is other programs'.
        let others = self
            .network
            .bound_ports()
            .into_iter()
            .filter(|port| !own.contains(port));
        bound.extend(others.map(|port| of_port(port.protocol, port.host, Holder::Process { process: None })));
        bound.extend(self.claims.of_others(project));
        bound
    }

    /// Lists what a project's networks have.
    pub(super) fn own_networks(&self, project: &str) -> Around {
        let mut around = Around::default();
        for record in self.engine.networks.list() {
            if labels::project(&record.spec.labels) == Some(project) {
                let subnets = record.settings.pools.iter().filter_map(|pool| ipv4(pool.subnet));
                around.own_subnets.extend(subnets);
                around.own_bridges.insert(record.settings.link.clone());
            }
        }
        around
    }

    /// Adds what a project's networks may not use.
    pub(super) fn networks_around(&self, project: &str, mut around: Around, others: &[&Allotment]) -> Around {
        for other in others {
            around.subnets.extend(other.subnets.values());
            around.bridges.extend(other.bridges.values().cloned());
        }
        for record in self.engine.networks.list() {
            let subnets = record.settings.pools.iter().filter_map(|pool| ipv4(pool.subnet));
            if labels::project(&record.spec.labels) != Some(project) {
                around.subnets.extend(subnets);
                around.bridges.insert(record.settings.link.clone());
            }
        }
        around.subnets.extend(self.network.routed_subnets());
        around
    }
}

fn of_port(protocol: Protocol, host: SocketAddr, holder: Holder) -> Bound {
    Bound {
        protocol: protocol.to_string(),
        address: host.ip(),
        port: host.port(),
        holder,
    }
}

fn holder(record: &ContainerRecord) -> Holder {
    let container = record.name.to_string();
    match labels::project(&record.spec.labels) {
        Some(project) => Holder::Service {
            project: project.to_owned(),
            service: labels::service(&record.spec.labels).unwrap_or_default().to_owned(),
            container,
        },
        None => Holder::Container { name: container },
    }
}

fn ipv4(subnet: IpNet) -> Option<Ipv4Net> {
    match subnet {
        IpNet::V4(subnet) => Some(subnet),
        IpNet::V6(_) => None,
    }
}

/// Reads a bound port back, for the question who has it.
pub(super) fn bound_port(bound: &Bound) -> Option<BoundPort> {
    let address: IpAddr = bound.address;
    Some(BoundPort {
        protocol: bound.protocol.parse().ok()?,
        host: SocketAddr::new(address, bound.port),
    })
}
