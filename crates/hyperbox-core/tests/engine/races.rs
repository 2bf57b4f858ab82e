// SPDX-License-Identifier: MIT
//! What happens when several things happen to one container: nobody waits for ever, and everybody is told the truth.

use std::time::Duration;

use hyperbox_core::Engine;
use hyperbox_core::container::{
    AttachOptions, ContainerSpec, HealthCheck, HealthStatus, HealthTest, MountRequest, MountSource, Phase,
    RemoveOptions, RestartPolicy, StopOptions, WaitCondition,
};
use hyperbox_core::seam::{Snapshotter, TaskError};
use hyperbox_core::time::Timestamp;
use hyperbox_testkit::fake::Script;
use hyperbox_types::run::Streams;
use hyperbox_types::{ContainerName, ErrorKind, Signal, VolumeName};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::world::{create, eventually, reach, spec, task, with_app};

/// Long enough for anything that does not hang.
const SOON: Duration = Duration::from_secs(20);

const OUTPUT: AttachOptions = AttachOptions {
    streams: Streams {
        stdin: false,
        stdout: true,
        stderr: true,
    },
    logs: false,
    stream: true,
};

fn no_launch() -> TaskError {
    TaskError::new(ErrorKind::Internal, "no launch today")
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Returns the actions that happened to a container and its network, in order.
async fn actions(engine: &Engine) -> Vec<String> {
    use futures_util::StreamExt;
    let events = engine.events.subscribe(Some(Timestamp(0)), Some(Timestamp::now()));
    let relevant = events.filter(|event| {
        let relevant = matches!(event.kind.as_str(), "container" | "network");
        std::future::ready(relevant)
    });
    let text = relevant.map(|event| match event.attributes.get("signal") {
        Some(signal) => format!("{} {signal}", event.action),
        None => event.action.clone(),
    });
    text.collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_dockers_order() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let attached = engine.containers.attach("web", OUTPUT).await.expect("attach");
    engine.containers.start("web").await.expect("start");
    engine
        .containers
        .restart("web", StopOptions::default())
        .await
        .expect("restart");
    engine.containers.pause("web").await.expect("pause");
    engine.containers.unpause("web").await.expect("unpause");
    task(&world, &engine, "web").ignore(Signal::TERM);
    let quick = StopOptions {
        signal: None,
        timeout: Some(Duration::from_millis(1)),
    };
    engine.containers.stop("web", quick).await.expect("stop");
    engine.containers.start("web").await.expect("start");
    engine.containers.kill("web", None).await.expect("kill");
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    drop(attached);
    let expected = "create attach connect start \
        kill 15,disconnect stop die connect start restart pause unpause \
        kill 15,kill 9,disconnect stop die connect start kill 9,disconnect die destroy";
    let expected: Vec<&str> = expected.split_ascii_whitespace().collect();
    assert_eq!(
        actions(&engine)
            .await
            .join(" ")
            .replace("15 ", "15,")
            .replace("9 ", "9,"),
        expected.join(" ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_that_cannot_start_is_told() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    for running in [false, true] {
        if running {
            engine.containers.start("web").await.expect("start");
        }
        world.tasks.fail_next_launch(no_launch());
        let restart = engine.containers.restart("web", StopOptions::default());
        let error = soon("restart", restart).await.expect_err("cannot start");
        assert!(
            error.message().starts_with("Cannot restart container web: ")
                && error.message().ends_with("no launch today"),
            "{error}"
        );
    }
    reach(&engine, "web", Phase::Exited).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_overtakes_a_restart() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let task = task(&world, &engine, "web");
    task.ignore(Signal::TERM);
    let patient = StopOptions {
        signal: None,
        timeout: Some(Duration::MAX),
    };
    let (restarted, stopped) = soon("restart or stop", async {
        let restart = engine.containers.restart("web", patient);
        let stop = async {
            eventually("the restart to begin", || match task.signals().len() {
                0 => Err("no signal yet".to_owned()),
                _ => Ok(()),
            })
            .await;
            let now = StopOptions {
                signal: None,
                timeout: Some(Duration::ZERO),
            };
            engine.containers.stop("web", now).await
        };
        tokio::join!(restart, stop)
    })
    .await;
    assert_eq!(restarted.expect_err("overtaken").kind(), ErrorKind::Internal);
    stopped.expect("stop");
    reach(&engine, "web", Phase::Exited).await;
    assert_eq!(world.tasks.launched().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stops_is_answered_though_it_runs_again() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let task = task(&world, &engine, "web");
    task.ignore(Signal::TERM);
    let patient = StopOptions {
        signal: None,
        timeout: Some(Duration::MAX),
    };
    let exit_code = engine.containers.wait("web", WaitCondition::NotRunning).expect("wait");
    let (stopped, restarted) = soon("stop or restart", async {
        let stop = engine.containers.stop("web", patient);
        let restart = async {
            eventually("the stop to begin", || match task.signals().len() {
                0 => Err("no signal yet".to_owned()),
                _ => Ok(()),
            })
            .await;
            let end = async {
                eventually("the restart to begin", || match task.signals().len() {
                    2 => Ok(()),
                    count => Err(format!("{count} signals")),
                })
                .await;
                task.exit(42);
            };
            tokio::join!(engine.containers.restart("web", patient), end).0
        };
        tokio::join!(stop, restart)
    })
    .await;
    stopped.expect("stop");
    restarted.expect("restart");
    assert_eq!(exit_code.finish().await.exit_code, 42, "that of the run that ended");
    reach(&engine, "web", Phase::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_runs_everything_answers_at_once() {
    let (world, engine) = with_app().await;
    let restarting = || ContainerSpec {
        restart: RestartPolicy::Always,
        ..spec()
    };
    for name in ["killed", "stopped", "removed"] {
        create(&engine, name, restarting()).await;
        engine.containers.start(name).await.expect(name);
        // Until then the pauses have become long.
        for _ in 0..5 {
            let next = engine.containers.wait(name, WaitCondition::NextExit).expect("wait");
            reach(&engine, name, Phase::Running).await;
            task(&world, &engine, name).exit(1);
            soon("exit", next.finish()).await;
        }
        reach(&engine, name, Phase::Restarting).await;
        let refused = engine.containers.attach(name, OUTPUT).await.expect_err("restarting");
        assert_eq!(
            refused.message(),
            format!("container {name} is restarting, wait until the container is running")
        );
    }
    soon("kill", engine.containers.kill("killed", None))
        .await
        .expect("kill");
    soon("stop", engine.containers.stop("stopped", StopOptions::default()))
        .await
        .expect("stop");
    let force = RemoveOptions {
        force: true,
        volumes: true,
    };
    soon("remove", engine.containers.remove("removed", force))
        .await
        .expect("remove");
    for name in ["killed", "stopped"] {
        let record = engine.containers.get(name).expect(name);
        assert_eq!(record.state.phase, Phase::Exited);
        soon("restart", engine.containers.restart(name, StopOptions::default()))
            .await
            .expect("restart");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_streams_end_when_the_start_fails() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    for _ in 0..2 {
        let mut attached = engine.containers.attach("web", OUTPUT).await.expect("attach");
        world.tasks.fail_next_launch(no_launch());
        engine.containers.start("web").await.expect_err("cannot start");
        let mut bytes = Vec::new();
        soon("the stream", attached.io.read_to_end(&mut bytes))
            .await
            .expect("read");
        assert!(bytes.is_empty());
    }
    // Before the network is joined, too.
    create(
        &engine,
        "guest",
        ContainerSpec {
            network: hyperbox_core::container::NetworkMode::Container("web".into()),
            ..spec()
        },
    )
    .await;
    let mut attached = engine.containers.attach("guest", OUTPUT).await.expect("attach");
    engine
        .containers
        .start("guest")
        .await
        .expect_err("its host does not run");
    soon("the stream", attached.io.read_to_end(&mut Vec::new()))
        .await
        .expect("read");
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_streams_wait_for_the_next_start_or_the_removal() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    task(&world, &engine, "web").exit(0);
    reach(&engine, "web", Phase::Exited).await;
    let mut attached = engine.containers.attach("web", OUTPUT).await.expect("attach");
    world.tasks.script_next(Script {
        stdout: b"again".to_vec(),
        stderr: Vec::new(),
        exit: Some(0),
    });
    engine.containers.start("web").await.expect("start");
    let mut bytes = Vec::new();
    soon("the stream", attached.io.read_to_end(&mut bytes))
        .await
        .expect("read");
    assert!(bytes.ends_with(b"again"));
    reach(&engine, "web", Phase::Exited).await;
    let mut attached = engine.containers.attach("web", OUTPUT).await.expect("attach");
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    soon("the stream", attached.io.read_to_end(&mut bytes))
        .await
        .expect("read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_removes_itself_goes_when_its_start_fails() {
    let (world, engine) = with_app().await;
    create(
        &engine,
        "web",
        ContainerSpec {
            auto_remove: true,
            ..spec()
        },
    )
    .await;
    let removed = engine.containers.wait("web", WaitCondition::Removed).expect("wait");
    let next_exit = engine.containers.wait("web", WaitCondition::NextExit).expect("wait");
    let mut error = no_launch();
    error.command = Some(hyperbox_types::shim::CommandFault::NotFound);
    world.tasks.fail_next_launch(error);
    let error = engine.containers.start("web").await.expect_err("cannot start");
    assert!(error.message().ends_with("no launch today"), "{error}");
    let removed = soon("removal", removed.finish()).await;
    assert_eq!((removed.exit_code, removed.error), (127, None));
    assert_eq!(soon("exit", next_exit.finish()).await.exit_code, 127);
    assert!(engine.containers.list().is_empty() && engine.volumes.list().is_empty());
    assert!(world.network.endpoints().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_what_never_ran() {
    let (_world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let waiter = engine.containers.wait("web", WaitCondition::NotRunning).expect("wait");
    assert_eq!(soon("wait", waiter.finish()).await.exit_code, 0);
    let next = engine.containers.wait("web", WaitCondition::NextExit).expect("wait");
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    soon("wait", next.finish()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_removal_is_told_to_those_who_waited_then() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let early = engine.containers.wait("web", WaitCondition::Removed).expect("wait");
    world.records.fail_next_apply();
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect_err("no record");
    assert!(soon("the first wait", early.finish()).await.error.is_some());
    let record = engine.containers.get("web").expect("still there");
    assert_eq!(record.state.phase, Phase::Created, "nothing was taken away");
    let late = engine.containers.wait("web", WaitCondition::Removed).expect("wait");
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    assert_eq!(soon("the second wait", late.finish()).await.error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_for_a_start_and_two_for_an_end_with_removal() {
    let (world, engine) = with_app().await;
    create(
        &engine,
        "web",
        ContainerSpec {
            auto_remove: true,
            ..spec()
        },
    )
    .await;
    let before = world.records.applied();
    engine.containers.start("web").await.expect("start");
    assert_eq!(world.records.applied() - before, 1);
    let removed = engine.containers.wait("web", WaitCondition::Removed).expect("wait");
    task(&world, &engine, "web").exit(0);
    soon("removal", removed.finish()).await;
    assert_eq!(world.records.applied() - before, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn health_belongs_to_a_run() {
    let (world, engine) = with_app().await;
    let health = HealthCheck {
        test: HealthTest::Command(vec!["check".to_owned()]),
        interval: Some(Duration::from_millis(5)),
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: Some(1),
    };
    create(
        &engine,
        "web",
        ContainerSpec {
            health: Some(health),
            ..spec()
        },
    )
    .await;
    engine.containers.start("web").await.expect("start");
    let status = || {
        let record = engine.containers.get("web").expect("web");
        record.state.health.as_ref().map(|health| health.status)
    };
    assert_eq!(status(), Some(HealthStatus::Starting));
    let task = task(&world, &engine, "web");
    eventually("a verdict", || {
        for exec in task.execs() {
            task.exit_exec(&exec, 0);
        }
        match status() {
            Some(HealthStatus::Healthy) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    engine
        .containers
        .restart("web", StopOptions::default())
        .await
        .expect("restart");
    assert_eq!(status(), Some(HealthStatus::Starting), "the new run has no verdict yet");
    let first = task.execs().len();
    let second = crate::world::task(&world, &engine, "web");
    eventually("the prober of the new run", || match second.execs().len() {
        0 => Err("no check yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    assert_eq!(task.execs().len(), first, "the old prober is gone");
    engine.containers.kill("web", None).await.expect("kill");
    reach(&engine, "web", Phase::Exited).await;
    eventually("the end of the checks", || match status() {
        Some(HealthStatus::Unhealthy) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_creation_leaks_nothing() {
    let (world, engine) = with_app().await;
    for _ in 0..20 {
        let name = ContainerName::parse("web").expect("name");
        let creation = engine.containers.create(Some(name), spec(), Value::Null);
        // Polled once at most a few times, then dropped.
        drop(timeout(Duration::from_micros(50), creation).await);
        eventually("the creation to be over", || {
            let made = engine.containers.get("web").is_ok();
            let staged = !world.snapshotter.active().expect("active").is_empty();
            if made == staged {
                Ok(())
            } else {
                Err(format!("{made} {staged}"))
            }
        })
        .await;
        let force = RemoveOptions {
            force: true,
            volumes: true,
        };
        drop(engine.containers.remove("web", force).await);
    }
    eventually("the last one", || match engine.containers.list().len() {
        0 | 1 => Ok(()),
        count => Err(format!("{count} containers")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_renames_leave_one_name() {
    let (_world, engine) = with_app().await;
    // By its id: once the first has renamed it, the old name may lead nowhere before the second looks for it.
    let id = create(&engine, "web", spec()).await;
    let rename = |name: &str| engine.containers.rename(&id, ContainerName::parse(name).expect("name"));
    let (one, other) = tokio::join!(rename("one"), rename("other"));
    assert!(one.is_ok() && other.is_ok());
    let now = engine.containers.list()[0].name.to_string();
    for name in ["web", "one", "other"].into_iter().filter(|name| *name != now) {
        create(&engine, name, spec()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_never_removed_under_a_creation() {
    let (world, engine) = with_app().await;
    let with_volume = || ContainerSpec {
        mounts: vec![MountRequest {
            source: MountSource::Volume {
                name: Some(VolumeName::parse("shared").expect("name")),
                no_copy: false,
                labels: Default::default(),
                options: Default::default(),
                subpath: Default::default(),
            },
            target: "/shared".into(),
            read_only: false,
        }],
        ..spec()
    };
    for round in 0..20 {
        let name = format!("web{round}");
        let creation = create(&engine, &name, with_volume());
        let removal = engine.volumes.remove("shared", true);
        let (id, _) = soon("creation or removal", async { tokio::join!(creation, removal) }).await;
        use hyperbox_core::seam::VolumeDriver;
        assert!(
            engine.volumes.get("shared").is_ok(),
            "the creation came last or was in the way"
        );
        let stored = world.volumes.list().expect("volumes");
        assert!(stored.iter().any(|volume| volume.as_str() == "shared"), "{stored:?}");
        let options = RemoveOptions {
            force: true,
            volumes: true,
        };
        engine.containers.remove(&id, options).await.expect("remove");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_for_want_of_memory_are_told_at_once() {
    use futures_util::StreamExt as _;

    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let task = task(&world, &engine, "web");
    let of_container = |event: &std::sync::Arc<hyperbox_core::event::Event>| {
        std::future::ready(event.kind == hyperbox_core::event::EventKind::Container)
    };
    let mut events = Box::pin(engine.events.subscribe(None, None).filter(of_container));
    for _ in 0..2 {
        task.kill_for_memory();
        let event = soon("the event", events.next()).await.expect("an event");
        assert_eq!(event.action, "oom");
        let record = engine.containers.get("web").expect("web");
        assert!(record.state.out_of_memory && record.state.phase == Phase::Running);
    }
    task.exit(0);
    let event = soon("the end", events.next()).await.expect("an event");
    assert_ne!(event.action, "oom", "nothing is told twice");
    reach(&engine, "web", Phase::Exited).await;
    assert!(engine.containers.get("web").expect("web").state.out_of_memory);
    engine.containers.start("web").await.expect("start again");
    assert!(
        !engine.containers.get("web").expect("web").state.out_of_memory,
        "a new run"
    );
}
