// SPDX-License-Identifier: MIT
//! Firewalls of others that drop what is forwarded: packets of networks pass all the same, and only those.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use hyperbox_core::seam::{NetworkDriver as _, NetworkSettings, PortPublisher as _};
use hyperbox_testkit::wait_for;

use crate::machine::{inside, json, on_a_machine, ruleset, run};
use crate::neighbours::{Firewalld, Ufw};
use crate::publish_world::{
    Container, FAR4, HOST4, Server, World, ask, here, is_closed, outside_with_routes, serve_streams,
};

/// A machine with everything whose packets have to pass, and what must not.
struct Scene {
    outside: OwnedFd,
    world: World,
    web: Container,
    port: u16,
    /// In a network that is reached without translation, with its port published.
    routed: Container,
    stranger: Container,
    other: NetworkSettings,
    _servers: [Server; 3],
}

impl Scene {
    async fn new(world: World) -> Self {
        const MODE: &str = "com.docker.network.bridge.gateway_mode_ipv4";
        let outside = outside_with_routes();
        let web = world.container().await;
        let port = world.publish_free(&web, "80/tcp").await;
        let network = world.network("routed", &[(MODE, "routed")], |_| {}).await;
        let routed = world.container_in(&network).await;
        world.publish_free(&routed, "80/tcp").await;
        let other = world.network("other", &[], |_| {}).await;
        let stranger = world.container_in(&other).await;
        let _servers = [
            serve_streams(&web.namespace, 80),
            serve_streams(&routed.namespace, 80),
            inside(&outside, || serve_streams(&here(), 80)),
        ];
        Self {
            outside,
            world,
            web,
            port,
            routed,
            stranger,
            other,
            _servers,
        }
    }

    /// What passes, and seen from where; the first thing that does not.
    fn passes(&self) -> Result<(), String> {
        let routed = self.routed.ipv4().to_string();
        let expect = |what: &str, seen: std::io::Result<std::net::IpAddr>, expected: &str| match seen {
            Ok(seen) if seen.to_string() == expected => Ok(()),
            seen => Err(format!("{what}: {seen:?}\n{}", run("nft", &["list", "ruleset"]))),
        };
        let web = Some(&self.web.namespace);
        let gateway = self.world.network.pool(false).unwrap().gateway.unwrap().to_string();
        expect("inwards", ask(Some(&self.outside), HOST4, self.port), FAR4)?;
        expect("outwards", ask(web, FAR4, 80), HOST4)?;
        expect("from this machine", ask(None, "127.0.0.1", self.port), &gateway)?;
        expect("routed", ask(Some(&self.outside), &routed, 80), FAR4)?;
        let stranger = self.stranger.ipv4().to_string();
        expect(
            "from another network",
            ask(Some(&self.stranger.namespace), HOST4, self.port),
            &stranger,
        )?;
        expect("its own port", ask(web, HOST4, self.port), &gateway)
    }

    fn is_guarded(&self) {
        let web = self.web.ipv4().to_string();
        assert!(is_closed(Some(&self.outside), &web, 80), "directly from outside");
        assert!(is_closed(Some(&self.stranger.namespace), &web, 80), "between networks");
    }

    fn passes_soon(&self, when: &str) {
        wait_for(when, || self.passes());
        self.is_guarded();
    }

    /// Removes the containers and all networks.
    async fn end(self) -> World {
        let routed = self.routed.network.clone();
        for container in [self.web, self.routed, self.stranger] {
            self.world.remove(container).await;
        }
        let bridge = &self.world.mechanisms.bridge;
        for network in [&self.other, &routed, &self.world.network] {
            bridge.remove(network).await.unwrap();
        }
        self.world
    }
}

