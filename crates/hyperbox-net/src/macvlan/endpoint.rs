// SPDX-License-Identifier: MIT
//! A container's link on a parent, configured inside its namespace. Runs on the worker's thread.
//!
//! If anything fails, the link goes again: with the namespace where that is new, else by removing it.

use std::io;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use hyperbox_core::seam::{Endpoint, NetworkError};
use hyperbox_types::ErrorKind;
use ipnet::IpNet;
use rustix::io::Errno;

use crate::endpoint::{EndpointPlan, Place};
use crate::error::{failed, refused};
use crate::macvlan::link::{self, NewLink};
use crate::macvlan::mode::{Kind, Mode};
use crate::macvlan::network::ParentNetwork;
use crate::membership::Addresses;
use crate::netlink::{Family, Socket};
use crate::request::EndpointWish;
use crate::route::{self, Address};
use crate::sysctl;
use crate::worker::Kernel;

/// How long an address may be in use by a link that is being destroyed. Others wait behind it: this is the thread of all networks.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// Decides everything that was left open. Of several subnets of a family the one of the address has the gateway.
pub(crate) fn plan(network: &ParentNetwork, wish: &EndpointWish, given: Addresses) -> EndpointPlan {
    let mut plan = wish.plan(&network.base, given);
    let wanted = |family: bool| plan.gateways.iter().any(|gateway| gateway.is_ipv6() == family);
    let gateways = given.iter().filter(|address| wanted(address.addr().is_ipv6()));
    plan.gateways = gateways.filter_map(|address| gateway(network, address)).collect();
    plan
}

fn gateway(network: &ParentNetwork, address: IpNet) -> Option<IpAddr> {
    let pools = &network.base.settings.pools;
    let pool = pools.iter().find(|pool| pool.subnet.contains(&address.addr()))?;
    pool.gateway.filter(|_| !network.base.settings.internal)
}

/// Makes the link; returns its index in the namespace.
pub(crate) fn connect(
    kernel: &mut Kernel,
    place: &mut Place<'_>,
    network: &ParentNetwork,
    plan: &EndpointPlan,
) -> Result<u32, NetworkError> {
    let name = &network.base.settings.name;
    let parent = network.parent.ensure(&mut kernel.route)?;
    let new = NewLink {
        parent,
        namespace: place.namespace,
        name: &plan.link,
        mac: matches!(network.mode, Mode::Macvlan { .. }).then_some(plan.mac),
        mtu: network.mtu,
        mode: network.mode,
    };
    // A passthru parent is in use as long.
    let busy = |error: io::Error| match Errno::from_io_error(&error) {
        Some(Errno::BUSY | Errno::INVAL) if network.mode.is_passthru() => io::ErrorKind::AddrInUse.into(),
        _ => error,
    };
    patiently(|| link::create(&mut kernel.route, &new).map_err(busy)).map_err(|source| not_made(network, &source))?;
    let found = route::find(place.route, &plan.link);
    let found = found.map_err(|source| failed(name, "look for the container's link", source))?;
    let made = found.ok_or_else(|| refused(name, ErrorKind::Internal, "the container's link was removed"))?;
    let configured = configure(kernel, place, network, plan, made.index);
    if configured.is_err() {
        // Best effort: the error that is reported is the one that matters.
        drop(route::remove(place.route, made.index));
    }
    configured.map(|()| made.index)
}

fn configure(
    kernel: &mut Kernel,
    place: &mut Place<'_>,
    network: &ParentNetwork,
    plan: &EndpointPlan,
    index: u32,
) -> Result<(), NetworkError> {
    let name = &network.base.settings.name;
    let error = |operation: &'static str| move |source| failed(name, operation, source);
    let prepared = kernel.inside(place.namespace, || {
        sysctl::set_ipv6(&plan.link, plan.ipv6)?;
        let failure = plan.sysctls.iter().find_map(|(file, value)| {
            let error = sysctl::write(file, value).err()?;
            Some((file.clone(), error))
        });
        Ok(failure)
    });
    if let Some((file, source)) = prepared.map_err(error("set the parameters of the container's link"))? {
        return Err(unwritten(name, &file, source));
    }
    let mut requests = vec![route::up_message(index)];
    let addresses = plan.addresses.iter().map(|address| Address {
        link: index,
        address: *address,
    });
    requests.extend(addresses.map(route::address_message));
    // Where the parent routes there is no neighbour to ask for a gateway's address.
    requests.extend(plan.gateways.iter().map(|gateway| match network.mode.is_routed() {
        true => link::device_route_message(*gateway, index),
        false => route::default_route_message(*gateway, Some(index)),
    }));
    for request in requests {
        let configured = patiently(|| place.route.request(request.clone()));
        configured.map_err(error("set the container's addresses and routes"))?;
    }
    Ok(())
}

/// Tries again while the address is in use: the kernel destroys the link of a container that has just ended in its own time, and does
/// not let another one of the same parent have its MAC address (macvlan) or its address (ipvlan) before.
fn patiently(mut request: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match request() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < end => {
                std::thread::park_timeout(PAUSE);
            }
            result => return result,
        }
    }
}

/// Describes the endpoint that was made.
pub(crate) fn describe(network: &ParentNetwork, plan: &EndpointPlan, given: Addresses, index: u32) -> Endpoint {
    let mut endpoint = plan.endpoint(&network.base, given, String::new());
    endpoint.driver_state = index.to_string();
    if network.parent.kind == Kind::Ipvlan {
        endpoint.mac_address = String::new();
    }
    let gateways = given.iter().filter_map(|address| gateway(network, address));
    let gateways: Vec<_> = gateways.filter(|_| !network.mode.is_routed()).collect();
    endpoint.gateway_ipv4 = gateways.iter().find_map(|gateway| match gateway {
        IpAddr::V4(gateway) => Some(*gateway),
        IpAddr::V6(_) => None,
    });
    endpoint.gateway_ipv6 = gateways.iter().find_map(|gateway| match gateway {
        IpAddr::V6(gateway) => Some(*gateway),
        IpAddr::V4(_) => None,
    });
    endpoint
}

/// Removes an endpoint's link; that it is gone, or that another one has its name, is success.
pub(crate) fn disconnect(
    kernel: &mut Kernel,
    namespace: BorrowedFd<'_>,
    kind: Kind,
    (name, index): (&str, u32),
) -> io::Result<()> {
    let mut socket = kernel.inside(namespace, || Socket::open(Family::Route))?;
    match route::find(&mut socket, name)? {
        Some(link) if link.index == index && link.kind.as_deref() == Some(kind.as_str()) => {
            route::remove(&mut socket, index)
        }
        _ => Ok(()),
    }
}

fn not_made(network: &ParentNetwork, source: &io::Error) -> NetworkError {
    let (kind, parent) = (network.parent.kind.as_str(), &network.parent.name);
    let reason = match Errno::from_io_error(source) {
        Some(Errno::OPNOTSUPP) => "operation not supported".to_owned(),
        Some(Errno::BUSY) => "device or resource busy".to_owned(),
        _ => source.to_string(),
    };
    let message = format!("failed to create the {kind} port on {parent}: {reason}");
    // The message tells the cause; as a source it would be told twice.
    refused(&network.base.settings.name, ErrorKind::Internal, message)
}

fn unwritten(network: &str, file: &str, source: io::Error) -> NetworkError {
    if source.kind() == io::ErrorKind::NotFound {
        let message = format!("/proc/sys/{file} is not a sysctl file");
        return refused(network, ErrorKind::Internal, message);
    }
    failed(network, &format!("write /proc/sys/{file}"), source)
}
