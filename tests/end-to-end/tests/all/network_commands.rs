// SPDX-License-Identifier: MIT
//! The commands about networks and ports, and the overviews, as the user sees them. That traffic flows is tested elsewhere.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

#[test]
fn privileged_predefined_networks_are_listed_and_stay() {
    let environment = TestEnvironment::start();
    assert_eq!(
        environment
            .hb(["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"])
            .succeeds(),
        "bridge bridge local\nhost host local\nnone null local"
    );
    let table = environment.hb(["network", "ls", "--filter", "name=host"]).succeeds();
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    assert_eq!((lines.len(), &lines[1][1..]), (2, &["host", "host", "local"][..]));
    let id = environment
        .hb(["network", "ls", "-q", "--no-trunc", "-f", "name=host"])
        .succeeds();
    assert_eq!(
        environment
            .hb(["network", "inspect", "-f", "{{.Id}} {{.Name}}", "host"])
            .succeeds(),
        format!("{id} host")
    );
    let _refused = environment
        .hb(["network", "rm", "bridge"])
        .exits_with(1)
        .complains("Error response from daemon: bridge is a pre-defined network and cannot be removed");
    let missing = environment
        .hb(["network", "rm", "nosuch"])
        .exits_with(1)
        .complains("network nosuch not found");
    assert_eq!(missing.stderr, "Error response from daemon: network nosuch not found\n");
    let forgiven = environment.hb(["network", "rm", "-f", "nosuch"]);
    assert_eq!(
        (forgiven.code, forgiven.stdout.as_str(), forgiven.stderr.as_str()),
        (0, "", "")
    );
    assert_eq!(environment.hb(["network", "prune", "-f"]).succeeds(), "");
    environment.finish();
}

