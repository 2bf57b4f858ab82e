// SPDX-License-Identifier: MIT
//! What is waited for: services that have containers when the plan is carried out, and no others.

use std::collections::BTreeMap;

use hyperbox_project::model::Model;
use hyperbox_project::plan::{ContainerState, Observed, ObservedContainer, UpOptions, start, stop, up};

use super::{complete, container, model, says};

const PAIR: &str = "
services:
  db: {image: d, healthcheck: {test: x}}
  web: {image: w, depends_on: {db: {condition: service_healthy}}}
";

/// What `run` made of a service.
fn one_off(observed: &Observed, service: &str) -> ObservedContainer {
    let own = |container: &&ObservedContainer| container.service == service;
    ObservedContainer {
        id: "run1".to_owned(),
        name: format!("p-{service}-run-1"),
        one_off: true,
        ..observed.containers.iter().find(own).unwrap().clone()
    }
}

fn idle(model: &Model, state: ContainerState) -> Observed {
    let mut observed = complete(model);
    for container in &mut observed.containers {
        container.state = state;
    }
    observed
}

#[test]
fn what_is_scaled_away_is_not_waited_for() {
    let model = model(PAIR);
    let mut observed = complete(&model);
    container(&mut observed, "p-web-1").state = ContainerState::Exited(0);
    let options = UpOptions {
        scale: BTreeMap::from([("db".to_owned(), 0)]),
        ..UpOptions::default()
    };
    says(
        &up(&model, &observed, &options).unwrap().to_string(),
        "1 stop p-db-1 (too many)
         2 remove p-db-1 (too many) after 1
         3 start p-web-1 (not running)",
    );
}

/// `docker compose up --no-deps` waits for nothing, be it there or not.
#[test]
fn without_dependencies_nothing_is_waited_for() {
    let model = model(PAIR);
    let options = UpOptions {
        services: vec!["web".to_owned()],
        without_dependencies: true,
        ..UpOptions::default()
    };
    let mut observed = complete(&model);
    let left = one_off(&observed, "db");
    container(&mut observed, "p-web-1").state = ContainerState::Exited(0);
    observed.containers.push(left);
    // First the service has a container beside what `run` left, then that alone.
    for _ in 0..2 {
        says(
            &up(&model, &observed, &options).unwrap().to_string(),
            "1 start p-web-1 (not running)",
        );
        observed.containers.retain(|container| container.name != "p-db-1");
    }
}

#[test]
fn a_broken_one_is_not_waited_for_but_the_next_one_is() {
    let model = model(PAIR);
    let mut observed = idle(&model, ContainerState::Exited(0));
    container(&mut observed, "p-db-1").state = ContainerState::Dead;
    says(
        &up(&model, &observed, &UpOptions::default()).unwrap().to_string(),
        "1 remove p-db-1 (broken)
         2 create p-db-1 (missing) after 1
         3 start p-db-1 (missing) after 2
         4 wait until db is healthy (needed by web) after 3
         5 start p-web-1 (not running) after 4",
    );
}

#[test]
fn start_waits_as_up_does() {
    let pair = model(PAIR);
    let mut observed = idle(&pair, ContainerState::Exited(0));
    says(
        &start(&pair, &observed, &[]).unwrap().to_string(),
        "1 start p-db-1 (not running)
         2 wait until db is healthy (needed by web) after 1
         3 start p-web-1 (not running) after 2",
    );
    container(&mut observed, "p-db-1").state = ContainerState::Running;
    says(
        &start(&pair, &observed, &["web".to_owned()]).unwrap().to_string(),
        "1 wait until db is healthy (needed by web)
         2 start p-web-1 (not running) after 1",
    );
    let left = one_off(&observed, "db");
    observed.containers.retain(|container| container.service != "db");
    observed.containers.push(left);
    // As Compose says it, before anything is started.
    let refusal = start(&pair, &observed, &[]).unwrap_err().to_string();
    assert_eq!(refusal, "web is missing dependency db");
    assert!(start(&pair, &complete(&pair), &[]).unwrap().is_empty());
}

#[test]
fn providers_are_named_instead_of_images() {
    let model = model(
        "
services:
  db: {provider: {type: cloud, options: {size: 5}}}
  web: {image: w, depends_on: [db]}
  cron: {image: c}
",
    );
    let planned = |services: &[&str]| {
        let services = services.iter().map(|name| (*name).to_owned()).collect();
        let options = UpOptions {
            services,
            ..UpOptions::default()
        };
        up(&model, &Observed::default(), &options)
    };
    let refusal = "service \"db\" is made by the provider \"cloud\", which only Docker Compose can call";
    for services in [&[][..], &["web"], &["db"]] {
        assert_eq!(planned(services).unwrap_err().to_string(), refusal);
    }
    assert!(!planned(&["cron"]).unwrap().is_empty());
}

#[test]
fn start_tells_what_is_missing() {
    let services = "
services:
  db: {image: d}
  web: {image: w, depends_on: [db]}
  cron: {image: c, depends_on: {db: {condition: service_healthy, required: false}}}
";
    let model = model(services);
    let refusal = |observed: &Observed, named: &[&str]| {
        let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        start(&model, observed, &named).unwrap_err().to_string()
    };
    let nothing = Observed::default();
    for named in [&[][..], &["web"], &["cron"]] {
        assert_eq!(refusal(&nothing, named), "service \"db\" has no container to start");
    }
    // What has only to be started is started if it can be; what can be done without is noted.
    let mut observed = idle(&model, ContainerState::Exited(0));
    observed.containers.retain(|container| container.service != "db");
    let plan = start(&model, &observed, &[]).unwrap();
    says(
        &plan.to_string(),
        "1 start p-cron-1 (not running)
         2 start p-web-1 (not running)
         note: cron is missing dependency db",
    );
}

#[test]
fn stop_leaves_what_run_made() {
    let model = model(PAIR);
    let mut observed = complete(&model);
    let run = one_off(&observed, "web");
    observed.containers.push(run);
    for services in [&[][..], &["web".to_owned()][..]] {
        let plan = stop(&model, &observed, services).unwrap().to_string();
        assert!(plan.contains("stop p-web-1 ") && !plan.contains("run"), "{plan}");
    }
}
