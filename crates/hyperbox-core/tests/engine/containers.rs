// SPDX-License-Identifier: MIT
//! The life of containers as clients see it.

use std::time::Duration;

use hyperbox_core::container::{
    AttachOptions, ContainerSpec, HealthCheck, HealthTest, MountRequest, MountSource, NamespaceMode, NamespaceModes,
    Phase, RemoveOptions, Resources, RestartPolicy, StopOptions, UpdateOptions, WaitCondition,
};
use hyperbox_testkit::fake::Script;
use hyperbox_types::run::Streams;
use hyperbox_types::{ByteSize, ContainerName, ErrorKind, Signal, VolumeName};
use serde_json::Value;
use tokio::io::AsyncReadExt;

use crate::world::{create, exit_code, reach, spec, task, with_app};

const ALL: Streams = Streams {
    stdin: true,
    stdout: true,
    stderr: true,
};

#[tokio::test(flavor = "multi_thread")]
async fn create_start_exit_remove() {
    let (world, engine) = with_app().await;
    let id = create(&engine, "web", spec()).await;
    assert_eq!(
        engine.containers.get("web").expect("by name").state.phase,
        Phase::Created
    );
    engine.containers.start("web").await.expect("start");
    let again = engine.containers.start("web").await.expect_err("runs already");
    assert_eq!(again.kind(), ErrorKind::NotModified);
    let launched = world.tasks.launched().pop().expect("launched");
    assert!(launched.spec.contains("\"serve\"") && launched.has_network_namespace);
    assert!(
        launched
            .files
            .iter()
            .any(|(path, text)| path.ends_with("hosts") && text.contains("localhost"))
    );
    task(&world, &engine, "web").exit(3);
    assert_eq!(exit_code(&engine, &id).await, 3);
    reach(&engine, "web", Phase::Exited).await;
    engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect("remove");
    assert_eq!(
        engine.containers.get("web").expect_err("gone").message(),
        "No such container: web"
    );
    crate::world::eventually("endpoints to be given back", || {
        let left = world.network.endpoints();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_unique_and_made_up() {
    let (_world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let name = Some(ContainerName::parse("web").expect("name"));
    let error = engine
        .containers
        .create(name, spec(), Value::Null)
        .await
        .expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error
            .message()
            .starts_with("Conflict. The container name \"/web\" is already in use by container")
    );
    let created = engine
        .containers
        .create(None, spec(), Value::Null)
        .await
        .expect("made-up name");
    assert!(created.name.as_str().contains('_'));
    let new = ContainerName::parse("other").expect("name");
    engine.containers.rename("web", new).await.expect("rename");
    assert!(engine.containers.get("web").is_err() && engine.containers.get("other").is_ok());
    create(&engine, "web", spec()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_wishes_are_refused_and_leave_nothing() {
    let (world, engine) = with_app().await;
    let limits = |resources| ContainerSpec { resources, ..spec() };
    let mount = |path: &str| MountRequest {
        source: MountSource::Volume {
            name: None,
            no_copy: false,
            labels: Default::default(),
            options: Default::default(),
            subpath: Default::default(),
        },
        target: path.into(),
        read_only: false,
    };
    let cases: Vec<(ContainerSpec, &str)> = vec![
        (
            ContainerSpec {
                image: "nosuch".to_owned(),
                ..spec()
            },
            "No such image: nosuch:latest",
        ),
        (
            limits(Resources {
                memory: Some(ByteSize(1)),
                ..Resources::default()
            }),
            "Minimum memory limit allowed is 6MB",
        ),
        (
            ContainerSpec {
                working_dir: "here".to_owned(),
                ..spec()
            },
            "the working directory 'here' is invalid",
        ),
        (
            ContainerSpec {
                mounts: vec![mount("/a"), mount("/a/.")],
                ..spec()
            },
            "Duplicate mount point: /a",
        ),
        (
            ContainerSpec {
                mounts: vec![mount("rel")],
                ..spec()
            },
            "invalid mount config",
        ),
        (
            ContainerSpec {
                links: vec![("nosuch".to_owned(), "db".to_owned())],
                ..spec()
            },
            "could not get container for nosuch: No such container: nosuch",
        ),
        (
            ContainerSpec {
                namespaces: NamespaceModes {
                    pid: NamespaceMode::Container("nosuch".into()),
                    ..NamespaceModes::default()
                },
                ..spec()
            },
            "No such container: nosuch",
        ),
        (
            ContainerSpec {
                auto_remove: true,
                restart: RestartPolicy::Always,
                ..spec()
            },
            "can't create 'AutoRemove' container with restart policy",
        ),
    ];
    for (wish, expected) in cases {
        let error = engine
            .containers
            .create(None, wish, Value::Null)
            .await
            .expect_err(expected);
        assert!(
            error.message().starts_with(expected),
            "{} / {expected}",
            error.message()
        );
    }
    assert!(engine.containers.list().is_empty() && engine.volumes.list().is_empty());
    use hyperbox_core::seam::Snapshotter;
    assert!(world.snapshotter.active().expect("active").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_attached_before_the_start() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let options = AttachOptions {
        streams: ALL,
        logs: false,
        stream: true,
    };
    let mut attached = engine.containers.attach("web", options).await.expect("attach");
    world.tasks.script_next(Script {
        stdout: b"hello\n".to_vec(),
        stderr: Vec::new(),
        exit: Some(0),
    });
    engine.containers.start("web").await.expect("start");
    let mut bytes = Vec::new();
    attached.io.read_to_end(&mut bytes).await.expect("read");
    assert_eq!(bytes, [&[1, 0, 0, 0, 0, 0, 0, 6][..], b"hello\n"].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_polite_then_firm() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let options = StopOptions {
        signal: None,
        timeout: Some(Duration::from_millis(20)),
    };
    assert_eq!(
        engine.containers.stop("web", options).await.expect_err("idle").kind(),
        ErrorKind::NotModified
    );
    engine.containers.start("web").await.expect("start");
    task(&world, &engine, "web").ignore(Signal::TERM);
    let task = task(&world, &engine, "web");
    engine.containers.stop("web", options).await.expect("stop");
    assert_eq!(task.signals(), [Signal::TERM, Signal::KILL]);
    assert_eq!(exit_code(&engine, "web").await, 137);
    assert!(engine.containers.get("web").expect("record").state.manually_stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_needs_a_running_container() {
    let (_world, engine) = with_app().await;
    let id = create(&engine, "web", spec()).await;
    let error = engine.containers.kill("web", None).await.expect_err("not running");
    assert_eq!(
        error.message(),
        format!("cannot kill container: web: container {id} is not running")
    );
    engine.containers.start("web").await.expect("start");
    engine.containers.kill("web", None).await.expect("kill");
    assert_eq!(exit_code(&engine, "web").await, 137);
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_policy_starts_again() {
    let (world, engine) = with_app().await;
    let policy = RestartPolicy::OnFailure { maximum_retries: 1 };
    create(
        &engine,
        "web",
        ContainerSpec {
            restart: policy,
            ..spec()
        },
    )
    .await;
    engine.containers.start("web").await.expect("start");
    task(&world, &engine, "web").exit(1);
    crate::world::eventually("the second launch", || match world.tasks.launched().len() {
        2 => Ok(()),
        count => Err(format!("{count} launches")),
    })
    .await;
    reach(&engine, "web", Phase::Running).await;
    task(&world, &engine, "web").exit(1);
    reach(&engine, "web", Phase::Exited).await;
    assert_eq!(engine.containers.get("web").expect("record").state.restart_count, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_runs_again() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    engine
        .containers
        .restart("web", StopOptions::default())
        .await
        .expect("restart");
    assert_eq!(world.tasks.launched().len(), 2);
    assert_eq!(
        engine.containers.get("web").expect("record").state.phase,
        Phase::Running
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_unpause() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    assert_eq!(
        engine.containers.pause("web").await.expect_err("idle").kind(),
        ErrorKind::Conflict
    );
    engine.containers.start("web").await.expect("start");
    engine.containers.pause("web").await.expect("pause");
    reach(&engine, "web", Phase::Paused).await;
    assert!(task(&world, &engine, "web").paused());
    assert!(engine.containers.pause("web").await.is_err());
    engine.containers.unpause("web").await.expect("unpause");
    reach(&engine, "web", Phase::Running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_removal_takes_anonymous_volumes_along() {
    let (world, engine) = with_app().await;
    let named = MountRequest {
        source: MountSource::Volume {
            name: Some(VolumeName::parse("keep").expect("name")),
            no_copy: false,
            labels: Default::default(),
            options: Default::default(),
            subpath: Default::default(),
        },
        target: "/keep".into(),
        read_only: false,
    };
    create(
        &engine,
        "web",
        ContainerSpec {
            auto_remove: true,
            mounts: vec![named],
            ..spec()
        },
    )
    .await;
    assert_eq!(engine.volumes.list().len(), 2, "one by name, one for the image's /data");
    let waiter = engine.containers.wait("web", WaitCondition::Removed).expect("wait");
    engine.containers.start("web").await.expect("start");
    let error = engine.volumes.remove("keep", false).await.expect_err("in use");
    assert!(
        error.message().starts_with("remove keep: volume is in use - ["),
        "{}",
        error.message()
    );
    task(&world, &engine, "web").exit(7);
    assert_eq!(waiter.finish().await.exit_code, 7);
    let names: Vec<String> = engine
        .volumes
        .list()
        .iter()
        .map(|volume| volume.name.to_string())
        .collect();
    assert_eq!(names, ["keep"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_start_is_told_and_leaves_the_container() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let mut error = hyperbox_core::seam::TaskError::new(
        ErrorKind::NotFound,
        "exec: \"nosuch\": executable file not found in $PATH",
    );
    error.command = Some(hyperbox_types::shim::CommandFault::NotFound);
    world.tasks.fail_next_launch(error);
    let error = engine.containers.start("web").await.expect_err("cannot run");
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(
        error
            .message()
            .ends_with("exec: \"nosuch\": executable file not found in $PATH")
    );
    reach(&engine, "web", Phase::Created).await;
    assert_eq!(engine.containers.get("web").expect("record").state.exit_code, 127);
    engine.containers.start("web").await.expect("the next start works");
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_of_a_running_container_needs_force() {
    let (_world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let error = engine
        .containers
        .remove("web", RemoveOptions::default())
        .await
        .expect_err("runs");
    assert_eq!(
        error.message(),
        "cannot remove container \"web\": container is running: stop the container before removing or force remove"
    );
    let options = RemoveOptions {
        force: true,
        volumes: true,
    };
    engine.containers.remove("web", options).await.expect("forced");
    assert!(engine.containers.list().is_empty() && engine.volumes.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_change_while_running() {
    let (world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    engine.containers.start("web").await.expect("start");
    let resources = Resources {
        pids: Some(7),
        ..Resources::default()
    };
    engine
        .containers
        .update(
            "web",
            UpdateOptions {
                resources,
                ..Default::default()
            },
        )
        .await
        .expect("update");
    assert_eq!(task(&world, &engine, "web").updates(), ["{\"pids\":{\"limit\":7}}"]);
    assert_eq!(
        engine.containers.get("web").expect("record").spec.resources.pids,
        Some(7)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_race_on_one_container() {
    let (_world, engine) = with_app().await;
    create(&engine, "web", spec()).await;
    let starts = (0..8).map(|_| engine.containers.start("web"));
    let results = futures_util::future::join_all(starts).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error.kind(), ErrorKind::NotModified);
    }
    let options = RemoveOptions {
        force: true,
        volumes: false,
    };
    let removals = (0..8).map(|_| engine.containers.remove("web", options));
    let results = futures_util::future::join_all(removals).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    for error in results.into_iter().filter_map(Result::err) {
        assert!(
            matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_short_health_check_says_is_kept() {
    let (world, engine) = with_app().await;
    let health = HealthCheck {
        test: HealthTest::Command(vec!["check".to_owned()]),
        interval: Some(Duration::from_millis(5)),
        timeout: None,
        start_period: None,
        start_interval: None,
        retries: Some(1),
    };
    let spec = ContainerSpec {
        health: Some(health),
        ..spec()
    };
    create(&engine, "web", spec).await;
    engine.containers.start("web").await.expect("start");
    let task = task(&world, &engine, "web");
    task.script_execs(Script {
        stdout: b"said ".to_vec(),
        stderr: b"and warned".to_vec(),
        exit: Some(1),
    });
    crate::world::eventually("a check with the script", || {
        // The first check may have begun before there was a script.
        for exec in task.execs() {
            task.exit_exec(&exec, 0);
        }
        let record = engine.containers.get("web").expect("web");
        let last = record.state.health.as_ref().and_then(|health| health.log.back());
        match last {
            Some(probe) if probe.exit_code == 1 => {
                assert_eq!(probe.output, "said and warned");
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
