// SPDX-License-Identifier: MIT
//! A publisher that keeps a table of ports and binds none.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use hyperbox_core::seam::{NetworkError, PortPublisher, PortRequest, PublishRequest, PublishedPort};
use hyperbox_types::{ContainerId, ErrorKind};

use super::fault::lock;

/// Where free ports begin, as in Linux' `ip_local_port_range`.
const FIRST_FREE: u16 = 32768;

/// A [`PortPublisher`].
#[derive(Debug, Clone, Default)]
pub struct FakePorts {
    held: Arc<Mutex<BTreeMap<PublishedKey, Holder>>>,
}

/// Protocol number, host address, host port.
type PublishedKey = (u8, IpAddr, u16);

#[derive(Debug, Clone)]
struct Holder {
    container: ContainerId,
    name: String,
}

impl FakePorts {
    /// Returns the ports in use, with the names of their containers.
    pub fn held(&self) -> Vec<(IpAddr, u16, String)> {
        let held = lock(&self.held);
        let entries = held.iter();
        entries
            .map(|((_, address, port), holder)| (*address, *port, holder.name.clone()))
            .collect()
    }
}

/// Addresses that hide each other: the same, or one of them all of its family.
fn collide(one: IpAddr, other: IpAddr) -> bool {
    one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

fn publish_one(
    held: &mut BTreeMap<PublishedKey, Holder>,
    request: &PublishRequest,
    port: &PortRequest,
) -> Result<Vec<PublishedPort>, NetworkError> {
    let addresses = match port.host_address {
        Some(address) => vec![address],
        None => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
    };
    let number = port.container.protocol.number();
    let holder = |held: &BTreeMap<PublishedKey, Holder>, candidate: u16| {
        let mut entries = held.iter();
        let found = entries.find(|((protocol, address, port), _)| {
            (*protocol, *port) == (number, candidate) && addresses.iter().any(|own| collide(*own, *address))
        });
        found.map(|(_, holder)| holder.name.clone())
    };
    let (first, last) = port.host_ports.unwrap_or((FIRST_FREE, u16::MAX));
    let free = (first..=last).find(|candidate| holder(held, *candidate).is_none());
    let host_port = free.ok_or_else(|| NetworkError {
        network: request.network.name.clone(),
        message: format!(
            "failed to bind host port {first}: address already in use (by {})",
            holder(held, first).unwrap_or_default()
        ),
        kind: ErrorKind::Conflict,
        source: None,
    })?;
    let published = addresses.into_iter().map(|host_address| PublishedPort {
        container: port.container,
        host_address,
        host_port,
    });
    let published: Vec<_> = published.collect();
    for port in &published {
        let holder = Holder {
            container: request.container.clone(),
            name: request.name.clone(),
        };
        held.insert((number, port.host_address, host_port), holder);
    }
    Ok(published)
}

#[async_trait]
impl PortPublisher for FakePorts {
    async fn publish(&self, request: PublishRequest) -> Result<Vec<PublishedPort>, NetworkError> {
        tokio::task::yield_now().await;
        let mut held = lock(&self.held);
        let mut trial = held.clone();
        let mut published = Vec::new();
        for port in &request.ports {
            published.extend(publish_one(&mut trial, &request, port)?);
        }
        *held = trial;
        published.sort();
        Ok(published)
    }

    async fn withdraw(&self, container: &ContainerId) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        lock(&self.held).retain(|_, holder| holder.container != *container);
        Ok(())
    }

    async fn adopt(&self, living: Vec<PublishRequest>) -> Result<(), NetworkError> {
        tokio::task::yield_now().await;
        let mut held = lock(&self.held);
        held.clear();
        for request in living {
            for port in &request.ports {
                // Somebody else has it meanwhile: left out.
                drop(publish_one(&mut held, &request, port));
            }
        }
        Ok(())
    }
}
