// SPDX-License-Identifier: MIT
//! What one project was given, as it is recorded.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{PortKey, Ports};

/// What one project has for itself until it is removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Allotment {
    /// Its blocks of the host's ports; the first is what it is known by.
    pub ranges: Vec<Ports>,
    /// Which number each port has, by key.
    pub ports: Vec<Assignment>,
    /// The name of its control group below the engine's; empty as long as it has none.
    pub group: String,
    /// Subnets of its networks, by the names that services use.
    pub subnets: BTreeMap<String, Ipv4Net>,
    /// Names of the bridges of its networks, by the names that services use.
    pub bridges: BTreeMap<String, String>,
}

/// A number of the host's, kept for a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Assignment {
    /// The port.
    #[serde(flatten)]
    pub key: PortKey,
    /// The number.
    pub host_port: u16,
}

impl Allotment {
    /// Returns the number that a port has.
    pub fn assigned(&self, key: &PortKey) -> Option<u16> {
        let found = self.ports.iter().find(|assignment| assignment.key == *key);
        found.map(|assignment| assignment.host_port)
    }

    /// Tells whether a number is in one of the blocks.
    pub fn contains(&self, number: u16) -> bool {
        self.ranges.iter().any(|range| range.contains(number))
    }

    pub(super) fn assign(&mut self, key: &PortKey, host_port: u16) {
        self.forget(key);
        let assignment = Assignment {
            key: key.clone(),
            host_port,
        };
        let place = self.ports.partition_point(|other| *other < assignment);
        self.ports.insert(place, assignment);
    }

    pub(super) fn forget(&mut self, key: &PortKey) {
        self.ports.retain(|assignment| assignment.key != *key);
    }
}
