// SPDX-License-Identifier: MIT
//! A world of fakes that outlives the engines built on it.

use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::container::{Config, ContainerSpec, Containers, Dependencies, Phase, WaitCondition};
use hyperbox_core::event::Events;
use hyperbox_core::exec::Execs;
use hyperbox_core::image::{ImageDependencies, Images, TransferProgress};
use hyperbox_core::network::{BridgeWishes, Networks};
use hyperbox_core::system::{System, SystemFacts};
use hyperbox_core::time::Timestamp;
use hyperbox_core::volume::Volumes;
use hyperbox_testkit::fake::{
    FakeHost, FakeNetwork, FakeRegistry, FakeSnapshotter, FakeTask, FakeTaskRuntime, FakeVolumes, MemoryContent,
    MemoryRecords,
};
use hyperbox_types::{ByteSize, ContainerName, Digest, ImageReference};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Everything that survives a daemon.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub records: MemoryRecords,
    pub content: MemoryContent,
    pub snapshotter: FakeSnapshotter,
    pub tasks: FakeTaskRuntime,
    pub network: FakeNetwork,
    pub volumes: FakeVolumes,
    pub registry: FakeRegistry,
    pub host: FakeHost,
    pub directory: Arc<tempfile::TempDir>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            records: MemoryRecords::new(),
            content: MemoryContent::new(),
            snapshotter: FakeSnapshotter::new(),
            tasks: FakeTaskRuntime::new(),
            network: FakeNetwork::new(),
            volumes: FakeVolumes::new(),
            registry: FakeRegistry::new(),
            host: FakeHost::new(),
            directory: Arc::new(tempfile::tempdir().expect("temporary directory")),
        }
    }

    /// Starts a daemon on this world.
    pub(crate) async fn engine(&self) -> Engine {
        let events = Events::new();
        let images = Images::open(ImageDependencies {
            records: Arc::new(self.records.clone()),
            content: Arc::new(self.content.clone()),
            snapshotter: Arc::new(self.snapshotter.clone()),
            registry: Arc::new(self.registry.clone()),
            events: events.clone(),
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
        )
        .await
        .expect("volumes");
        let networks = Networks::open(
            Arc::new(self.network.clone()),
            &self.records,
            events.clone(),
            &BridgeWishes::default(),
        )
        .await
        .expect("networks");
        let tasks = Arc::new(self.tasks.clone());
        let containers = Containers::new(
            Config {
                containers_dir: "/containers".into(),
                cgroup_parent: "/hyperbox".to_owned(),
                kernel: (6, 18),
                cgroup_v2: true,
                default_runtime: "hyperbox".to_owned(),
            },
            Dependencies {
                records,
                snapshotter,
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

    /// Puts an image with one layer into the registry; `config` is the `config` object of its configuration.
    pub(crate) fn publish(&self, name: &str, config: &Value) -> ImageReference {
        let reference = ImageReference::parse(name).expect(name);
        let mut layer = vec![0; 1024];
        layer.extend_from_slice(name.as_bytes());
        let diff_id = Digest::from_sha256(Sha256::digest(&layer).into());
        let configuration = json!({
            "architecture": "amd64", "os": "linux", "config": config,
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        })
        .to_string();
        let describe = |media_type: &str, size: usize, digest: Digest| json!({ "mediaType": media_type, "size": size, "digest": digest });
        let size = layer.len();
        let layer = self.registry.insert_blob(&reference, layer);
        let length = configuration.len();
        let configuration = self.registry.insert_blob(&reference, configuration);
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe("application/vnd.oci.image.config.v1+json", length, configuration),
            "layers": [describe("application/vnd.oci.image.layer.v1.tar", size, layer)],
        });
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        self.registry
            .insert_manifest(&reference, media_type, manifest.to_string());
        reference
    }

    /// Returns the task of a container.
    pub(crate) fn task(&self, engine: &Engine, reference: &str) -> Arc<FakeTask> {
        let id = engine.containers.get(reference).expect("container").id.clone();
        self.tasks.task(&id).expect("task")
    }
}

fn facts() -> SystemFacts {
    SystemFacts {
        id: "test".to_owned(),
        version: "0".to_owned(),
        git_commit: String::new(),
        build_time: String::new(),
        name: "host".to_owned(),
        kernel: "6.18".to_owned(),
        operating_system: "Linux".to_owned(),
        os_version: String::new(),
        architecture: "x86_64".to_owned(),
        cpus: 2,
        memory: ByteSize(1 << 33),
        cgroup_version: 2,
        cgroup_driver: "cgroupfs".to_owned(),
        storage_driver: "fake".to_owned(),
        root_dir: "/".into(),
        security_options: Vec::new(),
        default_runtime: "hyperbox".to_owned(),
        runtimes: Vec::new(),
        warnings: Vec::new(),
        started_at: Timestamp(0),
        insecure_registries: Vec::new(),
        mirrors: Vec::new(),
        debug: false,
        listeners: Vec::new(),
    }
}

/// Pulls to the end and returns the failure, if any.
pub(crate) async fn pull(engine: &Engine, reference: &ImageReference) -> Result<(), hyperbox_core::ServiceError> {
    use futures_util::StreamExt;
    let mut progress = engine.images.pull(reference.clone(), None, None).await?;
    while let Some(message) = progress.next().await {
        if let TransferProgress::Failed(error) = message {
            return Err(error);
        }
    }
    Ok(())
}

/// Makes a world with the image `app` pulled, and an engine on it.
pub(crate) async fn with_app() -> (World, Engine) {
    let world = World::new();
    let reference = world.publish(
        "localhost:5000/app",
        &json!({ "Cmd": ["serve"], "Volumes": { "/data": {} } }),
    );
    let engine = world.engine().await;
    pull(&engine, &reference).await.expect("pull");
    (world, engine)
}

pub(crate) fn spec() -> ContainerSpec {
    ContainerSpec {
        image: "localhost:5000/app".to_owned(),
        ..ContainerSpec::default()
    }
}

pub(crate) async fn create(engine: &Engine, name: &str, spec: ContainerSpec) -> String {
    let name = ContainerName::parse(name).expect(name);
    engine
        .containers
        .create(Some(name), spec, Value::Null)
        .await
        .expect("create")
        .id
        .to_string()
}

/// Waits until a container is in a phase.
pub(crate) async fn reach(engine: &Engine, reference: &str, phase: Phase) {
    crate::world::eventually("the phase", || {
        let now = engine.containers.get(reference).map(|record| record.state.phase);
        match now {
            Ok(now) if now == phase => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

pub(crate) async fn exit_code(engine: &Engine, reference: &str) -> i32 {
    engine
        .containers
        .wait(reference, WaitCondition::NotRunning)
        .expect("wait")
        .finish()
        .await
        .exit_code
}

/// Waits for a condition that says why not yet.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> Result<(), String>) {
    hyperbox_testkit::wait_for_async(what, || std::future::ready(condition())).await;
}
