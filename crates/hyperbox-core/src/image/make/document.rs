// SPDX-License-Identifier: MIT
//! The configuration document of an image that is made here (OCI image-spec `config.md`, and what Docker adds to it). Pure.

use hyperbox_types::Platform;
use serde_json::{Value, json};

use super::NewImage;
use super::spool::Content;
use crate::container::{HealthCheck, HealthTest};
use crate::image::{HistoryEntry, ImageConfig, ImageLayer, ImageRecord};
use crate::time::Timestamp;

/// Makes the configuration document (OCI image-spec `config.md`).
pub(super) fn configuration(
    parent: Option<&ImageRecord>,
    layers: &[ImageLayer],
    image: &NewImage,
    content: Content,
) -> Value {
    let platform = image
        .platform
        .clone()
        .or_else(|| parent.map(|parent| parent.platform.clone()))
        .unwrap_or_else(Platform::host);
    let now = Timestamp::now();
    let mut history: Vec<Value> = parent
        .map(|parent| parent.history.iter().map(step).collect())
        .unwrap_or_default();
    history.push(step(&HistoryEntry {
        created_at: Some(now),
        created_by: image.created_by.clone(),
        author: image.author.clone(),
        comment: image.comment.clone(),
        empty_layer: content == Content::Nothing,
    }));
    let mut document = json!({
        "architecture": platform.architecture.as_str(),
        "os": platform.os,
        "created": now.to_string(),
        "config": process(&image.config),
        "docker_version": env!("CARGO_PKG_VERSION"),
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>() },
        "history": history,
    });
    for (key, value) in [
        ("variant", platform.variant.as_deref().unwrap_or_default()),
        ("author", &image.author),
        ("comment", &image.comment),
    ] {
        if !value.is_empty() {
            document[key] = json!(value);
        }
    }
    if let Some(made_from) = &image.made_from {
        document["container"] = json!(made_from.container);
        document["container_config"] = made_from.config.clone();
        // A container has labels, if only an empty list of them.
        document["config"]["Labels"] = json!(image.config.labels);
    }
    document
}

pub(super) fn step(entry: &HistoryEntry) -> Value {
    let mut step = json!({});
    if let Some(created) = entry.created_at {
        step["created"] = json!(created.to_string());
    }
    for (key, value) in [
        ("created_by", &entry.created_by),
        ("author", &entry.author),
        ("comment", &entry.comment),
    ] {
        if !value.is_empty() {
            step[key] = json!(value);
        }
    }
    if entry.empty_layer {
        step["empty_layer"] = json!(true);
    }
    step
}

pub(super) fn process(config: &ImageConfig) -> Value {
    let set = |names: &[String]| -> Value { names.iter().map(|name| (name.clone(), json!({}))).collect() };
    let mut document = json!({});
    for (key, list) in [
        ("Env", &config.env),
        ("Cmd", &config.command),
        ("Entrypoint", &config.entrypoint),
        ("Shell", &config.shell),
        ("OnBuild", &config.on_build),
    ] {
        if !list.is_empty() {
            document[key] = json!(list);
        }
    }
    for (key, names) in [("ExposedPorts", &config.exposed_ports), ("Volumes", &config.volumes)] {
        if !names.is_empty() {
            document[key] = set(names);
        }
    }
    for (key, text) in [
        ("User", config.user.as_str()),
        ("WorkingDir", &config.working_dir),
        ("StopSignal", config.stop_signal.as_deref().unwrap_or_default()),
    ] {
        if !text.is_empty() {
            document[key] = json!(text);
        }
    }
    if !config.labels.is_empty() {
        document["Labels"] = json!(config.labels);
    }
    if let Some(check) = &config.health {
        document["Healthcheck"] = health(check);
    }
    document
}

fn health(check: &HealthCheck) -> Value {
    let test = match &check.test {
        HealthTest::Inherit => Vec::new(),
        HealthTest::Disabled => vec!["NONE".to_owned()],
        HealthTest::Command(command) => [&["CMD".to_owned()], command.as_slice()].concat(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
        HealthTest::Words(words) => words.clone(),
    };
    let mut document = json!({});
    if !test.is_empty() {
        document["Test"] = json!(test);
    }
    for (key, duration) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if let Some(duration) = duration {
            document[key] = json!(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
        }
    }
    if let Some(retries) = check.retries {
        document["Retries"] = json!(retries);
    }
    document
}
