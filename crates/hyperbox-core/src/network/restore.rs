// SPDX-License-Identifier: MIT
//! Taking over the networks of containers that live on after a restart of the daemon.

use std::os::fd::{AsFd as _, OwnedFd};

use hyperbox_types::ContainerId;
use tracing::warn;

use super::join::JoinRequest;
use super::{NetworkRecord, Networks, failure};
use crate::Result;
use crate::container::ContainerRecord;
use crate::seam::{Endpoint, PortRequest, PublishRequest};

/// A container that lives on, with its network namespace if that is its own.
#[derive(Debug)]
pub(crate) struct Living<'a> {
    pub record: &'a ContainerRecord,
    pub endpoints: &'a [Endpoint],
    pub hostname: &'a str,
    pub namespace: Option<OwnedFd>,
}

impl<'a> Living<'a> {
    fn request(&self) -> JoinRequest<'a> {
        JoinRequest {
            container: &self.record.id,
            name: self.record.name.as_str(),
            hostname: self.hostname,
            spec: &self.record.spec,
        }
    }
}

impl Networks {
    /// Takes over what lives on: addresses and links, then ports, then names. Called once, before any container is started.
    pub(crate) async fn adopt(&self, living: Vec<Living<'_>>) -> Result<()> {
        self.adopt_endpoints(&living).await?;
        let ports = living.iter().filter_map(|living| self.published(living)).collect();
        self.inner.with.ports.adopt(ports).await.map_err(failure)?;
        for network in self.list() {
            self.announce_host(&network);
        }
        for living in living {
            if let Err(error) = self.adopt_names(&living).await {
                warn!(container = %living.record.id, %error, "names of a container that lives on are not answered");
            }
        }
        Ok(())
    }

    async fn adopt_endpoints(&self, living: &[Living<'_>]) -> Result<()> {
        let all = self.list();
        for (name, driver) in &self.inner.drivers {
            let of_driver: Vec<&NetworkRecord> = all
                .iter()
                .map(AsRef::as_ref)
                .filter(|record| record.spec.driver == *name)
                .collect();
            let mut endpoints: Vec<(ContainerId, Endpoint)> = Vec::new();
            for living in living {
                let id = &living.record.id;
                let belongs = |endpoint: &&Endpoint| of_driver.iter().any(|record| record.id == endpoint.network);
                for endpoint in living.endpoints.iter().filter(belongs) {
                    if self.enter_again(endpoint, living) {
                        endpoints.push((id.clone(), endpoint.clone()));
                    }
                }
            }
            let settings: Vec<_> = of_driver.iter().map(|record| record.settings.clone()).collect();
            driver.adopt(&settings, &endpoints).await.map_err(failure)?;
        }
        Ok(())
    }

    fn enter_again(&self, endpoint: &Endpoint, living: &Living<'_>) -> bool {
        let name = living.record.name.as_str();
        let entered = self.inner.attached.enter(&endpoint.network, &living.record.id, name);
        entered.is_ok()
    }

    /// Returns the ports of a container as they were published, each with the exact port of the host.
    fn published(&self, living: &Living<'_>) -> Option<PublishRequest> {
        let state = &living.record.state;
        if state.ports.is_empty() {
            return None;
        }
        let endpoint = self.way_out(&living.record.spec, living.endpoints)?;
        let network = self.by_id(&endpoint.network)?;
        let ports = state.ports.iter().map(|port| PortRequest {
            container: port.container,
            host_address: Some(port.host_address),
            host_ports: Some((port.host_port, port.host_port)),
        });
        Some(PublishRequest {
            container: living.record.id.clone(),
            name: living.record.name.to_string(),
            network: network.settings.clone(),
            endpoint: endpoint.clone(),
            ports: ports.collect(),
        })
    }

    async fn adopt_names(&self, living: &Living<'_>) -> Result<()> {
        let request = living.request();
        if let Some(namespace) = living.namespace.as_ref().filter(|_| self.has_names(living.endpoints)) {
            let sockets = self.inner.with.sandboxes.open_names(namespace.as_fd()).await;
            self.serve_names(&request, sockets.map_err(failure)?, namespace, living.endpoints)?;
        }
        self.announce(&request, living.endpoints);
        Ok(())
    }
}
