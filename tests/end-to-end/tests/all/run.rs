// SPDX-License-Identifier: MIT
//! `hb run`: output, input, exit codes and the options that shape the process.

use std::fs;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};

#[test]
fn privileged_output_and_exit_code_are_passed_on() {
    let environment = TestEnvironment::with_starter();
    let script = "echo to stdout; echo to stderr >&2; exit 7";
    let output = environment
        .hb(["run", "--rm", STARTER, "sh", "-c", script])
        .exits_with(7);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("to stdout\n", "to stderr\n")
    );
    let _nothing = environment.hb(["run", "--rm", STARTER, "true"]).exits_with(0);
    assert!(environment.container_ids().is_empty());
    environment.finish();
}

#[test]
fn privileged_standard_input_reaches_the_process_and_ends() {
    let environment = TestEnvironment::with_starter();
    let input: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let sum = environment
        .hb_with_input(["run", "--rm", "-i", STARTER, "sha256sum"], &input)
        .succeeds();
    let expected = environment
        .hb_with_input(["run", "--rm", "-i", STARTER, "cat"], b"hello")
        .succeeds();
    assert_eq!(expected, "hello");
    let mut oracle = environment.command("sha256sum".as_ref());
    let oracle = hyperbox_testkit::environment::Output::with_input(&mut oracle, &input).succeeds();
    assert_eq!(sum, oracle);
    // Without -i there is no input, whatever the caller has.
    assert_eq!(
        environment
            .hb_with_input(["run", "--rm", STARTER, "cat"], b"unread")
            .succeeds(),
        ""
    );
}

#[test]
fn privileged_a_timeline_tells_who_did_what() {
    let environment = TestEnvironment::with_starter();
    let file = environment.path("timeline.json");
    let wish = format!("--trace={}", file.display());
    let output = environment
        .hb(["run", "--rm", &wish, STARTER, "sh", "-c", "echo out; exit 3"])
        .exits_with(3);
    assert_eq!(output.stdout, "out\n");
    let (table, trace) = (output.stderr, fs::read_to_string(&file).unwrap());
    for step in [
        "request accepted",
        "networks joined",
        "filter found",
        "cgroups made",
        "command executed",
        "container removed",
        "end heard of",
    ] {
        assert!(table.contains(step), "{step} is not in\n{table}");
        assert!(trace.contains(step), "{step} is not in {trace}");
    }
    let document: serde_json::Value = serde_json::from_str(&trace).unwrap();
    let events = document["traceEvents"].as_array().unwrap();
    assert!(
        events.iter().all(|event| event["dur"].as_f64().unwrap_or(0.0) >= 0.0),
        "{trace}"
    );
    // In the background, too, there is a timeline of the start, and without a wish there is none.
    let output = environment.hb(["run", "-d", "--trace", STARTER, "true"]).exits_with(0);
    assert!(output.stderr.contains("start heard of"), "{}", output.stderr);
    assert!(!output.stderr.contains("end heard of\n") || !output.stderr.contains("container removed"));
    let output = environment.hb(["run", "--rm", STARTER, "true"]).exits_with(0);
    assert_eq!(output.stderr, "");
    environment.finish();
}

#[test]
fn privileged_much_output_is_complete() {
    let environment = TestEnvironment::with_starter();
    let script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); head -c 65536 /dev/zero | tr '\\0' x; echo; done";
    let output = environment
        .hb(["run", "--rm", STARTER, "sh", "-c", script])
        .exits_with(0);
    assert_eq!(output.stdout.len(), 200 * 65537);
}

#[test]
fn privileged_environment_working_directory_and_entrypoint() {
    let environment = TestEnvironment::with_starter();
    let file = environment.path("variables");
    fs::write(&file, "# comment\nFROM_FILE=two words\nPASSED\n").unwrap();
    let mut command = environment.hb_command(["run", "--rm", "-e", "GIVEN=one", "-e", "PASSED", "--env-file"]);
    command.arg(&file).args([
        "-w",
        "/made/here",
        STARTER,
        "sh",
        "-c",
        "echo $GIVEN; echo $FROM_FILE; echo $PASSED; pwd",
    ]);
    let output = hyperbox_testkit::environment::Output::of(command.env("PASSED", "three"));
    assert_eq!(output.succeeds(), "one\ntwo words\nthree\n/made/here");

    let entrypoint = environment
        .hb(["run", "--rm", "--entrypoint", "echo", STARTER, "a", "b"])
        .succeeds();
    assert_eq!(entrypoint, "a b");
}

