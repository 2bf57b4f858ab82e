// SPDX-License-Identifier: MIT
//! Settings of such a network: chosen, and read back.
//!
//! What it has in common with a bridge network (name, subnets, gateways) is kept as one, without a bridge's options.

use std::collections::BTreeMap;

use hyperbox_core::seam::{AddressPool, NetworkError, NetworkSettings, NetworkWish, PoolWish};
use hyperbox_types::{ErrorKind, NetworkId};

use crate::bridge::BridgeNetwork;
use crate::choice::{Machine, NoSubnet, is_ipv6};
use crate::config::Config;
use crate::error::{failed, refused};
use crate::macvlan::mode::{Kind, Mode};
use crate::macvlan::parent::{Parent, dummy_name};
use crate::pool_check;
use crate::reservation::Reservations;
use crate::resolver;
use crate::route;
use crate::selection;
use crate::worker::Kernel;

const PARENT: &str = "parent";
const MTU: &str = "com.docker.network.driver.mtu";

/// A network, checked.
#[derive(Debug, Clone)]
pub(crate) struct ParentNetwork {
    /// What is as in a bridge network; internal also where the parent leads nowhere.
    pub(crate) base: BridgeNetwork,
    pub(crate) parent: Parent,
    pub(crate) mode: Mode,
    /// The parent's when unset.
    pub(crate) mtu: Option<u32>,
}

/// Which networks of a driver there are, and how they use their parents.
pub(crate) type Known = BTreeMap<NetworkId, (String, Mode)>;

impl ParentNetwork {
    /// Checks settings; they come from a record that another version may have written.
    pub(crate) fn parse(kind: Kind, alias: &str, settings: &NetworkSettings) -> Result<Self, NetworkError> {
        let mode = Mode::parse(kind, &settings.options);
        Ok(Self {
            base: BridgeNetwork::parse(&base(settings))?,
            mode: mode.map_err(|message| refused(&settings.name, ErrorKind::Internal, message))?,
            parent: Parent {
                kind,
                network: settings.id.clone(),
                name: settings.link.clone(),
                alias: alias.to_owned(),
            },
            mtu: mtu(&settings.options),
        })
    }
}

/// Returns the settings of the bridge network that has the same addresses.
pub(crate) fn base(settings: &NetworkSettings) -> NetworkSettings {
    NetworkSettings {
        internal: settings.internal || named_parent(&settings.options).is_none(),
        options: BTreeMap::new(),
        ..settings.clone()
    }
}

/// Checks a wish and decides what was not wished. Changes nothing but the note that tells other daemons.
pub(crate) fn choose(
    kernel: &mut Kernel,
    config: &Config,
    (kind, known): (Kind, &Known),
    wish: NetworkWish,
    others: &[NetworkSettings],
) -> Result<NetworkSettings, NetworkError> {
    let name = wish.name.clone();
    // Docker answers 500 to what it does not understand here.
    let refuse = |message: String| refused(&name, ErrorKind::Internal, message);
    let mode = Mode::parse(kind, &wish.options).map_err(refuse)?;
    let link = named_parent(&wish.options).map_or_else(|| dummy_name(kind, &wish.id), str::to_owned);
    let parent = Parent {
        kind,
        network: wish.id.clone(),
        name: link,
        alias: String::new(),
    };
    parent.check(&mut kernel.route)?;
    let exists = |id: &NetworkId| others.iter().any(|other| other.id == *id);
    let users = known
        .iter()
        .filter(|(id, (used, _))| *used == parent.name && exists(id));
    if let Some(message) = users
        .into_iter()
        .find_map(|(id, (_, other))| conflict(kind, &parent.name, mode, (id, *other)))
    {
        return Err(refuse(message));
    }
    let pools = choose_pools(kernel, config, &wish, others, &dummy_name(kind, &wish.id))?;
    Ok(NetworkSettings {
        id: wish.id,
        name: wish.name,
        link: parent.name,
        pools,
        mtu: mtu(&wish.options).unwrap_or(config.mtu),
        internal: wish.internal,
        options: wish.options,
    })
}

/// Says why two networks cannot have the same parent, in Docker's words.
fn conflict(kind: Kind, parent: &str, mode: Mode, (id, other): (&NetworkId, Mode)) -> Option<String> {
    match kind {
        Kind::Ipvlan => Some(format!(
            "network {} is already using parent interface {parent}",
            dummy_name(kind, id)
        )),
        Kind::Macvlan if mode.is_passthru() => Some(format!(
            "cannot use mode passthru, macvlan network {id} is already using parent interface {parent}"
        )),
        Kind::Macvlan if other.is_passthru() => Some(format!(
            "macvlan network {id} is already using parent interface {parent} in mode passthru"
        )),
        Kind::Macvlan => None,
    }
}

/// A wished subnet is usually the one that the machine itself is in: it must only differ from other networks'. One that nobody wished
/// for must collide with nothing.
fn choose_pools(
    kernel: &mut Kernel,
    config: &Config,
    wish: &NetworkWish,
    others: &[NetworkSettings],
    note_as: &str,
) -> Result<Vec<AddressPool>, NetworkError> {
    let refuse = |error: NoSubnet| refused(&wish.name, error.kind(), error.to_string());
    let error = |operation: &'static str| move |source| failed(&wish.name, operation, source);
    pool_check::check(wish).map_err(|faults| refuse(NoSubnet::Malformed(faults)))?;
    let note = "note the choice in the run directory";
    let owner = format!("{}-{}", config.instance, std::process::id());
    let reservations = Reservations::lock(&config.run_dir).map_err(error(note))?;
    let networks = others
        .iter()
        .flat_map(|network| &network.pools)
        .map(|pool| pool.subnet)
        .collect();
    let mut beside = Machine {
        networks,
        ..Machine::default()
    };
    let mut chosen = Vec::new();
    for (ipv6, wanted) in [(false, wish.ipv4), (true, wish.ipv6)] {
        let pools: Vec<&PoolWish> = wish.pools.iter().filter(|pool| is_ipv6(pool) == Some(ipv6)).collect();
        if !wanted {
            continue;
        }
        let alone = |pools: Vec<PoolWish>| NetworkWish {
            ipv4: !ipv6,
            ipv6,
            pools,
            ..wish.clone()
        };
        for pool in &pools {
            let found = beside
                .choose(&alone(vec![(*pool).clone()]), &[], None)
                .map_err(refuse)?;
            beside.networks.extend(found.iter().map(|pool| pool.subnet));
            chosen.extend(found);
        }
        if pools.is_empty() {
            let machine = Machine {
                addresses: route::addresses(&mut kernel.route).map_err(error("list the addresses"))?,
                routes: route::routes(&mut kernel.route).map_err(error("list the routes"))?,
                resolvers: resolver::remote_servers(),
                reserved: reservations.of_others(&owner),
                networks: beside.networks.clone(),
            };
            let found = machine.choose(&alone(Vec::new()), &selection::pools(config), None);
            chosen.extend(found.map_err(refuse)?);
        }
    }
    let subnets = chosen.iter().map(|pool| pool.subnet);
    reservations.note(&owner, note_as, subnets).map_err(error(note))?;
    Ok(chosen)
}

fn named_parent(options: &BTreeMap<String, String>) -> Option<&str> {
    options.get(PARENT).map(String::as_str).filter(|name| !name.is_empty())
}

/// What is no number a link can have is ignored, as Docker's drivers do.
fn mtu(options: &BTreeMap<String, String>) -> Option<u32> {
    let mtu = options.get(MTU)?.parse().ok()?;
    (68..=65535).contains(&mtu).then_some(mtu)
}
