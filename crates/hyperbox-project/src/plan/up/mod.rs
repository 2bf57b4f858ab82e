// SPDX-License-Identifier: MIT
//! `up`: the plan that makes and starts what is wanted, and changes only what differs.
//!
//! Besides what it depends on, a container waits for what is in its way: it is made when whoever has its name is gone, and, where it claims
//! something of the host or an address of its own, started when all those that go are gone. What they have of the host nobody tells, for
//! the files say something else by now.

mod containers;
mod resources;

use std::collections::{BTreeMap, BTreeSet};

use super::observed::Observed;
use super::operation::{Action, OperationNumber, Plan};
use super::order::{PlanError, with_dependencies};
use super::scale::counts;
use super::waits::Waits;
use crate::model::{Model, Service};
use crate::range::{Wanted, wanted};

/// Which containers are made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recreate {
    /// Those that were made of something else.
    #[default]
    Changed,
    /// All.
    Always,
    /// None.
    Never,
}

/// What is asked of `up`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpOptions {
    /// Which services; all when none is named. What they depend on takes part as well.
    pub services: Vec<String>,
    /// Whether only the services named take part.
    pub without_dependencies: bool,
    /// How many containers, instead of what the files say.
    pub scale: BTreeMap<String, u32>,
    /// Which containers are made anew.
    pub recreate: Recreate,
    /// Which containers of services that are only depended on are made anew.
    pub recreate_dependencies: Recreate,
    /// Whether containers of services that are no more are removed.
    pub remove_orphans: bool,
    /// Whether containers are only made.
    pub only_create: bool,
}

/// Plans `up`. The images of the services are in the store already, or [`Observed::images`] lacks them and whoever executes fails there.
///
/// # Errors
/// A service that does not exist was asked for, more containers than can be, or something of others is not there.
pub fn up(model: &Model, observed: &Observed, options: &UpOptions) -> Result<Plan, PlanError> {
    let order = with_dependencies(model, &options.services)?;
    let order: Vec<String> = order
        .into_iter()
        .filter(|name| !options.without_dependencies || options.services.contains(name))
        .collect();
    refuse_providers(model, &order)?;
    let mut planner = Planner {
        model,
        observed,
        options,
        counts: counts(model, &order, &options.scale)?,
        plan: Plan::default(),
        renewed_networks: BTreeSet::new(),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
        created: BTreeMap::new(),
        waits: Waits::default(),
        renewed: BTreeSet::new(),
        orphans: Vec::new(),
        removed: BTreeMap::new(),
        vacated: BTreeMap::new(),
        freed: Vec::new(),
        started: Vec::new(),
    };
    planner.orphans();
    planner.networks(&order)?;
    planner.volumes(&order)?;
    for name in &order {
        planner.service(name);
    }
    Ok(planner.finish())
}

fn refuse_providers(model: &Model, order: &[String]) -> Result<(), PlanError> {
    let provided = order
        .iter()
        .find_map(|name| Some((name, model.services.get(name)?.provider.as_ref()?)));
    match provided {
        Some((name, provider)) => Err(PlanError::Provider {
            service: name.clone(),
            provider: provider.kind.clone(),
        }),
        None => Ok(()),
    }
}

struct Planner<'a> {
    model: &'a Model,
    observed: &'a Observed,
    options: &'a UpOptions,
    /// How many containers the services have that take part.
    counts: BTreeMap<String, u32>,
    plan: Plan,
    /// Keys of networks that are made anew.
    renewed_networks: BTreeSet<String>,
    /// What makes a network or a volume, by key.
    networks: BTreeMap<String, OperationNumber>,
    volumes: BTreeMap<String, OperationNumber>,
    /// What makes the containers of a service.
    created: BTreeMap<String, Vec<OperationNumber>>,
    waits: Waits,
    /// Services of which a container is made anew.
    renewed: BTreeSet<String>,
    /// What removes orphans.
    orphans: Vec<OperationNumber>,
    /// What removes a container, by its id.
    removed: BTreeMap<String, OperationNumber>,
    /// What frees a name.
    vacated: BTreeMap<String, OperationNumber>,
    /// What ends containers that may have ports and addresses.
    freed: Vec<OperationNumber>,
    /// What starts containers, and of which service.
    started: Vec<(OperationNumber, &'a str)>,
}

impl Planner<'_> {
    /// Adds what containers wait for that may stand later in the plan. None of it waits for a start, so nothing waits for itself.
    fn finish(mut self) -> Plan {
        for (number, service) in std::mem::take(&mut self.started) {
            let service = self.model.services.get(service);
            let claims = service.is_some_and(claims);
            self.plan.wait(number, if claims { &self.freed } else { &self.orphans });
        }
        let creations: Vec<(OperationNumber, OperationNumber)> = self
            .plan
            .numbered()
            .filter_map(|(number, operation)| match &operation.action {
                Action::CreateContainer { name, .. } => Some((number, *self.vacated.get(name)?)),
                _ => None,
            })
            .collect();
        for (number, vacated) in creations {
            self.plan.wait(number, &[vacated]);
        }
        self.plan.sorted()
    }
}

/// Whether a container of the service has something that only one can have: a port of the host, or an address that is said.
fn claims(service: &Service) -> bool {
    let port = |published: Option<&str>| wanted(published) != Wanted::Any;
    let ports = service.ports.iter().any(|other| port(other.published.as_deref()));
    let mut networks = service.networks.values().flatten();
    let address = networks.any(|network| network.ipv4_address.is_some() || network.ipv6_address.is_some());
    ports || address || service.network_mode.as_deref() == Some("host")
}
