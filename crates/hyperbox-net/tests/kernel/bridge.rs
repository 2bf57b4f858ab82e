// SPDX-License-Identifier: MIT
//! The bridge driver against the kernel, with iproute2 as the oracle.

use std::sync::Arc;

use crate::machine::{
    Net, default_wish, host_links, inside, json, links, on_a_machine, request, ruleset, run, subnet, wish,
};
use futures_util::FutureExt as _;
use hyperbox_core::seam::{NetworkDriver, NetworkWish};
use hyperbox_net::{BridgeDriver, Config, Mechanisms};
use hyperbox_testkit::conformance::network::Traits;
use hyperbox_testkit::{conformance, wait_for_async};
use hyperbox_types::ErrorKind;
use serde_json::json;

#[test]
fn privileged_the_seam_s_suite() {
    on_a_machine(|| async {
        for spares in [0, 2] {
            let run_dir = tempfile::tempdir().unwrap();
            let path = run_dir.path().to_owned();
            conformance::network::check_all(move || {
                let config = Config {
                    run_dir: path.clone(),
                    spares,
                    ..Config::default()
                };
                Arc::new(BridgeDriver::open(config).unwrap()) as Arc<dyn NetworkDriver>
            })
            .await;
        }
    });
}

#[test]
fn privileged_the_seam_s_suite_of_networks_that_are_none() {
    on_a_machine(|| async {
        let run_dir = tempfile::tempdir().unwrap();
        let config = Config {
            run_dir: run_dir.path().to_owned(),
            ..Config::default()
        };
        let mechanisms = Mechanisms::open(config).unwrap();
        for driver in [&mechanisms.host, &mechanisms.null] {
            let driver: Arc<dyn NetworkDriver> = Arc::clone(driver) as _;
            conformance::network::check_with(|| Arc::clone(&driver), &Traits::default()).await;
        }
        let network = mechanisms.host.choose(wish("host"), &[]).await.unwrap();
        let sandbox = mechanisms.host.open(request(&network)).await.unwrap();
        run("ip", &["link", "add", "witness", "type", "bridge"]);
        assert_eq!(inside(&sandbox.namespace, links), ["lo", "witness"]);
        let sandbox = mechanisms.null.open(request(&network)).await.unwrap();
        assert_eq!(inside(&sandbox.namespace, links), ["lo"]);
        assert!(sandbox.endpoint.addresses().next().is_none() && sandbox.endpoint.link.is_empty());
    });
}

#[test]
fn privileged_a_sandbox_has_link_address_and_route() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let (_, sandbox) = net.open().await;
        let endpoint = sandbox.endpoint;
        let (inner, addresses, routes) = inside(&sandbox.namespace, || {
            let links = json("ip", &["-j", "-d", "link"]);
            (
                links,
                json("ip", &["-j", "addr", "show", "eth0"]),
                json("ip", &["-j", "route"]),
            )
        });
        assert_eq!(inner[0]["operstate"], "UNKNOWN", "the loopback link is up");
        assert_eq!(inner[0]["flags"], json!(["LOOPBACK", "UP", "LOWER_UP"]));
        assert_eq!(
            (&inner[1]["ifname"], &inner[1]["operstate"]),
            (&json!("eth0"), &json!("UP"))
        );
        assert_eq!(
            (&inner[1]["address"], &inner[1]["mtu"]),
            (&json!(endpoint.mac_address), &json!(1500))
        );
        let addresses = addresses[0]["addr_info"].as_array().unwrap();
        assert_eq!(addresses.len(), 1, "no IPv6 address: {addresses:?}");
        assert_eq!(addresses[0]["local"], json!(endpoint.ipv4.unwrap().addr()));
        assert_eq!(addresses[0]["prefixlen"], json!(16));
        assert_eq!(addresses[0]["broadcast"], json!("172.30.255.255"));
        let default = &routes[0];
        assert_eq!(
            (&default["dst"], &default["gateway"]),
            (&json!("default"), &json!("172.30.0.1"))
        );
        assert_eq!(default["dev"], "eth0");

        let host = json("ip", &["-j", "link", "show", &endpoint.host_link]);
        assert_eq!(
            (&host[0]["master"], &host[0]["operstate"]),
            (&json!("hyperbox0"), &json!("UP"))
        );
        let port = json("bridge", &["-j", "link", "show", "dev", &endpoint.host_link]);
        assert_eq!(port[0]["state"], "forwarding", "the first packet must not be lost");
        let bridge = json("ip", &["-j", "addr", "show", "hyperbox0"]);
        assert_eq!(
            bridge[0]["address"], "02:42:ac:1e:00:01",
            "the bridge keeps its MAC address"
        );
        assert_eq!(bridge[0]["addr_info"][0]["local"], "172.30.0.1");
        assert_eq!(endpoint.mac_address, "02:42:ac:1e:00:02");
    });
}

