// SPDX-License-Identifier: MIT
//! `none`, `host` and the default bridge.

use hyperbox_testkit::environment::{STARTER, TestEnvironment};
use hyperbox_testkit::wait_for;

#[test]
fn privileged_none_has_only_loopback() {
    let environment = TestEnvironment::with_starter();
    let text = environment.shell(
        &["--network", "none"],
        "ls /sys/class/net; ping -c 1 -W 2 127.0.0.1 | grep -c ' 0% packet loss'",
    );
    assert_eq!(text, "lo\n1");
    environment.finish();
}

#[test]
fn privileged_host_is_the_daemons() {
    let environment = TestEnvironment::with_starter();
    let inside = environment.shell(&["--network", "host"], "readlink /proc/self/ns/net");
    let outside = std::fs::read_link(format!("/proc/{}/ns/net", environment.network().holder())).unwrap();
    assert_eq!(inside, outside.display().to_string());
    environment.finish();
}

#[test]
fn privileged_bridge_connects_containers_and_the_host() {
    let environment = TestEnvironment::with_starter();
    let script = "mkdir /www; echo served >/www/index.html; httpd -f -p 8080 -h /www";
    environment.detached(&["--name", "server"], &["sh", "-c", script]);
    let container = environment.inspect("server");
    let networks = &container["NetworkSettings"]["Networks"]["bridge"];
    let address = networks["IPAddress"].as_str().unwrap().to_owned();
    let gateway = networks["Gateway"].as_str().unwrap().to_owned();
    let url = format!("http://{address}:8080/");
    wait_for("the server", || {
        let output = environment.hb(["run", "--rm", STARTER, "wget", "-q", "-O", "-", &url]);
        if output.stdout == "served\n" {
            Ok(())
        } else {
            Err(output.to_string())
        }
    });
    let ping = environment.shell(
        &[],
        &format!("ping -c 1 -W 5 {gateway} | grep 'packet loss'; ip -o addr show eth0; ip route"),
    );
    assert!(
        ping.contains(" 0% packet loss") && ping.contains(&format!("default via {gateway}")),
        "{ping}"
    );
    let body = environment.network().enter(|| {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect((address.as_str(), 8080))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map(|_| text)
    });
    assert!(body.unwrap().ends_with("served\n"));
    environment.finish();
}

#[test]
fn privileged_addresses_are_given_back() {
    let mut environment = TestEnvironment::with_starter();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..10 {
        seen.insert(environment.shell(&[], "ip -o -4 addr show eth0 | awk '{print $4}'"));
    }
    assert!(seen.iter().all(|address| address.contains('/')), "{seen:?}");
    assert!(seen.len() < 10, "addresses come back: {seen:?}");
    // What is left belongs to sandboxes that are made ahead, each with one link.
    wait_for("the links of the containers to go", || {
        let census = environment.census();
        let links = census.of("link");
        let links = links
            .iter()
            .filter(|name| name.len() == 15 && name.starts_with("hb") && !name.contains('-'))
            .count();
        match sandboxes_made_ahead(&environment) {
            ahead if ahead == links && ahead <= 8 => Ok(()),
            ahead => Err(format!("{links} links, {ahead} sandboxes made ahead")),
        }
    });
    environment.stop_daemon();
    wait_for("all links to go", || {
        let links = environment.census().of("link").len();
        if links <= 1 {
            Ok(())
        } else {
            Err(format!("{links} links"))
        }
    });
    environment.start_daemon(&Default::default());
    environment.finish();
}

/// How many namespaces with a link the daemon keeps open; one without is always ready.
fn sandboxes_made_ahead(environment: &TestEnvironment) -> usize {
    let own = std::fs::read_link(format!("/proc/{}/ns/net", environment.network().holder())).unwrap();
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", environment.daemon_pid())).unwrap();
    let namespaces = descriptors.flatten().filter_map(|entry| {
        // It may be closed meanwhile.
        let target = std::fs::read_link(entry.path()).ok()?;
        let is_other = target != own && target.to_str()?.starts_with("net:[");
        is_other.then(|| (target, entry.path()))
    });
    let namespaces: std::collections::BTreeMap<_, _> = namespaces.collect();
    let has_link = |path: &std::path::PathBuf| {
        let mut list = environment.command("nsenter".as_ref());
        let namespace = format!("--net={}", path.display());
        let links = hyperbox_testkit::environment::Output::of(list.args([&namespace, "ip", "-brief", "link"]));
        links.stdout.lines().any(|line| !line.starts_with("lo "))
    };
    namespaces.values().filter(|path| has_link(path)).count()
}

#[test]
fn privileged_a_containers_network_can_be_joined() {
    let environment = TestEnvironment::with_starter();
    let id = environment.detached(&["--name", "owner"], &["sleep", "600"]);
    let theirs = environment
        .hb(["exec", &id, "ip", "-o", "addr", "show", "eth0"])
        .succeeds();
    let joined = environment.run(&["--network", "container:owner"], &["ip", "-o", "addr", "show", "eth0"]);
    assert_eq!(joined, theirs);
    environment.finish();
}

#[test]
fn privileged_a_flushed_ruleset_is_asserted_again() {
    let mut environment = TestEnvironment::with_starter();
    environment.run(&[], &["true"]);
    let before = environment.census().of("nft").len();
    assert!(before > 0, "the bridge has rules");
    let mut flush = environment.command("nsenter".as_ref());
    let namespace = format!("--net=/proc/{}/ns/net", environment.network().holder());
    hyperbox_testkit::environment::Output::of(flush.args([&namespace, "nft", "flush", "ruleset"])).succeeds();
    environment.kill_daemon();
    environment.start_daemon(&Default::default());
    environment.run(&[], &["true"]);
    wait_for("the rules to be back", || {
        let now = environment.census().of("nft").len();
        if now >= before {
            Ok(())
        } else {
            Err(format!("{now} of {before} lines"))
        }
    });
    environment.finish();
}
