// SPDX-License-Identifier: MIT
//! What projects are like now: what was opened, and what the engine shows of it. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hyperbox_core::Result;
use hyperbox_core::container::{ContainerRecord, Phase};
use hyperbox_project::create::image;
use hyperbox_project::model::Model;
use hyperbox_types::project::{
    ContainerStatus, NetworkStatus, ProjectState, ProjectStatus, ProjectSummary, PublishedPortStatus, ServiceStatus,
};

use crate::labels;
use crate::projects::{Inner, Project, Projects, no_such_project};

/// Ports on which a browser finds something, and what it calls the protocol.
const WEB: [(u16, &str); 3] = [(443, "https"), (8443, "https"), (9443, "https")];
/// Well-known ports of what no browser speaks.
const NOT_WEB: [u16; 16] = [
    21, 22, 25, 53, 110, 143, 389, 1433, 1521, 1883, 3306, 5432, 5672, 6379, 11211, 27017,
];

impl Projects {
    /// Lists projects, those that only containers know of included, by name.
    pub(crate) fn list(&self) -> Vec<ProjectSummary> {
        let containers = self.inner.engine.containers.list();
        let mut names: BTreeSet<String> = self.inner.table().keys().cloned().collect();
        let labelled = containers
            .iter()
            .filter_map(|record| labels::project(&record.spec.labels));
        names.extend(labelled.map(str::to_owned));
        let summary = |name: &String| {
            summary(
                &self.inner,
                name,
                self.inner.find(name).as_ref(),
                &of(&containers, name),
            )
        };
        names.iter().map(summary).collect()
    }

    /// Tells all of one project.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) async fn status(&self, name: &str) -> Result<ProjectStatus> {
        let inner = &self.inner;
        let project = inner.find(name);
        let containers = of(&inner.engine.containers.list(), name);
        if project.is_none() && containers.is_empty() {
            return Err(no_such_project(name));
        }
        let model = project.as_ref().map(Project::model).unwrap_or_default();
        let allotment = project.as_ref().map(|project| project.record.allotment.clone());
        let usage = match &allotment {
            Some(allotment) => inner.isolation.usage(allotment).await,
            None => None,
        };
        Ok(ProjectStatus {
            summary: summary(inner, name, project.as_ref(), &containers),
            services: services(name, &model, &containers),
            networks: networks(inner, name, &model),
            volumes: volumes(inner, name),
            cgroup: allotment.and_then(|allotment| inner.isolation.cgroup(&allotment)),
            limits: project
                .as_ref()
                .map(|project| project.record.limits.clone())
                .unwrap_or_default(),
            usage,
            busy: inner.runs.is_taken(name),
        })
    }
}

impl Inner {
    /// The summary of one project.
    pub(crate) fn summary(&self, name: &str) -> Result<ProjectSummary> {
        let project = self.get(name)?;
        let containers = of(&self.engine.containers.list(), name);
        Ok(summary(self, name, Some(&project), &containers))
    }
}

/// The containers of a project, but for those of `run`.
fn of(containers: &[Arc<ContainerRecord>], name: &str) -> Vec<Arc<ContainerRecord>> {
    let own = containers.iter().filter(|record| {
        labels::project(&record.spec.labels) == Some(name) && !labels::is_one_off(&record.spec.labels)
    });
    own.cloned().collect()
}

fn summary(
    inner: &Inner,
    name: &str,
    project: Option<&Project>,
    containers: &[Arc<ContainerRecord>],
) -> ProjectSummary {
    let record = project.map(|project| &project.record);
    let first = containers.first().map(|container| &container.spec.labels);
    let directory = match (record, first) {
        (Some(record), _) => record.directory.clone(),
        (None, Some(labels)) => labels::directory(labels).unwrap_or_default().to_owned(),
        (None, None) => String::new(),
    };
    let files = match (record, first) {
        (Some(record), _) => record.files.clone(),
        (None, Some(labels)) => labels::files(labels),
        (None, None) => Vec::new(),
    };
    let running = containers.iter().filter(|container| runs(container)).count();
    ProjectSummary {
        name: name.to_owned(),
        directory,
        files,
        machine: record.and_then(|record| record.machine.clone()),
        opened: record.is_some(),
        state: state(running, containers.len()),
        running,
        containers: containers.len(),
        ports: record.and_then(|record| inner.isolation.ports(&record.allotment)),
        created: record.map(|record| record.created_at.to_string()),
        changed: record.map(|record| record.changed_at.to_string()),
    }
}

fn runs(container: &ContainerRecord) -> bool {
    matches!(
        container.state.phase,
        Phase::Running | Phase::Paused | Phase::Restarting
    )
}

fn state(running: usize, containers: usize) -> ProjectState {
    match (running, containers) {
        (_, 0) => ProjectState::Empty,
        (0, _) => ProjectState::Stopped,
        (running, containers) if running == containers => ProjectState::Running,
        _ => ProjectState::Partial,
    }
}

