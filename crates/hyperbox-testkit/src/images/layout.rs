// SPDX-License-Identifier: MIT
//! OCI image layouts (`image-layout.md` of the OCI image specification), written in one streaming pass.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use hyperbox_core::seam::{Compression, Descriptor};
use hyperbox_types::{ByteSize, DiffId, Digest};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::entry::Layer;

/// The parts of an image's configuration that tests choose.
#[derive(Debug, Clone, Default)]
pub struct ImageConfig {
    /// Default command.
    pub cmd: Vec<String>,
    /// What the command is given to.
    pub entrypoint: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Whom to run as.
    pub user: String,
    /// Where to run.
    pub working_dir: String,
    /// Mount points of anonymous volumes.
    pub volumes: Vec<String>,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Signal that asks the process to end.
    pub stop_signal: Option<String>,
    /// Docker's `Healthcheck` object.
    pub healthcheck: Option<Value>,
}

/// An image that is not written yet.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// Layers, lowest first.
    pub layers: Vec<Layer>,
    /// Configuration.
    pub config: ImageConfig,
}

/// Which names the manifest gives to its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaTypes {
    /// `application/vnd.oci.image.…`
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

/// How to write an image.
#[derive(Debug, Clone, Copy)]
pub struct LayoutOptions {
    /// Compression of all layers.
    pub compression: Compression,
    /// Spelling of the media types.
    pub media_types: MediaTypes,
    /// Whether the manifest is reached through an index with several platforms.
    pub index: bool,
}

impl Default for LayoutOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Gzip,
            media_types: MediaTypes::Oci,
            index: false,
        }
    }
}

/// An image in a directory.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directory with `oci-layout`, `index.json` and `blobs`.
    pub directory: PathBuf,
    /// What a tag names: the manifest, or the index above it.
    pub top: Descriptor,
    /// The manifest for this machine's platform.
    pub manifest: Descriptor,
    /// The configuration.
    pub config: Descriptor,
    /// The layer blobs, lowest first.
    pub layers: Vec<Descriptor>,
    /// Their uncompressed digests.
    pub diff_ids: Vec<DiffId>,
}

impl Layout {
    /// Returns the path of a blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        blob_path(&self.directory, digest)
    }

    /// Returns the digests of all blobs: layers, configuration, manifest and, if there is one, the index.
    pub fn blobs(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.layers.iter().map(|layer| layer.digest.clone()).collect();
        digests.extend([self.config.digest.clone(), self.manifest.digest.clone()]);
        if self.top != self.manifest {
            digests.push(self.top.digest.clone());
        }
        digests
    }
}

impl Image {
    /// Writes the image below a directory, with `reference` as its name in `index.json`.
    ///
    /// # Errors
    /// What the filesystem says.
    pub fn write_layout(&self, directory: &Path, reference: &str, options: LayoutOptions) -> io::Result<Layout> {
        fs::create_dir_all(directory.join("blobs/sha256"))?;
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for layer in &self.layers {
            let (descriptor, diff_id) = write_layer(directory, layer, options)?;
            layers.push(descriptor);
            diff_ids.push(diff_id);
        }
        let names = Names::of(options.media_types);
        let config = write_json(directory, names.config, &self.configuration(&diff_ids))?;
        let manifest = write_json(
            directory,
            names.manifest,
            &json!({
                "schemaVersion": 2,
                "mediaType": names.manifest,
                "config": to_json(&config),
                "layers": layers.iter().map(to_json).collect::<Vec<_>>(),
            }),
        )?;
        let top = if options.index {
            write_json(directory, names.index, &index(&manifest, names.index))?
        } else {
            manifest.clone()
        };
        let mut entry = to_json(&top);
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": reference});
        fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let list = json!({"schemaVersion": 2, "mediaType": Names::of(MediaTypes::Oci).index, "manifests": [entry]});
        fs::write(directory.join("index.json"), list.to_string())?;
        Ok(Layout {
            directory: directory.to_owned(),
            top,
            manifest,
            config,
            layers,
            diff_ids,
        })
    }

