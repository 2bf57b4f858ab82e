// SPDX-License-Identifier: MIT
//! Which ports of the host the containers of a plan get: decided, and recorded, before the first of them is made.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use hyperbox_project::execute::EngineError;
use hyperbox_project::model::ServicePort;
use hyperbox_project::plan::{Action, Plan};

use super::{InProcess, failure};
use crate::isolation::{PortWish, PortWishes};

impl InProcess {
    /// Decides for all containers that a plan makes. Returns what the user should know.
    pub(super) async fn decide_ports(&self, plan: &Plan) -> Result<Vec<String>, EngineError> {
        let mut wishes = Vec::new();
        let mut counts = Vec::new();
        for operation in plan.operations() {
            let Action::CreateContainer {
                service, number, name, ..
            } = &operation.action
            else {
                continue;
            };
            let Some(said) = self.model.services.get(service) else {
                continue;
            };
            // The host's network, or somebody's that is shared, publishes nothing.
            if said.network_mode.as_deref().is_some_and(|mode| mode != "bridge") {
                continue;
            }
            let ports = &said.ports;
            counts.push(((service.clone(), *number), ports.len()));
            wishes.extend(ports.iter().map(|port| wish(service, *number, name, port)));
        }
        if wishes.is_empty() {
            return Ok(Vec::new());
        }
        let wishes = PortWishes {
            wishes,
            going: self.going(plan),
            remap: self.manner.remap,
        };
        let isolation = &self.projects.inner.isolation;
        let decide = async |own: &crate::isolation::Allotment, others: &[(String, crate::isolation::Allotment)]| {
            let settled = isolation.settle_ports(&self.name, wishes, own, others).await?;
            Ok((settled.allotment, (settled.published, settled.notes)))
        };
        let (published, notes) = self.projects.allot(&self.name, decide).await.map_err(failure)?;
        let mut published = published.into_iter();
        let mut decided = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        for (container, count) in counts {
            decided.insert(container, published.by_ref().take(count).collect());
        }
        Ok(notes)
    }

    /// The names of containers that a plan removes or replaces: what is started in their place waits for that.
    fn going(&self, plan: &Plan) -> BTreeSet<String> {
        let names = plan
            .operations()
            .iter()
            .filter_map(|operation| match &operation.action {
                Action::RemoveContainer { name, .. } => Some(name.clone()),
                Action::CreateContainer {
                    replaces: Some(container),
                    ..
                } => Some(self.engine.containers.get(container).ok()?.name.to_string()),
                _ => None,
            });
        names.collect()
    }

    /// The service's ports, those of the host as they were decided for one container.
    pub(super) fn decided(&self, service: &str, number: u32, ports: &[ServicePort]) -> Vec<ServicePort> {
        let decided = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(published) = decided.get(&(service.to_owned(), number)) else {
            return ports.to_vec();
        };
        let pairs = ports.iter().zip(published);
        pairs
            .map(|(port, published)| ServicePort {
                published: published.clone().or_else(|| port.published.clone()),
                ..port.clone()
            })
            .collect()
    }
}

fn wish(service: &str, number: u32, container: &str, port: &ServicePort) -> PortWish {
    PortWish {
        service: service.to_owned(),
        number,
        container: container.to_owned(),
        target: port.target,
        protocol: port.protocol.clone(),
        host_ip: port.host_ip.clone(),
        published: port.published.clone(),
    }
}
