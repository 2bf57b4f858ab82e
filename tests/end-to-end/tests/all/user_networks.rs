// SPDX-License-Identifier: MIT
//! Networks that users make: names, addresses, isolation, joining and leaving while containers run, and the death of the daemon.

use std::collections::BTreeSet;

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

/// A web server that serves `text`.
fn server(environment: &TestEnvironment, name: &str, options: &[&str], text: &str) {
    let script = format!("mkdir /www; echo {text} >/www/index.html; exec httpd -f -p 80 -h /www");
    let options = [&["--name", name], options].concat();
    environment.detached(&options, &["sh", "-c", &script]);
    wait_for("the server", || {
        let output = environment.hb(["exec", name, "wget", "-q", "-O", "-", "http://127.0.0.1/"]);
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
}

/// What a new container in a network gets from a web server.
fn visit(environment: &TestEnvironment, network: &str, host: &str) -> Result<String, String> {
    // Not as the first process, which signals of its own namespace do not end.
    let script = format!("timeout 3 wget -q -O - http://{host}/; exit $?");
    let words = ["run", "--rm", "--network", network, STARTER, "sh", "-c", &script];
    let output = environment.hb(words);
    if output.code == 0 {
        Ok(output.stdout.trim().to_owned())
    } else {
        Err(output.to_string())
    }
}

#[test]
fn privileged_containers_of_a_network_know_each_other_by_name() {
    let mut environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "front"]).succeeds();
    server(
        &environment,
        "web",
        &["--network", "front", "--network-alias", "www"],
        "served",
    );
    let id = environment.inspect("web")["Id"].as_str().unwrap()[..12].to_owned();
    for name in ["web", "www", "WEB", &id] {
        assert_eq!(visit(&environment, "front", name).unwrap(), "served", "{name}");
    }
    assert!(
        visit(&environment, "bridge", "web").is_err(),
        "the default network knows no names"
    );
    let reverse = environment.inspect("web")["NetworkSettings"]["Networks"]["front"]["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = environment.shell(&["--network", "front"], &format!("nslookup {reverse}"));
    assert!(answer.contains("web.front"), "{answer}");
    environment.kill_daemon();
    environment.start_daemon(&Default::default());
    assert_eq!(
        visit(&environment, "front", "www").unwrap(),
        "served",
        "after a restart"
    );
    let inside = environment.hb(["exec", "web", "wget", "-q", "-O", "-", "http://web/"]);
    assert_eq!(inside.succeeds(), "served", "its own questions are answered again");
    environment.hb(["rm", "-f", "web"]).succeeds();
    assert!(
        visit(&environment, "front", "web").is_err(),
        "the name has gone with it"
    );
    environment.hb(["network", "rm", "front"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_several_containers_share_an_alias() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "front"]).succeeds();
    for (name, text) in [("one", "first"), ("two", "second")] {
        server(
            &environment,
            name,
            &["--network", "front", "--network-alias", "service"],
            text,
        );
    }
    let answer = environment.shell(&["--network", "front"], "nslookup service");
    for name in ["one", "two"] {
        let address = environment.inspect(name)["NetworkSettings"]["Networks"]["front"]["IPAddress"].clone();
        assert!(answer.contains(address.as_str().unwrap()), "{answer}");
    }
    wait_for("both to be asked", || {
        let texts: BTreeSet<_> = (0..4)
            .filter_map(|_| visit(&environment, "front", "service").ok())
            .collect();
        if texts.len() == 2 {
            Ok(())
        } else {
            Err(format!("{texts:?}"))
        }
    });
    environment.hb(["rm", "-f", "one", "two"]).succeeds();
    environment.hb(["network", "rm", "front"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_networks_are_apart() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "front"]).succeeds();
    environment.hb(["network", "create", "back"]).succeeds();
    environment.hb(["network", "create", "--internal", "inside"]).succeeds();
    server(&environment, "web", &["--network", "front"], "served");
    server(&environment, "secret", &["--network", "inside"], "hidden");
    let address = |name: &str, network: &str| {
        let settings = environment.inspect(name);
        let address = settings["NetworkSettings"]["Networks"][network]["IPAddress"].as_str();
        address.unwrap().to_owned()
    };
    let (web, secret) = (address("web", "front"), address("secret", "inside"));
    assert_eq!(visit(&environment, "front", &web).unwrap(), "served");
    assert!(visit(&environment, "back", &web).is_err(), "another network");
    assert!(visit(&environment, "bridge", &web).is_err(), "the default network");
    assert_eq!(visit(&environment, "inside", "secret").unwrap(), "hidden");
    assert!(visit(&environment, "front", &secret).is_err(), "nothing gets in");
    let routes = environment.shell(&["--network", "inside"], "ip route");
    assert!(!routes.contains("default"), "{routes}");
    // A container in both is reached from both.
    environment.hb(["network", "connect", "back", "web"]).succeeds();
    assert_eq!(visit(&environment, "back", "web").unwrap(), "served");
    environment.hb(["network", "disconnect", "back", "web"]).succeeds();
    assert!(visit(&environment, "back", "web").is_err());
    environment.hb(["rm", "-f", "web", "secret"]).succeeds();
    environment.hb(["network", "prune", "-f"]).succeeds();
    let left = environment
        .hb(["network", "ls", "-q", "--filter", "type=custom"])
        .succeeds();
    assert_eq!(left, "");
    environment.finish();
}

#[test]
fn privileged_addresses_are_as_wished() {
    let environment = TestEnvironment::with_starter();
    environment
        .hb([
            "network",
            "create",
            "--ipv6",
            "--subnet",
            "10.203.0.0/24",
            "--ip-range",
            "10.203.0.128/25",
            "--gateway",
            "10.203.0.254",
            "--aux-address",
            "router=10.203.0.129",
            "--subnet",
            "fd00:203::/64",
            "--opt",
            "com.docker.network.driver.mtu=1400",
            "wide",
        ])
        .succeeds();
    let first = environment.shell(&["--network", "wide"], "ip addr show eth0; ip route; ip -6 route");
    for part in [
        "10.203.0.128/24",
        "default via 10.203.0.254",
        "mtu 1400",
        "fd00:203::2/64",
        "default via fd00:203::1",
    ] {
        assert!(first.contains(part), "{part} is missing:\n{first}");
    }
    let wished = environment.shell(
        &[
            "--network",
            "wide",
            "--ip",
            "10.203.0.7",
            "--ip6",
            "fd00:203::7",
            "--mac-address",
            "02:42:00:00:00:77",
        ],
        "ip addr show eth0",
    );
    for part in ["10.203.0.7/24", "fd00:203::7/64", "02:42:00:00:00:77"] {
        assert!(wished.contains(part), "{part} is missing:\n{wished}");
    }
    environment.detached(
        &["--name", "owner", "--network", "wide", "--ip", "10.203.0.9"],
        &["sleep", "600"],
    );
    let _refused = environment
        .hb([
            "run",
            "--rm",
            "--network",
            "wide",
            "--ip",
            "10.203.0.9",
            STARTER,
            "true",
        ])
        .exits_with(125)
        .complains("Address already in use");
    let _refused = environment
        .hb(["run", "--rm", "--network", "wide", "--ip", "10.9.9.9", STARTER, "true"])
        .exits_with(125)
        .complains("no configured subnet or ip-range contain the IP address 10.9.9.9");
    let _refused = environment
        .hb(["network", "create", "--subnet", "10.203.0.0/16", "other"])
        .exits_with(1)
        .complains("Pool overlaps with other one on this address space");
    let _refused = environment
        .hb(["network", "rm", "wide"])
        .exits_with(1)
        .complains("has active endpoints (name:\"owner\"");
    environment.hb(["rm", "-f", "owner"]).succeeds();
    environment.hb(["network", "rm", "wide"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_a_hundred_containers_at_once_have_addresses_and_names_of_their_own() {
    const COUNT: usize = 100;
    let environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "crowd"]).succeeds();
    std::thread::scope(|scope| {
        for worker in 0..10 {
            let environment = &environment;
            scope.spawn(move || {
                for number in (worker..COUNT).step_by(10) {
                    let name = format!("member{number}");
                    environment.detached(&["--name", &name, "--network", "crowd"], &["sleep", "600"]);
                }
            });
        }
    });
    let network = environment.hb(["network", "inspect", "crowd"]).json();
    let members = network[0]["Containers"].as_object().unwrap();
    let addresses: BTreeSet<_> = members
        .values()
        .map(|member| member["IPv4Address"].to_string())
        .collect();
    assert_eq!((members.len(), addresses.len()), (COUNT, COUNT));
    let script = format!(
        "for number in $(seq 0 {}); do nslookup member$number >/dev/null || echo $number; done",
        COUNT - 1
    );
    assert_eq!(
        environment.shell(&["--network", "crowd"], &script),
        "",
        "names without an answer"
    );
    environment.remove_containers();
    environment.hb(["network", "rm", "crowd"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_networks_come_and_go_under_load() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "front"]).succeeds();
    environment.hb(["network", "create", "back"]).succeeds();
    server(&environment, "web", &["--network", "front"], "served");
    environment.detached(&["--name", "visitor", "--network", "front"], &["sleep", "600"]);
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            for _ in 0..15 {
                environment.hb(["network", "connect", "back", "web"]).succeeds();
                environment.hb(["network", "disconnect", "back", "web"]).succeeds();
            }
        });
        while !changes.is_finished() {
            let output = environment.hb([
                "exec",
                "visitor",
                "timeout",
                "9",
                "wget",
                "-q",
                "-O",
                "-",
                "http://web/",
            ]);
            assert_eq!(output.succeeds(), "served");
        }
    });
    assert_eq!(
        environment.hb(["exec", "web", "ls", "/sys/class/net"]).succeeds(),
        "eth0\nlo"
    );
    environment.hb(["rm", "-f", "web", "visitor"]).succeeds();
    environment.hb(["network", "rm", "front", "back"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_the_host_has_a_name() {
    let environment = TestEnvironment::with_starter();
    environment.hb(["network", "create", "front"]).succeeds();
    let network = environment.hb(["network", "inspect", "front"]).json();
    let gateway = network[0]["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().to_owned();
    let answer = environment.shell(&["--network", "front"], "nslookup host.docker.internal");
    assert!(answer.contains(&gateway), "{answer}");
    let hosts = environment.shell(&["--add-host", "outside:host-gateway"], "grep outside /etc/hosts");
    let bridge = environment.hb(["network", "inspect", "bridge"]).json();
    assert!(
        hosts.starts_with(bridge[0]["IPAM"]["Config"][0]["Gateway"].as_str().unwrap()),
        "{hosts}"
    );
    environment.hb(["network", "rm", "front"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_links_of_the_default_network_are_dockers() {
    let environment = TestEnvironment::with_starter();
    server(&environment, "db", &["--expose", "5432", "-e", "FOO=bar"], "stored");
    let text = environment.shell(
        &["--link", "db:store"],
        "wget -q -O - http://store/; env | grep ^STORE_ | sort",
    );
    let address = environment.inspect("db")["NetworkSettings"]["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(text.starts_with("stored\nSTORE_ENV_FOO=bar\nSTORE_NAME=/"), "{text}");
    assert!(text.contains(&format!("STORE_PORT=tcp://{address}:5432\n")), "{text}");
    environment.hb(["stop", "-t", "0", "db"]).succeeds();
    let _refused = environment
        .hb(["run", "--rm", "--link", "db:store", STARTER, "true"])
        .exits_with(125)
        .complains("Cannot link to a non running container: /db AS /");
    environment.finish();
}
