// SPDX-License-Identifier: MIT
//! What there is of a project. Reads only, from memory.

use std::collections::BTreeMap;

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerRecord, Phase};
use hyperbox_core::time::Timestamp;
use hyperbox_project::create::image;
use hyperbox_project::model::{Model, Service};
use hyperbox_project::plan::{ContainerState, Observed, ObservedContainer, ObservedNetwork, ObservedVolume};
use hyperbox_types::Platform;

use crate::labels;

/// Looks at what there is.
pub(super) fn observe(engine: &Engine, name: &str, model: &Model) -> Observed {
    let mut containers: Vec<ObservedContainer> = engine
        .containers
        .list()
        .iter()
        .filter(|record| labels::project(&record.spec.labels) == Some(name))
        .map(|record| container(record))
        .collect();
    containers
        .sort_by(|one, other| (&one.service, one.number, &one.id).cmp(&(&other.service, other.number, &other.id)));
    Observed {
        containers,
        networks: networks(engine, name, model),
        volumes: volumes(engine, name, model),
        images: images(engine, name, model),
        image_ages: image_ages(engine, name, model),
    }
}

fn container(record: &ContainerRecord) -> ObservedContainer {
    let labels = &record.spec.labels;
    ObservedContainer {
        id: record.id.to_string(),
        name: record.name.to_string(),
        service: labels::service(labels).unwrap_or_default().to_owned(),
        number: labels::number(labels),
        one_off: labels::is_one_off(labels),
        state: match record.state.phase {
            Phase::Created => ContainerState::Created,
            Phase::Running | Phase::Paused | Phase::Restarting => ContainerState::Running,
            Phase::Exited => ContainerState::Exited(record.state.exit_code),
            Phase::Removing | Phase::Dead => ContainerState::Dead,
        },
        config_hash: labels::config_hash(labels).unwrap_or_default().to_owned(),
        image: record.image_id.to_string(),
    }
}

fn networks(engine: &Engine, name: &str, model: &Model) -> BTreeMap<String, ObservedNetwork> {
    let mut found = BTreeMap::new();
    for record in engine.networks.list() {
        let labels = &record.spec.labels;
        let project = labels::project(labels);
        let named = || {
            model
                .networks
                .values()
                .any(|network| network.name == record.name.as_str())
        };
        if project == Some(name) || named() {
            let network = ObservedNetwork {
                project: project.map(str::to_owned),
                config_hash: labels::config_hash(labels).map(str::to_owned),
            };
            found.insert(record.name.to_string(), network);
        }
    }
    found
}

fn volumes(engine: &Engine, name: &str, model: &Model) -> BTreeMap<String, ObservedVolume> {
    let mut found = BTreeMap::new();
    for record in engine.volumes.list() {
        let project = labels::project(&record.labels);
        let named = || model.volumes.values().any(|volume| volume.name == record.name.as_str());
        if project == Some(name) || named() {
            let volume = ObservedVolume {
                project: project.map(str::to_owned),
                config_hash: labels::config_hash(&record.labels).map(str::to_owned),
            };
            found.insert(record.name.to_string(), volume);
        }
    }
    found
}

fn images(engine: &Engine, name: &str, model: &Model) -> BTreeMap<String, String> {
    let services = model.services.iter();
    services
        .filter_map(|(key, service)| {
            let record = engine.images.get(&image(name, key, service)).ok()?;
            is_for(service, &record.platform).then(|| (key.clone(), record.id.to_string()))
        })
        .collect()
}

/// As far as services say how old their images may be. When an image was pulled nobody knows: it is taken for old, as by Compose.
fn image_ages(engine: &Engine, name: &str, model: &Model) -> BTreeMap<String, u64> {
    let ages = |service: &&Service| {
        let policy = service.pull_policy.as_deref().unwrap_or_default();
        matches!(policy, "daily" | "weekly") || policy.starts_with("every_")
    };
    let services = model.services.iter().filter(|(_, service)| ages(service));
    services
        .filter_map(|(key, service)| {
            let tagged = engine.images.get(&image(name, key, service)).ok()?.tagged_at?;
            Some((key.clone(), Timestamp::now().since(tagged).as_secs()))
        })
        .collect()
}

/// An image for another platform is as good as none.
fn is_for(service: &Service, platform: &Platform) -> bool {
    let wanted = service.platform.as_deref().and_then(|text| Platform::parse(text).ok());
    wanted.is_none_or(|wanted| wanted.rank(platform).is_some())
}
