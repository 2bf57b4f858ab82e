// SPDX-License-Identifier: MIT
//! Chooses the settings of a new bridge network with a view of the machine. Runs on the worker's thread.

use std::path::Path;

use hyperbox_core::seam::{NetworkError, NetworkSettings, NetworkWish};
use hyperbox_types::ErrorKind;

use crate::choice::{Machine, unique_local_pool, unreserved_host};
use crate::config::{Config, Pool};
use crate::error::{failed, refused};
use crate::link_name;
use crate::options::{BridgeOptions, GatewayMode};
use crate::reservation::Reservations;
use crate::resolver;
use crate::route;
use crate::worker::Kernel;

const MACHINE_ID: &str = "/etc/machine-id";

/// Checks a wish and decides what was not wished. Changes nothing but the note that tells other daemons.
pub(crate) fn choose(
    kernel: &mut Kernel,
    config: &Config,
    wish: NetworkWish,
    others: &[NetworkSettings],
) -> Result<NetworkSettings, NetworkError> {
    let name = wish.name.clone();
    let error = |operation: &'static str| {
        let name = name.clone();
        move |source| failed(&name, operation, source)
    };
    let options = BridgeOptions::parse(&name, &wish.options)?;
    let link = link_of(config, &wish, &options);
    check_name(&name, &link)?;
    let isolated = [options.mode_ipv4, options.mode_ipv6].contains(&GatewayMode::Isolated);
    if isolated && !wish.internal {
        let message = "gateway mode 'isolated' can only be used for an internal network";
        return Err(refused(&name, ErrorKind::Internal, message));
    }
    let own = route::find(&mut kernel.route, &link).map_err(error("look for the bridge"))?;
    if own.as_ref().is_some_and(|link| !link.is_bridge()) {
        let message = format!("existing interface {link} is not a bridge");
        return Err(refused(&name, ErrorKind::Internal, message));
    }
    if let Some(other) = others.iter().find(|other| other.link == link) {
        let message = format!(
            "cannot create network {} ({link}): conflicts with network {} ({link}): networks have same bridge name",
            wish.id, other.id
        );
        return Err(refused(&name, ErrorKind::PermissionDenied, message));
    }
    let note = "note the choice in the run directory";
    let owner = owner(config);
    let reservations = Reservations::lock(&config.run_dir).map_err(error(note))?;
    let machine = Machine {
        addresses: route::addresses(&mut kernel.route).map_err(error("list the addresses"))?,
        routes: route::routes(&mut kernel.route).map_err(error("list the routes"))?,
        resolvers: resolver::remote_servers(),
        reserved: reservations.of_others(&owner),
        networks: subnets(others),
    };
    let asked = with_isolated_gateways(&wish, &options);
    let chosen = machine.choose(&asked, &pools(config), own.map(|link| link.index));
    let mut pools = chosen.map_err(|error| refused(&name, error.kind(), error.to_string()))?;
    for pool in &mut pools {
        let ipv6 = pool.subnet.addr().is_ipv6();
        let mode = if ipv6 { options.mode_ipv6 } else { options.mode_ipv4 };
        // The machine has no address there, so the containers may have all of them.
        pool.gateway = pool.gateway.filter(|_| mode != GatewayMode::Isolated);
    }
    let subnets = pools.iter().map(|pool| pool.subnet);
    reservations.note(&owner, &link, subnets).map_err(error(note))?;
    Ok(NetworkSettings {
        id: wish.id,
        name: wish.name,
        link,
        pools,
        mtu: options.mtu.unwrap_or(config.mtu),
        internal: wish.internal,
        options: wish.options,
    })
}

/// The machine has no address in an isolated network, so any that is free stands for the gateway until the subnet is chosen.
fn with_isolated_gateways(wish: &NetworkWish, options: &BridgeOptions) -> NetworkWish {
    let mut asked = wish.clone();
    for pool in &mut asked.pools {
        let Some(subnet) = pool.subnet else { continue };
        let ipv6 = subnet.addr().is_ipv6();
        let mode = if ipv6 { options.mode_ipv6 } else { options.mode_ipv4 };
        if mode == GatewayMode::Isolated && pool.gateway.is_none() {
            pool.gateway = unreserved_host(subnet, pool);
        }
    }
    asked
}

/// Refuses a name that no link can have, as the kernel would: Docker hands its answer on.
fn check_name(network: &str, link: &str) -> Result<(), NetworkError> {
    if link_name::is_bridge(link) || link == "lo" {
        return Ok(());
    }
    let message = if link.len() > link_name::LONGEST {
        "numerical result out of range"
    } else {
        "invalid argument"
    };
    Err(refused(network, ErrorKind::Internal, message))
}

fn subnets(networks: &[NetworkSettings]) -> Vec<ipnet::IpNet> {
    let pools = networks.iter().flat_map(|network| &network.pools);
    pools.map(|pool| pool.subnet).collect()
}

fn link_of(config: &Config, wish: &NetworkWish, options: &BridgeOptions) -> String {
    if let Some(name) = &options.name {
        return name.clone();
    }
    if wish.predefined {
        link_name::default_bridge(&config.instance)
    } else {
        link_name::network_bridge(&wish.id)
    }
}

/// The configured pools, and the machine's own unique local range where there is none for IPv6.
pub(crate) fn pools(config: &Config) -> Vec<Pool> {
    let mut pools = config.default_pools.clone();
    if !pools.iter().any(|pool| pool.base.addr().is_ipv6()) {
        let machine = std::fs::read_to_string(Path::new(MACHINE_ID)).unwrap_or_default();
        pools.push(unique_local_pool(&format!("{}{}", machine.trim(), config.instance)));
    }
    pools
}
/// Forgets that a bridge was chosen: it stands, and the kernel shows its addresses. A note that stays ends by itself.
pub(crate) fn settled(config: &Config, bridge: &str) {
    let forgotten = Reservations::lock(&config.run_dir).and_then(|notes| notes.forget(&owner(config), bridge));
    if let Err(error) = forgotten {
        tracing::debug!(%bridge, %error, "the note of a network's choice stays for a minute");
    }
}

/// Who this daemon is among those of the machine.
fn owner(config: &Config) -> String {
    format!("{}-{}", config.instance, std::process::id())
}
