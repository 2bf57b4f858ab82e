// SPDX-License-Identifier: MIT
//! The rules: as the nft program would write them, restored when others remove them, and what they let through.

use std::net::{IpAddr, TcpListener};
use std::os::fd::OwnedFd;

use hyperbox_core::seam::NetworkDriver as _;
use hyperbox_testkit::wait_for;
use serde_json::Value;

use crate::machine::{inside, on_a_machine, ruleset, run, subnet};
use crate::publish_world::{FAR4, FAR6, HOST4, World, ask, exact, free, is_closed, outside_with_routes, serve_streams};

/// What the table of one network with one port is in nft's own words. Set names that are words of its grammar are replaced.
const TABLE: &str = include_str!("firewall.nft");

#[test]
fn privileged_the_rules_are_what_nft_would_make() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        world.publish(&web, vec![exact("80/tcp", "127.0.0.1", 8080)]).await;
        let everywhere = ["0.0.0.0", "::"].map(|address| exact("80/tcp", address, 8080));
        world.publish(&web, everywhere.to_vec()).await;
        let ours = without_elements(ruleset());
        assert_eq!(elements("ports4"), "tcp . 8080 : 172.30.0.2 . 80");
        // In a namespace of its own, where nobody restores what is ours.
        let elsewhere = std::thread::spawn(|| hyperbox_sys::network_namespace::unshare_network().unwrap());
        let elsewhere = elsewhere.join().unwrap();
        let nft = inside(&elsewhere, || {
            run("ip", &["link", "add", "hyperbox0", "type", "bridge"]);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), TABLE).unwrap();
            run("nft", &["-f", file.path().to_str().unwrap()]);
            without_elements(ruleset())
        });
        let entries = |ruleset: &Value| ruleset["nftables"].as_array().unwrap().clone();
        // One by one: a difference is then shown with little beside it.
        for (ours, nft) in entries(&ours).iter().zip(&entries(&nft)) {
            assert_eq!(ours, nft);
        }
        assert_eq!(ours, nft);
    });
}

/// The elements of a map, as nft shows them on one line.
fn elements(set: &str) -> String {
    let text = run("nft", &["list", "map", "inet", "hyperbox", set]);
    let (_, rest) = text.split_once("elements = {").unwrap_or_default();
    let (elements, _) = rest.split_once('}').unwrap_or_default();
    elements.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_elements(mut ruleset: Value) -> Value {
    for entry in ruleset["nftables"].as_array_mut().unwrap() {
        for kind in ["set", "map"] {
            if let Some(set) = entry.get_mut(kind).and_then(Value::as_object_mut) {
                set.remove("elem");
            }
        }
    }
    ruleset
}

#[test]
fn privileged_what_others_remove_is_restored() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        world.publish(&web, vec![free("80/tcp"), free("53/udp")]).await;
        world
            .mechanisms
            .bridge
            .adopt(std::slice::from_ref(&world.network), &[])
            .await
            .unwrap();
        let whole = ruleset();
        let damages: [&[&str]; 6] = [
            &["flush ruleset"],
            &["delete table inet hyperbox"],
            &["flush chain inet hyperbox forward"],
            &["insert rule inet hyperbox postrouting counter drop"],
            &["flush set inet hyperbox bridges"],
            &["flush map inet hyperbox ports4"],
        ];
        for damage in damages {
            run("nft", damage);
            wait_for("the rules to return", || {
                if ruleset() == whole {
                    Ok(())
                } else {
                    Err(format!("{damage:?}: {}", ruleset()))
                }
            });
        }
    });
}

#[test]
fn privileged_instances_do_not_mind_each_other() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let one = World::new().await;
        let two = one.another("second").await;
        let (web, shop) = (one.container().await, two.container().await);
        let _servers = (serve_streams(&web.namespace, 80), serve_streams(&shop.namespace, 80));
        let (web_port, shop_port) = (
            one.publish_free(&web, "80/tcp").await,
            two.publish_free(&shop, "80/tcp").await,
        );
        assert_ne!(web_port, shop_port, "each binds what it publishes");
        for port in [web_port, shop_port] {
            assert_eq!(ask(Some(&outside), HOST4, port).unwrap().to_string(), FAR4);
            assert!(ask(None, "127.0.0.1", port).is_ok());
        }
        assert!(ask(Some(&web.namespace), HOST4, shop_port).is_ok());
        one.remove(web).await;
        one.mechanisms.bridge.remove(&one.network).await.unwrap();
        assert_eq!(
            run("nft", &["list", "tables"]).trim(),
            "table inet hyperbox-second\ntable netdev hyperbox-second"
        );
        assert!(ask(Some(&outside), HOST4, shop_port).is_ok());
        two.remove(shop).await;
        two.mechanisms.bridge.remove(&two.network).await.unwrap();
        assert_eq!(run("nft", &["list", "tables"]).trim(), "");
    });
}

