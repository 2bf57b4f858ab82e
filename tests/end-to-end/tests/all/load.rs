// SPDX-License-Identifier: MIT
//! Many containers, one after the other and at once.

use std::sync::atomic::{AtomicU32, Ordering};

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

/// Calls `work` with the numbers below `count`, so many at a time.
fn in_parallel(count: u32, at_once: u32, work: impl Fn(u32) + Sync) {
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

#[test]
fn privileged_two_hundred_containers_leave_the_machine_as_it_was() {
    let environment = TestEnvironment::with_starter();
    environment.run(&[], &["true"]);
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", environment.daemon_pid()))
            .unwrap()
            .count()
    };
    let before = (environment.census(), descriptors());
    in_parallel(200, 5, |number| {
        let text = number.to_string();
        assert_eq!(environment.run(&[], &["echo", &text]), text);
    });
    assert!(environment.container_ids().is_empty());
    hyperbox_testkit::wait_for("everything to be as before", || {
        let left = environment.census().added(&before.0);
        // Sandboxes that are kept ready are not leaks as long as they do not grow with the number of containers.
        let lines = left.lines().filter(|line| !line.contains("process: ")).count();
        let open = descriptors();
        if lines <= 40 && open <= before.1 + 40 {
            Ok(())
        } else {
            Err(format!("{open} descriptors and\n{left}"))
        }
    });
    environment.finish();
}

#[test]
fn privileged_fifty_at_once_are_listed_right() {
    let environment = TestEnvironment::with_starter();
    in_parallel(50, 10, |number| {
        environment.detached(&["--name", &format!("many-{number}")], &["sleep", "600"]);
    });
    let names = environment.hb(["ps", "--format", "{{.Names}}"]).succeeds();
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    let mut expected: Vec<String> = (0..50).map(|number| format!("many-{number}")).collect();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let mut addresses: Vec<String> = expected
        .iter()
        .map(|name| environment.inspect(name)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"].to_string())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 50, "each has an address of its own");
    in_parallel(50, 10, |number| {
        environment.hb(["rm", "-f", &format!("many-{number}")]).succeeds();
    });
    environment.finish();
}

#[test]
fn privileged_the_daemon_survives_a_death_under_load() {
    let mut environment = TestEnvironment::with_starter();
    std::thread::scope(|scope| {
        let shared = &environment;
        for _ in 0..4 {
            scope.spawn(move || {
                for _ in 0..10 {
                    // Some of these lose their daemon.
                    let _outcome = shared.hb(["run", "--rm", STARTER, "true"]);
                }
            });
        }
        let pid = environment.daemon_pid().to_string();
        hyperbox_testkit::wait_for("a container", || {
            let ids = environment.hb(["ps", "-aq"]);
            if ids.stdout.is_empty() {
                Err("there is none".to_owned())
            } else {
                Ok(())
            }
        });
        let mut kill = environment.command("kill".as_ref());
        hyperbox_testkit::environment::Output::of(kill.args(["-KILL", &pid])).succeeds();
    });
    let _died = environment.wait_for_daemon_death();
    environment.start_daemon(&Default::default());
    hyperbox_testkit::wait_for("all to be gone", || {
        let states = environment.hb(["ps", "-a", "--format", "{{.State}}"]).succeeds();
        if states.is_empty() { Ok(()) } else { Err(states) }
    });
    environment.finish();
}
