// SPDX-License-Identifier: MIT
//! Joining and leaving networks while packets flow, and many at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{IpAddr, TcpStream};
use std::os::fd::AsFd as _;

use crate::machine::{Net, host_links, inside, json, links, on_a_machine, request, run, subnet, wish};
use crate::traffic::{listener, seen_address};
use hyperbox_core::seam::{DefaultRoutes, NetworkDriver as _, NetworkWish, Routes, Sandboxes as _};
use hyperbox_net::Mechanisms;
use hyperbox_testkit::{container_id, wait_for_async};

#[test]
fn privileged_a_hundred_at_once() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let opened = futures_util::future::join_all((0..100).map(|_| net.open())).await;
        let addresses: BTreeSet<_> = opened.iter().map(|(_, sandbox)| sandbox.endpoint.ipv4).collect();
        let names: BTreeSet<_> = opened
            .iter()
            .map(|(_, sandbox)| sandbox.endpoint.host_link.clone())
            .collect();
        assert_eq!((addresses.len(), names.len()), (100, 100));
        let present: BTreeSet<_> = host_links().into_iter().collect();
        assert!(names.is_subset(&present));
    });
}

#[test]
fn privileged_a_second_network_comes_and_goes_under_traffic() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let second = net.another(wish("second")).await;
        let (_, server) = net.open().await;
        let (container, sandbox) = net.open().await;
        let target = IpAddr::from(server.endpoint.ipv4.unwrap().addr());
        let accepting = inside(&server.namespace, move || listener(target));
        let address = accepting.local_addr().unwrap();
        let mut stream = inside(&sandbox.namespace, move || TcpStream::connect(address).unwrap());
        let (received, _) = accepting.accept().unwrap();
        let reader = std::thread::spawn(move || std::io::copy(&mut &received, &mut std::io::sink()).unwrap());
        let mut sent = 0;
        for _ in 0..10 {
            let mut wished = request(&second).endpoint;
            wished.link = "eth1".to_owned();
            wished.default_routes = DefaultRoutes::default();
            let endpoint = net
                .driver
                .attach(sandbox.namespace.as_fd(), &container, wished)
                .await
                .unwrap();
            let (addresses, routes) = inside(&sandbox.namespace, || {
                (run("ip", &["-4", "addr", "show", "eth1"]), run("ip", &["route"]))
            });
            assert!(addresses.contains(&endpoint.ipv4.unwrap().to_string()), "{addresses}");
            assert!(routes.starts_with("default via 172.30.0.1 dev eth0"), "{routes}");
            let gateway = second.pools[0].gateway.unwrap();
            let own = IpAddr::from(endpoint.ipv4.unwrap().addr());
            assert_eq!(seen_address(&sandbox.namespace, || listener(gateway)).unwrap(), own);
            stream.write_all(&[7; 100_000]).unwrap();
            sent += 100_000;
            net.driver
                .detach(sandbox.namespace.as_fd(), &container, &endpoint)
                .await
                .unwrap();
            net.driver.release(&container, &endpoint).await.unwrap();
            assert_eq!(inside(&sandbox.namespace, links), ["lo", "eth0"]);
        }
        drop(stream);
        assert_eq!(
            reader.join().unwrap(),
            sent,
            "not a byte of the other network's connection is lost"
        );
        net.driver.remove(&second).await.unwrap();
    });
}

#[test]
fn privileged_an_abandoned_attach_leaves_nothing() {
    on_a_machine(|| async {
        use futures_util::FutureExt as _;
        let net = Net::new().await;
        let (_, sandbox) = net.open().await;
        let second = net.another(wish("second")).await;
        let mut wished = request(&second).endpoint;
        wished.link = "eth1".to_owned();
        let container = container_id();
        let attached = net.driver.attach(sandbox.namespace.as_fd(), &container, wished);
        assert!(attached.now_or_never().is_none());
        wait_for_async("the abandoned link to go", || async {
            let left = inside(&sandbox.namespace, links);
            if left == ["lo", "eth0"] {
                Ok(())
            } else {
                Err(format!("{left:?}"))
            }
        })
        .await;
    });
}

#[test]
fn privileged_default_routes_are_replaced() {
    on_a_machine(|| async {
        let run_dir = tempfile::tempdir().unwrap();
        let config = hyperbox_net::Config {
            run_dir: run_dir.path().to_owned(),
            ..hyperbox_net::Config::default()
        };
        let mechanisms = Mechanisms::open(config).unwrap();
        let driver = &mechanisms.bridge;
        let dual = NetworkWish {
            ipv6: true,
            ..wish("one")
        };
        let network = driver.choose(dual, &[]).await.unwrap();
        driver.ensure(&network).await.unwrap();
        let sandbox = driver.open(request(&network)).await.unwrap();
        let namespace = sandbox.namespace.as_fd();
        let routes = || {
            inside(&sandbox.namespace, || {
                let all = run("ip", &["route"]) + &run("ip", &["-6", "route"]);
                all.lines().filter(|line| line.starts_with("default")).count()
            })
        };
        assert_eq!(routes(), 2);
        mechanisms
            .sandboxes
            .set_routes(namespace, Routes::default())
            .await
            .unwrap();
        assert_eq!(routes(), 0);
        let both = Routes {
            ipv4: sandbox
                .endpoint
                .gateway_ipv4
                .map(|gateway| (gateway, "eth0".to_owned())),
            ipv6: sandbox
                .endpoint
                .gateway_ipv6
                .map(|gateway| (gateway, "eth0".to_owned())),
        };
        for _ in 0..2 {
            mechanisms.sandboxes.set_routes(namespace, both.clone()).await.unwrap();
            assert_eq!(routes(), 2);
        }
    });
}