#[test]
fn privileged_firewalld_lets_networks_pass() {
    on_a_machine(|| async {
        let mut firewalld = Firewalld::bus();
        firewalld.start();
        let scene = Scene::new(World::with_bus(firewalld.socket()).await).await;
        // Nobody waits: a network is ready when it has been made.
        scene.passes().unwrap();
        scene.is_guarded();
        let service = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let target = service.local_addr().unwrap().port();
        let reached = move || std::net::TcpStream::connect((HOST4, target)).is_ok();
        assert!(inside(&scene.web.namespace, reached), "services of this machine");
        for reload in ["--reload", "--complete-reload"] {
            firewalld.firewall_cmd(&[reload]);
            scene.passes_soon(reload);
        }
        firewalld.firewall_cmd(&["--zone=trusted", "--change-interface=hyperbox0"]);
        let ensured = scene.world.mechanisms.bridge.ensure(&scene.world.network).await;
        ensured.unwrap();
        let zone = firewalld.firewall_cmd(&["--get-zone-of-interface=hyperbox0"]);
        assert_eq!(zone, "trusted", "what an administrator wants is so");
        let world = scene.end().await;
        wait_for("bridges to leave the zone", || {
            match firewalld.firewall_cmd(&["--zone=hyperbox", "--list-interfaces"]) {
                left if left.is_empty() => Ok(()),
                left => Err(left),
            }
        });
        drop(world);
    });
}

#[test]
fn privileged_firewalld_that_comes_later_lets_networks_pass() {
    on_a_machine(|| async {
        let mut firewalld = Firewalld::bus();
        let scene = Scene::new(World::with_bus(firewalld.socket()).await).await;
        scene.passes().unwrap();
        firewalld.start();
        scene.passes_soon("firewalld has come");
    });
}

#[test]
fn privileged_ufw_lets_networks_pass() {
    on_a_machine(|| async {
        let ufw = Ufw::new();
        ufw.run(&["--force", "enable"]);
        let scene = Scene::new(World::new().await).await;
        scene.passes().unwrap();
        scene.is_guarded();
        for again in [&["reload"][..], &["disable"], &["--force", "enable"]] {
            ufw.run(again);
            scene.passes_soon(again[0]);
        }
        scene.end().await;
        for program in ["iptables-save", "ip6tables-save"] {
            let rules = run(program, &[]);
            assert!(!rules.contains("hyperbox"), "{rules}");
        }
    });
}

/// Each comes when the networks are there already: it is noticed.
#[test]
fn privileged_other_firewalls_are_passed() {
    on_a_machine(|| async {
        let scene = Scene::new(World::new().await).await;
        let drops = "type filter hook forward priority filter; policy drop";
        let docker = format!(
            "table ip filter {{
                chain DOCKER-USER {{ iifname \"hyperbox0\" ip saddr 192.0.2.7 counter accept; }}
                chain FORWARD {{ {drops}; jump DOCKER-USER; }}
            }}"
        );
        let strict = format!(
            "table ip filter {{
                chain FORWARD {{ {drops}; }}
                chain INPUT {{ type filter hook input priority filter; policy drop; ct state established accept; iif lo accept; }}
            }}"
        );
        let firewalld = "table inet firewalld {
            chain filter_FORWARD {
                type filter hook forward priority filter + 10; policy accept; reject with icmpx type admin-prohibited;
            }
        }";
        for (script, chain) in [
            (docker.as_str(), ["ip", "filter", "DOCKER-USER"]),
            (&strict, ["ip", "filter", "FORWARD"]),
            (firewalld, ["inet", "firewalld", "filter_FORWARD"]),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), script).unwrap();
            run("nft", &["-f", file.path().to_str().unwrap()]);
            scene.passes_soon(chain[2]);
            let rules = || {
                let list = json("nft", &["-j", "list", "chain", chain[0], chain[1], chain[2]]);
                let marked = list.to_string().matches("\"mark\"").count();
                assert_eq!(marked, 1, "one for all networks: {list}");
            };
            rules();
            scene
                .world
                .mechanisms
                .bridge
                .ensure(&scene.world.network)
                .await
                .unwrap();
            rules();
            run("nft", &["delete", "table", chain[0], chain[1]]);
        }
    });
}

