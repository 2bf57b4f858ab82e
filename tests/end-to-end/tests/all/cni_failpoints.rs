// SPDX-License-Identifier: MIT
//! The daemon dies at every step of making and removing an attachment by CNI plugins, and together with a container: whatever plugins
//! keep outside of the container, which is gone by then, goes after a restart.

use std::process::Command;

use hyperbox_testkit::environment::{DaemonOptions, Output, STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

/// A list whose plugins keep addresses in files and rules of iptables.
fn list(environment: &TestEnvironment) -> String {
    format!(
        r#"conflist={{"cniVersion": "1.0.0", "name": "front", "plugins": [
            {{"type": "bridge", "bridge": "cni-front", "isDefaultGateway": true, "ipMasq": true,
              "ipam": {{"type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "198.18.20.0/24"}}]]}}}},
            {{"type": "firewall"}}]}}"#,
        environment.path("addresses").display()
    )
}

/// Lives through all that plugins do, up to the first step that loses its daemon.
fn live(environment: &TestEnvironment) {
    let list = list(environment);
    let steps: [&[&str]; 4] = [
        &["network", "create", "--driver", "cni", "-o", &list, "front"],
        &[
            "run",
            "-d",
            "--name",
            "subject",
            "--network",
            "front",
            STARTER,
            "sleep",
            "600",
        ],
        &["rm", "-f", "subject"],
        &["network", "rm", "front"],
    ];
    for step in steps {
        if environment.hb(step).code != 0 {
            return;
        }
    }
}

/// Runs a program in the environment's network.
fn inside(environment: &TestEnvironment, words: &[&str]) -> String {
    let wrapper = environment.network().wrapper();
    Output::of(Command::new(&wrapper[0]).args(&wrapper[1..]).args(words)).succeeds()
}

/// Ends the test. The bridge is the whole network's: the specification has no word for its removal.
fn finish(environment: TestEnvironment) {
    inside(&environment, &["ip", "link", "delete", "cni-front"]);
    environment.finish();
}

/// What plugins have left: rules for an address, and the address.
fn remains(environment: &TestEnvironment) -> Vec<String> {
    let rules = inside(environment, &["iptables-save"]);
    let rules = rules.lines().filter(|line| line.contains("198.18.20."));
    let addresses = std::fs::read_dir(environment.path("addresses/front"))
        .into_iter()
        .flatten();
    let addresses = addresses.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    rules
        .map(str::to_owned)
        .chain(addresses.filter(|name| name.starts_with("198.18.20.")))
        .collect()
}

fn nothing_remains(environment: &TestEnvironment, after: &str) {
    wait_for("what plugins keep to go", || match remains(environment).as_slice() {
        [] => Ok(()),
        left => Err(format!("after {after}: {left:?}")),
    });
}

fn dies_at(point: &str) {
    let mut environment = TestEnvironment::start_with(&DaemonOptions {
        failpoint: Some(point.to_owned()),
        ..DaemonOptions::default()
    });
    environment.load_starter();
    live(&environment);
    // Fails here when the daemon never passes the point.
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&DaemonOptions::default());
    environment.remove_containers();
    nothing_remains(&environment, point);
    environment.hb(["network", "prune", "-f"]).succeeds();
    // The same commands succeed now.
    live(&environment);
    nothing_remains(&environment, point);
    assert_eq!(environment.container_ids(), Vec::<String>::new(), "after {point}");
    finish(environment);
}

#[test]
fn privileged_a_container_that_dies_with_the_daemon_leaves_nothing() {
    let mut environment = TestEnvironment::with_starter();
    let list = list(&environment);
    environment
        .hb(["network", "create", "--driver", "cni", "-o", &list, "front"])
        .succeeds();
    let id = environment.detached(&["--network", "front"], &["sleep", "600"]);
    assert!(!remains(&environment).is_empty());
    let pid = environment.inspect(&id)["State"]["Pid"].to_string();
    environment.kill_daemon();
    let mut kill = environment.command("kill".as_ref());
    Output::of(kill.args(["-KILL", &pid])).succeeds();
    environment.start_daemon(&DaemonOptions::default());
    environment.wait_for_status(&id, "exited");
    nothing_remains(&environment, "the death of both");
    environment.hb(["start", &id]).succeeds();
    environment.remove_containers();
    nothing_remains(&environment, "removal");
    finish(environment);
}

macro_rules! failpoints {
    ($($name:ident: $point:literal,)*) => {
        $(
            #[test]
            fn $name() {
                dies_at($point);
            }
        )*

        /// The points that have a test here.
        pub(crate) const TESTED: &[&str] = &[$($point),*];
    };
}

failpoints! {
    privileged_cni_after_note: "cni.after-note",
    privileged_cni_after_plugin: "cni.after-plugin",
    privileged_cni_after_answer: "cni.after-answer",
    privileged_cni_after_delete: "cni.after-delete",
}
