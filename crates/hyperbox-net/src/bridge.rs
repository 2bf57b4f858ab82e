// SPDX-License-Identifier: MIT
//! A bridge network in the kernel: made, checked, removed. Runs on the worker's thread.
//!
//! Nothing is remembered here: each operation looks at what there is, so that one that died half-way is finished by the next. Bridges that
//! are made here have an alias that says so; a bridge that a user made and gave to a network stays when the network goes.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr};

use hyperbox_core::seam::{NetworkError, NetworkSettings};
use hyperbox_types::ErrorKind;
use ipnet::IpNet;

use crate::error::{failed, refused};
use crate::firewall::{Firewall, NetworkRules};
use crate::link_name;
use crate::mac_address::MacAddress;
use crate::netlink::Socket;
use crate::options::{BridgeOptions, GatewayMode};
use crate::packet_size;
use crate::route::{self, Address};
use crate::sysctl;
use crate::worker::Kernel;

/// A network's settings, checked.
#[derive(Debug, Clone)]
pub(crate) struct BridgeNetwork {
    pub(crate) settings: NetworkSettings,
    pub(crate) options: BridgeOptions,
    pub(crate) rules: NetworkRules,
}

impl BridgeNetwork {
    /// Checks settings; they come from a record that another version may have written.
    pub(crate) fn parse(settings: &NetworkSettings) -> Result<Self, NetworkError> {
        if !link_name::is_bridge(&settings.link) {
            let message = format!("the bridge's name {:?} is not valid for a link", settings.link);
            return Err(refused(&settings.name, ErrorKind::InvalidArgument, message));
        }
        let options = BridgeOptions::parse(&settings.name, &settings.options)?;
        Ok(Self {
            rules: NetworkRules::of(settings)?,
            settings: settings.clone(),
            options,
        })
    }

    /// Returns the name of the bridge.
    pub(crate) fn link(&self) -> &str {
        &self.settings.link
    }

    /// Returns whether the network has addresses of a family.
    pub(crate) fn has(&self, ipv6: bool) -> bool {
        self.settings.pool(ipv6).is_some()
    }

    /// Returns where a family's packets to everywhere else go; nowhere in an internal network.
    pub(crate) fn gateway(&self, ipv6: bool) -> Option<IpAddr> {
        let gateway = self.settings.pool(ipv6).and_then(|pool| pool.gateway);
        gateway.filter(|_| !self.settings.internal && self.mode(ipv6) != GatewayMode::Isolated)
    }

    fn mode(&self, ipv6: bool) -> GatewayMode {
        if ipv6 {
            self.options.mode_ipv6
        } else {
            self.options.mode_ipv4
        }
    }

    /// Returns the bridge's own addresses.
    pub(crate) fn addresses(&self) -> Vec<IpNet> {
        let pools = self.settings.pools.iter().filter_map(|pool| {
            let ipv6 = pool.subnet.addr().is_ipv6();
            let inhibited = self.mode(ipv6) == GatewayMode::Isolated || (!ipv6 && self.options.inhibit_ipv4);
            let gateway = pool.gateway.filter(|_| !inhibited)?;
            IpNet::new(gateway, pool.subnet.prefix_len()).ok()
        });
        pools.collect()
    }

    /// Makes what is missing: bridge, addresses, rules, forwarding. Returns the bridge's index.
    pub(crate) fn ensure(&self, kernel: &mut Kernel, firewall: &Firewall) -> Result<u32, NetworkError> {
        let name = self.link();
        let error = |operation: &'static str| move |source| failed(name, operation, source);
        let index = self.ensure_link(kernel)?;
        for address in self.addresses() {
            let address = Address { link: index, address };
            route::add_address(&mut kernel.route, address).map_err(error("give the bridge its address"))?;
        }
        let ensured = firewall.ensure(self.rules.clone());
        ensured.map_err(error("set the nftables rules"))?;
        self.ensure_forwarding().map_err(error("turn on forwarding"))?;
        packet_size::raise_loopback(kernel);
        Ok(index)
    }