#[test]
fn privileged_a_hundred_containers_leave_nothing() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let before = (links(), ruleset());
        for _ in 0..20 {
            let opened = tokio::join!(net.open(), net.open(), net.open(), net.open(), net.open());
            let (a, b, c, d, e) = opened;
            for (container, sandbox) in [a, b, c, d, e] {
                let endpoint = sandbox.endpoint;
                drop(sandbox.namespace);
                net.driver.release(&container, &endpoint).await.unwrap();
                net.driver.release(&container, &endpoint).await.unwrap();
            }
        }
        wait_for_async("the links to go", || async {
            let now = (links(), ruleset());
            if now == before {
                Ok(())
            } else {
                Err(format!("there are {:?}", now.0))
            }
        })
        .await;
        net.driver.remove(&net.network).await.unwrap();
        assert_eq!(links(), ["lo"]);
        assert_eq!(ruleset()["nftables"].as_array().unwrap().len(), 1, "{}", ruleset());
    });
}

#[test]
fn privileged_a_link_that_outlives_its_release_is_removed() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let (container, sandbox) = net.open().await;
        let (_, kept) = net.open().await;
        net.driver.release(&container, &sandbox.endpoint).await.unwrap();
        let kept = kept.endpoint.host_link;
        wait_for_async("the link to go", || async {
            if host_links() == [kept.clone()] {
                Ok(())
            } else {
                Err(format!("{:?}", host_links()))
            }
        })
        .await;
        assert_eq!(inside(&sandbox.namespace, links), ["lo"]);
    });
}

#[test]
fn privileged_adopt_removes_leaks_and_nothing_else() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let (container, living) = net.open().await;
        let (_, _leaked) = net.open().await;
        run(
            "ip",
            &[
                "link",
                "add",
                "hb0123456789abc",
                "type",
                "veth",
                "peer",
                "name",
                "foreign",
            ],
        );
        run("ip", &["link", "add", "hbfedcba9876543", "type", "bridge"]);
        run("ip", &["link", "set", "foreign", "master", "hyperbox0"]);
        let driver = BridgeDriver::open(net.config.clone()).unwrap();
        let living = living.endpoint;
        let endpoints = [(container, living.clone())];
        driver
            .adopt(std::slice::from_ref(&net.network), &endpoints)
            .await
            .unwrap();
        let mut left = host_links();
        left.sort();
        let mut expected = ["hb0123456789abc", "hbfedcba9876543", &living.host_link].map(str::to_owned);
        expected.sort();
        assert_eq!(left, expected, "links that are no ports of the bridge stay");
        assert!(links().contains(&"foreign".to_owned()));
        let next = driver.open(net.request()).await.unwrap();
        assert_ne!(next.endpoint.ipv4, living.ipv4);
    });
}

