// SPDX-License-Identifier: MIT
//! What a new daemon finds of what an old one left. Each daemon is a scheduler of its own; dropping it ends every task of it at
//! whatever point it is, as a crash does.

use hyperbox_core::Engine;
use hyperbox_core::container::{ContainerSpec, Phase, Purpose, RestartPolicy};
use hyperbox_core::seam::{ActiveKey, Change, ContentStore, Records, Snapshotter, Table, VolumeDriver};
use hyperbox_types::{ContainerId, ContainerName};
use tokio::runtime::Runtime;

use crate::world::{World, create, eventually, exit_code, reach, spec, task, with_app};

fn scheduler() -> Runtime {
    Runtime::new().expect("scheduler")
}

/// Lets one daemon live until `life` is over, then die without a word.
fn daemon<F: Future<Output = ()>>(life: impl FnOnce(World, Engine) -> F) -> World {
    let runtime = scheduler();
    let world = runtime.block_on(async {
        let (world, engine) = with_app().await;
        life(world.clone(), engine).await;
        world
    });
    runtime.shutdown_background();
    world
}

#[test]
fn running_containers_are_adopted() {
    let world = daemon(|_, engine| async move {
        create(&engine, "web", spec()).await;
        engine.containers.start("web").await.expect("start");
    });
    scheduler().block_on(async {
        let engine = world.engine().await;
        assert_eq!(
            engine.containers.get("web").expect("restored").state.phase,
            Phase::Running
        );
        assert_eq!(world.network.endpoints().len(), 1, "the endpoint is still its own");
        task(&world, &engine, "web").exit(5);
        assert_eq!(exit_code(&engine, "web").await, 5);
    });
}

#[test]
fn what_ended_meanwhile_has_ended() {
    let names = ["kept", "gone", "again"];
    let ids: std::sync::Arc<std::sync::Mutex<Vec<ContainerId>>> = std::sync::Arc::default();
    let collected = std::sync::Arc::clone(&ids);
    let world = daemon(|_, engine| async move {
        create(&engine, "kept", spec()).await;
        create(
            &engine,
            "gone",
            ContainerSpec {
                auto_remove: true,
                ..spec()
            },
        )
        .await;
        create(
            &engine,
            "again",
            ContainerSpec {
                restart: RestartPolicy::Always,
                ..spec()
            },
        )
        .await;
        for name in names {
            engine.containers.start(name).await.expect(name);
            let id = engine.containers.get(name).expect(name).id.clone();
            collected.lock().expect("ids").push(id);
        }
    });
    scheduler().block_on(async {
        for id in ids.lock().expect("ids").iter() {
            world.tasks.task(id).expect("task").exit(9);
        }
        let engine = world.engine().await;
        reach(&engine, "kept", Phase::Exited).await;
        assert_eq!(engine.containers.get("kept").expect("kept").state.exit_code, 9);
        eventually("the auto-removal", || match engine.containers.get("gone") {
            Err(_) => Ok(()),
            Ok(record) => Err(format!("{:?}", record.state.phase)),
        })
        .await;
        reach(&engine, "again", Phase::Running).await;
    });
}

#[test]
fn what_was_to_run_at_once_and_never_ran_is_gone() {
    let world = daemon(|_, engine| async move {
        for (name, purpose, auto_remove) in [
            ("ephemeral", Purpose::RunAtOnce, true),
            ("detached", Purpose::RunAtOnce, false),
            ("waiting", Purpose::Keep, true),
        ] {
            let spec = ContainerSpec { auto_remove, ..spec() };
            let name = ContainerName::parse(name).expect("name");
            let made = engine
                .containers
                .create_for(purpose, Some(name), spec, serde_json::Value::Null);
            made.await.expect("create");
        }
    });
    scheduler().block_on(async {
        let engine = world.engine().await;
        eventually("the removal", || match engine.containers.get("ephemeral") {
            Err(_) => Ok(()),
            Ok(record) => Err(format!("{:?}", record.state.phase)),
        })
        .await;
        for name in ["detached", "waiting"] {
            assert_eq!(engine.containers.get(name).expect(name).state.phase, Phase::Created);
        }
    });
}

#[test]
fn garbage_without_a_record_goes() {
    let world = daemon(|_, _| async {});
    scheduler().block_on(async {
        let orphan = ActiveKey(ContainerId::from_bytes([3; 32]));
        world.snapshotter.prepare(&orphan, &[]).await.expect("prepare");
        let blob = world.content.insert(&b"nobody refers to this"[..]);
        let engine = world.engine().await;
        assert!(world.snapshotter.active().expect("active").is_empty());
        assert!(world.content.info(&blob).expect("content").is_none());
        assert_eq!(engine.images.list().len(), 1, "what is referred to stays");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_record_undoes_the_creation() {
    let (world, engine) = with_app().await;
    world.records.fail_next_apply();
    let error = engine
        .containers
        .create(None, spec(), serde_json::Value::Null)
        .await
        .expect_err("no record");
    assert!(
        error.message().starts_with("cannot record the container"),
        "{}",
        error.message()
    );
    assert!(world.snapshotter.active().expect("active").is_empty());
    assert!(engine.volumes.list().is_empty() && engine.containers.list().is_empty());
}

/// Turns a container's record back to what it was at an earlier instant, at which the daemon then died.
fn rewind(world: &World, change: impl Fn(&mut serde_json::Value)) {
    for (key, json) in world.records.load(Table::Containers).expect("records") {
        let mut record = serde_json::from_str(&json).expect("record");
        change(&mut record);
        let put = Change::Put {
            table: Table::Containers,
            key,
            value: record.to_string(),
        };
        world.records.apply(&[put]).expect("rewound");
    }
}

#[test]
fn a_removal_that_had_begun_takes_the_anonymous_volumes_along() {
    let world = daemon(|_, engine| async move {
        create(
            &engine,
            "gone",
            ContainerSpec {
                auto_remove: true,
                ..spec()
            },
        )
        .await;
        create(&engine, "asked", spec()).await;
        create(&engine, "kept", spec()).await;
        assert_eq!(engine.volumes.list().len(), 3);
    });
    rewind(&world, |record| {
        record["state"]["phase"] = "removing".into();
        record["state"]["remove_volumes"] = (record["name"] == "asked").into();
    });
    scheduler().block_on(async {
        let engine = world.engine().await;
        eventually("the removals", || match engine.containers.list().len() {
            0 => Ok(()),
            count => Err(format!("{count} containers")),
        })
        .await;
        assert_eq!(engine.volumes.list().len(), 1, "one was to be kept");
        assert_eq!(world.volumes.list().expect("volumes").len(), 1);
    });
}

#[test]
fn a_start_that_was_not_recorded_is_undone() {
    let world = daemon(|_, engine| async move {
        for (name, auto_remove) in [("kept", false), ("gone", true)] {
            let spec = ContainerSpec { auto_remove, ..spec() };
            create(&engine, name, spec).await;
            engine.containers.start(name).await.expect("start");
        }
    });
    rewind(&world, |record| {
        record["state"] = serde_json::json!({ "phase": "created" });
    });
    scheduler().block_on(async {
        let engine = world.engine().await;
        eventually("the removal", || match engine.containers.get("gone") {
            Err(_) => Ok(()),
            Ok(record) => Err(format!("{:?}", record.state.phase)),
        })
        .await;
        let record = engine.containers.get("kept").expect("kept");
        assert_eq!((record.state.phase, record.state.pid), (Phase::Created, 0));
        assert!(
            world.network.endpoints().is_empty(),
            "nobody keeps an address without a record"
        );
        engine.containers.start("kept").await.expect("the same start works");
    });
}
