// SPDX-License-Identifier: MIT
//! Published ports, from the host, from another machine and from containers; conflicts; what survives the daemon.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyperbox_testkit::environment::{STARTER, TestEnvironment, enter_network_of};
use hyperbox_testkit::wait_for;

use crate::other_machine::{FAR, NEAR, NEAR_IPV6, OtherMachine, fetch};

/// Tells a client's address, and serves a file of one MiB.
const SCRIPT: &str = "mkdir -p /www/cgi-bin; head -c 1048576 /dev/zero | tr '\\0' x >/www/large; \
    printf '#!/bin/sh\\nprintf \"Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n$REMOTE_ADDR\"' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; \
    exec httpd -f -p 80 -h /www";

fn server(environment: &TestEnvironment, name: &str, options: &[&str]) {
    let options = [&["--name", name], options].concat();
    environment.detached(&options, &["sh", "-c", SCRIPT]);
    wait_for("the server", || {
        let output = environment.hb(["exec", name, "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/large"]);
        if output.code == 0 {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
}

/// The port of the host that leads to a container's port.
fn port(environment: &TestEnvironment, container: &str, of: &str) -> u16 {
    let text = environment.hb(["port", container, of]).succeeds();
    let first = text.lines().next().unwrap_or_default();
    first.rsplit(':').next().and_then(|number| number.parse().ok()).unwrap()
}

fn from_host(environment: &TestEnvironment, address: &str, port: u16) -> Result<String, String> {
    let address = SocketAddr::new(address.parse().unwrap(), port);
    let fetched = environment.network().enter(|| fetch(address, "cgi-bin/who"));
    fetched.map_err(|error| format!("{address}: {error}"))
}

#[test]
fn privileged_ports_are_reached_from_everywhere() {
    let mut environment = TestEnvironment::with_starter();
    let machine = OtherMachine::connected_to(&environment);
    environment.hb(["network", "create", "--ipv6", "front"]).succeeds();
    server(&environment, "web", &["--network", "front", "-p", "80"]);
    let number = port(&environment, "web", "80");
    for round in ["at first", "after the daemon's death"] {
        for address in ["127.0.0.1", NEAR, "::1", NEAR_IPV6] {
            assert!(from_host(&environment, address, number).is_ok(), "{address} {round}");
        }
        for address in [NEAR, NEAR_IPV6] {
            let address = SocketAddr::new(address.parse().unwrap(), number);
            let client = machine.network.enter(|| fetch(address, "cgi-bin/who")).unwrap();
            if address.is_ipv4() {
                assert!(client.contains(FAR), "the client's address is kept, {round}: {client}");
            }
        }
        let large = machine
            .network
            .enter(|| fetch(SocketAddr::new(NEAR.parse().unwrap(), number), "large"));
        assert_eq!(large.unwrap().len(), 1 << 20);
        for network in ["front", "bridge"] {
            let url = format!("http://{NEAR}:{number}/large");
            let script = format!("timeout 9 wget -q -O - {url}");
            let output = environment.shell(&["--network", network], &format!("{script}; exit $?"));
            assert_eq!(output.len(), 1 << 20, "a container in {network}, {round}");
        }
        let own = format!("http://{NEAR}:{number}/large");
        let output = environment.hb(["exec", "web", "timeout", "9", "wget", "-q", "-O", "-", &own]);
        assert_eq!(output.succeeds().len(), 1 << 20, "the container itself, {round}");
        environment.kill_daemon();
        environment.start_daemon(&Default::default());
    }
    environment.hb(["rm", "-f", "web"]).succeeds();
    assert!(
        from_host(&environment, "127.0.0.1", number).is_err(),
        "it went with its container"
    );
    environment.hb(["network", "rm", "front"]).succeeds();
    machine.disconnect(&environment);
    environment.finish();
}

#[test]
fn privileged_only_published_ports_are_reached_from_outside() {
    let environment = TestEnvironment::with_starter();
    let machine = OtherMachine::connected_to(&environment);
    server(&environment, "web", &["-p", "127.0.0.1::80"]);
    let number = port(&environment, "web", "80");
    assert!(from_host(&environment, "127.0.0.1", number).is_ok());
    let reached = |address: &str, port: u16| {
        let address = SocketAddr::new(address.parse().unwrap(), port);
        machine.network.enter(|| fetch(address, "cgi-bin/who"))
    };
    assert!(reached(NEAR, number).is_err(), "published on loopback only");
    let address = environment.inspect("web")["NetworkSettings"]["IPAddress"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reached(&address, 80).is_err(),
        "the container's own address is not for others"
    );
    environment.hb(["rm", "-f", "web"]).succeeds();
    machine.disconnect(&environment);
    environment.finish();
}

#[test]
fn privileged_datagrams_are_published_as_well() {
    let environment = TestEnvironment::with_starter();
    let machine = OtherMachine::connected_to(&environment);
    environment.detached(&["--name", "echo", "-p", "7/udp"], &["sleep", "600"]);
    let number = port(&environment, "echo", "7/udp");
    let pid = environment.inspect("echo")["State"]["Pid"]
        .as_u64()
        .and_then(|pid| pid.try_into().ok());
    let echo = enter_network_of(pid.unwrap(), || UdpSocket::bind("0.0.0.0:7")).unwrap();
    echo.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| answer(&echo, &over));
        ask_from_everywhere(&environment, &machine, number);
        over.store(true, Ordering::Relaxed);
    });
    // The socket would keep the container's namespace alive.
    drop(echo);
    environment.hb(["rm", "-f", "echo"]).succeeds();
    machine.disconnect(&environment);
    environment.finish();
}

