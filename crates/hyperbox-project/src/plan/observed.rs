// SPDX-License-Identifier: MIT
//! What there is of a project, as an engine shows it.

use std::collections::BTreeMap;

/// What there is of one project.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Containers that carry the project's label.
    pub containers: Vec<ObservedContainer>,
    /// Networks by their names in the engine: those of the project, and the external ones that it names.
    pub networks: BTreeMap<String, ObservedNetwork>,
    /// Volumes by their names in the engine: those of the project, and the external ones that it names.
    pub volumes: BTreeMap<String, ObservedVolume>,
    /// Ids of the services' images, by service. A service whose image is not there is not in it.
    pub images: BTreeMap<String, String>,
    /// How many seconds ago the services' images got their names, by service, where that is known.
    pub image_ages: BTreeMap<String, u64>,
}

/// A container of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    /// Its id.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// Its service.
    pub service: String,
    /// Its number in the service, from 1.
    pub number: u32,
    /// Whether `run` made it: such a container is nobody's replica.
    pub one_off: bool,
    /// What it does.
    pub state: ContainerState,
    /// What it was made of ([`super::service_hash`]).
    pub config_hash: String,
    /// The id of its image.
    pub image: String,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Nothing yet.
    Created,
    /// It runs, restarts or is paused.
    Running,
    /// It has ended, with this exit code.
    Exited(i32),
    /// It is broken or being removed: only good to be removed.
    Dead,
}

/// A network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    /// The project of its label; `None` for somebody else's.
    pub project: Option<String>,
    /// What it was made of ([`super::network_hash`]), when it says so.
    pub config_hash: Option<String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedVolume {
    /// The project of its label; `None` for somebody else's.
    pub project: Option<String>,
    /// What it was made of ([`super::volume_hash`]), when it says so.
    pub config_hash: Option<String>,
}