#[test]
fn privileged_a_bridge_that_no_network_has_is_removed_at_start() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let forgotten = net.another(wish("forgotten")).await;
        run("ip", &["link", "add", "br-0123456789ab", "type", "bridge"]);
        let (config, network) = (net.config.clone(), net.network.clone());
        drop(net);
        let driver = BridgeDriver::open(config).unwrap();
        driver.adopt(std::slice::from_ref(&network), &[]).await.unwrap();
        assert!(!links().contains(&forgotten.link), "{:?}", links());
        assert!(links().contains(&"br-0123456789ab".to_owned()), "it is somebody else's");
        assert!(links().contains(&"hyperbox0".to_owned()));
    });
}

#[test]
fn privileged_a_restarted_driver_finds_its_bridge() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let before = (links(), ruleset(), json("ip", &["-j", "addr"]));
        let driver = BridgeDriver::open(net.config.clone()).unwrap();
        driver.ensure(&net.network).await.unwrap();
        assert_eq!((links(), ruleset(), json("ip", &["-j", "addr"])), before);
        let chosen = driver
            .choose(
                NetworkWish {
                    id: net.network.id.clone(),
                    ..default_wish()
                },
                &[],
            )
            .await
            .unwrap();
        assert_eq!(
            chosen, net.network,
            "a lost record changes nothing for containers that live on"
        );
    });
}

#[test]
fn privileged_a_removed_bridge_is_made_again() {
    on_a_machine(|| async {
        let net = Net::new().await;
        run("ip", &["link", "del", "hyperbox0"]);
        let (_, sandbox) = net.open().await;
        let host = json("ip", &["-j", "link", "show", &sandbox.endpoint.host_link]);
        assert_eq!(host[0]["master"], "hyperbox0");
    });
}

#[test]
fn privileged_lost_addresses_of_a_bridge_come_back() {
    on_a_machine(|| async {
        let both = NetworkWish {
            ipv6: true,
            ..default_wish()
        };
        let net = Net::of(both).await;
        let gateways = net.network.pools.iter().map(|pool| pool.gateway.unwrap().to_string());
        let gateways: Vec<String> = gateways.collect();
        let are_back = || async {
            let shown = run("ip", &["addr", "show", "dev", "hyperbox0"]);
            let missing = gateways.iter().find(|gateway| !shown.contains(&format!("{gateway}/")));
            missing.map_or(Ok(()), |gateway| Err(format!("{gateway} is missing: {shown}")))
        };
        are_back().await.unwrap();
        let all: &[&str] = &["addr", "flush", "dev", "hyperbox0"];
        let down: &[&str] = &["link", "set", "hyperbox0", "down"];
        let up: &[&str] = &["link", "set", "hyperbox0", "up"];
        for commands in [&[all][..], &[down, up], &[down, all, up], &[all, all]] {
            for command in commands {
                run("ip", command);
            }
            wait_for_async("the addresses", are_back).await;
        }
        // A bridge that was set down stays down, also when another network has come and gone behind what was noticed.
        run("ip", down);
        run("ip", all);
        let other = net.another(wish("other")).await;
        net.driver.remove(&other).await.unwrap();
        let link = json("ip", &["-j", "link", "show", "hyperbox0"]);
        assert_eq!(link[0]["operstate"], "DOWN");
        assert!(!link[0]["flags"].as_array().unwrap().contains(&json!("UP")), "{link}");
    });
}

/// Two programs that do not agree on an address do not keep each other, and all networks, busy.
#[test]
fn privileged_an_address_that_is_removed_again_and_again_comes_back_at_leisure() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let gateway = format!("{}/", net.network.pools[0].gateway.unwrap());
        let is_back = || async {
            let shown = run("ip", &["addr", "show", "dev", "hyperbox0"]);
            if shown.contains(&gateway) { Ok(()) } else { Err(shown) }
        };
        let began = std::time::Instant::now();
        let rounds = 11;
        for _ in 0..rounds {
            run("ip", &["addr", "flush", "dev", "hyperbox0"]);
            wait_for_async("the address", is_back).await;
        }
        // Between two pauses it may come back twice: because it was lost, and because the bridge is seen to be up.
        let least = std::time::Duration::from_millis(100) * (rounds / 2);
        assert!(began.elapsed() >= least, "{:?}", began.elapsed());
    });
}

