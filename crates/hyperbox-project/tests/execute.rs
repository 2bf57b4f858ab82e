// SPDX-License-Identifier: MIT
//! Runs over a scripted engine: what is done, in which order, what is told, and what is left when something fails or is cancelled.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

#[path = "execute/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::time::Duration;

use hyperbox_project::execute::{
    DownRequest, ImagesToRemove, Pull, StopWish, Summary, UpRequest, Verb, down, prepare_up, services, up,
};
use hyperbox_project::model::{Build, Condition, Dependency, Model, Network, Service, Volume};
use hyperbox_project::plan::{DownOptions, Recreate, UpOptions};
use hyperbox_types::ErrorKind;
use hyperbox_types::project::{OperationPhase, ProjectEvent};
use scripted::{Script, Trial};

fn service(depends_on: &[(&str, Condition)]) -> Service {
    Service {
        image: Some("i".to_owned()),
        depends_on: depends_on
            .iter()
            .map(|(name, condition)| {
                let dependency = Dependency {
                    condition: *condition,
                    ..Dependency::default()
                };
                ((*name).to_owned(), dependency)
            })
            .collect(),
        networks: BTreeMap::from([("default".to_owned(), None)]),
        ..Service::default()
    }
}

/// `web` waits until `db` is healthy, `side` for nothing; one network, one volume.
fn shop() -> Model {
    Model {
        name: "p".to_owned(),
        services: BTreeMap::from([
            ("db".to_owned(), service(&[])),
            ("side".to_owned(), service(&[])),
            ("web".to_owned(), service(&[("db", Condition::Healthy)])),
        ]),
        networks: BTreeMap::from([(
            "default".to_owned(),
            Network {
                name: "p_default".to_owned(),
                ..Network::default()
            },
        )]),
        volumes: BTreeMap::from([(
            "data".to_owned(),
            Volume {
                name: "p_data".to_owned(),
                ..Volume::default()
            },
        )]),
        ..Model::default()
    }
}

fn changed(model: &Model) -> Model {
    let mut model = model.clone();
    for service in model.services.values_mut() {
        service.working_dir = Some("/elsewhere".to_owned());
    }
    model
}

async fn up_all(trial: &Trial, model: &Model) -> (Result<(), String>, Summary) {
    up_with(trial, model, UpRequest::default()).await
}

async fn up_with(trial: &Trial, model: &Model, request: UpRequest) -> (Result<(), String>, Summary) {
    trial.engine.set_model(model);
    let mut summary = Summary::default();
    let result = up(&trial.run(), model, &request, &mut summary).await;
    (result.map_err(|error| error.message), summary)
}

#[tokio::test]
async fn dependencies_are_waited_for_and_the_rest_goes_on() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    let (result, summary) = up_all(&trial, &shop()).await;
    assert_eq!(result, Ok(()));
    assert_eq!((summary.created, summary.started), (4, 3));
    let log = trial.engine.log();
    let position = |line: &str| {
        log.iter()
            .position(|known| known == line)
            .unwrap_or_else(|| panic!("{line} in {log:?}"))
    };
    assert_eq!(log[0], "create network default");
    assert!(position("start p-db-1") < position("start p-web-1"), "{log:?}");
    assert!(position("create p-web-1") < position("start p-web-1"), "{log:?}");
    // Nothing has to be done the second time.
    let again = up_all(&trial, &shop()).await;
    assert_eq!((again.0, again.1), (Ok(()), Summary::default()));
    assert_eq!(trial.engine.log(), log);
}

#[tokio::test]
async fn operations_that_wait_for_nothing_overlap() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    assert!(trial.engine.most_at_once() >= 3, "{}", trial.engine.most_at_once());
}

#[tokio::test]
async fn a_dependency_that_fails_ends_the_run() {
    let trial = Trial::new(Script::default().unhealthy("p-db-1"));
    let (result, _) = up_all(&trial, &shop()).await;
    assert_eq!(
        result,
        Err("dependency failed to start: container p-db-1 is unhealthy".to_owned())
    );
    assert_eq!(trial.engine.state("p-web-1").as_deref(), Some("created"));
    assert_eq!(trial.engine.state("p-side-1").as_deref(), Some("running"));
    let phases = trial.phases("start p-web-1");
    assert_eq!(phases, [OperationPhase::Skipped]);
}

