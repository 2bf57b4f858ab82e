// SPDX-License-Identifier: MIT
//! Subnets and bridges of a project's networks. Pure but for the question whether the host has a link.

use std::collections::BTreeSet;

use hyperbox_project::model::{Model, Network};
use hyperbox_project::range::{Allotment, bridge_name, overlap, subnet};
use ipnet::Ipv4Net;

/// The option by which a network says the name of its bridge.
pub(crate) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";

/// What networks have.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// Subnets of other projects, of other networks, and of the host's routes.
    pub(super) subnets: Vec<Ipv4Net>,
    /// Bridges of other projects and of other networks.
    pub(super) bridges: BTreeSet<String>,
    /// Subnets of the project's networks that are there; the host has routes to them.
    pub(super) own_subnets: BTreeSet<Ipv4Net>,
    /// Bridges of the project's networks that are there.
    pub(super) own_bridges: BTreeSet<String>,
}

/// Gives each network of the model that leaves it open a subnet and the name of a bridge. What it has it keeps, unless it is not made yet and
/// somebody else has it meanwhile. What networks had that are no more is given back.
pub(super) fn allot(model: &Model, allotment: &mut Allotment, around: &Around, has_link: impl Fn(&str) -> bool) {
    let before = std::mem::take(&mut allotment.subnets);
    let bridges = std::mem::take(&mut allotment.bridges);
    for (key, network) in &model.networks {
        if !is_bridge(network) {
            continue;
        }
        if wants_subnet(network) {
            let kept = before.get(key).copied().filter(|kept| {
                around.own_subnets.contains(kept) || !around.subnets.iter().any(|other| overlap(*other, *kept))
            });
            // What the project's other networks have is not free either, whichever come first.
            let taken = around
                .subnets
                .iter()
                .chain(&around.own_subnets)
                .chain(allotment.subnets.values());
            let taken: Vec<Ipv4Net> = taken.chain(before.values()).copied().collect();
            if let Some(given) = kept.or_else(|| subnet(&taken)) {
                allotment.subnets.insert(key.clone(), given);
            }
        }
        if !network.driver_opts.contains_key(BRIDGE_NAME) {
            let free = |name: &str| !around.bridges.contains(name) && !has_link(name);
            let kept = bridges
                .get(key)
                .filter(|kept| around.own_bridges.contains(*kept) || free(kept));
            let given_already = bridges.values().chain(allotment.bridges.values());
            let is_taken = |name: &str| !free(name) || given_already.clone().any(|other| other == name);
            let given = kept.cloned().or_else(|| bridge_name(&model.name, key, is_taken));
            allotment.bridges.extend(given.map(|name| (key.clone(), name)));
        }
    }
}

/// Tells whether [`allot`] would change nothing, whatever others have: each network has what it needs, and is made of it.
pub(super) fn is_settled(model: &Model, allotment: &Allotment, own: &Around) -> bool {
    let bridges = || model.networks.iter().filter(|(_, network)| is_bridge(network));
    let subnets = bridges().filter(|(_, network)| wants_subnet(network));
    let names = bridges().filter(|(_, network)| !network.driver_opts.contains_key(BRIDGE_NAME));
    let are_made = allotment
        .subnets
        .values()
        .all(|subnet| own.own_subnets.contains(subnet))
        && allotment
            .bridges
            .values()
            .all(|bridge| own.own_bridges.contains(bridge));
    are_made
        && subnets.map(|(key, _)| key).eq(allotment.subnets.keys())
        && names.map(|(key, _)| key).eq(allotment.bridges.keys())
}

fn is_bridge(network: &Network) -> bool {
    !network.external && network.driver.as_deref().is_none_or(|driver| driver == "bridge")
}

/// Tells whether a network leaves its IPv4 addresses to the engine.
fn wants_subnet(network: &Network) -> bool {
    let own_driver = network.ipam.driver.as_deref().is_some_and(|driver| driver != "default");
    network.ipam.config.is_empty() && !own_driver && network.enable_ipv4 != Some(false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().unwrap()
    }

    fn model(networks: serde_json::Value) -> Model {
        Model::from_document(&json!({ "name": "shop", "networks": networks })).unwrap()
    }

    #[test]
    fn only_open_questions_are_answered() {
        let model = model(json!({
            "default": { "name": "shop_default" },
            "back": { "name": "shop_back", "driver": "bridge", "driver_opts": { BRIDGE_NAME: "own0" } },
            "theirs": { "name": "theirs", "external": true },
            "lan": { "name": "lan", "driver": "macvlan" },
            "said": { "name": "said", "ipam": { "config": [{ "subnet": "10.1.0.0/24" }] } },
        }));
        let mut allotment = Allotment::default();
        allot(&model, &mut allotment, &Around::default(), |_| false);
        let subnets: Vec<_> = allotment
            .subnets
            .iter()
            .map(|(key, net)| format!("{key} {net}"))
            .collect();
        assert_eq!(subnets, ["back 10.89.0.0/24", "default 10.89.1.0/24"]);
        let bridges: Vec<_> = allotment
            .bridges
            .iter()
            .map(|(key, name)| format!("{key} {name}"))
            .collect();
        assert_eq!(bridges, ["default br-shop", "said br-shop-said"]);
    }

    #[test]
    fn what_is_made_stays_and_what_is_taken_meanwhile_does_not() {
        let model = model(json!({ "default": { "name": "shop_default" } }));
        let mut allotment = Allotment::default();
        allot(&model, &mut allotment, &Around::default(), |_| false);
        let given = allotment.clone();
        // Its network is there: routes and link are its own.
        let mut around = Around {
            subnets: vec![net("10.89.0.0/24")],
            own_subnets: BTreeSet::from([net("10.89.0.0/24")]),
            own_bridges: BTreeSet::from(["br-shop".to_owned()]),
            ..Around::default()
        };
        allot(&model, &mut allotment, &around, |_| true);
        assert_eq!(allotment, given);
        assert!(is_settled(&model, &given, &around));
        assert!(!is_settled(&Model::default(), &given, &around), "it has too much");
        assert!(!is_settled(&model, &Allotment::default(), &around), "it has too little");
        around.own_subnets.clear();
        assert!(!is_settled(&model, &given, &around), "somebody else may have it by now");
        around.own_bridges.clear();
        allot(&model, &mut allotment, &around, |link| link == "br-shop");
        assert_eq!(allotment.subnets["default"], net("10.89.1.0/24"));
        assert!(allotment.bridges["default"].starts_with("br-shop-"), "{allotment:?}");
        allot(&Model::default(), &mut allotment, &around, |_| false);
        assert_eq!(allotment, Allotment::default(), "given back");
    }
}
