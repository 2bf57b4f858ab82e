// SPDX-License-Identifier: MIT
//! A project as types: what the document of [`crate::compose::Project`] says, for those who act on it.
//!
//! Read from the document, which both the command line and the daemon hold: the one that reads files need not be the one that runs
//! containers. Every field is optional or has a default that means "nothing was said".

mod block;
mod build;
mod deploy;
mod mount;
mod provider;
mod resource;
mod service;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use block::{BlockLimits, DeviceRate, DeviceWeight};
pub use build::Build;
pub use deploy::{Deploy, DeviceRequest, Limits, Reservations, Resources, RestartPolicy};
pub use mount::{Bind, FileReference, MountedImage, MountedTmpfs, MountedVolume, ServiceMount};
pub use provider::Provider;
pub use resource::{FileObject, Ipam, Network, Pool, Volume};
pub use service::{
    Condition, Dependency, Develop, Device, Healthcheck, Hook, Logging, PortMode, Service, ServiceNetwork, ServicePort,
    Ulimit, WatchAction, WatchRule,
};

/// A project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Model {
    /// The name: lower case letters, digits, `-` and `_`.
    pub name: String,
    /// The services by name.
    pub services: BTreeMap<String, Service>,
    /// The networks by the names that services use.
    pub networks: BTreeMap<String, Network>,
    /// The volumes by the names that services use.
    pub volumes: BTreeMap<String, Volume>,
    /// The secrets by the names that services use.
    pub secrets: BTreeMap<String, FileObject>,
    /// The configs by the names that services use.
    pub configs: BTreeMap<String, FileObject>,
}

impl Model {
    /// Reads a document.
    ///
    /// # Errors
    /// When it is not of the shape that loading gives; names the place.
    pub fn from_document(document: &serde_json::Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(document)
    }
}
