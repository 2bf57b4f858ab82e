// SPDX-License-Identifier: MIT
//! Docker's own Compose beside ours: each finds what the other made.
//!
//! The names begin with `docker_cli_`: where Docker's clients are not installed, `cargo xtask test` leaves them out and says so.

use hyperbox_testkit::environment::TestEnvironment;

use crate::project_folder::{Folder, SHOP, nothing_is_left};

const SERVICES: [&str; 4] = ["db", "job", "web", "worker"];

#[test]
fn docker_cli_privileged_compose_sees_what_hb_made() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    shop.hb(&environment, &["up", "-d"]).succeeds();
    let list = shop
        .compose(&environment, &["ps", "--all", "--format", "{{.Service}} {{.State}}"])
        .succeeds();
    let mut lines: Vec<&str> = list.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "db running",
            "job exited",
            "web running",
            "worker running",
            "worker running"
        ]
    );
    let logs = shop.compose(&environment, &["logs", "--no-color", "job"]).succeeds();
    assert!(logs.contains("visited"), "{logs}");
    shop.compose(&environment, &["restart", "worker"]).succeeds();
    shop.is_up(&environment, 2);
    shop.compose(&environment, &["down", "-v"]).succeeds();
    assert_eq!(environment.container_ids().len(), 0);
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}

#[test]
fn docker_cli_privileged_compose_made_it_and_hb_goes_on() {
    let environment = TestEnvironment::with_starter();
    let shop = Folder::new(&environment, "shop", SHOP);
    shop.compose(&environment, &["up", "-d"]).succeeds();
    let list = environment.hb(["project", "list"]).succeeds();
    assert!(list.contains("shop"), "{list}");
    // What it made is taken over as it is, and what is made now is nothing new to it.
    let adopted: Vec<_> = SERVICES.map(|service| shop.ids(&environment, service)).into();
    shop.hb(&environment, &["up", "-d"]).succeeds();
    shop.is_up(&environment, 2);
    let now: Vec<_> = SERVICES.map(|service| shop.ids(&environment, service)).into();
    assert_eq!(now, adopted);
    shop.hb(&environment, &["up", "-d", "--force-recreate"]).succeeds();
    shop.is_up(&environment, 2);
    let ours: Vec<_> = SERVICES.map(|service| shop.ids(&environment, service)).into();
    assert_ne!(ours, adopted);
    shop.compose(&environment, &["up", "-d"]).succeeds();
    shop.is_up(&environment, 2);
    let now: Vec<_> = SERVICES.map(|service| shop.ids(&environment, service)).into();
    assert_eq!(now, ours);
    assert_eq!(environment.container_ids().len(), 5);
    shop.hb(&environment, &["down", "-v"]).succeeds();
    environment.hb(["project", "remove", "shop"]).succeeds();
    nothing_is_left(&environment);
    environment.finish();
}
