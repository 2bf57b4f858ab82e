// SPDX-License-Identifier: MIT
//! An engine on fakes of all seams.
//!
//! The world outlives the engines built on it: building a second one on the same world is a restart of the daemon.

use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::container::{Config, Containers, Dependencies};
use hyperbox_core::event::Events;
use hyperbox_core::exec::Execs;
use hyperbox_core::image::{ImageDependencies, Images, PulledBlobs, TransferProgress};
use hyperbox_core::network::{BridgeWishes, NetworkDependencies, Networks};
use hyperbox_core::system::{System, SystemFacts};
use hyperbox_core::time::Timestamp;
use hyperbox_core::volume::Volumes;
use hyperbox_types::{ByteSize, Digest, ImageReference};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::fake::{
    FakeFiles, FakeHost, FakeNames, FakeNetwork, FakePeers, FakePorts, FakeRegistry, FakeSandboxes, FakeSnapshotter,
    FakeTaskRuntime, FakeVolumes, MemoryContent, MemoryRecords,
};

/// Everything that survives a daemon; a clone shares it.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the fake of its seam")]
pub struct World {
    pub records: MemoryRecords,
    pub content: MemoryContent,
    pub snapshotter: FakeSnapshotter,
    pub files: FakeFiles,
    pub tasks: FakeTaskRuntime,
    pub network: FakeNetwork,
    pub sandboxes: FakeSandboxes,
    pub ports: FakePorts,
    pub names: FakeNames,
    pub volumes: FakeVolumes,
    pub registry: FakeRegistry,
    pub peers: FakePeers,
    pub host: FakeHost,
    pub directory: Arc<tempfile::TempDir>,
}

