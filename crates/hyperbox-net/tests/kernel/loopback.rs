// SPDX-License-Identifier: MIT
//! `::1` by the kernel: reached in both positions of `bridge-nf-call-ip6tables`, restored, and closed to containers.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyperbox_core::seam::{NetworkDriver as _, PortPublisher as _};
use hyperbox_testkit::wait_for;

use crate::machine::{inside, json, on_a_machine, ruleset, run};
use crate::publish_world::{
    Container, SILENCE, Server, World, ask, ask_datagram, ask_much, exact, free, serve_datagrams, serve_streams,
};

const BRIDGE: &str = "hyperbox0";

pub(crate) fn filter_bridges(value: &str) {
    std::fs::write("/proc/sys/net/bridge/bridge-nf-call-ip6tables", value).unwrap();
}

/// A container that serves TCP and UDP by IPv6, and the number of its port.
async fn published(world: &World) -> (Container, [Server; 2], u16) {
    let web = world.container().await;
    let servers = [
        serve_streams(&web.namespace, 80),
        serve_datagrams(&web.namespace, web.ipv6(), 80),
    ];
    let port = world.publish_free(&web, "80/tcp").await;
    let both = vec![exact("80/tcp", "::1", port), exact("80/udp", "::1", port)];
    world.publish(&web, both).await;
    (web, servers, port)
}

/// Why the kernel does not lead `::1` to the container, if it does not.
fn obstacle(port: u16) -> Result<(), String> {
    let routes = run("ip", &["-6", "route", "show", "table", "local", "::1"]);
    if !routes.contains(&format!("dev {BRIDGE} ")) {
        return Err(format!("no route: {routes}"));
    }
    let table = run("nft", &["list", "ruleset"]);
    if !table.contains(&format!("hook ingress device \"{BRIDGE}\"")) || !table.contains("fwd to \"lo\"") {
        return Err(format!("no chain: {table}"));
    }
    let set = run("nft", &["list", "set", "inet", "hyperbox", "loopback6"]);
    if set.contains(&format!("tcp . {port}")) {
        Ok(())
    } else {
        Err(format!("no element: {set}"))
    }
}

#[test]
fn privileged_the_kernel_leads_ipv6_loopback_to_containers() {
    on_a_machine(|| async {
        let world = World::new().await;
        let (web, _servers, port) = published(&world).await;
        obstacle(port).unwrap();
        let gateway = world.network.pool(true).unwrap().gateway.unwrap();
        let (closed, mechanisms) = (exact("9/udp", "::1", 9), world.mechanisms);
        let other = exact("80/tcp", "::1", port);
        let all = vec![other, exact("80/udp", "::1", port), closed];
        mechanisms.ports.publish(web.wish(all)).await.unwrap();
        inside(&web.namespace, || run("nft", &[&counters("ingress", "ip6 saddr ::1")]));
        // Nobody forwards without a daemon.
        drop(mechanisms);
        for position in ["0", "1"] {
            filter_bridges(position);
            assert_eq!(ask(None, "::1", port).unwrap(), gateway, "tcp, {position}");
            assert_eq!(ask_datagram(None, "::1", port).unwrap(), gateway, "udp, {position}");
            ask_much(None, "::1", port, 16 * 1024 * 1024).unwrap();
            let client = UdpSocket::bind("[::1]:0").unwrap();
            client.set_read_timeout(Some(SILENCE)).unwrap();
            client.connect(("::1", 9)).unwrap();
            client.send(b"hello").unwrap();
            let refused = client.recv(&mut [0]).unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "{position}");
        }
        assert_eq!(inside(&web.namespace, counted), 0, "::1 stays on its machine");
    });
}

