// SPDX-License-Identifier: MIT
//! The networks that are none: `host` is the machine's own namespace, `null` one with nothing but loopback.
//!
//! Their settings have no subnets and no link, their endpoints no addresses. Both kinds exist once, made by the engine itself.

use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox, SandboxRequest,
    Sandboxes as _,
};
use hyperbox_types::{ContainerId, ErrorKind, NetworkId};

use crate::error::{failed, refused};
use crate::sandboxes::KernelSandboxes;

/// The machine's own network.
#[derive(Debug)]
pub struct HostDriver {
    home: OwnedFd,
}

/// No network.
#[derive(Debug)]
pub struct NullDriver {
    sandboxes: KernelSandboxes,
}

impl HostDriver {
    pub(crate) fn new(home: OwnedFd) -> Self {
        Self { home }
    }
}

impl NullDriver {
    pub(crate) fn new(sandboxes: KernelSandboxes) -> Self {
        Self { sandboxes }
    }
}

#[async_trait]
impl NetworkDriver for HostDriver {
    fn name(&self) -> &'static str {
        "host"
    }

    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        only_one("host", wish, others)
    }

    async fn ensure(&self, _network: &NetworkSettings) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        let cloned = self.home.try_clone();
        Ok(Sandbox {
            namespace: cloned.map_err(|source| failed("host", "hold the machine's network namespace", source))?,
            endpoint: empty(request.endpoint.network.id),
            // The machine's resolver configuration is the container's, too.
            names: None,
        })
    }

    async fn attach(
        &self,
        _namespace: BorrowedFd<'_>,
        _container: &ContainerId,
        _request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        let message =
            "container cannot be connected to host network - container must be created with host network mode";
        Err(refused("host", ErrorKind::PermissionDenied, message))
    }

    async fn detach(
        &self,
        _namespace: BorrowedFd<'_>,
        _container: &ContainerId,
        _endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        let message =
            "container cannot be disconnected from host network - container must be created with host network mode";
        Err(refused("host", ErrorKind::PermissionDenied, message))
    }

    async fn release(&self, _container: &ContainerId, _endpoint: &Endpoint) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn adopt(
        &self,
        _networks: &[NetworkSettings],
        _endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn remove(&self, _network: &NetworkSettings) -> Result<(), NetworkError> {
        Ok(())
    }
}

#[async_trait]
impl NetworkDriver for NullDriver {
    fn name(&self) -> &'static str {
        "null"
    }

    async fn choose(&self, wish: NetworkWish, others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
        only_one("null", wish, others)
    }

    async fn ensure(&self, _network: &NetworkSettings) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        Ok(Sandbox {
            namespace: self.sandboxes.open().await?,
            endpoint: empty(request.endpoint.network.id),
            names: None,
        })
    }

    /// Being in no network needs nothing in the namespace.
    async fn attach(
        &self,
        _namespace: BorrowedFd<'_>,
        _container: &ContainerId,
        request: EndpointRequest,
    ) -> Result<Endpoint, NetworkError> {
        Ok(empty(request.network.id))
    }

    async fn detach(
        &self,
        _namespace: BorrowedFd<'_>,
        _container: &ContainerId,
        _endpoint: &Endpoint,
    ) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn release(&self, _container: &ContainerId, _endpoint: &Endpoint) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn adopt(
        &self,
        _networks: &[NetworkSettings],
        _endpoints: &[(ContainerId, Endpoint)],
    ) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn remove(&self, _network: &NetworkSettings) -> Result<(), NetworkError> {
        Ok(())
    }
}

/// Only the engine makes such a network; a user is told so in Docker's words.
fn only_one(
    driver: &'static str,
    wish: NetworkWish,
    _others: &[NetworkSettings],
) -> Result<NetworkSettings, NetworkError> {
    if !wish.predefined {
        let message = format!("only one instance of {driver:?} network is allowed");
        return Err(refused(&wish.name, ErrorKind::PermissionDenied, message));
    }
    Ok(NetworkSettings {
        id: wish.id,
        name: wish.name,
        link: String::new(),
        pools: Vec::new(),
        mtu: 0,
        internal: false,
        options: wish.options,
    })
}

fn empty(network: NetworkId) -> Endpoint {
    Endpoint {
        network,
        ipv4: None,
        ipv6: None,
        gateway_ipv4: None,
        gateway_ipv6: None,
        mac_address: String::new(),
        link: String::new(),
        host_link: String::new(),
        driver_state: String::new(),
    }
}
