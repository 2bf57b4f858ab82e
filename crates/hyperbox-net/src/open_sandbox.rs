// SPDX-License-Identifier: MIT
//! Makes a namespace with an endpoint in it. Runs on the worker's thread.

use std::os::fd::AsFd as _;

use hyperbox_core::seam::{NetworkError, Sandbox};

use crate::bridge::BridgeNetwork;
use crate::endpoint::{self, EndpointPlan, Place};
use crate::firewall::Firewall;
use crate::membership::Addresses;
use crate::worker::Kernel;

/// What is to be made; everything is decided.
#[derive(Debug)]
pub(crate) struct OpenSandbox<'a> {
    pub(crate) network: &'a BridgeNetwork,
    pub(crate) plan: &'a EndpointPlan,
    pub(crate) given: Addresses,
    /// Whether sockets for the name service are wanted.
    pub(crate) names: bool,
}

/// Makes it; what was made goes with the namespace if anything fails.
pub(crate) fn open(
    kernel: &mut Kernel,
    firewall: &Firewall,
    request: &OpenSandbox<'_>,
) -> Result<Sandbox, NetworkError> {
    let name = &request.network.settings.name;
    let mut prepared = kernel.take_namespace(name)?;
    let mut place = Place {
        namespace: prepared.namespace.as_fd(),
        route: &mut prepared.route,
    };
    let host_link = endpoint::connect(kernel, &mut place, request.network, firewall, request.plan)?;
    let names = kernel.names_in(prepared.namespace.as_fd(), name, request.names)?;
    Ok(Sandbox {
        namespace: prepared.namespace,
        endpoint: request.plan.endpoint(request.network, request.given, host_link),
        names,
    })
}
