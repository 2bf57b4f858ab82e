// SPDX-License-Identifier: MIT
//! `hb network`, `hb port`, `hb events`: what is asked of the daemon, and what is made of its answers.

use hyperbox_types::stream::{Channel, header};
use serde_json::{Value, json};

use super::daemon::{Daemon, answer, raw};
use super::program::{run, run_with_input};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Returns the JSON body of a recorded request.
fn body(daemon: &Daemon, index: usize) -> Value {
    let request = daemon.request(index);
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn create_asks_for_everything_that_was_typed() {
    let daemon = Daemon::start(vec![
        answer("201 Created", r#"{"Id":"abc","Warning":""}"#),
        answer("201 Created", r#"{"Id":"def","Warning":"mind the gap"}"#),
    ]);
    let words = [
        "--host",
        daemon.address(),
        "network",
        "create",
        "-d",
        "macvlan",
        "--subnet",
        "10.0.0.0/24,fd00::/64",
        "--gateway=10.0.0.1",
        "--ip-range",
        "10.0.0.128/25",
        "--aux-address",
        "a=10.0.0.2",
        "--aux-address",
        "b=fd00::2",
        "--ipv6",
        "--ipv4=false",
        "--internal",
        "--attachable",
        "--ingress=f",
        "--scope",
        "local",
        "--config-only",
        "--config-from",
        "other",
        "--ipam-driver",
        "own",
        "--ipam-opt",
        "i=j",
        "--label",
        "l",
        "--label",
        "m=n=o",
        "-o",
        "parent=eth0",
        "--opt=com.docker.network.driver.mtu=1400",
        "net",
    ];
    let result = run(&words);
    assert_eq!(
        (result.code, result.stdout.as_str(), result.stderr.as_str()),
        (Some(0), "abc\n", "")
    );
    assert_eq!(daemon.request_lines()[0], "POST /v1.51/networks/create HTTP/1.1");
    assert_eq!(
        body(&daemon, 0),
        json!({
            "Name": "net", "Driver": "macvlan", "Scope": "local", "EnableIPv4": false, "EnableIPv6": true,
            "IPAM": {"Driver": "own", "Options": {"i": "j"}, "Config": [
                {"Subnet": "10.0.0.0/24", "IPRange": "10.0.0.128/25", "Gateway": "10.0.0.1", "AuxiliaryAddresses": {"a": "10.0.0.2"}},
                {"Subnet": "fd00::/64", "AuxiliaryAddresses": {"b": "fd00::2"}},
            ]},
            "Internal": true, "Attachable": true, "Ingress": false, "ConfigOnly": true, "ConfigFrom": {"Network": "other"},
            "Options": {"parent": "eth0", "com.docker.network.driver.mtu": "1400"}, "Labels": {"l": "", "m": "n=o"},
        })
    );
    let result = run(&["--host", daemon.address(), "network", "create", "plain"]);
    assert_eq!(
        (result.stdout.as_str(), result.stderr.as_str()),
        ("def\n", "WARNING: mind the gap\n")
    );
    let plain = body(&daemon, 1);
    assert_eq!(
        (&plain["Driver"], &plain["IPAM"]),
        (&json!("bridge"), &json!({"Driver": "default", "Options": {}}))
    );
    assert!(plain.get("EnableIPv4").is_none() && plain.get("EnableIPv6").is_none());
}

#[test]
fn connect_and_disconnect() {
    let daemon = Daemon::start(vec![
        answer("200 OK", ""),
        answer("200 OK", ""),
        answer("200 OK", ""),
        answer(
            "403 Forbidden",
            r#"{"message":"endpoint with name c already exists in network n"}"#,
        ),
    ]);
    let host = ["--host", daemon.address(), "network"];
    let all = [
        "connect",
        "--ip",
        "1.2.3.4",
        "--ip6",
        "fd00::9",
        "--alias",
        "a",
        "--alias",
        "b,c",
        "--link",
        "d:e",
        "--link-local-ip",
        "169.254.1.1",
        "--driver-opt",
        "k=V",
        "--gw-priority",
        "-7",
        "n",
        "c",
    ];
    for words in [&["connect", "n", "c"][..], &all, &["disconnect", "-f", "n", "c"]] {
        let result = run(&[&host, words].concat());
        assert_eq!(
            (result.code, result.stdout.as_str(), result.stderr.as_str()),
            (Some(0), "", ""),
            "{words:?}"
        );
    }
    let result = run(&[&host[..], &["connect", "n", "c"]].concat());
    assert_eq!(
        (result.code, result.stderr.as_str()),
        (
            Some(1),
            "Error response from daemon: endpoint with name c already exists in network n\n"
        )
    );
    let lines = daemon.request_lines();
    assert_eq!(lines[1], "POST /v1.51/networks/n/connect HTTP/1.1");
    assert_eq!(lines[2], "POST /v1.51/networks/n/disconnect HTTP/1.1");
    assert_eq!(body(&daemon, 0), json!({"Container": "c", "EndpointConfig": {}}));
    assert_eq!(
        body(&daemon, 1),
        json!({"Container": "c", "EndpointConfig": {
            "IPAMConfig": {"IPv4Address": "1.2.3.4", "IPv6Address": "fd00::9", "LinkLocalIPs": ["169.254.1.1"]},
            "Links": ["d:e"], "Aliases": ["a", "b", "c"], "DriverOpts": {"k": "V"}, "GwPriority": -7,
        }})
    );
    assert_eq!(body(&daemon, 2), json!({"Container": "c", "Force": true}));
}

#[test]
fn remove_tries_all_and_force_forgives_what_is_missing() {
    let missing = r#"{"message":"network x not found"}"#;
    let daemon = Daemon::start(vec![
        answer("404 Not Found", missing),
        answer("204 No Content", ""),
        answer("404 Not Found", missing),
        answer(
            "403 Forbidden",
            r#"{"message":"error while removing network: network y has active endpoints"}"#,
        ),
    ]);
    let result = run(&["--host", daemon.address(), "network", "rm", "x", "ok"]);
    assert_eq!(
        (result.code, result.stdout.as_str(), result.stderr.as_str()),
        (Some(1), "ok\n", "Error response from daemon: network x not found\n")
    );
    let result = run(&["--host", daemon.address(), "network", "rm", "-f", "x", "y"]);
    assert_eq!(
        (result.code, result.stdout.as_str(), result.stderr.as_str()),
        (
            Some(1),
            "",
            "Error response from daemon: error while removing network: network y has active endpoints\n"
        )
    );
    assert_eq!(daemon.request_lines()[1], "DELETE /v1.51/networks/ok HTTP/1.1");
}

#[test]
fn prune_asks_first() {
    let daemon = Daemon::start(vec![
        answer("200 OK", r#"{"NetworksDeleted":["a","b"]}"#),
        answer("200 OK", r#"{"NetworksDeleted":null}"#),
    ]);
    let words = ["--host", daemon.address(), "network", "prune", "--filter", "until=1h"];
    let question = "WARNING! This will remove all custom networks not used by at least one container.\n\
                    Are you sure you want to continue? [y/N] ";
    let refused = run_with_input(&words, b"n\n");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(0), question));
    assert!(daemon.request_lines().is_empty());
    let result = run_with_input(&words, b"y\n");
    assert_eq!(
        (result.code, result.stdout),
        (Some(0), format!("{question}Deleted Networks:\na\nb\n\n"))
    );
    let result = run(&[&words[..], &["-f"]].concat());
    assert_eq!((result.code, result.stdout.as_str()), (Some(0), ""));
    assert_eq!(
        daemon.request_lines()[0],
        "POST /v1.51/networks/prune?filters=%7B%22until%22%3A%7B%221h%22%3Atrue%7D%7D HTTP/1.1"
    );
}

#[test]
fn list_in_every_form() {
    let networks = r#"[{"Name":"n10","Id":"0123456789abcdef","Driver":"bridge","Scope":"local","Created":"2026-01-02T03:04:05.5Z","EnableIPv4":true,"EnableIPv6":false,"Internal":false,"Labels":{"a":"b"}},
        {"Name":"n9","Id":"fedcba9876543210","Driver":"macvlan","Scope":"local","Created":"2026-01-02T03:04:05Z","EnableIPv4":true,"EnableIPv6":true,"Internal":true,"Labels":null}]"#;
    for (words, expected) in [
        (
            &[][..],
            "NETWORK ID     NAME      DRIVER    SCOPE\nfedcba987654   n9        macvlan   local\n0123456789ab   n10       bridge    local\n",
        ),
        (&["-q"], "fedcba987654\n0123456789ab\n"),
        (&["-q", "--no-trunc"], "fedcba9876543210\n0123456789abcdef\n"),
        (
            &["--format", "{{.Name}}:{{.Internal}}:{{.IPv6}}:{{.Label \"a\"}}"],
            "n9:true:true:\nn10:false:false:b\n",
        ),
        (
            &["--format", "table {{.Name}}\\t{{.CreatedAt}}"],
            "NAME      CREATED AT\nn9        2026-01-02 03:04:05 +0000 UTC\nn10       2026-01-02 03:04:05.5 +0000 UTC\n",
        ),
        (
            &["--format", "json"],
            "{\"CreatedAt\":\"2026-01-02 03:04:05 +0000 UTC\",\"Driver\":\"macvlan\",\"ID\":\"fedcba987654\",\"IPv4\":\"true\",\"IPv6\":\"true\",\"Internal\":\"true\",\"Labels\":\"\",\"Name\":\"n9\",\"Scope\":\"local\"}\n\
             {\"CreatedAt\":\"2026-01-02 03:04:05.5 +0000 UTC\",\"Driver\":\"bridge\",\"ID\":\"0123456789ab\",\"IPv4\":\"true\",\"IPv6\":\"false\",\"Internal\":\"false\",\"Labels\":\"a=b\",\"Name\":\"n10\",\"Scope\":\"local\"}\n",
        ),
    ] {
        let daemon = Daemon::start(vec![answer("200 OK", networks)]);
        let result = run(&[&["--host", daemon.address(), "network", "ls"], words].concat());
        assert_eq!((result.code, result.stdout.as_str()), (Some(0), expected), "{words:?}");
    }
}

#[test]
fn wrong_words_have_dockers_texts() {
    for (arguments, code, text) in [
        (
            &["network", "create"][..],
            1,
            "hb: 'hb network create' requires 1 argument\n",
        ),
        (
            &["network", "create", "a", "b"],
            1,
            "hb: 'hb network create' requires 1 argument\n",
        ),
        (
            &["network", "connect", "n"],
            1,
            "hb: 'hb network connect' requires 2 arguments\n",
        ),
        (
            &["network", "rm"],
            1,
            "hb: 'hb network rm' requires at least 1 argument\n",
        ),
        (
            &["network", "prune", "x"],
            1,
            "hb: 'hb network prune' accepts no arguments\n",
        ),
        (
            &["port"],
            1,
            "hb: 'hb port' requires at least 1 and at most 2 arguments\n",
        ),
        (
            &["network", "connect", "", "c"],
            1,
            "hb: invalid network name or ID: value is empty\n",
        ),
        (
            &["network", "connect", "n", " "],
            1,
            "hb: invalid container name or ID: value is empty\n",
        ),
        (
            &["network", "connect", "--driver-opt", "a", "n", "c"],
            1,
            "hb: invalid key/value pair format in driver options\n",
        ),
        (
            &["network", "connect", "--link", "a:b:c", "n", "c"],
            125,
            "hb: invalid argument \"a:b:c\" for \"--link\" flag: bad format for links: a:b:c\n",
        ),
        (
            &["network", "connect", "--gw-priority", "x", "n", "c"],
            125,
            "hb: invalid argument \"x\" for \"--gw-priority\" flag: strconv.ParseInt: parsing \"x\": invalid syntax\n",
        ),
        (
            &["network", "create", "--ipv4=x", "n"],
            125,
            "hb: invalid argument \"x\" for \"--ipv4\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\n",
        ),
        (
            &["network", "create", "--label", "=x", "n"],
            125,
            "hb: invalid argument \"=x\" for \"--label\" flag: invalid label '=x': empty name\n",
        ),
        (
            &["network", "create", "--gateway", "10.0.0.1", "n"],
            1,
            "hb: every ip-range or gateway must have a corresponding subnet\n",
        ),
        (&["run", "-p", "-1:80", "i"], 125, "hb: invalid hostPort: -1\n"),
        (
            &["create", "--network", "a", "--network", "host", "i"],
            125,
            "hb: conflicting options: cannot attach both user-defined and non-user-defined network-modes\n",
        ),
        (
            &["run", "--dns-search", "-a", "i"],
            125,
            "hb: invalid argument \"-a\" for \"--dns-search\" flag: -a is not a valid domain\n",
        ),
        (
            &["network", "prune", "--filter", "x"],
            125,
            "hb: invalid argument \"x\" for \"--filter\" flag: bad format of filter (expected name=value)\n",
        ),
        (
            &["images", "--tree", "-q"],
            1,
            "hb: --quiet is not yet supported with --tree\n",
        ),
        (
            &["events", "--since", "x"],
            1,
            "hb: failed to parse value as time or duration: \"x\"\n",
        ),
    ] {
        // Nothing listens there: what is wrong is found before.
        let result = run(&[&["--host", "tcp://127.0.0.1:1"], arguments].concat());
        assert_eq!(result.code, Some(code), "{arguments:?}: {result:?}");
        assert!(result.stderr.starts_with(text), "{arguments:?}: {}", result.stderr);
    }
}

/// The one request of `hb run` carries all options of networks and ports, as Docker's body of a creation.
#[test]
fn run_sends_networks_and_ports() {
    let event = |text: &str| {
        let mut frame = header(Channel::Control, u32::try_from(text.len()).unwrap()).to_vec();
        frame.extend_from_slice(text.as_bytes());
        frame
    };
    let daemon = Daemon::start(vec![raw([
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: hyperbox-run\r\n\r\n".to_vec(),
        event(&format!(r#"{{"event":"created","id":"{ID}"}}"#)),
        event(r#"{"event":"exited","code":0}"#),
    ]
    .concat())]);
    let result = run(&[
        "--host",
        daemon.address(),
        "run",
        "--network",
        "name=a,alias=x,gw-priority=3",
        "--network",
        "b",
        "--ip",
        "10.0.0.9",
        "--mac-address",
        "02:42:ac:11:00:02",
        "--link",
        "other:o",
        "-p",
        "127.0.0.1:8080-8081:80-81/udp",
        "-p",
        "[::1]::90",
        "-P",
        "--expose",
        "99/sctp",
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "example.com.",
        "--dns-opt",
        "ndots:2",
        "--add-host",
        "gate=host-gateway",
        "--add-host",
        "six:[::1]",
        "--hostname",
        "h",
        "busybox",
    ]);
    assert_eq!(result.code, Some(0), "{result:?}");
    assert_eq!(daemon.request_lines()[0], "POST /hyperbox/v1/run HTTP/1.1");
    let container = body(&daemon, 0)["container"].take();
    let host = &container["HostConfig"];
    assert_eq!(
        container["NetworkingConfig"]["EndpointsConfig"],
        json!({
            "a": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Links": ["other:o"], "MacAddress": "02:42:ac:11:00:02",
                  "Aliases": ["x"], "GwPriority": 3},
            "b": {},
        })
    );
    assert_eq!(
        container["ExposedPorts"],
        json!({"80/udp": {}, "81/udp": {}, "90/tcp": {}, "99/sctp": {}})
    );
    assert_eq!(
        host["PortBindings"],
        json!({
            "80/udp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}],
            "81/udp": [{"HostIp": "127.0.0.1", "HostPort": "8081"}],
            "90/tcp": [{"HostIp": "::1", "HostPort": ""}],
        })
    );
    for (field, value) in [
        ("NetworkMode", json!("a")),
        ("PublishAllPorts", json!(true)),
        ("Links", json!(["other:o"])),
        ("Dns", json!(["1.1.1.1"])),
        ("DnsSearch", json!(["example.com"])),
        ("DnsOptions", json!(["ndots:2"])),
        ("ExtraHosts", json!(["gate:host-gateway", "six:::1"])),
    ] {
        assert_eq!(host[field], value, "{field}");
    }
}

#[test]
fn ports_of_a_container() {
    let state = r#"{"Id":"1","NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"9/udp":null}}}"#;
    for (words, code, stdout, stderr) in [
        (
            &["port", "c"][..],
            0,
            "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n",
            "",
        ),
        (&["container", "port", "c", "80"], 0, "0.0.0.0:8080\n[::]:8080\n", ""),
        (
            &["port", "c", "9/udp"],
            1,
            "",
            "Error: No public port '9/udp' published for c\n",
        ),
    ] {
        let daemon = Daemon::start(vec![answer("200 OK", state)]);
        let result = run(&[&["--host", daemon.address()], words].concat());
        assert_eq!(
            (result.code, result.stdout.as_str(), result.stderr.as_str()),
            (Some(code), stdout, stderr),
            "{words:?}"
        );
    }
}

#[test]
fn events_come_one_by_one() {
    let event = r#"{"Type":"network","Action":"create","Actor":{"ID":"59bf","Attributes":{"type":"bridge","name":"n"}},"scope":"local","time":1,"timeNano":1000000002}"#;
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    for (words, expected) in [
        (&["events", "--since", "1", "--until", "2.5"][..], {
            "1970-01-01T00:00:01.000000002Z network create 59bf (name=n, type=bridge)\n".to_owned()
        }),
        (&["system", "events", "--format", "json"], format!("{event}\n")),
        (
            &["events", "--format", "{{.TimeNano}} {{.Actor.Attributes.name}}"],
            "1000000002 n\n".to_owned(),
        ),
    ] {
        let chunk = format!("{head}{:x}\r\n{event}\n\r\n0\r\n\r\n", event.len() + 1);
        let daemon = Daemon::start(vec![raw(chunk)]);
        let result = run(&[&["--host", daemon.address()], words].concat());
        assert_eq!(
            (result.code, result.stdout),
            (Some(0), expected),
            "{words:?}: {}",
            result.stderr
        );
        if words.contains(&"--since") {
            assert_eq!(
                daemon.request_lines()[0],
                "GET /v1.51/events?since=1.000000000&until=2.500000000 HTTP/1.1"
            );
        }
    }
}