#[test]
fn privileged_an_internal_network_has_no_way_out() {
    on_a_machine(|| async {
        let internal = NetworkWish {
            internal: true,
            pools: vec![subnet("10.7.0.0/24")],
            ..wish("internal")
        };
        let net = Net::of(internal).await;
        let ((_, one), (_, two)) = tokio::join!(net.open(), net.open());
        assert_eq!(one.endpoint.gateway_ipv4, None);
        assert_eq!(inside(&one.namespace, || run("ip", &["route"])).lines().count(), 1);
        let target = IpAddr::from(two.endpoint.ipv4.unwrap().addr());
        let seen = seen_address(&one.namespace, || inside(&two.namespace, move || listener(target)));
        assert_eq!(seen.unwrap(), IpAddr::from(one.endpoint.ipv4.unwrap().addr()));
    });
}

#[test]
fn privileged_containers_that_must_not_speak_to_each_other() {
    on_a_machine(|| async {
        let apart = NetworkWish {
            options: [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into(),
            ..wish("apart")
        };
        let net = Net::of(apart).await;
        let ((_, one), (_, two)) = tokio::join!(net.open(), net.open());
        let target = IpAddr::from(two.endpoint.ipv4.unwrap().addr());
        let accepting = inside(&two.namespace, move || listener(target));
        let address = accepting.local_addr().unwrap();
        // The neighbour does not answer, and the kernel says so after three solicitations.
        let refused = inside(&one.namespace, move || TcpStream::connect(address).unwrap_err());
        assert_eq!(refused.kind(), std::io::ErrorKind::HostUnreachable);
        let gateway = net.network.pools[0].gateway.unwrap();
        assert!(
            seen_address(&one.namespace, || listener(gateway)).is_ok(),
            "the machine is reached"
        );
    });
}

#[test]
fn privileged_options_of_networks_and_endpoints() {
    on_a_machine(|| async {
        let option = |key: &str, value: &str| (format!("com.docker.network.{key}"), value.to_owned());
        let optioned = NetworkWish {
            options: BTreeMap::from([
                option("bridge.name", "front0"),
                option("driver.mtu", "1400"),
                option("container_iface_prefix", "lan"),
                option("bridge.inhibit_ipv4", "true"),
            ]),
            pools: vec![subnet("10.7.0.0/24")],
            ..wish("front")
        };
        let net = Net::of(optioned).await;
        assert_eq!((net.network.link.as_str(), net.network.mtu), ("front0", 1400));
        let bridge = json("ip", &["-j", "-4", "addr", "show", "front0"]);
        assert!(bridge[0]["addr_info"].as_array().is_none_or(Vec::is_empty), "{bridge}");
        let (_, sandbox) = net.open().await;
        assert_eq!(sandbox.endpoint.link, "lan0");
        let link = inside(&sandbox.namespace, || json("ip", &["-j", "link", "show", "lan0"]));
        assert_eq!(link[0]["mtu"], 1400);

        let mut wished = net.request();
        wished.endpoint.options = BTreeMap::from([
            option("endpoint.ifname", "foo0"),
            option("endpoint.sysctls", "net.ipv4.conf.IFNAME.log_martians=1"),
        ]);
        wished.endpoint.mac_address = Some("02:00:00:00:00:09".to_owned());
        wished.endpoint.link_local = vec!["169.254.34.68".parse().unwrap()];
        let sandbox = net.driver.open(wished).await.unwrap();
        let (link, martians) = inside(&sandbox.namespace, || {
            let martians = std::fs::read_to_string("/proc/sys/net/ipv4/conf/foo0/log_martians").unwrap();
            (json("ip", &["-j", "addr", "show", "foo0"]), martians)
        });
        assert_eq!(
            (link[0]["address"].as_str(), martians.trim()),
            (Some("02:00:00:00:00:09"), "1")
        );
        let addresses = link[0]["addr_info"].as_array().unwrap();
        assert!(
            addresses.iter().any(|address| address["local"] == "169.254.34.68"),
            "{addresses:?}"
        );

        let mut wrong = net.request();
        wrong.endpoint.options = BTreeMap::from([option("endpoint.sysctls", "net.ipv4.conf.IFNAME.nonsense=1")]);
        let refused = net.driver.open(wrong).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "/proc/sys/net/ipv4/conf/lan0/nonsense is not a sysctl file"
        );
    });
}

#[test]
fn privileged_a_user_s_own_bridge_stays() {
    on_a_machine(|| async {
        run("ip", &["link", "add", "mine", "type", "bridge"]);
        run("ip", &["addr", "add", "10.7.0.9/24", "dev", "mine"]);
        run("ip", &["link", "set", "mine", "up"]);
        let on_mine = NetworkWish {
            options: [("com.docker.network.bridge.name".to_owned(), "mine".to_owned())].into(),
            ..wish("on-mine")
        };
        let net = Net::of(on_mine).await;
        assert_eq!(net.network.pools[0].gateway, "10.7.0.9".parse().ok());
        let (_, sandbox) = net.open().await;
        assert_eq!(sandbox.endpoint.ipv4.unwrap().to_string(), "10.7.0.1/24");
        net.driver.remove(&net.network).await.unwrap();
        assert!(links().contains(&"mine".to_owned()));
    });
}
