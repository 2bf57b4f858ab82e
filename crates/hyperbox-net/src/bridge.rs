// SPDX-License-Identifier: MIT
//! A bridge network in the kernel: made, checked, used, removed. Runs on the worker's thread.
//!
//! Nothing is remembered here: each operation looks at what there is, so that one that died half-way is finished by the next.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;

use hyperbox_core::seam::{NetworkError, NetworkSettings};
use hyperbox_types::{ContainerId, ErrorKind};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::choice;
use crate::error::{failed, refused};
use crate::firewall::{self, Bridge, Table};
use crate::link_name;
use crate::mac_address::MacAddress;
use crate::namespace::Prepared;
use crate::netlink::Socket;
use crate::route::{self, Address, NewVeth};
use crate::subnet::Subnet;
use crate::worker::Kernel;

/// Name of a container's link inside.
const INNER_NAME: &str = "eth0";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// How many random names are tried.
const ATTEMPTS: usize = 8;

/// A network's settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct BridgeNetwork {
    pub(crate) bridge: Bridge,
    pub(crate) subnet: Subnet,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) mtu: u32,
}

/// The rules that go with a network: its table, and all bridges that belong into it.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) table: Table,
    pub(crate) bridges: BTreeSet<Bridge>,
}

impl BridgeNetwork {
    /// Checks settings; they come from a record that another version may have written.
    pub(crate) fn parse(settings: &NetworkSettings) -> Result<Self, NetworkError> {
        let invalid = |message: String| refused(&settings.bridge, ErrorKind::InvalidArgument, message);
        if !link_name::is_bridge(&settings.bridge) {
            return Err(invalid("the bridge's name is not valid for a link".to_owned()));
        }
        let subnet: Subnet = settings.subnet.parse().map_err(|error| invalid(format!("{error}")))?;
        choice::check(subnet).map_err(|error| invalid(error.to_string()))?;
        let gateway = ipv4(&settings.bridge, settings.gateway)?;
        if !subnet.contains(gateway) || gateway == subnet.network() || gateway == subnet.broadcast() {
            return Err(invalid(format!("gateway {gateway} is no host's address in {subnet}")));
        }
        Ok(Self {
            bridge: Bridge {
                name: settings.bridge.clone(),
                masquerade: settings.masquerade,
            },
            subnet,
            gateway,
            mtu: settings.mtu,
        })
    }

    /// Makes what is missing: bridge, address, rules, forwarding. Returns the bridge's index.
    pub(crate) fn ensure(&self, kernel: &mut Kernel, rules: &Rules) -> Result<u32, NetworkError> {
        let name = &self.bridge.name;
        let error = |operation: &'static str| move |source| failed(name, operation, source);
        let index = self.ensure_link(&mut kernel.route)?;
        let address = Address {
            link: index,
            address: self.gateway,
            prefix_length: self.subnet.prefix_length(),
        };
        route::add_address(&mut kernel.route, address).map_err(error("give the bridge its address"))?;
        let ensured = rules.table.ensure(&mut kernel.firewall, &rules.bridges);
        ensured.map_err(error("set the nftables rules"))?;
        if let Err(error) = firewall::accept_in_docker_user(&mut kernel.firewall, name) {
            tracing::warn!(bridge = %name, %error, "Docker's firewall may drop this network's packets");
        }
        ensure_forwarding().map_err(error("turn on IPv4 forwarding"))?;
        Ok(index)
    }

    fn ensure_link(&self, socket: &mut Socket) -> Result<u32, NetworkError> {
        let name = &self.bridge.name;
        let error = |operation: &'static str| move |source| failed(name, operation, source);
        if let Some(link) = route::find(socket, name).map_err(error("look for the bridge"))? {
            if !link.is_bridge() {
                let message = "a link of that name exists and is not a bridge";
                return Err(refused(name, ErrorKind::Conflict, message));
            }
            route::set_up(socket, link.index, Some(self.mtu)).map_err(error("set the bridge up"))?;
            return Ok(link.index);
        }
        let mac = MacAddress::of(self.gateway);
        route::create_bridge(socket, name, mac, self.mtu).map_err(error("make the bridge"))?;
        let made = route::find(socket, name).map_err(error("look for the bridge"))?;
        let gone = || {
            refused(
                name,
                ErrorKind::Conflict,
                "the bridge was removed while it was being made",
            )
        };
        made.map(|link| link.index).ok_or_else(gone)
    }