#[test]
fn privileged_hostname_and_hosts() {
    let environment = TestEnvironment::with_starter();
    let options = [
        "--hostname",
        "box",
        "--add-host",
        "other:192.0.2.7",
        "--dns",
        "192.0.2.53",
        "--dns-search",
        "example.org",
    ];
    let text = environment.shell(&options, "hostname; cat /etc/hostname; cat /etc/hosts /etc/resolv.conf");
    assert!(text.starts_with("box\nbox\n"), "{text}");
    for part in [
        "192.0.2.7\tother",
        "\tbox",
        "127.0.0.1\tlocalhost",
        "nameserver 192.0.2.53",
        "search example.org",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let id = environment.detached(&[], &["sleep", "60"]);
    let name = environment.hb(["exec", &id, "hostname"]).succeeds();
    assert_eq!(name, id[..12]);
    environment.finish();
}

#[test]
fn privileged_a_small_init_reaps_and_forwards() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(
        &["--init"],
        &[
            "sh",
            "-c",
            "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 1; done",
        ],
    );
    environment.wait_for_log(&id, "ready");
    environment.hb(["stop", &id]).succeeds();
    environment.wait_for_log(&id, "got it");
    assert_eq!(environment.inspect(&id)["State"]["ExitCode"], 3);
    let processes = environment.shell(&["--init"], "(sleep 0.1 &) ; ps -o pid,comm");
    assert!(
        processes
            .lines()
            .any(|line| line.trim().starts_with("1 ") && !line.ends_with(" sh")),
        "{processes}"
    );
}

#[test]
fn privileged_labels_stop_signal_and_stop_timeout() {
    let environment = TestEnvironment::with_starter();
    let options = [
        "--label",
        "a=b",
        "--label",
        "c",
        "--stop-signal",
        "USR1",
        "--stop-timeout",
        "1",
        "--name",
        "labelled",
    ];
    environment.detached(
        &options,
        &[
            "sh",
            "-c",
            "trap 'exit 5' USR1; echo ready; while :; do usleep 20000; done",
        ],
    );
    environment.wait_for_log("labelled", "ready");
    let container = environment.inspect("labelled");
    assert_eq!(container["Config"]["Labels"]["a"], "b");
    let signal = container["Config"]["StopSignal"].as_str().unwrap();
    assert_eq!(signal.trim_start_matches("SIG"), "USR1");
    environment.hb(["stop", "labelled"]).succeeds();
    assert_eq!(environment.inspect("labelled")["State"]["ExitCode"], 5);
    let listed = environment
        .hb(["ps", "-a", "--filter", "label=a=b", "--format", "{{.Names}}"])
        .succeeds();
    assert_eq!(listed, "labelled");
}

#[test]
fn privileged_pull_policies() {
    let environment = TestEnvironment::with_starter();
    assert_eq!(environment.run(&["--pull", "never"], &["echo", "here"]), "here");
    let _refused = environment
        .hb(["run", "--rm", "--pull", "never", "nosuch:1", "true"])
        .exits_with(125)
        .complains("nosuch:1");
    let registry = environment.registry(hyperbox_testkit::registry::RegistryAccess::Anyone);
    let layout = environment.layout(&hyperbox_testkit::images::starter(), Default::default());
    let image = registry.add("policy:1", &layout);
    for policy in ["missing", "always"] {
        let output = environment.hb(["run", "--rm", "--pull", policy, &image, "echo", "pulled"]);
        assert_eq!(output.succeeds(), "pulled");
    }
    drop(registry);
    let _offline = environment
        .hb(["run", "--rm", "--pull", "always", &image, "true"])
        .exits_with(125);
    let cached = environment.hb(["run", "--rm", &image, "echo", "cached"]).succeeds();
    assert_eq!(cached, "cached");
}

#[test]
fn privileged_restart_policies_count_and_remember_a_manual_stop() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["--restart", "on-failure:2"], &["sh", "-c", "echo try; exit 4"]);
    environment.wait_for_status(&id, "exited");
    hyperbox_testkit::wait_for("the last restart", || {
        let container = environment.inspect(&id);
        let tries = environment.hb(["logs", &id]).succeeds().matches("try").count();
        if container["RestartCount"] == 2 && tries == 3 && container["State"]["Status"] == "exited" {
            Ok(())
        } else {
            Err(format!("{} restarts, {tries} tries", container["RestartCount"]))
        }
    });
    let always = environment.detached(&["--restart", "always"], &["sh", "-c", "sleep 0.2; exit 1"]);
    hyperbox_testkit::wait_for("the restart", || {
        let container = environment.inspect(&always);
        if container["RestartCount"].as_u64().unwrap_or(0) > 0 {
            Ok(())
        } else {
            Err(container["State"].to_string())
        }
    });
    environment.hb(["stop", "-t", "0", &always]).succeeds();
    environment.wait_for_status(&always, "exited");
    environment.finish();
}
