// SPDX-License-Identifier: MIT
//! A container's endpoint in a bridge network: a veth pair, configured inside the container's namespace. Runs on the worker's thread.
//!
//! If anything fails, what was made goes again: with the namespace where that is new, else by removing the pair.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::ErrorKind;
use ipnet::IpNet;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::bridge::BridgeNetwork;
use crate::error::{failed, refused};
use crate::firewall::Firewall;
use crate::link_name;
use crate::mac_address::MacAddress;
use crate::netlink::Socket;
use crate::packet_size;
use crate::route::{self, Address, NewVeth};
use crate::sysctl;
use crate::worker::Kernel;

/// How many random names are tried.
const ATTEMPTS: usize = 8;

/// What an endpoint is made of; everything is decided.
#[derive(Debug, Clone)]
pub(crate) struct EndpointPlan {
    /// Name of the link in the container.
    pub(crate) link: String,
    pub(crate) mac: MacAddress,
    /// All addresses with their prefix lengths.
    pub(crate) addresses: Vec<IpNet>,
    /// Gateways of default routes.
    pub(crate) gateways: Vec<IpAddr>,
    /// Whether the link has IPv6.
    pub(crate) ipv6: bool,
    /// Files below `/proc/sys` and what is written to them.
    pub(crate) sysctls: Vec<(String, String)>,
}

/// The namespace an endpoint is made in, and a socket that speaks for it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) route: &'a mut Socket,
}

/// Connects a namespace to a network; returns the name of the host link.
pub(crate) fn connect(
    kernel: &mut Kernel,
    place: &mut Place<'_>,
    network: &BridgeNetwork,
    firewall: &Firewall,
    plan: &EndpointPlan,
) -> Result<String, NetworkError> {
    let name = network.link();
    let found = route::find(&mut kernel.route, name).map_err(|source| failed(name, "look for the bridge", source))?;
    let bridge = match found.filter(route::Link::is_bridge) {
        Some(link) => link.index,
        // Somebody removed it, and then the rest may be missing too.
        None => network.ensure(kernel, firewall)?,
    };
    let host_link = make_pair(kernel, place.namespace, network, bridge, plan)?;
    if kernel.big_packets {
        // A bridge takes what its ports take, and so nothing before it has one.
        packet_size::raise_here(kernel, &[&host_link, name]);
        packet_size::raise(place.route, &plan.link);
    }
    let configured = configure(kernel, place, network, &host_link, plan);
    if configured.is_err() {
        // Best effort: the error that is reported is the one that matters.
        drop(route::remove_all(&mut kernel.route, std::slice::from_ref(&host_link)));
    }
    configured.map(|()| host_link)
}

fn make_pair(
    kernel: &mut Kernel,
    namespace: BorrowedFd<'_>,
    network: &BridgeNetwork,
    bridge: u32,
    plan: &EndpointPlan,
) -> Result<String, NetworkError> {
    let mut last = io::Error::from(Errno::EXIST);
    for _ in 0..ATTEMPTS {
        let host_name = link_name::host_link(random());
        let veth = NewVeth {
            host_name: &host_name,
            bridge,
            namespace,
            inner_name: &plan.link,
            inner_mac: plan.mac,
            mtu: network.settings.mtu,
        };
        match route::create_veth(&mut kernel.route, &veth) {
            Ok(()) => return protect(kernel, network, host_name),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(failed(network.link(), "make the container's link", error)),
        }
    }
    Err(failed(
        network.link(),
        "find a free name for the container's link",
        last,
    ))
}

/// Keeps containers that must not speak to each other apart, before either of them is up.
fn protect(kernel: &mut Kernel, network: &BridgeNetwork, host_name: String) -> Result<String, NetworkError> {
    if network.options.icc {
        return Ok(host_name);
    }
    let isolated = route::isolate_port(&mut kernel.route, &host_name);
    isolated.map_err(|source| {
        drop(route::remove_all(&mut kernel.route, std::slice::from_ref(&host_name)));
        failed(network.link(), "isolate the container's link", source)
    })?;
    Ok(host_name)
}

fn configure(
    kernel: &mut Kernel,
    place: &mut Place<'_>,
    network: &BridgeNetwork,
    host_link: &str,
    plan: &EndpointPlan,
) -> Result<(), NetworkError> {
    let name = network.link();
    let error = |operation: &'static str| move |source| failed(name, operation, source);
    // Before the link comes up: a link without IPv6 then has no link-local address either, and solicits nobody.
    let prepared = kernel.inside(place.namespace, || {
        sysctl::set_ipv6(&plan.link, plan.ipv6)?;
        let written = plan.sysctls.iter().find_map(|(file, value)| {
            let error = sysctl::write(file, value).err()?;
            Some((file.clone(), error))
        });
        Ok(written)
    });
    if let Some((file, source)) = prepared.map_err(error("set the parameters of the container's link"))? {
        return Err(unwritten(name, &file, source));
    }
    let inner = route::find(place.route, &plan.link).map_err(error("look for the container's link"))?;
    let inner = inner.ok_or_else(|| refused(name, ErrorKind::Internal, "the container's link was removed"))?;
    let mut requests = vec![route::up_message(inner.index)];
    let address = |address: &IpNet| Address {
        link: inner.index,
        address: *address,
    };
    requests.extend(plan.addresses.iter().map(address).map(route::address_message));
    let routes = plan.gateways.iter();
    requests.extend(routes.map(|gateway| route::default_route_message(*gateway, Some(inner.index))));
    let configured = place.route.requests(requests);
    configured.map_err(error("set the container's addresses and routes"))?;
    let waiting = error("wait for the container's link");
    route::wait_until_operational(&mut kernel.route, host_link).map_err(&waiting)?;
    route::wait_until_operational(place.route, &plan.link).map_err(&waiting)
}

fn unwritten(network: &str, file: &str, source: io::Error) -> NetworkError {
    if source.kind() == io::ErrorKind::NotFound {
        let message = format!("/proc/sys/{file} is not a sysctl file");
        return refused(network, ErrorKind::Internal, message);
    }
    failed(network, &format!("write /proc/sys/{file}"), source)
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    // It fails only before the kernel's generator is ready; a name that is taken is tried again anyway.
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(_) => std::process::id().into(),
    }
}
