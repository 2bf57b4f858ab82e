// SPDX-License-Identifier: MIT
//! `kill -9` of the daemon while containers run.

use hyperbox_testkit::environment::{DaemonOptions, STARTER, TICKER, TestEnvironment};
use hyperbox_testkit::wait_for;

/// Requires that a ticker's log has every line once, in order.
fn is_complete(log: &str) {
    for (number, line) in (1_u32..).zip(log.lines()) {
        assert_eq!(line, format!("line {number}"), "in\n{log}");
    }
}

#[test]
fn privileged_containers_and_their_logs_go_on() {
    let mut environment = TestEnvironment::with_starter();
    environment.detached(&["--name", "ticker"], &["sh", "-c", TICKER]);
    environment.wait_for_log("ticker", "line 3");
    let pid = environment.inspect("ticker")["State"]["Pid"].clone();
    for _ in 0..3 {
        environment.kill_daemon();
        environment.start_daemon(&DaemonOptions::default());
        let container = environment.inspect("ticker");
        assert_eq!(
            (&container["State"]["Pid"], &container["State"]["Status"]),
            (&pid, &"running".into())
        );
    }
    let seen = environment.hb(["logs", "ticker"]).succeeds().lines().count();
    environment.wait_for_log("ticker", &format!("line {}", seen + 5));
    assert_eq!(
        environment.hb(["exec", "ticker", "echo", "inside"]).succeeds(),
        "inside"
    );
    environment.hb(["stop", "ticker"]).succeeds();
    assert_eq!(environment.inspect("ticker")["State"]["ExitCode"], 0);
    is_complete(&environment.hb(["logs", "ticker"]).succeeds());
    environment.finish();
}

#[test]
fn privileged_an_end_without_the_daemon_is_known_afterwards() {
    let mut environment = TestEnvironment::with_starter();
    let gate = environment.path("gate");
    std::fs::create_dir(&gate).unwrap();
    let bind = format!("{}:/gate", gate.display());
    let script = "while [ ! -e /gate/open ]; do usleep 20000; done; echo last words; exit 42";
    environment.detached(&["--name", "ends", "-v", &bind], &["sh", "-c", script]);
    environment.detached(&["--name", "removed", "--rm", "-v", &bind], &["sh", "-c", script]);
    let options = ["--name", "again", "--restart", "always", "-v", &bind];
    environment.detached(&options, &["sh", "-c", script]);
    let pids: Vec<String> = ["ends", "removed", "again"]
        .map(|name| environment.inspect(name)["State"]["Pid"].to_string())
        .into();
    environment.kill_daemon();
    std::fs::write(gate.join("open"), "").unwrap();
    wait_for("the containers to end", || {
        let alive: Vec<&String> = pids
            .iter()
            .filter(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists())
            .collect();
        if alive.is_empty() {
            Ok(())
        } else {
            Err(format!("{alive:?} live"))
        }
    });
    environment.start_daemon(&DaemonOptions::default());
    let state = environment.inspect("ends")["State"].clone();
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"exited".into(), &42.into()));
    assert_eq!(environment.hb(["wait", "ends"]).succeeds(), "42");
    assert_eq!(environment.hb(["logs", "ends"]).succeeds(), "last words");
    wait_for("the removal", || {
        let names = environment.hb(["ps", "-a", "--format", "{{.Names}}"]).succeeds();
        if names.contains("removed") { Err(names) } else { Ok(()) }
    });
    wait_for("the restart", || {
        let count = environment.inspect("again")["RestartCount"].as_u64().unwrap_or(0);
        if count > 0 {
            Ok(())
        } else {
            Err("not restarted".to_owned())
        }
    });
    environment.finish();
}

#[test]
fn privileged_a_dead_shim_is_noticed() {
    let mut environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    let pid: u32 = environment.inspect(&id)["State"]["Pid"].to_string().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned();
    let mut kill = environment.command("kill".as_ref());
    hyperbox_testkit::environment::Output::of(kill.args(["-KILL", &shim])).succeeds();
    environment.wait_for_status(&id, "exited");
    environment.hb(["rm", &id]).succeeds();
    // The same while the daemon is away.
    let id = environment.detached(&[], &["sleep", "600"]);
    let pid: u32 = environment.inspect(&id)["State"]["Pid"].to_string().parse().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let shim = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().to_owned();
    environment.kill_daemon();
    let mut kill = environment.command("kill".as_ref());
    hyperbox_testkit::environment::Output::of(kill.args(["-KILL", &shim])).succeeds();
    environment.start_daemon(&DaemonOptions::default());
    environment.wait_for_status(&id, "exited");
    environment.finish();
}

#[test]
fn privileged_paused_containers_stay_paused() {
    let mut environment = TestEnvironment::with_starter();
    let id = environment.detached(&[], &["sleep", "600"]);
    environment.hb(["pause", &id]).succeeds();
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(environment.status(&id), "paused");
    environment.hb(["unpause", &id]).succeeds();
    assert_eq!(environment.hb(["exec", &id, "echo", "thawed"]).succeeds(), "thawed");
    environment.finish();
}

#[test]
fn privileged_networks_are_adopted() {
    let mut environment = TestEnvironment::with_starter();
    let address = |environment: &TestEnvironment, id: &str| {
        environment.inspect(id)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = environment.detached(&[], &["sleep", "600"]);
    let before = address(&environment, &first);
    environment.kill_daemon();
    environment.start_daemon(&DaemonOptions::default());
    assert_eq!(address(&environment, &first), before);
    let second = environment.detached(&[], &["sleep", "600"]);
    assert_ne!(
        address(&environment, &second),
        before,
        "an address in use is not given again"
    );
    let ping = environment.hb(["run", "--rm", STARTER, "ping", "-c", "1", "-W", "5", &before]);
    assert!(ping.stdout.contains(" 0% packet loss"), "{ping}");
    environment.finish();
}