    /// Connects a namespace; returns the name of the host link. If it fails, what was made goes with the namespace.
    pub(crate) fn attach(
        &self,
        kernel: &mut Kernel,
        prepared: &mut Prepared,
        container: &ContainerId,
        (address, mac): (Ipv4Addr, MacAddress),
        rules: &Rules,
    ) -> Result<String, NetworkError> {
        let name = &self.bridge.name;
        let error = |operation: &'static str| move |source| failed(name, operation, source);
        let found = route::find(&mut kernel.route, name).map_err(error("look for the bridge"))?;
        let bridge = match found.filter(route::Link::is_bridge) {
            Some(link) => link.index,
            // Somebody removed it, and then the rest may be missing too.
            None => self.ensure(kernel, rules)?,
        };
        let host_name = self.connect(kernel, prepared, container, bridge, mac)?;
        let inner = route::find(&mut prepared.route, INNER_NAME).map_err(error("look for the container's link"))?;
        let inner = inner.ok_or_else(|| refused(name, ErrorKind::Internal, "the container's link was removed"))?;
        let requests = vec![
            route::up_message(inner.index),
            route::address_message(Address {
                link: inner.index,
                address,
                prefix_length: self.subnet.prefix_length(),
            }),
            route::default_route_message(self.gateway),
        ];
        let configured = prepared.route.requests(requests);
        configured.map_err(error("set the container's address and route"))?;
        let waiting = error("wait for the container's link");
        route::wait_until_operational(&mut kernel.route, &host_name).map_err(&waiting)?;
        route::wait_until_operational(&mut prepared.route, INNER_NAME).map_err(&waiting)?;
        Ok(host_name)
    }

    fn connect(
        &self,
        kernel: &mut Kernel,
        prepared: &Prepared,
        container: &ContainerId,
        bridge: u32,
        inner_mac: MacAddress,
    ) -> Result<String, NetworkError> {
        let mut last = io::Error::from(Errno::EXIST);
        for _ in 0..ATTEMPTS {
            let host_name = link_name::host_link(container, random());
            let veth = NewVeth {
                host_name: &host_name,
                bridge,
                namespace: prepared.namespace.as_fd(),
                inner_name: INNER_NAME,
                inner_mac,
                mtu: self.mtu,
            };
            match route::create_veth(&mut kernel.route, &veth) {
                Ok(()) => return Ok(host_name),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(failed(&self.bridge.name, "make the container's link", error)),
            }
        }
        Err(failed(
            &self.bridge.name,
            "find a free name for the container's link",
            last,
        ))
    }
}

/// Removes a network's bridge and rules. A link of that name that is no bridge is somebody else's.
pub(crate) fn remove(kernel: &mut Kernel, name: &str, table: &Table) -> Result<(), NetworkError> {
    let error = |operation: &'static str| move |source| failed(name, operation, source);
    let found = route::find(&mut kernel.route, name).map_err(error("look for the bridge"))?;
    if let Some(link) = found.filter(route::Link::is_bridge) {
        route::remove(&mut kernel.route, link.index).map_err(error("remove the bridge"))?;
    }
    let forgotten = table.forget(&mut kernel.firewall, name);
    forgotten.map_err(error("remove the nftables rules"))?;
    let forgotten = firewall::forget_in_docker_user(&mut kernel.firewall, name);
    forgotten.map_err(error("remove the rules in Docker's firewall"))
}

/// Removes the host links on `bridges` that no endpoint has.
pub(crate) fn remove_leaks(
    kernel: &mut Kernel,
    bridges: &BTreeSet<String>,
    in_use: &BTreeSet<String>,
) -> Result<(), NetworkError> {
    let error = |operation: &'static str| move |source| failed("all", operation, source);
    let links = route::list(&mut kernel.route).map_err(error("list the links"))?;
    let is_ours = |link: &&route::Link| link.is_bridge() && bridges.contains(&link.name);
    let masters: BTreeSet<u32> = links.iter().filter(is_ours).map(|link| link.index).collect();
    let leaks = links.iter().filter(|link| {
        let on_ours = link.master.is_some_and(|master| masters.contains(&master));
        on_ours && link_name::is_host_link(&link.name) && !in_use.contains(&link.name)
    });
    let leaks: Vec<_> = leaks.map(|link| link.name.clone()).collect();
    let removed = route::remove_all(&mut kernel.route, &leaks).map_err(error("remove leaked links"))?;
    if removed > 0 {
        tracing::info!(removed, "removed host links that no container has");
    }
    Ok(())
}

/// Takes the IPv4 address of a setting or a wish.
pub(crate) fn ipv4(network: &str, address: IpAddr) -> Result<Ipv4Addr, NetworkError> {
    match address {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(address) => {
            let message = format!("address {address} is not supported: bridge networks carry IPv4 only");
            Err(refused(network, ErrorKind::Unsupported, message))
        }
    }
}

/// Without forwarding no packet leaves a bridge. It is turned on only where it is off, and never off again: others may rely on it.
/// The file belongs to the network namespace of the thread that opens it.
fn ensure_forwarding() -> io::Result<()> {
    if std::fs::read_to_string(FORWARDING)?.trim() == "0" {
        std::fs::write(FORWARDING, "1")?;
        tracing::info!("turned on IPv4 forwarding");
    }
    Ok(())
}

fn random() -> u32 {
    let mut bytes = [0; 4];
    // It fails only before the kernel's generator is ready; a name that is taken is tried again anyway.
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(_) => u32::from_ne_bytes(bytes),
        Err(_) => std::process::id(),
    }
}
