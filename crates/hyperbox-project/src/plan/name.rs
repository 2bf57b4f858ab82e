// SPDX-License-Identifier: MIT
//! Names of containers.

use crate::model::Service;

/// The name of a container: what the service says, or `PROJECT-SERVICE-NUMBER`.
pub fn container_name(project: &str, service_name: &str, service: &Service, number: u32) -> String {
    match &service.container_name {
        Some(name) => name.clone(),
        None => format!("{project}-{service_name}-{number}"),
    }
}
