// SPDX-License-Identifier: MIT
//! Labels by which containers, networks and volumes of a project are known.

use std::collections::BTreeMap;

use crate::model::{Condition, Model, Service};
use crate::plan::service_hash;

/// Where a project comes from, as its containers' labels say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The project's folder.
    pub directory: String,
    /// The Compose files.
    pub files: Vec<String>,
    /// The image's id, when it is known.
    pub image: String,
    /// Whether the container is made by `run`.
    pub one_off: bool,
}

const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
/// The version of the labels' meaning: Compose's own, which only readers of labels look at.
const VERSION: &str = "2.40.3";

/// The label of everything that belongs to a project.
pub fn project_label(project: &str) -> (String, String) {
    (PROJECT.to_owned(), project.to_owned())
}

/// The label of a service's containers.
pub fn service_label(service: &str) -> (String, String) {
    (SERVICE.to_owned(), service.to_owned())
}

/// The label that tells whether a container is nobody's replica.
pub fn one_off_label(one_off: bool) -> (String, String) {
    (ONE_OFF.to_owned(), if one_off { "True" } else { "False" }.to_owned())
}

/// Labels of a network or a volume; `kind` is the word.
pub fn resource_labels(project: &str, kind: &str, key: &str, hash: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        project_label(project),
        (format!("com.docker.compose.{kind}"), key.to_owned()),
        ("com.docker.compose.version".to_owned(), VERSION.to_owned()),
        ("com.docker.compose.config-hash".to_owned(), hash.to_owned()),
    ])
}

/// Labels of a container: what the service says, then those that tell what it belongs to.
pub(crate) fn container_labels(
    model: &Model,
    name: &str,
    service: &Service,
    number: u32,
    origin: &Origin,
) -> BTreeMap<String, String> {
    let dependencies: Vec<String> = service
        .depends_on
        .iter()
        .map(|(other, dependency)| format!("{other}:{}:{}", word(dependency.condition), dependency.restart))
        .collect();
    let mut labels = service.labels.clone();
    labels.extend([
        project_label(&model.name),
        service_label(name),
        one_off_label(origin.one_off),
        ("com.docker.compose.container-number".to_owned(), number.to_string()),
        ("com.docker.compose.config-hash".to_owned(), service_hash(service)),
        ("com.docker.compose.depends_on".to_owned(), dependencies.join(",")),
        ("com.docker.compose.image".to_owned(), origin.image.clone()),
        (
            "com.docker.compose.project.config_files".to_owned(),
            origin.files.join(","),
        ),
        (
            "com.docker.compose.project.working_dir".to_owned(),
            origin.directory.clone(),
        ),
        ("com.docker.compose.version".to_owned(), VERSION.to_owned()),
    ]);
    labels
}

fn word(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::Completed => "service_completed_successfully",
    }
}
