// SPDX-License-Identifier: MIT
//! Profiles: which services take part.
//!
//! Source: <https://docs.docker.com/compose/how-tos/profiles/>.

use std::collections::BTreeSet;

use super::environment::Environment;
use super::tree::{Map, Node};

/// The profiles asked for, or those of `COMPOSE_PROFILES`.
pub(crate) fn active(asked: &[String], environment: &Environment) -> BTreeSet<String> {
    if !asked.is_empty() {
        return asked.iter().cloned().collect();
    }
    environment
        .value("COMPOSE_PROFILES")
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Takes out the services whose profiles are all inactive, and tells their names.
pub(crate) fn disable(model: &mut Node, active: &BTreeSet<String>) -> BTreeSet<String> {
    let mut disabled = BTreeSet::new();
    let services = model
        .as_map_mut()
        .and_then(|map| map.get_mut("services"))
        .and_then(Node::as_map_mut);
    if let Some(services) = services {
        services.retain(|name, service| {
            let takes_part = takes_part(service.as_map(), active);
            if !takes_part {
                disabled.insert(name.clone());
            }
            takes_part
        });
    }
    disabled
}

fn takes_part(service: Option<&Map>, active: &BTreeSet<String>) -> bool {
    let profiles = service
        .and_then(|map| map.get("profiles"))
        .and_then(Node::as_list)
        .unwrap_or_default();
    profiles.is_empty()
        || active.contains("*")
        || profiles
            .iter()
            .filter_map(Node::as_text)
            .any(|profile| active.contains(profile))
}