#[test]
fn privileged_two_daemons_choose_different_subnets() {
    on_a_machine(|| async {
        let run_dir = tempfile::tempdir().unwrap();
        let driver = |instance: &str| {
            let config = Config {
                instance: instance.to_owned(),
                run_dir: run_dir.path().to_owned(),
                ..Config::default()
            };
            BridgeDriver::open(config).unwrap()
        };
        let (one, two) = (driver("default"), driver("second"));
        // Neither has made its bridge when the other one looks.
        let (one_s, two_s) = tokio::join!(one.choose(default_wish(), &[]), two.choose(default_wish(), &[]));
        let (one_s, two_s) = (one_s.unwrap(), two_s.unwrap());
        assert_ne!(one_s.pools, two_s.pools);
        assert_eq!((one_s.link.as_str(), two_s.link.as_str()), ("hyperbox0", "hb-second"));
        one.ensure(&one_s).await.unwrap();
        two.ensure(&two_s).await.unwrap();
        one.remove(&one_s).await.unwrap();
        assert_eq!(links(), ["lo", "hb-second"]);
        let text = run("nft", &["list", "tables"]);
        assert!(text.contains("hyperbox-second") && text.lines().count() == 1, "{text}");
    });
}

#[test]
fn privileged_choices_avoid_what_the_machine_uses() {
    on_a_machine(|| async {
        run("ip", &["link", "add", "lan", "type", "bridge"]);
        run("ip", &["addr", "add", "172.30.7.1/24", "dev", "lan"]);
        run("ip", &["link", "set", "lan", "up"]);
        run("ip", &["route", "add", "172.31.128.0/20", "dev", "lan", "table", "77"]);
        let net = Net::new().await;
        assert_eq!(net.network.pools[0].subnet.to_string(), "10.88.0.0/20");
        let wished = NetworkWish {
            pools: vec![subnet("172.30.7.128/25")],
            ..wish("other")
        };
        let refused = net.driver.choose(wished, &[]).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Conflict, "{refused}");
        let on_lo = NetworkWish {
            options: [("com.docker.network.bridge.name".to_owned(), "lo".to_owned())].into(),
            ..wish("other")
        };
        let refused = net.driver.choose(on_lo, &[]).await.unwrap_err();
        assert_eq!(refused.to_string(), "existing interface lo is not a bridge");
    });
}

#[test]
fn privileged_a_failed_or_abandoned_open_leaves_nothing() {
    on_a_machine(|| async {
        let net = Net::new().await;
        for _ in 0..3 {
            let request = net.request();
            let container = request.container.clone();
            // Polled once: the job is on its way when the caller goes, or, seldom, done already.
            if let Some(opened) = net.driver.open(request).now_or_never() {
                net.driver.release(&container, &opened.unwrap().endpoint).await.unwrap();
            }
        }
        // Jobs run in order: the abandoned ones are done when this one is.
        net.driver.ensure(&net.network).await.unwrap();
        net.driver.remove(&net.network).await.unwrap();
        run(
            "ip",
            &["link", "add", "hyperbox0", "type", "veth", "peer", "name", "foreign"],
        );
        let failed = net.driver.open(net.request()).await.unwrap_err();
        assert_eq!(failed.to_string(), "existing interface hyperbox0 is not a bridge");
        run("ip", &["link", "del", "hyperbox0"]);
        let mut request = net.request();
        request.endpoint.ipv4 = Some("172.30.0.2".parse().unwrap());
        let _kept = net.driver.open(request).await.unwrap();
        wait_for_async("the abandoned links to go", || async {
            if host_links().len() == 1 {
                Ok(())
            } else {
                Err(format!("{:?}", host_links()))
            }
        })
        .await;
    });
}
