// SPDX-License-Identifier: MIT
//! The daemon dies at every step of making networks, joining, connecting, disconnecting and leaving them: after a restart containers
//! and networks are what the records say, nothing is leaked, and the same commands succeed.

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

/// Lives through all that can be done with networks, up to the first step that loses its daemon.
fn live(environment: &TestEnvironment) {
    let steps: [&[&str]; 9] = [
        &["network", "create", "front"],
        &["network", "create", "back"],
        &[
            "run",
            "-d",
            "--name",
            "subject",
            "--network",
            "front",
            "--network",
            "back",
            "-p",
            "80",
            STARTER,
            "sleep",
            "600",
        ],
        &["network", "disconnect", "back", "subject"],
        &["network", "connect", "back", "subject"],
        &["network", "disconnect", "back", "subject"],
        &["rm", "-f", "subject"],
        &["network", "rm", "back"],
        &["network", "rm", "front"],
    ];
    for step in steps {
        if environment.hb(step).code != 0 {
            return;
        }
    }
}

/// Every container that runs has exactly the links of its networks, and they work.
fn tells_the_truth(environment: &TestEnvironment, point: &str) {
    for id in environment.container_ids() {
        if environment.status(&id) != "running" {
            continue;
        }
        let container = environment.inspect(&id);
        let networks = container["NetworkSettings"]["Networks"].as_object().unwrap().len();
        wait_for("the links of the record", || {
            let links = environment.hb(["exec", &id, "ls", "/sys/class/net"]).succeeds();
            let count = links.lines().filter(|link| *link != "lo").count();
            if count == networks {
                Ok(())
            } else {
                Err(format!("{links} for {networks} networks, after {point}"))
            }
        });
    }
    environment.remove_containers();
    environment.hb(["network", "prune", "-f"]).succeeds();
    let left = environment
        .hb(["network", "ls", "-q", "--filter", "type=custom"])
        .succeeds();
    assert_eq!(left, "", "after {point}");
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
    tells_the_truth(&environment, point);
    // The same commands succeed now.
    live(&environment);
    assert_eq!(environment.container_ids(), Vec::<String>::new(), "after {point}");
    let left = environment
        .hb(["network", "ls", "-q", "--filter", "type=custom"])
        .succeeds();
    assert_eq!(left, "", "after {point}");
    environment.finish();
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
    privileged_network_after_record: "network.after-record",
    privileged_network_after_attach: "network.after-attach",
    privileged_network_after_publish: "network.after-publish",
    privileged_network_after_connect: "network.after-connect",
    privileged_network_after_connect_record: "network.after-connect-record",
    privileged_network_after_disconnect_record: "network.after-disconnect-record",
    privileged_network_after_detach: "network.after-detach",
    privileged_network_after_remove: "network.after-remove",
}
