// SPDX-License-Identifier: MIT
//! What containers, networks and volumes were made of, as a label keeps it. Pure.
//!
//! It is the hash that Docker Compose makes, so that what one of the two made is nothing new to the other: it is made of the document
//! ([`note_hashes`]), where everything is said as Compose says it. A model that was read of none has hashes of its own.

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::compose::written;
use crate::model::{Model, Network, Service, Volume};

/// Notes in a model what Docker Compose would have on the labels of what is made of it; `document` is what the model was read of.
pub fn note_hashes(model: &mut Model, document: &Value) {
    for (name, service) in &mut model.services {
        service.compose_hash = document["services"].get(name).map(|value| of(&written::service(value)));
    }
    for (name, network) in &mut model.networks {
        network.compose_hash = document["networks"].get(name).map(|value| of(&written::network(value)));
    }
    for (name, volume) in &mut model.volumes {
        volume.compose_hash = document["volumes"].get(name).map(|value| of(&written::volume(value)));
    }
}

/// Of a container of a service.
pub fn service_hash(service: &Service) -> String {
    if let Some(hash) = &service.compose_hash {
        return hash.clone();
    }
    let mut counted = service.clone();
    counted.build = None;
    counted.pull_policy = None;
    counted.scale = None;
    counted.depends_on.clear();
    counted.profiles.clear();
    counted.develop = None;
    counted.attach = None;
    if let Some(deploy) = &mut counted.deploy {
        deploy.replicas = None;
        deploy.labels.clear();
    }
    digest(&counted)
}

/// Of a network.
pub fn network_hash(network: &Network) -> String {
    network.compose_hash.clone().unwrap_or_else(|| digest(network))
}

/// Of a volume.
pub fn volume_hash(volume: &Volume) -> String {
    volume.compose_hash.clone().unwrap_or_else(|| digest(volume))
}

fn digest(value: &impl Serialize) -> String {
    // Maps are sorted and fields have one order, so the same value gives the same text. It has no keys that JSON could not hold.
    of(&serde_json::to_string(value).unwrap_or_default())
}

fn of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