#[test]
fn privileged_networks_do_not_reach_each_other() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let other = world.network("other", &[], |wish| {
            wish.ipv6 = true;
            wish.pools.push(subnet("fd00:31::/64"));
        });
        let other = other.await;
        let (web, stranger) = (world.container().await, world.container_in(&other).await);
        let _server = serve_streams(&web.namespace, 80);
        let (four, six) = (web.ipv4().to_string(), web.ipv6().to_string());
        assert!(ask(None, &four, 80).is_ok(), "this machine reaches every container");
        assert!(ask(None, &six, 80).is_ok());
        for target in [&four, &six] {
            assert!(is_closed(Some(&stranger.namespace), target, 80), "isolation: {target}");
            assert!(
                is_closed(Some(&outside), target, 80),
                "direct access from outside: {target}"
            );
        }
        let _far = inside(&outside, || serve_streams(&crate::publish_world::here(), 80));
        assert_eq!(
            ask(Some(&web.namespace), FAR4, 80).unwrap().to_string(),
            HOST4,
            "masqueraded"
        );
        assert_eq!(
            ask(Some(&web.namespace), FAR6, 80).unwrap().to_string(),
            crate::publish_world::HOST6
        );
    });
}

#[test]
fn privileged_internal_networks_are_closed() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let inner = world.network("inner", &[], |wish| wish.internal = true).await;
        let (one, two) = (world.container_in(&inner).await, world.container_in(&inner).await);
        let _server = serve_streams(&one.namespace, 80);
        let address = one.ipv4().to_string();
        assert!(
            ask(Some(&two.namespace), &address, 80).is_ok(),
            "its members reach each other"
        );
        assert!(is_closed(Some(&outside), &address, 80));
        let _far = inside(&outside, || serve_streams(&crate::publish_world::here(), 80));
        assert!(is_closed(Some(&one.namespace), FAR4, 80));
        assert_eq!(world.publish(&one, vec![free("80/tcp")]).await, [], "as in Docker");
    });
}

/// Whether a connection is made; one that is expected has the time that it takes on a busy machine.
fn is_reached(from: Option<&OwnedFd>, target: &str, port: u16, expected: bool) -> bool {
    if expected {
        ask(from, target, port).is_ok()
    } else {
        !is_closed(from, target, port)
    }
}

#[test]
fn privileged_gateway_modes() {
    const MODE: &str = "com.docker.network.bridge.gateway_mode_ipv4";
    const TRUSTED: &str = "com.docker.network.bridge.trusted_host_interfaces";
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let neighbour = world.container().await;
        // (options, direct access from outside to a published port, to another one, from another network to the published one)
        let cases: [(&str, &str, bool, bool, bool); 4] = [
            (MODE, "nat", false, false, false),
            (MODE, "nat-unprotected", true, true, false),
            (MODE, "routed", true, false, true),
            (TRUSTED, "uplink", true, false, false),
        ];
        for (option, value, published, unpublished, from_network) in cases {
            let network = world.network(value, &[(option, value)], |_| {}).await;
            let web = world.container_in(&network).await;
            let _servers = (serve_streams(&web.namespace, 80), serve_streams(&web.namespace, 81));
            let wish = hyperbox_core::seam::PortRequest {
                host_address: Some(IpAddr::from([0, 0, 0, 0])),
                ..free("80/tcp")
            };
            let ports = world.publish(&web, vec![wish]).await;
            let address = web.ipv4().to_string();
            assert_eq!(
                is_reached(Some(&outside), &address, 80, published),
                published,
                "{value}: published"
            );
            assert_eq!(
                is_reached(Some(&outside), &address, 81, unpublished),
                unpublished,
                "{value}: unpublished"
            );
            assert_eq!(
                is_reached(Some(&neighbour.namespace), &address, 80, from_network),
                from_network,
                "{value}: from a network"
            );
            if value == "routed" {
                assert_eq!(ports[0].host_port, 0);
                assert_eq!(ask(Some(&outside), &address, 80).unwrap().to_string(), FAR4);
                let target = web.endpoint.ipv4.unwrap().addr();
                inside(&outside, move || crate::raw_packet::ping(target).unwrap());
            } else {
                assert_eq!(
                    ask(Some(&outside), HOST4, ports[0].host_port).unwrap().to_string(),
                    FAR4,
                    "{value}"
                );
            }
            world.remove(web).await;
        }
    });
}

#[test]
fn privileged_loopback_is_this_machine_s_own() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let web = world.container().await;
        let _server = serve_streams(&web.namespace, 80);
        world.publish(&web, vec![exact("80/tcp", "127.0.0.1", 8080)]).await;
        let own = TcpListener::bind("127.0.0.1:8081").unwrap();
        assert!(ask(None, "127.0.0.1", 8080).is_ok());
        assert!(is_closed(Some(&outside), HOST4, 8080));
        // Whoever has a route to 127.0.0.1 through this machine.
        for (namespace, link) in [(&outside, "far"), (&web.namespace, "eth0")] {
            let via = if link == "far" {
                HOST4.to_owned()
            } else {
                world.network.pool(false).unwrap().gateway.unwrap().to_string()
            };
            inside(namespace, move || {
                std::fs::write(format!("/proc/sys/net/ipv4/conf/{link}/route_localnet"), "1").unwrap();
                run("ip", &["route", "del", "table", "local", "127.0.0.0/8", "dev", "lo"]);
                run("ip", &["route", "del", "table", "local", "127.0.0.1", "dev", "lo"]);
                run("ip", &["route", "add", "127.0.0.0/8", "via", &via, "dev", link]);
            });
            assert!(is_closed(Some(namespace), "127.0.0.1", 8080), "{link}");
            assert!(is_closed(Some(namespace), "127.0.0.1", 8081), "{link}");
        }
        own.set_nonblocking(true).unwrap();
        assert!(own.accept().is_err(), "nobody came");
    });
}