#[test]
fn privileged_transfers_from_ipv6_loopback_outlive_a_turn_of_the_switch() {
    on_a_machine(|| async {
        let world = World::new().await;
        let (web, _servers, port) = published(&world).await;
        let own = TcpListener::bind("[::1]:0").unwrap();
        let own_port = own.local_addr().unwrap().port();
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let here = crate::publish_world::here();
        let turning = std::thread::spawn(move || {
            inside(&here, move || {
                for position in ["0", "1"].into_iter().cycle() {
                    filter_bridges(position);
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::park_timeout(Duration::from_millis(7));
                }
            });
        });
        drop(world.mechanisms);
        for _ in 0..3 {
            ask_much(None, "::1", port, 64 * 1024 * 1024).unwrap();
            ask(None, "::1", port).unwrap();
            std::net::TcpStream::connect(("::1", own_port)).unwrap();
            own.accept().unwrap();
        }
        ended.store(true, Ordering::SeqCst);
        turning.join().unwrap();
        drop(web);
    });
}

#[test]
fn privileged_the_way_to_ipv6_loopback_is_restored() {
    on_a_machine(|| async {
        let world = World::new().await;
        let (web, _servers, port) = published(&world).await;
        let endpoints = [(web.id.clone(), web.endpoint.clone())];
        let adopted = world
            .mechanisms
            .bridge
            .adopt(std::slice::from_ref(&world.network), &endpoints);
        adopted.await.unwrap();
        let damages: [&[&str]; 6] = [
            &[
                "ip", "-6", "route", "del", "local", "::1", "dev", BRIDGE, "table", "local",
            ],
            &["nft", "delete table netdev hyperbox"],
            &["nft", &format!("flush chain netdev hyperbox from-{BRIDGE}")],
            &["nft", "flush ruleset"],
            &["ip", "link", "set", BRIDGE, "down"],
            &["ip", "link", "del", BRIDGE],
        ];
        for damage in damages {
            run(damage[0], &damage[1..]);
            if damage.last() == Some(&"down") {
                wait_for("the forwarder to take over", || match obstacle(port) {
                    Err(text) if text.starts_with("no route") => Ok(()),
                    other => Err(format!("{other:?}")),
                });
                run("ip", &["link", "set", BRIDGE, "up"]);
            }
            wait_for("the way to return", || {
                obstacle(port).map_err(|text| format!("{damage:?}: {text}"))
            });
            wait_for("an answer", || {
                ask(None, "::1", port)
                    .map(drop)
                    .map_err(|error| format!("{damage:?}: {error}"))
            });
        }
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        let routes = || run("ip", &["-6", "route", "show", "table", "local", "::1"]);
        assert!(!routes().contains(BRIDGE), "{}", routes());
        assert!(!run("nft", &["list", "tables"]).contains("netdev"));
        let before = ruleset();
        world.publish(&web, vec![exact("80/tcp", "::1", port)]).await;
        obstacle(port).unwrap();
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        assert_eq!(ruleset(), before);
    });
}

#[test]
fn privileged_without_a_way_the_forwarder_serves_ipv6_loopback() {
    on_a_machine(|| async {
        let world = World::new().await;
        // A table with an owner is closed to everybody else.
        let mut owner = Command::new("nft")
            .arg("-i")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let input = owner.stdin.as_mut().unwrap();
        writeln!(input, "add table netdev hyperbox {{ flags owner; }}").unwrap();
        wait_for("the owner's table", || match run("nft", &["list", "tables"]) {
            tables if tables.contains("netdev hyperbox") => Ok(()),
            tables => Err(tables),
        });
        let (web, _servers, port) = published(&world).await;
        assert!(obstacle(port).is_err());
        ask(None, "::1", port).unwrap();
        ask_datagram(None, "::1", port).unwrap();
        drop(owner.stdin.take());
        owner.wait().unwrap();
        world.mechanisms.bridge.ensure(&world.network).await.unwrap();
        obstacle(port).unwrap();
        ask(None, "::1", port).unwrap();
        drop(web);
    });
}