    /// Returns whether the bridge is up and has lost an address. One that somebody has set down has none of IPv6, and is to stay down.
    pub(crate) fn lacks_addresses(&self, kernel: &mut Kernel) -> io::Result<bool> {
        let found = route::find(&mut kernel.route, self.link())?;
        let Some(link) = found.filter(|link| link.is_bridge() && link.up) else {
            return Ok(false);
        };
        let present = route::addresses(&mut kernel.route)?;
        let has = |address: &IpNet| {
            present
                .iter()
                .any(|one| one.link == link.index && one.address == *address)
        };
        Ok(!self.addresses().iter().all(has))
    }

    fn ensure_forwarding(&self) -> io::Result<()> {
        if self.has(false) {
            sysctl::ensure_forwarding_ipv4()?;
        }
        if self.has(true) {
            sysctl::ensure_forwarding_ipv6()?;
        }
        Ok(())
    }

    fn ensure_link(&self, kernel: &mut Kernel) -> Result<u32, NetworkError> {
        let (name, mtu) = (self.link(), self.settings.mtu);
        let error = |operation: &'static str| move |source| failed(name, operation, source);
        let alias = link_name::alias(&kernel.instance);
        let socket = &mut kernel.route;
        let find = |socket: &mut Socket| route::find(socket, name).map_err(error("look for the bridge"));
        let mut found = find(socket)?;
        if found.is_none() {
            route::create_bridge(socket, name, self.mac(), mtu).map_err(error("make the bridge"))?;
            route::set_alias(socket, name, &alias).map_err(error("mark the bridge"))?;
            found = find(socket)?;
        }
        let Some(link) = found else {
            let message = "the bridge was removed while it was being made";
            return Err(refused(name, ErrorKind::Conflict, message));
        };
        if !link.is_bridge() {
            let message = format!("existing interface {name} is not a bridge");
            return Err(refused(name, ErrorKind::Internal, message));
        }
        sysctl::prepare_bridge(name, self.has(true)).map_err(error("set the bridge's IPv6 parameters"))?;
        // The MTU of a bridge that somebody else made is his.
        let mtu = Some(mtu).filter(|_| is_ours(&link));
        route::set_up(socket, link.index, mtu).map_err(error("set the bridge up"))?;
        Ok(link.index)
    }

    /// The bridge's MAC address stays the same when ports come and go, and when it is made again.
    fn mac(&self) -> MacAddress {
        let gateway = self.settings.pools.iter().find_map(|pool| pool.gateway);
        let address = gateway.or_else(|| self.settings.pools.first().map(|pool| pool.subnet.network()));
        MacAddress::of(address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)))
    }
}

/// Removes a network's bridge and rules. A link of that name that is no bridge is somebody else's.
pub(crate) fn remove(kernel: &mut Kernel, name: &str, firewall: &Firewall) -> Result<(), NetworkError> {
    let error = |operation: &'static str| move |source| failed(name, operation, source);
    let found = route::find(&mut kernel.route, name).map_err(error("look for the bridge"))?;
    if let Some(link) = found.filter(|link| link.is_bridge() && is_ours(link)) {
        route::remove_and_see(&mut kernel.route, name, link.index).map_err(error("remove the bridge"))?;
    }
    firewall.forget(name).map_err(error("remove the nftables rules"))
}

fn is_ours(bridge: &route::Link) -> bool {
    bridge.alias.as_deref().is_some_and(link_name::is_alias) || link_name::is_made_up_bridge(&bridge.name)
}

/// Removes the host links on `bridges` that no endpoint has, and the instance's bridges that are not among them.
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
    let alias = link_name::alias(&kernel.instance);
    let is_forgotten = |link: &&route::Link| {
        link.is_bridge() && link.alias.as_deref() == Some(&alias) && !bridges.contains(&link.name)
    };
    for link in links.iter().filter(is_forgotten) {
        route::remove(&mut kernel.route, link.index).map_err(error("remove a leaked bridge"))?;
        tracing::info!(bridge = link.name, "removed a bridge that no network has");
    }
    if removed > 0 {
        tracing::info!(removed, "removed host links that no container has");
    }
    Ok(())
}