/// Sends back what it receives until it is over.
fn answer(echo: &UdpSocket, over: &AtomicBool) {
    let mut question = [0; 64];
    while !over.load(Ordering::Relaxed) {
        if let Ok((length, client)) = echo.recv_from(&mut question) {
            // A client that has gone asks again.
            drop(echo.send_to(&question[..length], client));
        }
    }
}

fn ask_from_everywhere(environment: &TestEnvironment, machine: &OtherMachine, number: u16) {
    let ask = |address: &str| -> std::io::Result<Vec<u8>> {
        let target = SocketAddr::new(address.parse().unwrap(), number);
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect(target)?;
        socket.send(b"hello")?;
        let mut answer = vec![0; 16];
        let length = socket.recv(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    };
    for address in ["127.0.0.1", NEAR, "::1"] {
        wait_for("the echo", || {
            let answer = environment.network().enter(|| ask(address));
            answer.map(drop).map_err(|error| format!("{address}: {error}"))
        });
    }
    assert_eq!(machine.network.enter(|| ask(NEAR)).unwrap(), b"hello");
}

#[test]
fn privileged_conflicts_are_found_before_the_container_starts() {
    let environment = TestEnvironment::with_starter();
    let taken = environment.network().enter(|| TcpListener::bind("0.0.0.0:0")).unwrap();
    let number = taken.local_addr().unwrap().port();
    let publish = format!("{number}:80");
    let _refused = environment
        .hb(["run", "--rm", "-p", &publish, STARTER, "echo", "ran"])
        .exits_with(125)
        .complains("address already in use");
    drop(taken);
    server(&environment, "web", &["-p", &publish]);
    let _refused = environment
        .hb(["run", "--rm", "-p", &publish, STARTER, "echo", "ran"])
        .exits_with(125)
        .complains("web");
    // As with Docker's command, the id of a container that could not be started is told.
    let late = environment.hb(["run", "-d", "--name", "late", "-p", &publish, STARTER, "true"]);
    let late = late.exits_with(125).complains("web");
    assert_eq!(late.stdout.trim_end(), environment.inspect("late")["Id"]);
    environment.hb(["rm", "late"]).succeeds();
    let refused = environment.network().enter(|| TcpListener::bind(("0.0.0.0", number)));
    assert!(refused.is_err(), "the host's own programs find it in use");
    environment.hb(["stop", "-t", "0", "web"]).succeeds();
    environment.run(&["-p", &publish], &["true"]);
    environment.hb(["start", "web"]).succeeds();
    environment.finish();
}

#[test]
fn privileged_ports_are_shown_as_docker_shows_them() {
    let environment = TestEnvironment::with_starter();
    server(&environment, "web", &["-p", "127.0.0.1::80", "-P", "--expose", "90-91"]);
    let web = port(&environment, "web", "80");
    assert_eq!(
        environment.hb(["port", "web", "80/tcp"]).succeeds(),
        format!("127.0.0.1:{web}")
    );
    let shown = environment.hb(["ps", "--format", "{{.Ports}}"]).succeeds();
    assert!(shown.contains(&format!("127.0.0.1:{web}->80/tcp")), "{shown}");
    let ports = environment.inspect("web")["NetworkSettings"]["Ports"].clone();
    assert_eq!(ports["80/tcp"][0]["HostPort"].as_str(), Some(web.to_string().as_str()));
    for declared in ["90/tcp", "91/tcp"] {
        assert_eq!(ports[declared].as_array().map(Vec::len), Some(2), "{ports}");
    }
    environment.finish();
}
