// SPDX-License-Identifier: MIT
//! How many containers each service is to have. Counts come from clients, so they are bounded before anything is made of them.

use std::collections::BTreeMap;

use super::order::PlanError;
use crate::model::Model;

/// So many containers one plan is made for. What waits for all containers of a service is told of each, so a plan grows with the square.
const MOST: u64 = 2_000;

/// How many containers the services have that take part, `scale` being what is asked for instead of what the model says.
///
/// # Errors
/// [`PlanError::NoSuchService`], [`PlanError::NamedOnce`], [`PlanError::TooManyContainers`].
pub(super) fn counts(
    model: &Model,
    order: &[String],
    scale: &BTreeMap<String, u32>,
) -> Result<BTreeMap<String, u32>, PlanError> {
    if let Some(unknown) = scale.keys().find(|name| !model.services.contains_key(*name)) {
        return Err(PlanError::NoSuchService(unknown.clone()));
    }
    let mut counts = BTreeMap::new();
    for name in order {
        let Some(service) = model.services.get(name) else {
            continue;
        };
        let count = scale.get(name).copied().unwrap_or_else(|| service.replicas());
        if let Some(container) = service.container_name.as_ref().filter(|_| count > 1) {
            return Err(PlanError::NamedOnce {
                service: name.clone(),
                container: container.clone(),
            });
        }
        counts.insert(name.clone(), count);
    }
    let wanted: u64 = counts.values().map(|count| u64::from(*count)).sum();
    match wanted > MOST {
        true => Err(PlanError::TooManyContainers { wanted, most: MOST }),
        false => Ok(counts),
    }
}