#[tokio::test]
async fn a_dependency_that_may_fail_is_told_of() {
    let mut model = shop();
    let web = model.services.get_mut("web").unwrap();
    web.depends_on.get_mut("db").unwrap().required = false;
    let trial = Trial::new(Script::default().unhealthy("p-db-1"));
    assert_eq!(up_all(&trial, &model).await.0, Ok(()));
    assert_eq!(trial.engine.state("p-web-1").as_deref(), Some("running"));
    assert!(
        trial
            .notes()
            .contains(&"optional dependency \"db\" failed to start: container p-db-1 is unhealthy".to_owned()),
        "{:?}",
        trial.notes()
    );
}

#[tokio::test]
async fn a_failure_stops_what_was_not_begun_and_names_itself() {
    let trial = Trial::new(Script::default().healthy("p-db-1").failing("create p-db-1"));
    let (result, _) = up_all(&trial, &shop()).await;
    assert_eq!(result, Err("create p-db-1 was refused".to_owned()));
    assert_eq!(trial.phases("create p-db-1").last(), Some(&OperationPhase::Failed));
    assert_eq!(trial.phases("start p-db-1"), [OperationPhase::Skipped]);
    // What failed works now: the next run goes on.
    trial.engine.script(Script::default().healthy("p-db-1"));
    assert_eq!(up_all(&trial, &shop()).await.0, Ok(()));
    assert_eq!(trial.engine.running(), ["p-db-1", "p-side-1", "p-web-1"]);
}

#[tokio::test]
async fn a_run_that_is_cancelled_anywhere_is_resumed() {
    // At each operation there is; the last count is beyond the end.
    for count in 0..12 {
        let trial = Trial::new(Script::default().healthy("p-db-1"));
        trial.cancel_after(count);
        let (result, _) = up_all(&trial, &shop()).await;
        let interrupted = trial.engine.log();
        if count < 6 {
            assert_eq!(result, Err("the run was cancelled".to_owned()), "after {count}");
        }
        assert_eq!(trial.engine.unfinished(), 0, "after {count}: {interrupted:?}");
        let trial = trial.again();
        assert_eq!(up_all(&trial, &shop()).await.0, Ok(()), "after {count}");
        assert_eq!(
            trial.engine.running(),
            ["p-db-1", "p-side-1", "p-web-1"],
            "after {count}"
        );
    }
}

#[tokio::test]
async fn waiting_is_given_up_at_once() {
    // The check never says anything.
    let trial = Trial::new(Script::default().starting("p-db-1"));
    trial.cancel_after(4);
    let (result, _) = up_all(&trial, &shop()).await;
    assert_eq!(result, Err("the run was cancelled".to_owned()));
}

#[tokio::test]
async fn what_has_no_end_is_given_up() {
    // Cancelled while it hangs; then cancelled after something else has failed.
    for script in [Script::default(), Script::default().failing("start p-side-1")] {
        let fails = script.clone().healthy("p-db-1").hanging("start p-db-1");
        let trial = Trial::new(fails);
        trial.cancel_after(4);
        let (result, _) = up_all(&trial, &shop()).await;
        assert!(result.is_err());
        assert_eq!(trial.engine.unfinished(), 0);
        assert_eq!(trial.phases("start p-db-1").last(), Some(&OperationPhase::Failed));
    }
}

#[tokio::test]
async fn a_container_is_replaced_in_an_order_that_loses_nothing() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    let before = trial.engine.log().len();
    let (result, summary) = up_all(&trial, &changed(&shop())).await;
    assert_eq!(result, Ok(()));
    assert_eq!((summary.created, summary.removed, summary.started), (3, 3, 3));
    let log = trial.engine.log().split_off(before);
    let own: Vec<&str> = log
        .iter()
        .filter(|line| line.contains("side"))
        .map(String::as_str)
        .collect();
    let [create, stop, remove, rename, start] = own.as_slice() else {
        panic!("{own:?}");
    };
    assert!(
        create.starts_with("create ") && create.ends_with("_p-side-1"),
        "{own:?}"
    );
    assert_eq!(
        [*stop, *remove, *start],
        ["stop p-side-1", "remove p-side-1", "start p-side-1"]
    );
    assert!(
        rename.starts_with("rename ") && rename.ends_with(" p-side-1"),
        "{own:?}"
    );
}

