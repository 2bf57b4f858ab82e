// SPDX-License-Identifier: MIT
//! A daemon in miniature: an engine on fakes, and the door on a socket in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use hyperbox_core::Engine;
use hyperbox_core::container::{Config, Containers, Dependencies};
use hyperbox_core::event::Events;
use hyperbox_core::exec::Execs;
use hyperbox_core::image::{ImageDependencies, Images};
use hyperbox_core::network::{BridgeWishes, Networks};
use hyperbox_core::seam::TaskError;
use hyperbox_core::system::{System, SystemFacts};
use hyperbox_core::time::Timestamp;
use hyperbox_core::volume::Volumes;
use hyperbox_docker::{DoorConfig, serve};
use hyperbox_testkit::fake::{
    FakeHost, FakeNetwork, FakeRegistry, FakeSnapshotter, FakeTask, FakeTaskRuntime, FakeVolumes, MemoryContent,
    MemoryRecords,
};
use hyperbox_types::shim::CommandFault;
use hyperbox_types::{ByteSize, Digest, ErrorKind, ImageReference};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The name of the image that every world has.
pub(crate) const IMAGE: &str = "localhost:5000/app";

/// The daemon and what it stands on.
#[derive(Debug)]
pub(crate) struct World {
    pub engine: Engine,
    pub tasks: FakeTaskRuntime,
    pub registry: FakeRegistry,
    pub socket: PathBuf,
    pub shutdown: CancellationToken,
    pub served: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl World {
    /// Starts the daemon with one image that is there already.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let (tasks, registry) = (FakeTaskRuntime::new(), FakeRegistry::new());
        let engine = engine(&tasks, &registry, &directory).await;
        let socket = directory.path().join("door.sock");
        let listener = UnixListener::bind(&socket).expect("socket");
        let shutdown = CancellationToken::new();
        let config = DoorConfig {
            drain: std::time::Duration::from_millis(200),
            ..DoorConfig::default()
        };
        let served = tokio::spawn(serve(listener, engine.clone(), config, shutdown.clone()));
        let world = Self {
            engine,
            tasks,
            registry,
            socket,
            shutdown,
            served,
            _directory: directory,
        };
        let config = json!({ "Cmd": ["serve", "two words"], "Env": ["PATH=/bin"], "Labels": { "from": "image" } });
        let reference = world.publish(IMAGE, &config);
        let mut progress = world.engine.images.pull(reference, None, None).await.expect("pull");
        while progress.next().await.is_some() {}
        world.engine.images.get(IMAGE).expect("the image is there");
        world
    }

    /// Puts an image with one layer into the registry.
    pub(crate) fn publish(&self, name: &str, config: &Value) -> ImageReference {
        let reference = ImageReference::parse(name).expect(name);
        let mut layer = vec![0; 1024];
        layer.extend_from_slice(name.as_bytes());
        let diff_id = Digest::from_sha256(Sha256::digest(&layer).into());
        let configuration = json!({
            "architecture": "amd64", "os": "linux", "config": config, "created": "2026-01-02T03:04:05Z",
            "rootfs": { "type": "layers", "diff_ids": [diff_id] },
            "history": [{ "created_by": "make", "created": "2026-01-02T03:04:05Z" }, { "created_by": "CMD", "empty_layer": true }],
        })
        .to_string();
        let describe = |media_type: &str, size: usize, digest: Digest| json!({ "mediaType": media_type, "size": size, "digest": digest });
        let (size, length) = (layer.len(), configuration.len());
        let layer = self.registry.insert_blob(&reference, layer);
        let configuration = self.registry.insert_blob(&reference, configuration);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": describe("application/vnd.oci.image.config.v1+json", length, configuration),
            "layers": [describe("application/vnd.oci.image.layer.v1.tar", size, layer)],
        });
        self.registry
            .insert_manifest(&reference, media_type, manifest.to_string());
        reference
    }

    /// Makes the next command of a container one that does not exist.
    pub(crate) fn fail_next_command(&self) {
        let message = "exec: \"nosuch\": executable file not found in $PATH";
        let mut error = TaskError::new(ErrorKind::InvalidArgument, message);
        error.command = Some(CommandFault::NotFound);
        self.tasks.fail_next_launch(error);
    }

    /// Waits until a container runs and returns its task.
    pub(crate) async fn task(&self, reference: &str) -> Arc<FakeTask> {
        hyperbox_testkit::wait_for_async("the task", || {
            let record = self
                .engine
                .containers
                .get(reference)
                .map_err(|error| error.message().to_owned());
            let task = record.and_then(|record| {
                let alive = record.state.phase.is_alive();
                self.tasks
                    .task(&record.id)
                    .filter(|_| alive)
                    .ok_or_else(|| "not running".to_owned())
            });
            std::future::ready(task)
        })
        .await
    }
}

async fn engine(tasks: &FakeTaskRuntime, registry: &FakeRegistry, directory: &tempfile::TempDir) -> Engine {
    let events = Events::new();
    let records = Arc::new(MemoryRecords::new());
    let snapshotter = Arc::new(FakeSnapshotter::new());
    let images = Images::open(ImageDependencies {
        records: records.clone(),
        content: Arc::new(MemoryContent::new()),
        snapshotter: snapshotter.clone(),
        registry: Arc::new(registry.clone()),
        events: events.clone(),
        spool_dir: directory.path().to_owned(),
    })
    .expect("images");
    let volumes = Volumes::open(
        Arc::new(FakeVolumes::new()),
        records.clone(),
        snapshotter.clone(),
        events.clone(),
    );
    let volumes = volumes.await.expect("volumes");
    let wishes = BridgeWishes::default();
    let networks = Networks::open(Arc::new(FakeNetwork::new()), records.as_ref(), events.clone(), &wishes);
    let networks = networks.await.expect("networks");
    let config = Config {
        containers_dir: "/containers".into(),
        cgroup_parent: "/hyperbox".to_owned(),
        kernel: (6, 18),
        cgroup_v2: true,
        default_runtime: "hyperbox".to_owned(),
    };
    let with = Dependencies {
        records,
        snapshotter,
        tasks: Arc::new(tasks.clone()),
        host: Arc::new(FakeHost::new()),
        images: images.clone(),
        volumes: volumes.clone(),
        networks: networks.clone(),
        events: events.clone(),
    };
    let containers = Containers::new(config, with);
    containers.restore().await.expect("restore");
    let execs = Execs::new(containers.clone(), Arc::new(tasks.clone()), events.clone());
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
    }
}