#[test]
fn privileged_a_network_lives_and_is_removed() {
    let environment = TestEnvironment::with_starter();
    // What one daemon has just used is not free for another one on the machine: no two runs use the same.
    let process = std::process::id();
    let prefix = format!("10.{}.{}", 128 + process / 256 % 128, process % 256);
    let at = |host: &str| format!("{prefix}.{host}");
    let id = environment
        .hb([
            "network",
            "create",
            "--subnet",
            &at("0/24"),
            "--gateway",
            &at("1"),
            "--label",
            "purpose=test",
            "own",
        ])
        .succeeds();
    assert_eq!(id.len(), 64);
    let _refused = environment
        .hb(["network", "create", "own"])
        .exits_with(1)
        .complains("Error response from daemon: network with name own already exists");
    let _refused = environment
        .hb(["network", "create", "--subnet", &at("0/25"), "other"])
        .exits_with(1)
        .complains("Pool overlaps with other one on this address space");
    assert_eq!(
        environment
            .hb([
                "network",
                "inspect",
                "-f",
                "{{.Name}} {{json .IPAM.Config}} {{.Labels.purpose}}",
                "own"
            ])
            .succeeds(),
        format!(r#"own [{{"Subnet":"{prefix}.0/24","Gateway":"{prefix}.1"}}] test"#)
    );
    assert_eq!(
        environment
            .hb(["network", "ls", "-q", "--no-trunc", "-f", "label=purpose"])
            .succeeds(),
        id
    );
    environment.detached(
        &[
            "--name",
            "member",
            "--network",
            "name=own,alias=first",
            "--ip",
            &at("9"),
        ],
        &["sleep", "600"],
    );
    let address = "{{(index .NetworkSettings.Networks \"own\").IPAddress}}";
    assert_eq!(environment.hb(["inspect", "-f", address, "member"]).succeeds(), at("9"));
    let _refused = environment
        .hb(["network", "rm", "own"])
        .exits_with(1)
        .complains("has active endpoints");
    environment.detached(&["--name", "late"], &["sleep", "600"]);
    for words in [
        &[
            "network",
            "connect",
            "--ip",
            &at("77"),
            "--alias",
            "second",
            "own",
            "late",
        ][..],
        &["network", "disconnect", "own", "member"],
    ] {
        assert_eq!(environment.hb(words).succeeds(), "", "{words:?}");
    }
    assert_eq!(environment.hb(["inspect", "-f", address, "late"]).succeeds(), at("77"));
    let _refused = environment
        .hb(["network", "connect", "own", "nosuch"])
        .exits_with(1)
        .complains("Error response from daemon: No such container: nosuch");
    environment.hb(["rm", "-f", "member", "late"]).succeeds();
    assert_eq!(
        environment
            .hb(["network", "prune", "-f", "--filter", "label=purpose=test"])
            .succeeds(),
        "Deleted Networks:\nown"
    );
    environment.finish();
}

#[test]
fn privileged_published_ports_are_shown() {
    let environment = TestEnvironment::with_starter();
    environment.detached(
        &[
            "--name",
            "web",
            "-p",
            "127.0.0.1::80",
            "-p",
            "127.0.0.1::53/udp",
            "--expose",
            "99",
        ],
        &["sleep", "600"],
    );
    let lines = environment.hb(["port", "web"]).succeeds();
    let tcp = environment.hb(["port", "web", "80"]).succeeds();
    let udp = environment.hb(["port", "web", "53/udp"]).succeeds();
    assert_eq!(lines, format!("53/udp -> {udp}\n80/tcp -> {tcp}"));
    assert!(tcp.starts_with("127.0.0.1:") && !tcp.ends_with(":0"), "{tcp}");
    let _refused = environment
        .hb(["port", "web", "99"])
        .exits_with(1)
        .complains("Error: No public port '99' published for web");
    let column = environment.hb(["ps", "--format", "{{.Ports}}"]).succeeds();
    assert_eq!(column, format!("99/tcp, {udp}->53/udp, {tcp}->80/tcp"));
    environment.finish();
}

#[test]
fn privileged_overviews() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["volume", "create", "kept"]).succeeds();
    environment.detached(&["--name", "user", "-v", "kept:/data"], &["sleep", "600"]);
    let summary = environment.hb(["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]);
    assert_eq!(
        summary.succeeds(),
        "Images 1 1\nContainers 1 1\nLocal Volumes 1 1\nBuild Cache 0 0"
    );
    let details = environment.hb(["system", "df", "-v"]).succeeds();
    for text in [
        "Images space usage:\n\nREPOSITORY",
        "\n\nContainers space usage:\n\nCONTAINER ID",
        "\n\nLocal Volumes space usage:\n\nVOLUME NAME",
        "\n\nBuild cache usage: 0B\n\nCACHE ID",
    ] {
        assert!(details.contains(text), "{text:?} is not in {details}");
    }
    let names = environment.hb([
        "system",
        "df",
        "-v",
        "--format",
        "{{range .Containers}}{{.Names}} {{.LocalVolumes}}{{end}} {{range .Volumes}}{{.Name}} {{.Links}}{{end}}",
    ]);
    assert_eq!(names.succeeds(), "user 1 kept 1");
    let tree = environment.hb(["images", "--tree"]).succeeds();
    let name = STARTER.rsplit('/').next().unwrap();
    let row = tree.lines().find(|line| line.starts_with(name));
    assert!(row.is_some_and(|line| line.trim_end().ends_with('U')), "{tree}");
    environment.finish();
}

#[test]
fn privileged_events_are_told_afterwards_and_as_they_happen() {
    let environment = TestEnvironment::start();
    let id = environment.hb(["volume", "create", "kept"]).succeeds();
    environment.hb(["volume", "rm", "kept"]).succeeds();
    let past = environment
        .hb([
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--filter",
            "type=volume",
            "--format",
            "{{.Type}} {{.Action}} {{.Actor.ID}}",
        ])
        .succeeds();
    assert_eq!(past, format!("volume create {id}\nvolume destroy {id}"));
    let mut command = environment.hb_command(["events", "--filter", "type=volume"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    let reading = thread::spawn(move || {
        output
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| send.send(line))
    });
    // Nobody tells when the program has subscribed: things happen until it says so.
    let line = wait_for("an event", || {
        environment.hb(["volume", "create", "live"]).succeeds();
        environment.hb(["volume", "rm", "live"]).succeeds();
        lines.try_recv().map_err(|error| error.to_string())
    });
    assert!(
        line.contains(" volume ") && line.ends_with(" live (driver=local)"),
        "{line}"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    drop(lines);
    // What could not be told any more was one event too many.
    drop(reading.join().unwrap());
    environment.finish();
}
