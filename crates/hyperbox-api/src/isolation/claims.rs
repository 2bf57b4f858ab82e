// SPDX-License-Identifier: MIT
//! Ports of the host that projects are just being started with.
//!
//! Between the decision and the start of the container that binds a port nobody has it. In that time it is claimed: another project that
//! wants it is told so. A claim ends with the run, and by itself when a run takes very long: whoever is late is told by the bind.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyperbox_project::range::{Bound, Holder, PortKey};

/// How long a claim holds at most.
const PATIENCE: Duration = Duration::from_secs(120);

/// The claims of all projects. A clone shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    by_project: Arc<Mutex<BTreeMap<String, Claim>>>,
}

#[derive(Debug)]
struct Claim {
    ports: BTreeMap<PortKey, u16>,
    until: Instant,
}

impl Claims {
    /// Claims ports for a project, instead of what it claimed before.
    pub(super) fn begin(&self, project: &str, ports: BTreeMap<PortKey, u16>) {
        let until = Instant::now() + PATIENCE;
        self.lock().insert(project.to_owned(), Claim { ports, until });
    }

    /// Ends the claims of a project.
    pub(super) fn end(&self, project: &str) {
        self.lock().remove(project);
    }

    /// Returns what other projects claim.
    pub(super) fn of_others(&self, project: &str) -> Vec<Bound> {
        let now = Instant::now();
        let mut claims = self.lock();
        claims.retain(|_, claim| claim.until > now);
        let others = claims.iter().filter(|(name, _)| *name != project);
        let bound = others.flat_map(|(name, claim)| {
            claim.ports.iter().map(|(key, port)| Bound {
                protocol: key.protocol.clone(),
                address: key.address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                port: *port,
                holder: Holder::Project { name: name.clone() },
            })
        });
        bound.collect()
    }

    /// The map is whole whenever the lock is free, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Claim>> {
        self.by_project.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