fn services(project: &str, model: &Model, containers: &[Arc<ContainerRecord>]) -> Vec<ServiceStatus> {
    let mut found: BTreeMap<&str, Vec<ContainerStatus>> = BTreeMap::new();
    for record in containers {
        let service = labels::service(&record.spec.labels).unwrap_or_default();
        found.entry(service).or_default().push(container(record));
    }
    let mut list = Vec::new();
    for (name, service) in &model.services {
        let mut containers = found.remove(name.as_str()).unwrap_or_default();
        containers.sort_by_key(|container| container.number);
        list.push(ServiceStatus {
            name: name.clone(),
            image: image(project, name, service),
            wanted: service.replicas(),
            orphan: false,
            containers,
        });
    }
    let orphans = containers.iter().filter(|record| {
        let service = labels::service(&record.spec.labels).unwrap_or_default();
        !model.services.contains_key(service)
    });
    let images: BTreeMap<&str, &str> = orphans
        .map(|record| {
            let service = labels::service(&record.spec.labels).unwrap_or_default();
            (service, record.spec.image.as_str())
        })
        .collect();
    for (name, mut containers) in found {
        containers.sort_by_key(|container| container.number);
        list.push(ServiceStatus {
            name: name.to_owned(),
            image: images.get(name).copied().unwrap_or_default().to_owned(),
            wanted: 0,
            orphan: true,
            containers,
        });
    }
    list
}

fn container(record: &ContainerRecord) -> ContainerStatus {
    let state = &record.state;
    let ended = matches!(state.phase, Phase::Exited | Phase::Dead | Phase::Restarting);
    ContainerStatus {
        id: record.id.to_string(),
        name: record.name.to_string(),
        number: labels::number(&record.spec.labels),
        state: state.phase.as_str().to_owned(),
        health: state.health.as_ref().map(|health| health.status.as_str().to_owned()),
        exit_code: ended.then_some(state.exit_code),
        out_of_memory: state.out_of_memory,
        started_at: state.started_at.map(|at| at.to_string()),
        ports: ports(record),
        addresses: state
            .endpoints
            .iter()
            .flat_map(|endpoint| {
                endpoint
                    .addresses()
                    .map(|address| address.to_string())
                    .collect::<Vec<_>>()
            })
            .collect(),
    }
}

fn ports(record: &ContainerRecord) -> Vec<PublishedPortStatus> {
    let published = record.state.ports.iter().map(|port| {
        let container_port = port.container.number;
        let protocol = port.container.protocol.to_string();
        PublishedPortStatus {
            url: url(&port.host_address, port.host_port, container_port, &protocol),
            host_ip: port.host_address.to_string(),
            host_port: port.host_port,
            container_port,
            protocol,
        }
    });
    published.collect()
}

/// Where a browser of this machine finds a port, when its number does not speak against it. Told once, for IPv4.
fn url(address: &std::net::IpAddr, host_port: u16, container_port: u16, protocol: &str) -> Option<String> {
    if protocol != "tcp" || NOT_WEB.contains(&container_port) || address.is_ipv6() {
        return None;
    }
    let scheme = WEB
        .iter()
        .find(|(port, _)| *port == container_port)
        .map_or("http", |(_, scheme)| scheme);
    let host = if address.is_unspecified() || address.is_loopback() {
        "localhost".to_owned()
    } else {
        address.to_string()
    };
    let usual = if scheme == "https" { 443 } else { 80 };
    Some(if host_port == usual {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{host_port}")
    })
}

fn networks(inner: &Inner, project: &str, model: &Model) -> Vec<NetworkStatus> {
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut labelled = Vec::new();
    for record in inner.engine.networks.list() {
        let subnets = record
            .settings
            .pools
            .iter()
            .map(|pool| pool.subnet.to_string())
            .collect();
        if labels::project(&record.spec.labels) == Some(project) {
            let key = labels::key(&record.spec.labels, "network").unwrap_or_default();
            labelled.push((key.to_owned(), record.name.to_string()));
        }
        known.insert(record.name.to_string(), subnets);
    }
    let status = |key: &str, name: &str, external| NetworkStatus {
        key: key.to_owned(),
        name: name.to_owned(),
        subnets: known.get(name).cloned().unwrap_or_default(),
        external,
    };
    let wanted = model.networks.iter();
    let mut list: Vec<_> = wanted
        .map(|(key, network)| status(key, &network.name, network.external))
        .collect();
    let more: Vec<_> = labelled
        .iter()
        .filter(|(_, name)| !list.iter().any(|listed| listed.name == *name))
        .map(|(key, name)| status(key, name, false))
        .collect();
    list.extend(more);
    list
}

fn volumes(inner: &Inner, project: &str) -> Vec<String> {
    let volumes = inner.engine.volumes.list();
    let own = volumes
        .iter()
        .filter(|record| labels::project(&record.labels) == Some(project));
    own.map(|record| record.name.to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (address, host, container, protocol, expected) in [
            ("0.0.0.0", 10000, 80, "tcp", Some("http://localhost:10000")),
            ("127.0.0.1", 80, 3000, "tcp", Some("http://localhost")),
            ("192.0.2.1", 8443, 8443, "tcp", Some("https://192.0.2.1:8443")),
            ("0.0.0.0", 443, 443, "tcp", Some("https://localhost")),
            ("::", 10000, 80, "tcp", None),
            ("0.0.0.0", 5432, 5432, "tcp", None),
            ("0.0.0.0", 10000, 80, "udp", None),
        ] {
            let address = address.parse().expect("an address");
            let found = url(&address, host, container, protocol);
            assert_eq!(found.as_deref(), expected, "{address}:{host}");
        }
    }

    #[test]
    fn states() {
        for (running, containers, expected) in [
            (0, 0, ProjectState::Empty),
            (0, 2, ProjectState::Stopped),
            (1, 2, ProjectState::Partial),
            (2, 2, ProjectState::Running),
        ] {
            assert_eq!(state(running, containers), expected);
        }
    }
}
