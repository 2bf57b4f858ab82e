// SPDX-License-Identifier: MIT
//! Which services take part, and in which order.

use std::collections::BTreeSet;

use crate::model::{Model, Service};

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A service was asked for that the project does not have.
    #[error("no such service: {0}")]
    NoSuchService(String),
    /// More than one container was asked for of a service that says its container's name.
    #[error(
        "the service {service:?} has the container name {container:?}, which only one container can have: remove it to scale the service"
    )]
    NamedOnce {
        /// The service.
        service: String,
        /// The name.
        container: String,
    },
    /// More containers were asked for than one plan is made for.
    #[error("the services are to have {wanted} containers together, of which there can be {most}")]
    TooManyContainers {
        /// How many.
        wanted: u64,
        /// How many there can be.
        most: u64,
    },
    /// A service is made by a program of Docker Compose's.
    #[error("service {service:?} is made by the provider {provider:?}, which only Docker Compose can call")]
    Provider {
        /// The service.
        service: String,
        /// The program.
        provider: String,
    },
    /// The first service to be started has no container, as all others.
    #[error("service {0:?} has no container to start")]
    NoContainer(String),
    /// A service is to be waited for that has no container.
    #[error("{service} is missing dependency {dependency}")]
    MissingDependency {
        /// What waits.
        service: String,
        /// What it waits for.
        dependency: String,
    },
    /// A network of others is not there.
    #[error("network {name} declared as external, but could not be found")]
    ExternalNetwork {
        /// Its name in the engine.
        name: String,
    },
    /// A volume of others is not there.
    #[error("external volume {name:?} not found")]
    ExternalVolume {
        /// Its name in the engine.
        name: String,
    },
}

/// The services asked for (all when none is) and what they depend on, dependencies first.
///
/// # Errors
/// [`PlanError::NoSuchService`].
pub fn with_dependencies(model: &Model, asked: &[String]) -> Result<Vec<String>, PlanError> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    let all: Vec<String> = model.services.keys().cloned().collect();
    for name in if asked.is_empty() { &all } else { asked } {
        if !model.services.contains_key(name) {
            return Err(PlanError::NoSuchService(name.clone()));
        }
        visit(model, name, &mut seen, &mut order);
    }
    Ok(order)
}

/// All services, dependencies first.
pub(crate) fn all(model: &Model) -> Vec<String> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in model.services.keys() {
        visit(model, name, &mut seen, &mut order);
    }
    order
}

/// Loading has refused circles; should there be one, each service is still visited once.
fn visit(model: &Model, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
    let Some(service) = model.services.get(name) else {
        return;
    };
    if !seen.insert(name.to_owned()) {
        return;
    }
    for dependency in service.depends_on.keys() {
        visit(model, dependency, seen, order);
    }
    order.push(name.to_owned());
}

/// Services whose containers this one's containers are made with: namespaces and volumes that it shares.
pub(crate) fn shared_with(service: &Service) -> Vec<String> {
    let modes = [
        &service.network_mode,
        &service.ipc,
        &service.pid,
        &service.uts,
        &service.cgroup,
    ];
    let namespaces = modes
        .into_iter()
        .flatten()
        .filter_map(|mode| mode.strip_prefix("service:").map(str::to_owned));
    let volumes = service
        .volumes_from
        .iter()
        .filter(|source| !source.starts_with("container:"))
        .filter_map(|source| source.split(':').next().map(str::to_owned));
    namespaces.chain(volumes).collect()
}