/// An exception is what iptables itself would write, which goes on to work and may save and restore it.
#[test]
fn privileged_exceptions_are_those_of_iptables() {
    on_a_machine(|| async {
        run("iptables", &["-N", "DOCKER-USER"]);
        let world = World::new().await;
        let expected =
            "-N DOCKER-USER\n-A DOCKER-USER -m mark --mark 0x1000/0x1000 -m comment --comment hyperbox -j ACCEPT\n";
        assert_eq!(run("iptables", &["-S", "DOCKER-USER"]), expected);
        let save = run("iptables-save", &["-t", "filter"]);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), save).unwrap();
        run("iptables-restore", &[file.path().to_str().unwrap()]);
        world.mechanisms.bridge.ensure(&world.network).await.unwrap();
        assert_eq!(run("iptables", &["-S", "DOCKER-USER"]), expected, "it is known again");
        world.mechanisms.bridge.remove(&world.network).await.unwrap();
        assert_eq!(run("iptables", &["-S", "DOCKER-USER"]), "-N DOCKER-USER\n");
    });
}

fn chain_of_docker() {
    for arguments in [
        "add table ip filter",
        "add chain ip filter DOCKER-USER",
        "add rule ip filter DOCKER-USER iifname \"hyperbox0\" ip saddr 192.0.2.7 counter accept",
    ] {
        run("nft", &[arguments]);
    }
}

#[test]
fn privileged_exceptions_in_other_firewalls_go_with_the_last_network() {
    on_a_machine(|| async {
        chain_of_docker();
        let before = ruleset();
        let world = World::new().await;
        let one = ruleset();
        assert_ne!(one, before);
        let other = world.network("other", &[], |_| {}).await;
        world.mechanisms.bridge.remove(&other).await.unwrap();
        let exceptions = run("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]);
        assert_eq!(exceptions.matches("meta mark").count(), 1, "{exceptions}");
        world.mechanisms.bridge.remove(&world.network).await.unwrap();
        assert_eq!(ruleset(), before, "an administrator's own rule stays");
    });
}

/// Each instance that starts looks for what dead ones have left, and several may find the same.
#[test]
fn privileged_instances_that_start_together_do_not_mind_each_other() {
    const STARTS: usize = 4;
    on_a_machine(|| async {
        chain_of_docker();
        let before = ruleset();
        let world = World::new().await;
        let second = world.another("second").await;
        let config = world.config.clone();
        for (world, table) in [(world, "hyperbox"), (second, "hyperbox-second")] {
            let link = world.network.link.clone();
            drop(world);
            run("ip", &["link", "del", &link]);
            run("nft", &["delete", "table", "inet", table]);
        }
        let exceptions = run("nft", &["list", "chain", "ip", "filter", "DOCKER-USER"]);
        assert_eq!(exceptions.matches("meta mark").count(), 2, "{exceptions}");
        let instances = (0..STARTS).map(|number| {
            let config = hyperbox_net::Config {
                instance: format!("start{number}"),
                ..config.clone()
            };
            hyperbox_net::Mechanisms::open(config).unwrap()
        });
        let instances: Vec<_> = instances.collect();
        let adoptions = instances.iter().map(|mechanisms| mechanisms.bridge.adopt(&[], &[]));
        for adopted in futures_util::future::join_all(adoptions).await {
            adopted.unwrap();
        }
        drop(instances);
        assert_eq!(ruleset(), before);
    });
}

/// What the warning advises is what helps; the command is that of `foreign`'s advice.
#[test]
fn privileged_what_is_advised_for_legacy_rules_helps() {
    on_a_machine(|| async {
        let scene = Scene::new(World::new().await).await;
        run("iptables-legacy", &["-P", "FORWARD", "DROP"]);
        assert!(
            is_closed(Some(&scene.outside), HOST4, scene.port),
            "legacy rules have the last word"
        );
        let words = ["-I", "FORWARD", "-m", "mark", "--mark", "0x1000/0x1000", "-j", "ACCEPT"];
        run("iptables-legacy", &words);
        scene.passes().unwrap();
        scene.is_guarded();
        scene.world.mechanisms.ports.withdraw(&scene.web.id).await.unwrap();
    });
}
