// SPDX-License-Identifier: MIT
//! Everything of this crate that a daemon wires, on threads that are shared.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use hyperbox_core::seam::NetworkError;
use hyperbox_sys::network_namespace;

use crate::config::Config;
use crate::driver::{self, BridgeDriver};
use crate::error::failed;
use crate::firewall::Firewall;
use crate::macvlan::ParentDriver;
use crate::publish::Publisher;
use crate::sandboxes::KernelSandboxes;
use crate::unconnected::UnconnectedDriver;

/// The mechanisms of one daemon.
#[derive(Debug)]
pub struct Mechanisms {
    /// Driver `bridge`.
    pub bridge: Arc<BridgeDriver>,
    /// Driver `macvlan`.
    pub macvlan: Arc<ParentDriver>,
    /// Driver `ipvlan`.
    pub ipvlan: Arc<ParentDriver>,
    /// Driver `host`.
    pub host: Arc<UnconnectedDriver>,
    /// Driver `null`.
    pub null: Arc<UnconnectedDriver>,
    /// Published ports of bridge networks.
    pub ports: Arc<Publisher>,
    /// The rules of both.
    pub firewall: Arc<Firewall>,
    /// Network namespaces.
    pub sandboxes: Arc<KernelSandboxes>,
}

impl Mechanisms {
    /// Starts all threads in the network namespace of the calling thread. Needs no runtime; blocks for less than a millisecond.
    ///
    /// # Errors
    /// `InvalidArgument` for a configuration that cannot work, else what the kernel says.
    pub fn open(config: Config) -> Result<Self, NetworkError> {
        driver::check(&config)?;
        let worker = driver::start_worker(&config)?;
        let firewall = Firewall::open(&config.instance, config.system_bus.clone())
            .map_err(|source| failed(&config.instance, "open the firewall", source))?;
        let sandboxes = KernelSandboxes::new(worker.clone());
        let home: OwnedFd = network_namespace::current()
            .map_err(|source| failed(&config.instance, "open the machine's network namespace", source))?;
        Ok(Self {
            macvlan: Arc::new(ParentDriver::macvlan(config.clone(), worker.clone())),
            ipvlan: Arc::new(ParentDriver::ipvlan(config.clone(), worker.clone())),
            bridge: Arc::new(BridgeDriver::with(config, worker, Arc::clone(&firewall))?),
            ports: Arc::new(Publisher::open(Arc::clone(&firewall))?),
            firewall,
            host: Arc::new(UnconnectedDriver::host(home, sandboxes.clone())),
            null: Arc::new(UnconnectedDriver::null(sandboxes.clone())),
            sandboxes: Arc::new(sandboxes),
        })
    }
}