#[tokio::test]
async fn a_replacement_that_is_interrupted_anywhere_is_finished() {
    for count in 0..20 {
        let trial = Trial::new(Script::default().healthy("p-db-1"));
        up_all(&trial, &shop()).await.0.unwrap();
        // As when the daemon dies: the engine does nothing more.
        trial.engine.die_after(count);
        let _died = up_all(&trial, &changed(&shop())).await;
        trial.engine.script(Script::default().healthy("p-db-1"));
        assert_eq!(up_all(&trial, &changed(&shop())).await.0, Ok(()), "after {count}");
        assert_eq!(
            trial.engine.running(),
            ["p-db-1", "p-side-1", "p-web-1"],
            "after {count}"
        );
        assert_eq!(trial.engine.names(), ["p-db-1", "p-side-1", "p-web-1"], "after {count}");
        let again = up_all(&trial, &changed(&shop())).await;
        assert_eq!(again.1, Summary::default(), "after {count}");
    }
}

#[tokio::test]
async fn images_are_pulled_before_anything_is_made() {
    let trial = Trial::new(Script::default().healthy("p-db-1").without_images());
    assert_eq!(up_all(&trial, &shop()).await.0, Ok(()));
    assert_eq!(trial.engine.log()[0], "pull i");
    let planned = trial
        .events()
        .iter()
        .position(|event| matches!(event, ProjectEvent::Planned { .. }));
    let pulled = trial
        .events()
        .iter()
        .position(|event| matches!(event, ProjectEvent::Pull { .. }));
    assert!(pulled < planned);
    // One that cannot be had.
    let trial = Trial::new(Script::default().without_images().failing("pull i"));
    assert_eq!(up_all(&trial, &shop()).await.0, Err("pull i was refused".to_owned()));
    assert_eq!(trial.engine.names(), Vec::<String>::new());
    // One that must not be pulled, and one that the client has to build.
    let trial = Trial::new(Script::default().without_images());
    let never = UpRequest {
        pull: Some(Pull::Never),
        ..UpRequest::default()
    };
    let refused = up_with(&trial, &shop(), never).await.0.unwrap_err();
    assert_eq!(refused, "image i of service \"db\" is not here and must not be pulled");
    let mut model = shop();
    model.services.get_mut("side").unwrap().build = Some(Build::default());
    assert_eq!(
        up_all(&trial, &model).await.0.unwrap_err(),
        "the image of service \"side\" is not built"
    );
    let prepared = prepare_up(&trial.engine, &model, &UpRequest::default()).await.unwrap();
    assert_eq!(prepared.needs.builds, ["side"]);
}

#[tokio::test]
async fn only_what_is_named_is_made_anew() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    let force = |dependencies| UpRequest {
        options: UpOptions {
            services: vec!["web".to_owned()],
            recreate: Recreate::Always,
            recreate_dependencies: dependencies,
            ..UpOptions::default()
        },
        ..UpRequest::default()
    };
    let (_, summary) = up_with(&trial, &shop(), force(Recreate::Changed)).await;
    assert_eq!((summary.created, summary.removed), (1, 1));
    let (_, summary) = up_with(&trial, &shop(), force(Recreate::Always)).await;
    assert_eq!((summary.created, summary.removed), (2, 2));
}

#[tokio::test]
async fn waiting_for_readiness_has_an_end() {
    let wait = |timeout| UpRequest {
        wait: true,
        wait_timeout: timeout,
        options: UpOptions {
            services: vec!["db".to_owned()],
            ..UpOptions::default()
        },
        ..UpRequest::default()
    };
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    assert_eq!(up_with(&trial, &shop(), wait(None)).await.0, Ok(()));
    let trial = Trial::new(Script::default().starting("p-db-1"));
    let late = up_with(&trial, &shop(), wait(Some(Duration::from_secs(7)))).await.0;
    assert_eq!(late, Err("the services are not ready after 7 s".to_owned()));
    let trial = Trial::new(Script::default().unhealthy("p-db-1"));
    let sick = up_with(&trial, &shop(), wait(None)).await.0;
    assert_eq!(sick, Err("container p-db-1 is unhealthy".to_owned()));
}