#[test]
fn privileged_containers_do_not_reach_ipv6_loopback() {
    on_a_machine(|| async {
        let world = World::new().await;
        let (web, _servers, port) = published(&world).await;
        let stranger = world.container().await;
        let own = UdpSocket::bind("[::1]:0").unwrap();
        own.set_read_timeout(Some(SILENCE)).unwrap();
        let own_port = own.local_addr().unwrap().port();
        inside(&web.namespace, || run("nft", &[&counters("ingress", "udp dport 80")]));
        run(
            "nft",
            &[&format!(
                "table netdev control {{ chain c {{ type filter hook ingress device {BRIDGE} priority -10; ip6 daddr ::1 counter; }}\n }}"
            )],
        );
        for position in ["0", "1"] {
            filter_bridges(position);
            for source in [None, Some("::1"), Some("2001:db8:9::7"), Some("fe80::7")] {
                for target in [own_port, port] {
                    forge(&stranger.namespace, source, target);
                }
            }
        }
        assert!(counted() > 0, "forged packets do arrive where bridges are not filtered");
        let buffer = &mut [0; 16];
        assert!(own.recv_from(buffer).is_err(), "{buffer:?}");
        assert_eq!(
            inside(&web.namespace, counted),
            0,
            "a port published for this machine alone"
        );
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client.send_to(b"own", ("::1", own_port)).unwrap();
        assert_eq!(own.recv_from(buffer).unwrap().0, 3, "its own packets are undisturbed");
    });
}

/// Has a namespace send a datagram to `::1` by its link, whoever claims to have sent it.
fn forge(namespace: &OwnedFd, source: Option<&'static str>, port: u16) {
    inside(namespace, move || {
        let source = source.map_or(String::new(), |source| format!("ip6 saddr set {source}"));
        let script = format!(
            "table netdev forge {{ chain c {{ type filter hook egress device eth0 priority 0; \
             ip6 daddr 2001:db8:99::1 ip6 daddr set ::1 {source} counter; }}\n }}"
        );
        run("nft", &[&script]);
        let socket = UdpSocket::bind("[::]:0").unwrap();
        let target: SocketAddr = format!("[2001:db8:99::1]:{port}").parse().unwrap();
        socket.send_to(b"forged", target).unwrap();
        wait_for("the packet to leave", || match counted() {
            0 => Err("nothing sent".to_owned()),
            _ => Ok(()),
        });
        run("nft", &["delete table netdev forge"]);
    });
}

/// A table that counts what a container's link sees.
fn counters(hook: &str, what: &str) -> String {
    format!("table netdev seen {{ chain c {{ type filter hook {hook} device eth0 priority 0; {what} counter; }}\n }}")
}

/// The sum of all counters of this namespace.
pub(crate) fn counted() -> u64 {
    let rules = json("nft", &["-j", "list", "ruleset"]);
    let entries = rules["nftables"].as_array().unwrap().iter();
    let expressions = entries.filter_map(|entry| entry["rule"]["expr"].as_array()).flatten();
    expressions.filter_map(|one| one["counter"]["packets"].as_u64()).sum()
}

#[test]
fn privileged_a_new_daemon_takes_over_the_way_to_ipv6_loopback() {
    on_a_machine(|| async {
        let world = World::new().await;
        let (web, _servers, port) = published(&world).await;
        let gone = world.network("gone", &[], |wish| {
            wish.ipv6 = true;
            wish.pools.push(crate::machine::subnet("fd00:31::/64"));
        });
        let gone = gone.await;
        let lost = world.container_in(&gone).await;
        world.publish(&lost, vec![free("80/tcp")]).await;
        let World {
            mechanisms,
            network,
            config,
            ..
        } = world;
        drop(mechanisms);
        let mechanisms = hyperbox_net::Mechanisms::open(config).unwrap();
        let (networks, endpoints) = (
            [network.clone(), gone.clone()],
            [(web.id.clone(), web.endpoint.clone())],
        );
        mechanisms.bridge.adopt(&networks, &endpoints).await.unwrap();
        for network in &networks {
            mechanisms.bridge.ensure(network).await.unwrap();
        }
        ask(None, "::1", port).unwrap();
        let wish = web.wish(vec![exact("80/tcp", "::1", port)]);
        mechanisms.ports.adopt(vec![wish]).await.unwrap();
        obstacle(port).unwrap();
        ask(None, "::1", port).unwrap();
        let table = run("nft", &["list", "table", "netdev", "hyperbox"]);
        assert!(!table.contains(&gone.link), "{table}");
        let routes = run("ip", &["-6", "route", "show", "table", "local", "::1"]);
        assert!(!routes.contains(&gone.link), "{routes}");
    });
}
