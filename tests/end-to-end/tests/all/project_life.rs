// SPDX-License-Identifier: MIT
//! The life of a project of four services: up, unchanged, changed, scaled, interrupted wherever it can be, down.

use std::process::Stdio;

use hyperbox_testkit::environment::{DaemonOptions, TestEnvironment};
use hyperbox_testkit::wait_for;

use crate::project_folder::{Folder, PROJECTS, SHOP, nothing_is_left, shop_of};

#[test]
fn privileged_a_project_lives() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    shop.is_up(&environment, 2);
    assert_eq!(shop.page(&environment), "page of nobody");
    let jobs = shop.ids(&environment, "job");
    assert_eq!(environment.hb(["logs", &jobs[0]]).succeeds(), "visited");

    let all = environment.container_ids();
    shop.hb(&environment, &["up", "-d"]).succeeds();
    assert_eq!(environment.container_ids(), all, "nothing has changed");

    // Only what changed is made anew, at the same port.
    let (port, workers) = (shop.host_port(&environment, "web"), shop.ids(&environment, "worker"));
    assert!((10_000..60_000).contains(&port), "{port}");
    shop.write("compose.yaml", &shop_of("somebody"));
    shop.hb(&environment, &["up", "-d"]).succeeds();
    assert_eq!(shop.page(&environment), "page of somebody");
    assert_eq!(shop.host_port(&environment, "web"), port);
    assert_eq!(shop.ids(&environment, "worker"), workers);

    shop.hb(&environment, &["up", "-d", "--scale", "worker=4"]).succeeds();
    shop.is_up(&environment, 4);
    assert_eq!(shop.ids(&environment, "worker")[..2], workers);
    shop.hb(&environment, &["up", "-d", "--scale", "worker=1"]).succeeds();
    shop.is_up(&environment, 1);

    shop.hb(&environment, &["down"]).succeeds();
    assert_eq!(environment.container_ids().len(), 0);
    assert_eq!(environment.hb(["volume", "ls", "-q"]).succeeds(), "shop_data");
    shop.hb(&environment, &["up", "-d"]).succeeds();
    let jobs = shop.ids(&environment, "job");
    assert_eq!(
        environment.hb(["logs", &jobs[0]]).succeeds(),
        "visited\nvisited",
        "the volume stayed"
    );
    assert_eq!(shop.host_port(&environment, "web"), port, "and the port");
    shop.hb(&environment, &["down", "-v"]).succeeds();
    assert_eq!(environment.hb(["volume", "ls", "-q"]).succeeds(), "");
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

/// The daemon dies wherever it can in the middle of `up`: the next one goes on from there, and nothing is there twice.
fn up_dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    let cut_off = shop.hb(&environment, &["up", "-d"]);
    assert_ne!(cut_off.code, 0, "{cut_off}");
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    // A job that runs while there is no daemon finds nobody's name and fails, which a run that waits for it tells; the next starts it again.
    wait_for("the project to be up", || {
        let again = shop.hb(&environment, &["up", "-d"]);
        if again.code == 0 {
            Ok(())
        } else {
            Err(again.to_string())
        }
    });
    shop.is_up(&environment, 2);
    shop.hb(&environment, &["down", "-v"]).succeeds();
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_up_with_a_network_without_its_link() {
    // The first are those of the engine itself.
    up_dies_at("network.after-record:1");
}

#[test]
fn privileged_project_up_with_a_container_that_is_only_created() {
    up_dies_at("create.after-record:2");
}

#[test]
fn privileged_project_up_with_a_container_whose_start_is_not_recorded() {
    up_dies_at("start.after-launch:1");
    up_dies_at("start.after-record:3");
}

/// Who asked goes away in the middle: what was begun is finished, and the next `up` does the rest.
#[test]
fn privileged_project_whose_client_is_killed() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    let mut command = shop.command(&environment, &["up", "-d"]);
    let mut client = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first container", || match environment.container_ids().len() {
        0 => Err("none".to_owned()),
        _ => Ok(()),
    });
    // It fails only when it has ended by itself: then the machine was fast, and this is an unchanged `up`.
    let _ended = client.kill();
    client.wait().unwrap();
    wait_for("the run to end", || {
        let status = shop.status(&environment);
        if status["busy"] == false {
            Ok(())
        } else {
            Err(status.to_string())
        }
    });
    shop.hb(&environment, &["up", "-d"]).succeeds();
    shop.is_up(&environment, 2);
    environment.hb(["project", "remove", "--volumes", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn privileged_project_outlives_the_daemon() {
    let mut environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    let before = (environment.container_ids(), shop.host_port(&environment, "web"));
    let status = shop.status(&environment);
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    let after = shop.status(&environment);
    assert_eq!(
        (&after["ports"], &after["networks"]),
        (&status["ports"], &status["networks"])
    );
    shop.is_up(&environment, 2);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    assert_eq!(
        (environment.container_ids(), shop.host_port(&environment, "web")),
        before
    );
    shop.hb(&environment, &["project", "stop"]).succeeds();
    shop.hb(&environment, &["project", "start"]).succeeds();
    assert_eq!(shop.page(&environment), "page of nobody");
    assert_eq!(shop.host_port(&environment, "web"), before.1);
    environment.hb(["project", "remove", "--volumes", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

/// A record that says what it says: the project is known by it alone after its folder is gone.
#[test]
fn privileged_project_without_its_folder_can_be_removed() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    std::fs::remove_dir_all(environment.path("projects")).unwrap();
    let list = environment.hb(["project", "list"]).succeeds();
    assert!(list.contains("shop"), "{list}");
    environment.hb(["project", "remove", "--volumes", "shop"]).succeeds();
    let (code, body) = environment.api("GET", &format!("{PROJECTS}/shop"), "").unwrap();
    assert_eq!(code, 404, "{body}");
    nothing_is_left(&environment);
    environment.finish();
}
