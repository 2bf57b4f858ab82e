// SPDX-License-Identifier: MIT
//! A daemon in miniature: an engine on fakes, and the door on a socket in a directory of its own.

use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::seam::TaskError;
use hyperbox_docker::{DoorConfig, serve};
use hyperbox_testkit::fake::{FakeRegistry, FakeTask, FakeTaskRuntime};
use hyperbox_testkit::world::pull;
use hyperbox_types::shim::CommandFault;
use hyperbox_types::{ErrorKind, ImageReference};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The name of the image that every world has.
pub(crate) const IMAGE: &str = "localhost:5000/app";

/// The daemon and what it stands on.
#[derive(Debug)]
pub(crate) struct World {
    pub engine: Engine,
    pub fakes: hyperbox_testkit::world::World,
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
        let fakes = hyperbox_testkit::world::World::new();
        let engine = fakes.engine().await;
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
            tasks: fakes.tasks.clone(),
            registry: fakes.registry.clone(),
            fakes,
            socket,
            shutdown,
            served,
            _directory: directory,
        };
        let config = json!({ "Cmd": ["serve", "two words"], "Env": ["PATH=/bin"], "Labels": { "from": "image" } });
        let reference = world.publish(IMAGE, &config);
        pull(&world.engine, &reference).await.expect("pull");
        world.engine.images.get(IMAGE).expect("the image is there");
        world
    }

    /// Puts an image with one layer into the registry.
    pub(crate) fn publish(&self, name: &str, config: &Value) -> ImageReference {
        self.fakes.publish(name, config)
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
