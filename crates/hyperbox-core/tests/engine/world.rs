// SPDX-License-Identifier: MIT
//! What the tests of the engine on fakes share.

use std::sync::Arc;

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerSpec, Phase, WaitCondition};
use hyperbox_testkit::fake::FakeTask;
pub(crate) use hyperbox_testkit::world::{World, pull};
use hyperbox_types::ContainerName;
use serde_json::{Value, json};

/// Returns the task of a container.
pub(crate) fn task(world: &World, engine: &Engine, reference: &str) -> Arc<FakeTask> {
    let id = engine.containers.get(reference).expect("container").id.clone();
    world.tasks.task(&id).expect("task")
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