impl World {
    /// Makes an empty world.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    pub fn new() -> Self {
        Self {
            records: MemoryRecords::new(),
            content: MemoryContent::new(),
            snapshotter: FakeSnapshotter::new(),
            files: FakeFiles::default(),
            tasks: FakeTaskRuntime::new(),
            network: FakeNetwork::new(),
            sandboxes: FakeSandboxes::default(),
            ports: FakePorts::default(),
            names: FakeNames::default(),
            volumes: FakeVolumes::new(),
            registry: FakeRegistry::new(),
            peers: FakePeers::default(),
            host: FakeHost::new(),
            directory: Arc::new(tempfile::tempdir().expect("temporary directory")),
        }
    }

    /// Starts a daemon on this world.
    ///
    /// # Panics
    /// When a service cannot be made.
    pub async fn engine(&self) -> Engine {
        let events = Events::new();
        let images = Images::open(ImageDependencies {
            records: Arc::new(self.records.clone()),
            content: Arc::new(self.content.clone()),
            snapshotter: Arc::new(self.snapshotter.clone()),
            registry: Arc::new(self.registry.clone()),
            peers: Arc::new(self.peers.clone()),
            events: events.clone(),
            pulled_blobs: PulledBlobs::Left,
            spool_dir: self.directory.path().to_owned(),
        })
        .expect("images");
        let records = Arc::new(self.records.clone());
        let snapshotter = Arc::new(self.snapshotter.clone());
        let volumes = Volumes::open(
            Arc::new(self.volumes.clone()),
            records.clone(),
            snapshotter.clone(),
            events.clone(),
        );
        let volumes = volumes.await.expect("volumes");
        let wishes = BridgeWishes::default();
        let networks = Networks::open(self.network_dependencies(&events), &wishes);
        let networks = networks.await.expect("networks");
        let tasks = Arc::new(self.tasks.clone());
        let config = Config {
            containers_dir: "/containers".into(),
            cgroup_parent: "/hyperbox".to_owned(),
            kernel: (6, 18),
            cgroup_v2: true,
            default_runtime: "hyperbox".to_owned(),
        };
        let containers = Containers::new(
            config,
            Dependencies {
                records,
                snapshotter,
                files: Arc::new(self.files.clone()),
                tasks: tasks.clone(),
                host: Arc::new(self.host.clone()),
                images: images.clone(),
                volumes: volumes.clone(),
                networks: networks.clone(),
                events: events.clone(),
            },
        );
        images.set_users(containers.image_users());
        containers.restore().await.expect("restore");
        images.collect().await;
        let execs = Execs::new(containers.clone(), tasks, events.clone());
        Engine {
            containers,
            execs,
            images,
            volumes,
            networks,
            events,
            system: System::new(facts()),
        }
    }

    fn network_dependencies(&self, events: &Events) -> NetworkDependencies {
        NetworkDependencies {
            drivers: vec![
                Arc::new(self.network.clone()),
                Arc::new(FakeNetwork::named("host")),
                Arc::new(FakeNetwork::named("null")),
            ],
            sandboxes: Arc::new(self.sandboxes.clone()),
            ports: Arc::new(self.ports.clone()),
            names: Arc::new(self.names.clone()),
            records: Arc::new(self.records.clone()),
            events: events.clone(),
        }
    }

    /// Puts an image with one layer into the registry; `config` is the `config` object of its configuration.
    ///
    /// # Panics
    /// When the name is none of an image.
    pub fn publish(&self, name: &str, config: &Value) -> ImageReference {
        let mut layer = vec![0; 1024];
        layer.extend_from_slice(name.as_bytes());
        self.publish_layer(name, config, layer)
    }

    /// The same with a layer of these bytes.
    ///
    /// # Panics
    /// When the name is none of an image.
    pub fn publish_layer(&self, name: &str, config: &Value, layer: Vec<u8>) -> ImageReference {
        self.publish_layers(name, config, vec![layer])
    }

    /// The same with several layers.
    ///
    /// # Panics
    /// When the name is none of an image.
    pub fn publish_layers(&self, name: &str, config: &Value, layers: Vec<Vec<u8>>) -> ImageReference {
        let reference = ImageReference::parse(name).expect(name);
        let diff_ids: Vec<Digest> = layers
            .iter()
            .map(|layer| Digest::from_sha256(Sha256::digest(layer).into()))
            .collect();
        let made = json!({ "created_by": "make", "created": "2026-01-02T03:04:05Z" });
        let mut history = vec![made; layers.len()];
        history.push(json!({ "created_by": "CMD", "empty_layer": true }));
        let configuration = json!({
            "architecture": "amd64", "os": "linux", "config": config, "created": "2026-01-02T03:04:05Z",
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        })
        .to_string();
        let describe = |media_type: &str, size: usize, digest: Digest| json!({ "mediaType": media_type, "size": size, "digest": digest });
        let length = configuration.len();
        let layer_type = "application/vnd.oci.image.layer.v1.tar";
        let layers = layers.into_iter().map(|layer| {
            let size = layer.len();
            describe(layer_type, size, self.registry.insert_blob(&reference, layer))
        });
        let layers: Vec<Value> = layers.collect();
        let configuration = self.registry.insert_blob(&reference, configuration);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": describe("application/vnd.oci.image.config.v1+json", length, configuration),
            "layers": layers,
        });
        self.registry
            .insert_manifest(&reference, media_type, manifest.to_string());
        reference
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Pulls to the end and returns the failure, if any.
///
/// # Errors
/// That of the pull.
pub async fn pull(engine: &Engine, reference: &ImageReference) -> Result<(), hyperbox_core::ServiceError> {
    use futures_util::StreamExt as _;
    let mut progress = engine.images.pull(reference.clone(), None, None).await?;
    while let Some(message) = progress.next().await {
        if let TransferProgress::Failed(error) = message {
            return Err(error);
        }
    }
    Ok(())
}

fn facts() -> SystemFacts {
    SystemFacts {
        id: "test".to_owned(),
        version: "0.1.0".to_owned(),
        git_commit: "abc".to_owned(),
        build_time: "2026-01-01T00:00:00Z".to_owned(),
        name: "host".to_owned(),
        kernel: "6.18".to_owned(),
        operating_system: "Linux".to_owned(),
        os_version: "12".to_owned(),
        architecture: "x86_64".to_owned(),
        cpus: 2,
        memory: ByteSize(1 << 33),
        cgroup_version: 2,
        cgroup_driver: "cgroupfs".to_owned(),
        storage_driver: "fake".to_owned(),
        storage_status: Vec::new(),
        root_dir: "/var/lib/hyperbox".into(),
        security_options: vec!["name=seccomp,profile=builtin".to_owned()],
        default_runtime: "hyperbox".to_owned(),
        runtimes: Vec::new(),
        warnings: Vec::new(),
        started_at: Timestamp(0),
        insecure_registries: Vec::new(),
        mirrors: Vec::new(),
        debug: false,
        listeners: Vec::new(),
        default_address_pools: Vec::new(),
    }
}
