// SPDX-License-Identifier: MIT
//! The networks that are none: `host` is the machine's own namespace, `null` a fresh one with nothing but loopback.
//!
//! Their settings have no subnets and no link, their endpoints no addresses, and there is nothing to make, adopt or remove. That each exists
//! once, and that nobody joins or leaves them later, are rules of the engine.

use std::os::fd::{BorrowedFd, OwnedFd};

use async_trait::async_trait;
use hyperbox_core::seam::{
    Endpoint, EndpointRequest, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox, SandboxRequest,
    Sandboxes as _,
};
use hyperbox_types::{ContainerId, NetworkId};

use crate::error::failed;
use crate::sandboxes::KernelSandboxes;

/// Driver `host` or driver `null`.
#[derive(Debug)]
pub struct UnconnectedDriver {
    namespaces: Source,
    sandboxes: KernelSandboxes,
}

/// Where namespaces come from.
#[derive(Debug)]
enum Source {
    /// All are the machine's own.
    Host(OwnedFd),
    Fresh,
}

impl UnconnectedDriver {
    pub(crate) fn host(home: OwnedFd, sandboxes: KernelSandboxes) -> Self {
        Self {
            namespaces: Source::Host(home),
            sandboxes,
        }
    }

    pub(crate) fn null(sandboxes: KernelSandboxes) -> Self {
        Self {
            namespaces: Source::Fresh,
            sandboxes,
        }
    }
}

#[async_trait]
impl NetworkDriver for UnconnectedDriver {
    fn name(&self) -> &'static str {
        match self.namespaces {
            Source::Host(_) => "host",
            Source::Fresh => "null",
        }
    }

    async fn choose(&self, wish: NetworkWish, _others: &[NetworkSettings]) -> Result<NetworkSettings, NetworkError> {
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

    async fn ensure(&self, _network: &NetworkSettings) -> Result<(), NetworkError> {
        Ok(())
    }

    /// Sockets for the name service are never made in the machine's own namespace: there the machine's resolver answers.
    async fn open(&self, request: SandboxRequest) -> Result<Sandbox, NetworkError> {
        let (namespace, names) = match &self.namespaces {
            Source::Host(home) => {
                let cloned = home.try_clone();
                let cloned = cloned.map_err(|source| failed("host", "hold the machine's network namespace", source));
                (cloned?, None)
            }
            Source::Fresh => {
                let namespace = self.sandboxes.open().await?;
                let names = if request.names {
                    let borrowed = std::os::fd::AsFd::as_fd(&namespace);
                    Some(self.sandboxes.open_names(borrowed).await?)
                } else {
                    None
                };
                (namespace, names)
            }
        };
        Ok(Sandbox {
            namespace,
            endpoint: empty(request.endpoint.network.id),
            names,
        })
    }

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
