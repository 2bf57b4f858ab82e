// SPDX-License-Identifier: MIT
//! Plans as text: a project, what there is of it, and what is to be done.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

#[path = "plans/conditions.rs"]
mod conditions;
#[path = "plans/in_the_way.rs"]
mod in_the_way;
#[path = "plans/scale.rs"]
mod scale;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use hyperbox_project::compose::{Files, Request, load};
use hyperbox_project::model::Model;
use hyperbox_project::plan::{
    ContainerState, DownOptions, Observed, ObservedContainer, ObservedNetwork, ObservedVolume, Plan, Recreate,
    UpOptions, down, network_hash, service_hash, start, stop, up, volume_hash,
};

struct One(&'static str);

impl Files for One {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }
    fn is_file(&self, _path: &Path) -> bool {
        true
    }
}

fn model(text: &'static str) -> Model {
    let request = Request {
        files: vec!["/p/compose.yaml".into()],
        directory: "/p".into(),
        name: Some("p".to_owned()),
        env_files: Vec::new(),
        environment: BTreeMap::new(),
        profiles: Vec::new(),
    };
    let project = load(&request, &One(text)).unwrap();
    Model::from_document(project.document()).unwrap()
}

const SHOP: &str = "
services:
  db: {image: d, volumes: ['data:/d'], healthcheck: {test: x}}
  job: {image: j, depends_on: {db: {condition: service_healthy}}}
  web: {image: w, scale: 2, depends_on: {db: {condition: service_healthy, restart: true}, job: {condition: service_completed_successfully}}}
volumes: {data: {}}
";

/// What there is after everything was done.
fn complete(model: &Model) -> Observed {
    let project = Some(model.name.clone());
    let mut observed = Observed::default();
    for (name, service) in &model.services {
        observed.images.insert(name.clone(), format!("{name}-image"));
        for number in 1..=service.replicas() {
            observed.containers.push(ObservedContainer {
                id: format!("{name}{number}"),
                name: hyperbox_project::plan::container_name(&model.name, name, service, number),
                service: name.clone(),
                number,
                one_off: false,
                state: ContainerState::Running,
                config_hash: service_hash(service),
                image: format!("{name}-image"),
            });
        }
    }
    for network in model.networks.values() {
        let known = ObservedNetwork {
            project: project.clone(),
            config_hash: Some(network_hash(network)),
        };
        observed.networks.insert(network.name.clone(), known);
    }
    for volume in model.volumes.values() {
        let known = ObservedVolume {
            project: project.clone(),
            config_hash: Some(volume_hash(volume)),
        };
        observed.volumes.insert(volume.name.clone(), known);
    }
    observed
}

fn container<'a>(observed: &'a mut Observed, name: &str) -> &'a mut ObservedContainer {
    observed
        .containers
        .iter_mut()
        .find(|container| container.name == name)
        .unwrap()
}

fn planned(model: &Model, observed: &Observed) -> String {
    up(model, observed, &UpOptions::default()).unwrap().to_string()
}

#[track_caller]
fn says(plan: &str, expected: &str) {
    let expected: String = expected
        .trim()
        .lines()
        .map(|line| format!("{}\n", line.trim()))
        .collect();
    assert_eq!(plan, expected);
}

#[test]
fn from_nothing() {
    let plan = planned(&model(SHOP), &Observed::default());
    says(
        &plan,
        "1 create network p_default (missing)
         2 create volume p_data (missing)
         3 create p-db-1 (missing) after 1, 2
         4 start p-db-1 (missing) after 3
         5 wait until db is healthy (needed by job) after 4
         6 create p-job-1 (missing) after 1
         7 start p-job-1 (missing) after 5, 6
         8 wait until job has ended well (needed by web) after 7
         9 create p-web-1 (missing) after 1
         10 start p-web-1 (missing) after 5, 8, 9
         11 create p-web-2 (missing) after 1
         12 start p-web-2 (missing) after 5, 8, 11",
    );
}

#[test]
fn nothing_to_do() {
    let shop = model(SHOP);
    assert!(up(&shop, &complete(&shop), &UpOptions::default()).unwrap().is_empty());
}

#[test]
fn only_what_changed() {
    let shop = model(SHOP);
    let mut observed = complete(&shop);
    container(&mut observed, "p-web-2").config_hash = "other".to_owned();
    says(
        &planned(&shop, &observed),
        "1 wait until db is healthy (needed by web)
         2 wait until job has ended well (needed by web)
         3 recreate p-web-2 (configuration changed)
         4 start p-web-2 (configuration changed) after 1, 2, 3",
    );
}