async fn down_with(trial: &Trial, request: DownRequest) -> Result<Summary, String> {
    let mut summary = Summary::default();
    let result = down(&trial.run(), &shop(), &request, &mut summary).await;
    result.map(|()| summary).map_err(|error| error.message)
}

#[tokio::test]
async fn down_leaves_nothing_and_goes_on_after_a_failure() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    trial.engine.script(Script::default().failing("remove p-side-1"));
    let all = || DownRequest {
        options: DownOptions {
            volumes: true,
            remove_orphans: false,
        },
        images: ImagesToRemove::All,
        ..DownRequest::default()
    };
    assert_eq!(
        down_with(&trial, all()).await,
        Err("remove p-side-1 was refused".to_owned())
    );
    assert_eq!(trial.engine.names(), ["p-side-1"], "the others are gone");
    assert_eq!(trial.phases("remove network p_default"), [OperationPhase::Skipped]);
    trial.engine.script(Script::default());
    let summary = down_with(&trial, all()).await.unwrap();
    assert_eq!(trial.engine.names(), Vec::<String>::new());
    assert_eq!(summary.removed, 3, "a container, the network, the image");
}

#[tokio::test]
async fn down_of_some_services_leaves_the_rest() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    let web = DownRequest {
        services: vec!["web".to_owned()],
        ..DownRequest::default()
    };
    down_with(&trial, web).await.unwrap();
    assert_eq!(trial.engine.running(), ["p-db-1", "p-side-1"]);
    let unknown = DownRequest {
        services: vec!["no".to_owned()],
        ..DownRequest::default()
    };
    assert_eq!(down_with(&trial, unknown).await, Err("no such service: no".to_owned()));
}

#[tokio::test]
async fn what_is_done_to_services() {
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &shop()).await.0.unwrap();
    for (verb, expected) in [
        (Verb::Pause, vec!["pause p-db-1"]),
        (Verb::Unpause, vec!["unpause p-db-1"]),
        (
            Verb::Restart {
                without_dependents: false,
            },
            vec!["restart p-db-1"],
        ),
        (
            Verb::Kill {
                signal: Some("HUP".to_owned()),
            },
            vec!["kill p-db-1 HUP"],
        ),
        (Verb::Stop, vec!["stop p-db-1"]),
        (Verb::Start { wait: Some(None) }, vec!["start p-db-1"]),
    ] {
        let before = trial.engine.log().len();
        let names = ["db".to_owned()];
        let mut summary = Summary::default();
        let done = services(&trial.run(), &shop(), &verb, &names, StopWish::default(), &mut summary).await;
        assert_eq!(done, Ok(()), "{verb:?}");
        assert_eq!(trial.engine.log().split_off(before), expected, "{verb:?}");
    }
    let mut summary = Summary::default();
    let names = ["no".to_owned()];
    let unknown = services(
        &trial.run(),
        &shop(),
        &Verb::Stop,
        &names,
        StopWish::default(),
        &mut summary,
    )
    .await;
    assert_eq!(unknown.map_err(|error| error.kind), Err(ErrorKind::InvalidArgument));
}

#[tokio::test]
async fn what_restarts_with_a_service() {
    let mut model = shop();
    let web = model.services.get_mut("web").unwrap();
    web.depends_on.get_mut("db").unwrap().restart = true;
    let trial = Trial::new(Script::default().healthy("p-db-1"));
    up_all(&trial, &model).await.0.unwrap();
    for (without_dependents, expected) in [
        (true, vec!["restart p-db-1"]),
        (false, vec!["restart p-db-1", "restart p-web-1"]),
    ] {
        let before = trial.engine.log().len();
        let names = ["db".to_owned()];
        let verb = Verb::Restart { without_dependents };
        let mut summary = Summary::default();
        let done = services(&trial.run(), &model, &verb, &names, StopWish::default(), &mut summary).await;
        assert_eq!(done, Ok(()));
        assert_eq!(trial.engine.log().split_off(before), expected);
    }
}
