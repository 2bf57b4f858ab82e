// SPDX-License-Identifier: MIT
//! How many containers a service has, and what they may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `deploy` of a service, as far as a single machine can follow it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// How many containers.
    pub replicas: Option<i64>,
    /// Labels of the service.
    pub labels: BTreeMap<String, String>,
    /// Limits and reservations.
    pub resources: Resources,
    /// When a container is started again.
    pub restart_policy: Option<RestartPolicy>,
}

/// Limits and reservations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// At most.
    pub limits: Limits,
    /// At least.
    pub reservations: Reservations,
}

/// What a container may use at most.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes, in digits.
    pub memory: Option<String>,
    /// Processes.
    pub pids: Option<i64>,
}

/// What a container has at least.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reservations {
    /// Processors.
    pub cpus: Option<f64>,
    /// Bytes, in digits.
    pub memory: Option<String>,
    /// Devices.
    pub devices: Vec<DeviceRequest>,
}

/// Devices that are asked for by what they can.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// What they can, all of it.
    pub capabilities: Vec<String>,
    /// How many; -1 for all.
    pub count: Option<i64>,
    /// Which ones.
    pub device_ids: Vec<String>,
    /// By which driver.
    pub driver: Option<String>,
    /// What the driver is told.
    pub options: BTreeMap<String, String>,
}

/// When a container is started again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartPolicy {
    /// `none`, `on-failure` or `any`.
    pub condition: Option<String>,
    /// How often.
    pub max_attempts: Option<u64>,
}