#[test]
fn what_depends_restarts_where_asked() {
    let shop = model(SHOP);
    let mut observed = complete(&shop);
    observed.images.insert("db".to_owned(), "new".to_owned());
    says(
        &planned(&shop, &observed),
        "1 recreate p-db-1 (image changed)
         2 start p-db-1 (image changed) after 1
         3 wait until db is healthy (needed by web) after 2
         4 wait until job has ended well (needed by web)
         5 restart p-web-1 (db is renewed) after 3, 4
         6 restart p-web-2 (db is renewed) after 3, 4",
    );
}

#[test]
fn an_interrupted_run_goes_on() {
    let shop = model(SHOP);
    let mut observed = complete(&shop);
    observed
        .containers
        .retain(|container| container.service != "web" || container.number == 2);
    container(&mut observed, "p-web-2").state = ContainerState::Created;
    container(&mut observed, "p-job-1").state = ContainerState::Exited(0);
    says(
        &planned(&shop, &observed),
        "1 wait until db is healthy (needed by job)
         2 start p-job-1 (not running) after 1
         3 wait until job has ended well (needed by web) after 2
         4 start p-web-2 (not running) after 1, 3
         5 create p-web-1 (missing)
         6 start p-web-1 (missing) after 1, 3, 5",
    );
}

#[test]
fn scaled_down_the_changed_and_the_highest_go() {
    let model = model("services: {a: {image: a, scale: 4}}");
    let mut observed = complete(&model);
    container(&mut observed, "p-a-1").config_hash = "other".to_owned();
    let options = UpOptions {
        scale: BTreeMap::from([("a".to_owned(), 2)]),
        ..UpOptions::default()
    };
    says(
        &up(&model, &observed, &options).unwrap().to_string(),
        "1 stop p-a-4 (too many)
         2 remove p-a-4 (too many) after 1
         3 stop p-a-1 (too many)
         4 remove p-a-1 (too many) after 3",
    );
}

#[test]
fn a_changed_network_takes_its_containers_along() {
    let model = model("services: {a: {image: a}, b: {image: b, network_mode: none}}");
    let mut observed = complete(&model);
    observed.networks.get_mut("p_default").unwrap().config_hash = Some("other".to_owned());
    says(
        &planned(&model, &observed),
        "1 stop p-a-1 (network p_default is renewed)
         2 remove p-a-1 (network p_default is renewed) after 1
         3 remove network p_default (configuration changed) after 2
         4 create network p_default (configuration changed) after 3
         5 create p-a-1 (missing) after 2, 4
         6 start p-a-1 (missing) after 5",
    );
}

#[test]
fn volumes_are_never_thrown_away() {
    let shop = model(SHOP);
    let mut observed = complete(&shop);
    observed.volumes.get_mut("p_data").unwrap().config_hash = Some("other".to_owned());
    let plan = up(&shop, &observed, &UpOptions::default()).unwrap();
    assert_eq!(plan.notes().len(), 1);
    assert!(plan.notes()[0].contains("is kept"), "{plan}");
}

#[test]
fn who_shares_a_namespace_is_made_anew_with_it() {
    let model = model("services: {a: {image: a}, b: {image: b, network_mode: 'service:a'}}");
    let mut observed = complete(&model);
    container(&mut observed, "p-a-1").config_hash = "other".to_owned();
    says(
        &planned(&model, &observed),
        "1 recreate p-a-1 (configuration changed)
         2 start p-a-1 (configuration changed) after 1
         3 recreate p-b-1 (a is renewed) after 1
         4 start p-b-1 (a is renewed) after 2, 3",
    );
}

#[test]
fn orphans_stay_unless_asked() {
    let model = model("services: {a: {image: a}}");
    let mut observed = complete(&model);
    let mut orphan = observed.containers[0].clone();
    orphan.service = "gone".to_owned();
    orphan.name = "p-gone-1".to_owned();
    observed.containers.push(orphan);
    says(
        &planned(&model, &observed),
        "note: containers of services that are no more: p-gone-1; --remove-orphans removes them",
    );
    let options = UpOptions {
        remove_orphans: true,
        ..UpOptions::default()
    };
    says(
        &up(&model, &observed, &options).unwrap().to_string(),
        "1 stop p-gone-1 (orphan)
         2 remove p-gone-1 (orphan) after 1",
    );
}

#[test]
fn recreation_can_be_asked_for_and_refused() {
    let model = model("services: {a: {image: a}}");
    let mut observed = complete(&model);
    let with = |observed: &Observed, recreate| {
        let options = UpOptions {
            recreate,
            ..UpOptions::default()
        };
        up(&model, observed, &options).unwrap().to_string()
    };
    says(
        &with(&observed, Recreate::Always),
        "1 recreate p-a-1 (asked for)
         2 start p-a-1 (asked for) after 1",
    );
    container(&mut observed, "p-a-1").config_hash = "other".to_owned();
    says(&with(&observed, Recreate::Never), "");
}