    /// Returns the configuration (`config.md` of the specification).
    fn configuration(&self, diff_ids: &[DiffId]) -> Value {
        let config = &self.config;
        let map = |keys: &[String]| -> Value {
            keys.iter()
                .map(|key| (key.clone(), json!({})))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        let mut inner = json!({"Env": config.env, "Cmd": config.cmd});
        if !config.entrypoint.is_empty() {
            inner["Entrypoint"] = json!(config.entrypoint);
        }
        for (name, text) in [("User", &config.user), ("WorkingDir", &config.working_dir)] {
            if !text.is_empty() {
                inner[name] = json!(text);
            }
        }
        if !config.volumes.is_empty() {
            inner["Volumes"] = map(&config.volumes);
        }
        for (name, value) in &config.labels {
            inner["Labels"][name] = json!(value);
        }
        if let Some(signal) = &config.stop_signal {
            inner["StopSignal"] = json!(signal);
        }
        if let Some(healthcheck) = &config.healthcheck {
            inner["Healthcheck"] = healthcheck.clone();
        }
        let history: Vec<Value> = (0..diff_ids.len())
            .map(|layer| json!({"created": CREATED, "created_by": format!("layer {layer}")}))
            .collect();
        json!({
            "created": CREATED,
            "architecture": architecture(),
            "os": "linux",
            "config": inner,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": history,
        })
    }
}

const CREATED: &str = "2024-01-01T00:00:00Z";

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An index with the manifest and one for a platform that is not ours (whose blobs are missing: they must not be fetched).
fn index(manifest: &Descriptor, media_type: &str) -> Value {
    let mut ours = to_json(manifest);
    ours["platform"] = json!({"os": "linux", "architecture": architecture()});
    let mut other = to_json(manifest);
    other["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    other["platform"] = json!({"os": "linux", "architecture": "s390x"});
    json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [other, ours]})
}

struct Names {
    index: &'static str,
    manifest: &'static str,
    config: &'static str,
    layer: [&'static str; 3],
}

impl Names {
    fn of(media_types: MediaTypes) -> Self {
        match media_types {
            MediaTypes::Oci => Self {
                index: "application/vnd.oci.image.index.v1+json",
                manifest: "application/vnd.oci.image.manifest.v1+json",
                config: "application/vnd.oci.image.config.v1+json",
                layer: [
                    "application/vnd.oci.image.layer.v1.tar",
                    "application/vnd.oci.image.layer.v1.tar+gzip",
                    "application/vnd.oci.image.layer.v1.tar+zstd",
                ],
            },
            MediaTypes::Docker => Self {
                index: "application/vnd.docker.distribution.manifest.list.v2+json",
                manifest: "application/vnd.docker.distribution.manifest.v2+json",
                config: "application/vnd.docker.container.image.v1+json",
                layer: [
                    "application/vnd.docker.image.rootfs.diff.tar",
                    "application/vnd.docker.image.rootfs.diff.tar.gzip",
                    "application/vnd.docker.image.rootfs.diff.tar.zstd",
                ],
            },
        }
    }

    fn layer(&self, compression: Compression) -> &'static str {
        match compression {
            Compression::None => self.layer[0],
            Compression::Gzip => self.layer[1],
            Compression::Zstd => self.layer[2],
        }
    }
}

fn blob_path(directory: &Path, digest: &Digest) -> PathBuf {
    directory.join("blobs/sha256").join(digest.hex())
}

fn write_json(directory: &Path, media_type: &str, value: &Value) -> io::Result<Descriptor> {
    let bytes = value.to_string();
    let digest = Digest::from_sha256(Sha256::digest(&bytes).into());
    fs::write(blob_path(directory, &digest), &bytes)?;
    Ok(descriptor(media_type, digest, bytes.len() as u64))
}

/// A descriptor as `descriptor.md` of the specification spells it.
fn to_json(descriptor: &Descriptor) -> Value {
    json!({"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size})
}

fn descriptor(media_type: &str, digest: Digest, size: u64) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size: ByteSize(size),
        annotations: std::collections::BTreeMap::new(),
    }
}

fn write_layer(directory: &Path, layer: &Layer, options: LayoutOptions) -> io::Result<(Descriptor, DiffId)> {
    let aside = tempfile::NamedTempFile::new_in(directory)?;
    let mut outer = Hashing::new(BufWriter::new(aside.as_file()));
    let diff_id = match options.compression {
        Compression::None => hashed(layer, &mut outer)?,
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(&mut outer, flate2::Compression::fast());
            let diff_id = hashed(layer, &mut encoder)?;
            encoder.finish()?;
            diff_id
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(&mut outer, 1)?;
            let diff_id = hashed(layer, &mut encoder)?;
            encoder.finish()?;
            diff_id
        }
    };
    outer.flush()?;
    let size = outer.length;
    let digest = outer.digest();
    persist(aside, &blob_path(directory, &digest))?;
    let media_type = Names::of(options.media_types).layer(options.compression);
    Ok((descriptor(media_type, digest, size), DiffId(diff_id)))
}

fn persist(aside: tempfile::NamedTempFile, target: &Path) -> io::Result<File> {
    aside.persist(target).map_err(|error| error.error)
}

/// Writes the tar and returns the digest of the uncompressed bytes.
fn hashed(layer: &Layer, writer: &mut dyn Write) -> io::Result<Digest> {
    let mut inner = Hashing::new(writer);
    layer.write_tar(&mut inner)?;
    inner.flush()?;
    Ok(inner.digest())
}

struct Hashing<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            length: 0,
        }
    }

    fn digest(self) -> Digest {
        Digest::from_sha256(self.hash.finalize().into())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(buffer)?;
        self.hash.update(&buffer[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
