// SPDX-License-Identifier: MIT
//! The model of a project that only its containers know of: what `docker compose` made can be stopped, started and brought down without its
//! files. It holds what labels tell: services, what they wait for, networks, volumes. Pure but for reading the engine's memory.

use std::collections::BTreeMap;

use hyperbox_core::Engine;
use hyperbox_project::model::{Condition, Dependency, Model, Network, Service, Volume};

use crate::labels::{self, Labels};

/// Reads the labels of a project's objects; `None` when there are none.
pub(crate) fn model(engine: &Engine, name: &str) -> Option<Model> {
    let mut model = Model {
        name: name.to_owned(),
        ..Model::default()
    };
    let mut known = false;
    for record in engine.containers.list() {
        let labels = &record.spec.labels;
        if labels::project(labels) != Some(name) {
            continue;
        }
        known = true;
        if let Some(service) = labels::service(labels) {
            let entry = model.services.entry(service.to_owned()).or_default();
            *entry = inferred(labels, &record.spec.image, std::mem::take(entry));
        }
    }
    for record in engine.networks.list() {
        if labels::project(&record.spec.labels) == Some(name) {
            known = true;
            let network = Network {
                name: record.name.to_string(),
                ..Network::default()
            };
            model
                .networks
                .insert(key(&record.spec.labels, "network", record.name.as_str()), network);
        }
    }
    for record in engine.volumes.list() {
        if labels::project(&record.labels) == Some(name) {
            known = true;
            let volume = Volume {
                name: record.name.to_string(),
                ..Volume::default()
            };
            model
                .volumes
                .insert(key(&record.labels, "volume", record.name.as_str()), volume);
        }
    }
    // What somebody waited for and what is gone is waited for no more.
    let names: Vec<String> = model.services.keys().cloned().collect();
    for service in model.services.values_mut() {
        service.depends_on.retain(|other, _| names.contains(other));
    }
    known.then_some(model)
}

fn key(labels: &Labels, kind: &str, name: &str) -> String {
    labels::key(labels, kind).unwrap_or(name).to_owned()
}

fn inferred(labels: &Labels, image: &str, earlier: Service) -> Service {
    let scale = earlier.scale.unwrap_or_default() + i64::from(!labels::is_one_off(labels));
    Service {
        image: Some(image.to_owned()),
        scale: Some(scale),
        depends_on: dependencies(labels),
        ..earlier
    }
}

/// `NAME:CONDITION:RESTART`, by commas.
fn dependencies(labels: &Labels) -> BTreeMap<String, Dependency> {
    let text = labels::key(labels, "depends_on").unwrap_or_default();
    text.split(',')
        .filter_map(|entry| {
            let mut parts = entry.split(':');
            let name = parts.next().filter(|name| !name.is_empty())?;
            let condition = match parts.next() {
                Some("service_healthy") => Condition::Healthy,
                Some("service_completed_successfully") => Condition::Completed,
                _ => Condition::Started,
            };
            let dependency = Dependency {
                condition,
                restart: parts.next() == Some("true"),
                required: true,
            };
            Some((name.to_owned(), dependency))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_dependencies() {
        let labels = Labels::from([(
            "com.docker.compose.depends_on".to_owned(),
            "db:service_healthy:true,job:service_completed_successfully:false,old".to_owned(),
        )]);
        let found: Vec<_> = dependencies(&labels)
            .into_iter()
            .map(|(name, dependency)| (name, dependency.condition, dependency.restart))
            .collect();
        let expected = [
            ("db".to_owned(), Condition::Healthy, true),
            ("job".to_owned(), Condition::Completed, false),
            ("old".to_owned(), Condition::Started, false),
        ];
        assert_eq!(found, expected);
        assert!(dependencies(&Labels::new()).is_empty());
    }
}