#[test]
fn some_services_with_and_without_what_they_need() {
    let model = model("services: {a: {image: a}, b: {image: b, depends_on: [a]}, c: {image: c}}");
    let asked = |without_dependencies| {
        let options = UpOptions {
            services: vec!["b".to_owned()],
            without_dependencies,
            only_create: true,
            ..UpOptions::default()
        };
        up(&model, &Observed::default(), &options).unwrap().to_string()
    };
    says(
        &asked(false),
        "1 create network p_default (missing)
         2 create p-a-1 (missing) after 1
         3 create p-b-1 (missing) after 1",
    );
    says(
        &asked(true),
        "1 create network p_default (missing)
         2 create p-b-1 (missing) after 1",
    );
    let options = UpOptions {
        services: vec!["no".to_owned()],
        ..UpOptions::default()
    };
    let error = up(&model, &Observed::default(), &options).unwrap_err();
    assert_eq!(error.to_string(), "no such service: no");
}

#[test]
fn what_is_external_has_to_be_there_and_stays() {
    let text = "services: {a: {image: a, networks: [out], volumes: ['vol:/v']}}\nnetworks: {out: {external: true}}\nvolumes: {vol: {external: true, name: real}}\n";
    let model = model(text);
    let error = |observed: &Observed| up(&model, observed, &UpOptions::default()).unwrap_err().to_string();
    let mut observed = Observed::default();
    assert_eq!(
        error(&observed),
        "network out declared as external, but could not be found"
    );
    let foreign = ObservedNetwork {
        project: None,
        config_hash: None,
    };
    observed.networks.insert("out".to_owned(), foreign);
    assert_eq!(error(&observed), "external volume \"real\" not found");
    let foreign = ObservedVolume {
        project: None,
        config_hash: None,
    };
    observed.volumes.insert("real".to_owned(), foreign);
    says(
        &planned(&model, &observed),
        "1 create p-a-1 (missing)
         2 start p-a-1 (missing) after 1",
    );
    let options = DownOptions {
        volumes: true,
        remove_orphans: true,
    };
    assert!(down(&model, &observed, options).is_empty());
}

#[test]
fn down_goes_backwards() {
    let shop = model(SHOP);
    let observed = complete(&shop);
    let options = DownOptions {
        volumes: true,
        remove_orphans: false,
    };
    says(
        &down(&shop, &observed, options).to_string(),
        "1 stop p-web-1 (asked for)
         2 stop p-web-2 (asked for)
         3 stop p-job-1 (asked for) after 1, 2
         4 stop p-db-1 (asked for) after 1, 2, 3
         5 remove p-db-1 (asked for) after 4
         6 remove p-job-1 (asked for) after 3
         7 remove p-web-1 (asked for) after 1
         8 remove p-web-2 (asked for) after 2
         9 remove network p_default (asked for) after 5, 6, 7, 8
         10 remove volume p_data (asked for) after 5, 6, 7, 8",
    );
}

#[test]
fn stop_and_start() {
    let shop = model(SHOP);
    let mut observed = complete(&shop);
    says(
        &stop(&shop, &observed, &["web".to_owned()]).unwrap().to_string(),
        "1 stop p-web-1 (asked for)
         2 stop p-web-2 (asked for)",
    );
    for container in &mut observed.containers {
        container.state = ContainerState::Exited(0);
    }
    says(
        &start(&shop, &observed, &["job".to_owned()]).unwrap().to_string(),
        "1 start p-db-1 (not running)
         2 wait until db is healthy (needed by job) after 1
         3 start p-job-1 (not running) after 2",
    );
    assert!(stop(&shop, &observed, &["no".to_owned()]).is_err());
}

#[test]
fn operations_wait_only_for_earlier_ones() {
    let shop = model(SHOP);
    let plans: [Plan; 3] = [
        up(&shop, &Observed::default(), &UpOptions::default()).unwrap(),
        down(&shop, &complete(&shop), DownOptions::default()),
        up(
            &shop,
            &complete(&shop),
            &UpOptions {
                recreate: Recreate::Always,
                ..UpOptions::default()
            },
        )
        .unwrap(),
    ];
    for plan in plans {
        for (index, operation) in plan.operations().iter().enumerate() {
            assert!(operation.after.iter().all(|number| number.index() < index), "{plan}");
        }
    }
}
