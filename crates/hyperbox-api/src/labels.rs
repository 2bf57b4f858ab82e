// SPDX-License-Identifier: MIT
//! The labels by which containers, networks and volumes belong to projects: those of `docker compose`, whoever made them.

use std::collections::BTreeMap;

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

fn text<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    let value = labels.get(&format!("com.docker.compose.{name}"))?;
    (!value.is_empty()).then_some(value)
}

/// The project.
pub(crate) fn project(labels: &Labels) -> Option<&str> {
    text(labels, "project")
}

/// The service.
pub(crate) fn service(labels: &Labels) -> Option<&str> {
    text(labels, "service")
}

/// The number in the service, from 1.
pub(crate) fn number(labels: &Labels) -> u32 {
    let number = text(labels, "container-number").and_then(|number| number.parse().ok());
    number.unwrap_or(1)
}

/// Whether `run` made it.
pub(crate) fn is_one_off(labels: &Labels) -> bool {
    text(labels, "oneoff").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// What it was made of.
pub(crate) fn config_hash(labels: &Labels) -> Option<&str> {
    text(labels, "config-hash")
}

/// The folder of its project.
pub(crate) fn directory(labels: &Labels) -> Option<&str> {
    text(labels, "project.working_dir")
}

/// The files of its project.
pub(crate) fn files(labels: &Labels) -> Vec<String> {
    let files = text(labels, "project.config_files").unwrap_or_default();
    files
        .split(',')
        .filter(|file| !file.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The key of a network or a volume in its project's model.
pub(crate) fn key<'a>(labels: &'a Labels, kind: &str) -> Option<&'a str> {
    text(labels, kind)
}
