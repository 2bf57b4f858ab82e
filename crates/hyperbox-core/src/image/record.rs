// SPDX-License-Identifier: MIT
//! What is known of an image, and how it is read from an image configuration (OCI image-spec `config.md`; Docker's has the same shape
//! and a few more fields).

use std::collections::BTreeMap;
use std::time::Duration;

use hyperbox_types::{Architecture, ByteSize, DiffId, Digest, ImageId, ImageReference, Platform};
use serde::{Deserialize, Deserializer, Serialize};

use super::manifest::ImageManifest;
use crate::container::{HealthCheck, HealthTest};
use crate::seam::Descriptor;
use crate::time::Timestamp;
use crate::{Result, ServiceError};

/// An image as it is kept in the record store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// Its id: the digest of its configuration.
    pub id: ImageId,
    /// Its manifest in the content store.
    pub manifest: Descriptor,
    /// Its configuration in the content store.
    pub configuration: Descriptor,
    /// What it runs on.
    pub platform: Platform,
    /// When it was built.
    pub created_at: Option<Timestamp>,
    /// Length of all layers, uncompressed.
    pub size: ByteSize,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
    /// Blobs of layers that were not fetched, because another store had what the layers consist of, with a name under which their
    /// registry has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<Digest, ImageReference>,
    /// Defaults for containers.
    pub config: ImageConfig,
    /// How it was built.
    pub history: Vec<HistoryEntry>,
    /// Who built it.
    pub author: String,
    /// What the builder had to say.
    pub comment: String,
    /// The image that it was made of here.
    #[serde(default)]
    pub parent: Option<ImageId>,
    /// When it last got a tag here, other than by a pull or a load.
    #[serde(default)]
    pub tagged_at: Option<Timestamp>,
    /// Whether its configuration has labels, if only an empty list of them.
    #[serde(default)]
    pub labels_given: bool,
    /// Its tags.
    pub references: Vec<ImageReference>,
    /// Its names with digest, as registries know it.
    pub digests: Vec<ImageReference>,
}

impl ImageRecord {
    /// Returns all names, tags and digests, in Docker's order: by their complete texts.
    pub fn names(&self) -> Vec<ImageReference> {
        let mut names: Vec<ImageReference> = self.references.iter().chain(&self.digests).cloned().collect();
        names.sort_by_cached_key(ToString::to_string);
        names
    }

    /// Returns all blobs that the image consists of.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Digest> {
        let own = [&self.manifest.digest, &self.configuration.digest];
        own.into_iter()
            .chain(self.layers.iter().map(|layer| &layer.blob.digest))
    }
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLayer {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The blob as the registry has it.
    pub blob: Descriptor,
}

