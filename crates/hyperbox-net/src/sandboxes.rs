// SPDX-License-Identifier: MIT
//! Network namespaces without regard to any network: core's `Sandboxes`.
//!
//! It shares the worker's thread with the drivers, so that what it does to a namespace is ordered with what they do.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use async_trait::async_trait;
use hyperbox_core::seam::{NameSockets, NetworkError, Routes, Sandboxes};
use ipnet::IpNet;

use crate::error::failed;
use crate::mac_address::MacAddress;
use crate::name_rules;
use crate::netlink::{Family, Socket};
use crate::resolver;
use crate::route::{self, Address};
use crate::worker::Worker;

/// Nothing is ever sent there.
const STAND_IN_MTU: u32 = 1500;

/// The kernel's network namespaces.
#[derive(Debug, Clone)]
pub struct KernelSandboxes {
    worker: Worker,
}

impl KernelSandboxes {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker }
    }
}

#[async_trait]
impl Sandboxes for KernelSandboxes {
    async fn open(&self) -> Result<OwnedFd, NetworkError> {
        if let Some(ready) = self.worker.namespaces().take_ready() {
            return Ok(ready.namespace);
        }
        let taken = self.worker.run("none", |kernel| {
            let prepared = kernel.namespaces.take();
            prepared.map_err(|source| failed("none", "make a network namespace", source))
        });
        Ok(taken.await?.namespace)
    }

    async fn set_routes(&self, namespace: BorrowedFd<'_>, routes: Routes) -> Result<(), NetworkError> {
        let namespace = owned(namespace)?;
        let set = self.worker.run("default routes", move |kernel| {
            let socket = kernel.inside(namespace.as_fd(), || Socket::open(Family::Route));
            let set = socket.and_then(|mut socket| replace_routes(&mut socket, &routes));
            set.map_err(|source| failed("default routes", "set the default routes", source))
        });
        set.await
    }

    async fn add_stand_in(
        &self,
        namespace: BorrowedFd<'_>,
        link: &str,
        addresses: &[IpNet],
    ) -> Result<(), NetworkError> {
        let (namespace, link, addresses) = (owned(namespace)?, link.to_owned(), addresses.to_vec());
        let made = self.worker.run("stand-in", move |kernel| {
            let socket = kernel.inside(namespace.as_fd(), || Socket::open(Family::Route));
            let made = socket.and_then(|mut socket| add_lonely_link(&mut socket, &link, &addresses));
            made.map_err(|source| failed("stand-in", "make a link that stands in for another", source))
        });
        made.await
    }

    async fn open_names(&self, namespace: BorrowedFd<'_>) -> Result<NameSockets, NetworkError> {
        let namespace = owned(namespace)?;
        let opened = self.worker.run("names", move |kernel| {
            let sockets = kernel.inside(namespace.as_fd(), name_rules::open);
            sockets.map_err(|source| failed("names", "open the name service's sockets", source))
        });
        opened.await
    }

    fn host_resolver_configuration(&self) -> String {
        resolver::for_containers()
    }

    fn host_servers(&self) -> Vec<IpAddr> {
        resolver::host_servers()
    }
}

/// Holds a namespace for a job that may outlive its caller.
pub(crate) fn owned(namespace: BorrowedFd<'_>) -> Result<OwnedFd, NetworkError> {
    let cloned = namespace.try_clone_to_owned();
    cloned.map_err(|source| failed("namespace", "hold the network namespace", source))
}

/// A bridge without ports is a link that every kernel we run on has, and that needs no peer.
fn add_lonely_link(socket: &mut Socket, name: &str, addresses: &[IpNet]) -> io::Result<()> {
    let mac = MacAddress::of(addresses.first().map_or(Ipv4Addr::LOCALHOST.into(), IpNet::addr));
    route::create_bridge(socket, name, mac, STAND_IN_MTU)?;
    let link = route::find(socket, name)?.ok_or(io::ErrorKind::NotFound)?;
    for address in addresses {
        let address = Address {
            link: link.index,
            address: *address,
        };
        route::add_address(socket, address)?;
    }
    Ok(())
}

fn replace_routes(socket: &mut Socket, routes: &Routes) -> io::Result<()> {
    let ipv4 = routes.ipv4.as_ref().map(|(gateway, link)| (IpAddr::V4(*gateway), link));
    let ipv6 = routes.ipv6.as_ref().map(|(gateway, link)| (IpAddr::V6(*gateway), link));
    for (is_ipv6, wanted) in [(false, ipv4), (true, ipv6)] {
        route::remove_default_routes(socket, is_ipv6)?;
        let Some((gateway, link)) = wanted else {
            continue;
        };
        let link = route::find(socket, link)?.ok_or(io::ErrorKind::NotFound)?;
        socket.request(route::default_route_message(gateway, Some(link.index)))?;
    }
    Ok(())
}
