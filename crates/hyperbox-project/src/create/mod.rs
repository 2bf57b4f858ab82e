// SPDX-License-Identifier: MIT
//! What an engine is asked for: the bodies of `POST /containers/create`, `/networks/create` and `/volumes/create`.
//!
//! Containers carry the labels that `docker compose` gives them, so that either finds what the other made.
//!
//! Source: Docker's Engine API v1.51; what Compose sends, as seen on the socket of Docker Engine.

mod file_kind;
mod host;
mod labels;
mod mounts;
mod networks;
mod shared;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::compose::duration_nanoseconds;
use crate::model::{Healthcheck, Model, Service};

pub use file_kind::FileKind;
pub use labels::{Origin, one_off_label, project_label, resource_labels, service_label};
pub use networks::network_body;
pub use shared::MissingContainer;

/// What the body of a container needs to know beside the service.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The containers of services by the services' names: those that exist when this one is made.
    pub containers: BTreeMap<String, Vec<String>>,
    /// Files that secrets and configs are mounted from, by `secrets.NAME` and `configs.NAME`.
    pub files: BTreeMap<String, String>,
    /// The cgroup below which the container is, when the service does not say.
    pub cgroup_parent: Option<String>,
}

/// The body that makes one container of a service.
///
/// # Errors
/// [`MissingContainer`].
pub fn container_body(
    model: &Model,
    name: &str,
    service: &Service,
    number: u32,
    origin: &Origin,
    surroundings: &Surroundings,
) -> Result<Value, MissingContainer> {
    let mut body = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(key.to_owned(), value);
        }
    };
    say("Image", Some(json!(image(&model.name, name, service))));
    say("Cmd", service.command.as_ref().map(|words| json!(words)));
    say("Entrypoint", service.entrypoint.as_ref().map(|words| json!(words)));
    say("Env", Some(json!(environment(&service.environment))));
    say("Hostname", service.hostname.as_ref().map(|name| json!(name)));
    say("Domainname", service.domainname.as_ref().map(|name| json!(name)));
    say("User", service.user.as_ref().map(|user| json!(user)));
    say(
        "WorkingDir",
        service.working_dir.as_ref().map(|directory| json!(directory)),
    );
    say("StopSignal", service.stop_signal.as_ref().map(|signal| json!(signal)));
    say(
        "StopTimeout",
        service
            .stop_grace_period
            .as_deref()
            .and_then(seconds)
            .map(|time| json!(time)),
    );
    say("AttachStdout", Some(json!(true)));
    say("AttachStderr", Some(json!(true)));
    say("Tty", Some(json!(service.tty)));
    say("OpenStdin", Some(json!(service.stdin_open)));
    say("ExposedPorts", Some(exposed(service)));
    say("Healthcheck", service.healthcheck.as_ref().map(healthcheck));
    say(
        "Labels",
        Some(json!(labels::container_labels(model, name, service, number, origin))),
    );
    say("HostConfig", Some(host::host_config(model, service, surroundings)?));
    say(
        "NetworkingConfig",
        networks::endpoints(model, name, service, number, surroundings),
    );
    Ok(Value::Object(body))
}

/// The body that makes a volume.
///
/// `None` when the model has no such volume.
pub fn volume_body(model: &Model, key: &str) -> Option<Value> {
    let volume = model.volumes.get(key)?;
    let mut labels = volume.labels.clone();
    labels.extend(resource_labels(
        &model.name,
        "volume",
        key,
        &crate::plan::volume_hash(volume),
    ));
    let mut body = json!({ "Name": volume.name, "DriverOpts": volume.driver_opts, "Labels": labels });
    if let Some(driver) = &volume.driver {
        body["Driver"] = json!(driver);
    }
    Some(body)
}

/// The image of a service: what it says, or the name that what it builds gets.
pub fn image(project: &str, name: &str, service: &Service) -> String {
    service.image.clone().unwrap_or_else(|| format!("{project}-{name}"))
}

fn environment(variables: &BTreeMap<String, Option<String>>) -> Vec<String> {
    variables
        .iter()
        .map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            // Without a value it takes the image's away.
            None => name.clone(),
        })
        .collect()
}

fn exposed(service: &Service) -> Value {
    let published = service
        .ports
        .iter()
        .map(|port| format!("{}/{}", port.target, port.protocol));
    let told = service.expose.iter().map(|port| match port.split_once('/') {
        Some(_) => port.clone(),
        None => format!("{port}/tcp"),
    });
    let ports: Map<String, Value> = published.chain(told).map(|port| (port, json!({}))).collect();
    Value::Object(ports)
}

fn healthcheck(check: &Healthcheck) -> Value {
    if check.disable {
        return json!({ "Test": ["NONE"] });
    }
    let time = |text: &Option<String>| text.as_deref().and_then(duration_nanoseconds).unwrap_or_default();
    json!({
        "Test": check.test,
        "Interval": time(&check.interval),
        "Timeout": time(&check.timeout),
        "StartPeriod": time(&check.start_period),
        "StartInterval": time(&check.start_interval),
        "Retries": check.retries.unwrap_or_default(),
    })
}

/// Whole seconds, rounded up: a shorter time would end something too early.
fn seconds(text: &str) -> Option<i64> {
    Some(
        duration_nanoseconds(text)?.div_euclid(1_000_000_000)
            + i64::from(duration_nanoseconds(text)? % 1_000_000_000 > 0),
    )
}
