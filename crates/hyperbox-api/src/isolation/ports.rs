// SPDX-License-Identifier: MIT
//! Deciding which ports of the host a project's containers get.

use std::collections::BTreeSet;

use hyperbox_core::seam::HostNetwork;
use hyperbox_core::{Result, ServiceError};
use hyperbox_project::model::ServicePort;
use hyperbox_project::range::{self, Allotment, Bound, Conflict, Holder, PortKey, Ports, Settled, Wanted, block};

use super::Isolation;
use super::seen::bound_port;

/// A port that a container publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PortWish {
    /// The service.
    pub service: String,
    /// The container's number in the service, from 1.
    pub number: u32,
    /// The container's name.
    pub container: String,
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// On which address of the host; all when unset.
    pub host_ip: Option<String>,
    /// The port of the host, or a range of which one is taken; any of the project's own when unset.
    pub published: Option<String>,
}

/// What the containers of a plan want.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PortWishes {
    /// The ports.
    pub wishes: Vec<PortWish>,
    /// The names of the project's containers that end before any port is needed.
    pub going: BTreeSet<String>,
    /// Whether a fixed port that somebody else has is replaced.
    pub remap: bool,
}

/// What wishes for ports came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SettledPorts {
    /// For each wish the port of the host (or a range), in the wishes' order; `None` leaves the choice to the engine.
    pub published: Vec<Option<String>>,
    /// What the project has now.
    pub allotment: Allotment,
    /// What the user should know, such as ports that were replaced.
    pub notes: Vec<String>,
}

impl Isolation {
    /// Decides which ports of the host the containers that will be made get. Other containers' ports, other programs' ports and other
    /// projects' ranges are respected; not the ports of the project's containers in `going`, which end before. With `remap` a fixed port that somebody else has is replaced.
    ///
    /// What is decided is held off other projects until [`Isolation::run_ended`].
    ///
    /// # Errors
    /// `Conflict` that names the holder of a fixed port, with a free alternative as its hint.
    pub(crate) async fn settle_ports(
        &self,
        name: &str,
        wishes: PortWishes,
        own: &Allotment,
        others: &[(String, Allotment)],
    ) -> Result<SettledPorts> {
        let this = self.clone();
        let (name, own, others) = (name.to_owned(), own.clone(), others.to_vec());
        let decided = tokio::task::spawn_blocking(move || this.settle_here(&name, &wishes, &own, &others));
        decided.await.map_err(super::group::interrupted)?
    }

    /// Ends what [`Isolation::settle_ports`] holds off others for: by now the containers have their ports, or are not started.
    pub(crate) fn run_ended(&self, name: &str) {
        self.claims.end(name);
    }

    fn settle_here(
        &self,
        name: &str,
        wishes: &PortWishes,
        own: &Allotment,
        others: &[(String, Allotment)],
    ) -> Result<SettledPorts> {
        let PortWishes { wishes, going, remap } = wishes;
        let asked: Vec<range::PortWish> = wishes.iter().map(PortWish::asked).collect();
        let taken: Vec<Ports> = others.iter().flat_map(|(_, other)| other.ranges.clone()).collect();
        let bound = self.bound(name);
        let passing = self.passing_ports();
        let mut more = |own: &[Ports]| block(&[taken.as_slice(), own].concat(), passing);
        let settled = range::settle(going, own, &asked, &bound, *remap, &mut more);
        let (allotment, settled) = settled.map_err(|conflicts| {
            let named = conflicts
                .into_iter()
                .map(|conflict| named(self.network.as_ref(), &bound, conflict));
            refused(&named.collect::<Vec<_>>())
        })?;
        let published = wishes
            .iter()
            .zip(&asked)
            .map(|(wish, asked)| published(wish, asked, &settled));
        let published = published.collect();
        let notes = settled.remapped.iter().map(|remapped| {
            let (key, instead) = (&remapped.wish.key, remapped.host_port);
            let wanted = match remapped.wish.wanted {
                Wanted::One(number) => number.to_string(),
                Wanted::Among(ports) => ports.to_string(),
                Wanted::Any => String::new(),
            };
            format!(
                "port {}/{} of service {} is published at {instead}: {wanted} is held by {}",
                key.target, key.protocol, key.service, remapped.holder
            )
        });
        let notes = notes.collect();
        self.claims.begin(name, settled.ports);
        Ok(SettledPorts {
            published,
            allotment,
            notes,
        })
    }
}

impl PortWish {
    fn asked(&self) -> range::PortWish {
        let port = ServicePort {
            host_ip: self.host_ip.clone(),
            target: self.target,
            published: self.published.clone(),
            protocol: self.protocol.clone(),
            ..ServicePort::default()
        };
        range::PortWish::new(&self.service, self.number, &port)
    }
}

fn published(wish: &PortWish, asked: &range::PortWish, settled: &Settled) -> Option<String> {
    match settled.ports.get(&asked.key) {
        Some(number) => Some(number.to_string()),
        None => wish.published.clone(),
    }
}

/// Finds out which process has a port: it takes a look at all of them, so it is done only for what is told.
fn named(network: &dyn HostNetwork, bound: &[Bound], mut conflict: Conflict) -> Conflict {
    if let Holder::Process { process: None } = conflict.holder {
        let number = match conflict.wish.wanted {
            Wanted::One(number) => number,
            Wanted::Among(ports) => ports.first,
            Wanted::Any => return conflict,
        };
        let PortKey { protocol, address, .. } = &conflict.wish.key;
        let port = bound.iter().find(|bound| bound.hides(protocol, address, number));
        let process = port.and_then(bound_port).and_then(|port| network.holder(port));
        conflict.holder = Holder::Process { process };
    }
    conflict
}

fn refused(conflicts: &[Conflict]) -> ServiceError {
    let texts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    let error = ServiceError::conflict(texts.join("\n"));
    let free: Vec<String> = conflicts
        .iter()
        .filter_map(|conflict| conflict.alternative)
        .map(|port| port.to_string())
        .collect();
    if free.is_empty() {
        return error.with_hint("stop what holds it, or write another port");
    }
    error.with_hint(format!("`hb up --remap` publishes {} instead", free.join(", ")))
}
