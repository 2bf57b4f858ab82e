// SPDX-License-Identifier: MIT
//! Networks of the drivers macvlan and ipvlan, through the daemon: containers with addresses of the network around the machine.
//!
//! The parent is one end of a veth pair in the environment's network namespace, the world outside its other end. Kernels without
//! ipvlan are many: its test runs in the virtual machine.

use std::process::Command;

use hyperbox_testkit::environment::{DaemonOptions, Output, STARTER, TestEnvironment};

/// The address of the world outside.
const OUTSIDE: &str = "100.98.0.254";

fn ip(environment: &TestEnvironment, words: &[&str]) -> Output {
    let wrapper = environment.network().wrapper();
    Output::of(Command::new(&wrapper[0]).args(&wrapper[1..]).arg("ip").args(words))
}

/// Makes the parent and a network of this driver, named `wire`.
fn wired(driver: &str) -> TestEnvironment {
    let environment = TestEnvironment::with_starter();
    for words in [
        &["link", "add", "parent", "type", "veth", "peer", "name", "outside"][..],
        &["link", "set", "parent", "up"],
        &["link", "set", "outside", "up"],
        &["address", "add", &format!("{OUTSIDE}/24"), "dev", "outside"],
    ] {
        ip(&environment, words).succeeds();
    }
    environment
        .hb([
            "network",
            "create",
            "--driver",
            driver,
            "--subnet",
            "100.98.0.0/24",
            "--gateway",
            OUTSIDE,
            "--opt",
            "parent=parent",
            "wire",
        ])
        .succeeds();
    environment
}

/// Containers reach each other by name, and the outside, also after another daemon has come.
fn containers_are_reached(mut environment: TestEnvironment, driver: &str) {
    let options = ["--name", "web", "--network", "wire", "--ip", "100.98.0.10"];
    environment.detached(&options, &["sleep", "600"]);
    let inspected = environment.hb(["network", "inspect", "wire"]).json()[0].take();
    assert_eq!(
        (&inspected["Driver"], &inspected["Options"]["parent"]),
        (&driver.into(), &"parent".into())
    );
    let ping = |environment: &TestEnvironment, target: &str| {
        let words = ["ping", "-c", "1", "-W", "5", target];
        let text = environment.run(&["--network", "wire"], &words);
        assert!(text.contains("1 packets received"), "{text}");
    };
    for target in ["web", "100.98.0.10", OUTSIDE] {
        ping(&environment, target);
    }
    let seen = environment.hb(["exec", "web", "ip", "-o", "-4", "address"]).succeeds();
    assert!(seen.contains("100.98.0.10/24"), "{seen}");
    let route = environment.hb(["exec", "web", "ip", "route"]).succeeds();
    assert!(route.contains(&format!("default via {OUTSIDE}")), "{route}");
    let _used = environment
        .hb(["network", "rm", "wire"])
        .exits_with(1)
        .complains("has active endpoints");
    let _taken = environment
        .hb([
            "run",
            "--rm",
            "--network",
            "wire",
            "--ip",
            "100.98.0.10",
            STARTER,
            "true",
        ])
        .exits_with(125)
        .complains("already in use");

    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    ping(&environment, "web");
    environment.hb(["restart", "-t", "0", "web"]).succeeds();
    ping(&environment, "web");
    environment.hb(["rm", "-f", "web"]).succeeds();
    environment.hb(["network", "rm", "wire"]).succeeds();
    // The parent was here before, and stays.
    ip(&environment, &["link", "show", "parent"]).succeeds();
    ip(&environment, &["link", "delete", "parent"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_macvlan_containers_are_reached() {
    containers_are_reached(wired("macvlan"), "macvlan");
}

#[test]
fn v2_ipvlan_containers_are_reached() {
    containers_are_reached(wired("ipvlan"), "ipvlan");
}
