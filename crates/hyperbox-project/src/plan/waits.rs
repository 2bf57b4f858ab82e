// SPDX-License-Identifier: MIT
//! What containers wait for before they start: services that they depend on.

use std::collections::BTreeMap;

use super::operation::{Action, Cause, OperationNumber, Plan};
use crate::model::{Condition, Service};

/// The services of a plan that have containers when it is carried out. Only those are waited for.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// What starts a service's containers; nothing for those that run already.
    started: BTreeMap<String, Vec<OperationNumber>>,
    /// What waits for a service, by the service and the condition.
    awaited: BTreeMap<(String, String), OperationNumber>,
}

impl Waits {
    /// A service has a container, whatever it does now.
    pub(super) fn has(&mut self, service: &str) {
        self.started.entry(service.to_owned()).or_default();
    }

    /// An operation starts a container of a service.
    pub(super) fn starts(&mut self, service: &str, number: OperationNumber) {
        self.started.entry(service.to_owned()).or_default().push(number);
    }

    /// What has to be done before a container of the service can be started. Adds what waits for the conditions of what it depends on.
    pub(super) fn before(&mut self, plan: &mut Plan, name: &str, service: &Service) -> Vec<OperationNumber> {
        let mut before = Vec::new();
        for (other, dependency) in &service.depends_on {
            let Some(started) = self.started.get(other) else {
                continue;
            };
            if dependency.condition == Condition::Started {
                before.extend(started);
                continue;
            }
            let key = (
                other.clone(),
                format!("{:?}{}", dependency.condition, dependency.required),
            );
            let number = *self.awaited.entry(key).or_insert_with(|| {
                let action = Action::Await {
                    service: other.clone(),
                    condition: dependency.condition,
                    required: dependency.required,
                };
                plan.add(action, Cause::Dependency(name.to_owned()), started.iter().copied())
            });
            before.push(number);
        }
        before
    }
}