/// Defaults that an image gives to containers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// Environment.
    pub env: Vec<String>,
    /// Entrypoint.
    pub entrypoint: Vec<String>,
    /// Command.
    pub command: Vec<String>,
    /// Working directory.
    pub working_dir: String,
    /// `user[:group]`.
    pub user: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Declared ports, such as `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// Mount points of anonymous volumes.
    pub volumes: Vec<String>,
    /// Polite signal.
    pub stop_signal: Option<String>,
    /// Health check.
    pub health: Option<HealthCheck>,
    /// Shell of the build.
    pub shell: Vec<String>,
    /// Build triggers.
    pub on_build: Vec<String>,
}

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When.
    pub created_at: Option<Timestamp>,
    /// The command.
    pub created_by: String,
    /// Who.
    pub author: String,
    /// What the builder had to say.
    pub comment: String,
    /// Whether the step made no layer.
    pub empty_layer: bool,
}

/// An image configuration as it is on the wire, as far as the engine reads it. Foreign bytes: every field may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    architecture: String,
    os: String,
    variant: Option<String>,
    #[serde(deserialize_with = "or_default")]
    created: Option<String>,
    #[serde(deserialize_with = "or_default")]
    author: String,
    #[serde(deserialize_with = "or_default")]
    comment: String,
    #[serde(deserialize_with = "or_default")]
    config: Process,
    #[serde(deserialize_with = "or_default")]
    rootfs: RootFilesystem,
    #[serde(deserialize_with = "or_default")]
    history: Vec<Step>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFilesystem {
    #[serde(deserialize_with = "or_default")]
    diff_ids: Vec<DiffId>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Process {
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    volumes: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_default")]
    working_dir: String,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
    healthcheck: Option<Health>,
    #[serde(deserialize_with = "or_default")]
    shell: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    on_build: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Health {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
    interval: i64,
    timeout: i64,
    start_period: i64,
    start_interval: i64,
    retries: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Step {
    created: Option<String>,
    #[serde(deserialize_with = "or_default")]
    created_by: String,
    #[serde(deserialize_with = "or_default")]
    author: String,
    #[serde(deserialize_with = "or_default")]
    comment: String,
    empty_layer: bool,
}

/// Reads `null` as the empty value: Go encodes empty lists and maps like that.
fn or_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// What an image configuration says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Configuration {
    pub platform: Platform,
    pub created_at: Option<Timestamp>,
    pub author: String,
    pub comment: String,
    pub config: ImageConfig,
    pub labels_given: bool,
    pub diff_ids: Vec<DiffId>,
    pub history: Vec<HistoryEntry>,
}

/// Reads an image configuration.
///
/// # Errors
/// `InvalidArgument` for what is not one.
pub(super) fn parse_configuration(bytes: &[u8]) -> Result<Configuration> {
    // serde would take an empty list for a structure without fields.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ServiceError::invalid(
            "malformed image configuration: expected a JSON object",
        ));
    }
    let document: Document = serde_json::from_slice(bytes)
        .map_err(|error| ServiceError::invalid(format!("malformed image configuration: {error}")))?;
    let host = Platform::host();
    let or_host = |text: String, host: &str| if text.is_empty() { host.to_owned() } else { text };
    Ok(Configuration {
        platform: Platform {
            os: or_host(document.os, &host.os),
            architecture: Architecture::new(&or_host(document.architecture, host.architecture.as_str())),
            variant: document.variant.filter(|variant| !variant.is_empty()),
        },
        created_at: document.created.as_deref().and_then(Timestamp::parse),
        author: document.author,
        comment: document.comment,
        labels_given: document.config.labels.is_some(),
        config: process_defaults(document.config),
        diff_ids: document.rootfs.diff_ids,
        history: document.history.into_iter().map(history_entry).collect(),
    })
}

fn process_defaults(process: Process) -> ImageConfig {
    ImageConfig {
        env: process.env,
        entrypoint: process.entrypoint,
        command: process.cmd,
        working_dir: process.working_dir,
        user: process.user,
        labels: process.labels.unwrap_or_default(),
        exposed_ports: process.exposed_ports.into_keys().collect(),
        volumes: process.volumes.into_keys().collect(),
        stop_signal: process.stop_signal.filter(|signal| !signal.is_empty()),
        health: process.healthcheck.map(health_check),
        shell: process.shell,
        on_build: process.on_build,
    }
}

fn health_check(health: Health) -> HealthCheck {
    let duration = |nanoseconds: i64| {
        u64::try_from(nanoseconds)
            .ok()
            .filter(|nanoseconds| *nanoseconds > 0)
            .map(Duration::from_nanos)
    };
    let test = match health.test.split_first() {
        None => HealthTest::Inherit,
        Some((form, arguments)) => match form.as_str() {
            "NONE" => HealthTest::Disabled,
            "CMD-SHELL" if arguments.len() == 1 => HealthTest::Shell(arguments.concat()),
            "CMD" => HealthTest::Command(arguments.to_vec()),
            _ => HealthTest::Words(health.test.clone()),
        },
    };
    HealthCheck {
        test,
        interval: duration(health.interval),
        timeout: duration(health.timeout),
        start_period: duration(health.start_period),
        start_interval: duration(health.start_interval),
        retries: u32::try_from(health.retries).ok().filter(|retries| *retries > 0),
    }
}

fn history_entry(step: Step) -> HistoryEntry {
    HistoryEntry {
        created_at: step.created.as_deref().and_then(Timestamp::parse),
        created_by: step.created_by,
        author: step.author,
        comment: step.comment,
        empty_layer: step.empty_layer,
    }
}

/// Joins manifest and configuration to a record without names.
///
/// # Errors
/// `InvalidArgument` when they contradict each other.
pub(super) fn assemble(
    manifest: Descriptor,
    parsed: ImageManifest,
    configuration: Configuration,
    size: ByteSize,
) -> Result<ImageRecord> {
    if parsed.layers.len() != configuration.diff_ids.len() {
        return Err(ServiceError::invalid(format!(
            "image is inconsistent: its manifest has {} layers, its configuration {}",
            parsed.layers.len(),
            configuration.diff_ids.len()
        )));
    }
    let layers = configuration.diff_ids.into_iter().zip(parsed.layers);
    Ok(ImageRecord {
        id: ImageId(parsed.config.digest.clone()),
        manifest,
        configuration: parsed.config,
        platform: configuration.platform,
        created_at: configuration.created_at,
        size,
        layers: layers.map(|(diff_id, blob)| ImageLayer { diff_id, blob }).collect(),
        elsewhere: BTreeMap::new(),
        config: configuration.config,
        history: configuration.history,
        author: configuration.author,
        comment: configuration.comment,
        parent: None,
        tagged_at: None,
        labels_given: configuration.labels_given,
        references: Vec::new(),
        digests: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_writes() {
        let text = r#"{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05.6Z","author":null,
            "config":{"Env":["A=1"],"Cmd":["sh"],"Entrypoint":null,"ExposedPorts":{"80/tcp":{}},"Volumes":{"/data":{}},
            "Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000},"StopSignal":"SIGINT","Labels":null},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","empty_layer":true}]}"#;
        let configuration = parse_configuration(text.as_bytes()).expect("valid");
        assert_eq!(configuration.platform.to_string(), "linux/amd64");
        assert_eq!(configuration.config.command, ["sh"]);
        assert_eq!(configuration.config.exposed_ports, ["80/tcp"]);
        assert_eq!(configuration.config.volumes, ["/data"]);
        let health = configuration.config.health.expect("health check");
        assert_eq!(health.test, HealthTest::Shell("true".to_owned()));
        assert_eq!(health.interval, Some(Duration::from_secs(1)));
        assert!(configuration.history[0].empty_layer);
    }

    #[test]
    fn refuses_what_is_no_configuration() {
        for text in [
            "",
            "[]",
            "{\"rootfs\":{\"diff_ids\":[\"sha256:x\"]}}",
            "{\"config\":{\"Env\":\"A\"}}",
        ] {
            assert!(parse_configuration(text.as_bytes()).is_err(), "{text}");
        }
    }
}
