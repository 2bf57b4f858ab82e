// SPDX-License-Identifier: MIT
//! Published ports with real packets: from this machine, from another one and from containers.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use hyperbox_core::seam::{NetworkDriver as _, PortPublisher, PortRequest};
use hyperbox_net::{Firewall, Mechanisms, Publisher};
use hyperbox_testkit::{conformance, wait_for};
use hyperbox_types::ErrorKind;

use crate::machine::{inside, links, on_a_machine, ruleset, run};
use crate::publish_world::{
    FAR4, FAR6, HOST4, HOST6, PATIENCE, World, ask, ask_again, ask_datagram, ask_much, exact, free, is_closed,
    outside_with_routes, serve_datagrams, serve_streams,
};

#[test]
fn privileged_the_publisher_s_suite() {
    on_a_machine(|| async {
        conformance::ports::check_all(|| {
            let firewall = Firewall::open("default", hyperbox_net::Config::default().system_bus).unwrap();
            Arc::new(Publisher::open(firewall).unwrap()) as Arc<dyn PortPublisher>
        })
        .await;
        assert_eq!(ruleset()["nftables"].as_array().unwrap().len(), 1, "{}", ruleset());
    });
}

#[test]
fn privileged_a_port_is_reached_from_everywhere() {
    reached_from_everywhere("1");
}

#[test]
fn privileged_a_port_is_reached_from_everywhere_where_bridges_are_not_filtered() {
    reached_from_everywhere("0");
}

/// With `bridge-nf-call-iptables` the kernel translates packets within a network on the bridge, and back; otherwise it routes them,
/// and the answer needs a reason to come back.
fn reached_from_everywhere(filter_bridges: &'static str) {
    on_a_machine(move || async move {
        for file in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables"] {
            std::fs::write(format!("/proc/sys/net/bridge/{file}"), filter_bridges).unwrap();
        }
        let outside = outside_with_routes();
        let world = World::new().await;
        let (web, neighbour) = (world.container().await, world.container().await);
        let other = world.network("other", &[], |_| {}).await;
        let stranger = world.container_in(&other).await;
        let _server = serve_streams(&web.namespace, 80);
        let port = world.publish_free(&web, "80/tcp").await;
        let seen = |from, target: &str| {
            let answer = ask(from, target, port);
            answer.unwrap_or_else(|error| panic!("{target}: {error}")).to_string()
        };
        let gateway = world.network.pool(false).unwrap().gateway.unwrap().to_string();
        let gateway6 = world.network.pool(true).unwrap().gateway.unwrap().to_string();
        let (near, near6) = match filter_bridges {
            "1" => (neighbour.ipv4().to_string(), neighbour.ipv6().to_string()),
            _ => (gateway.clone(), gateway6.clone()),
        };

        assert_eq!(seen(None, "127.0.0.1"), gateway, "this machine by loopback");
        assert_eq!(seen(None, "127.0.0.7"), gateway, "all of 127.0.0.0/8 is this machine");
        assert_eq!(seen(None, HOST4), HOST4, "this machine by its address");
        assert_eq!(seen(Some(&outside), HOST4), FAR4, "another machine keeps its address");
        assert_eq!(seen(Some(&neighbour.namespace), HOST4), near, "the same network");
        assert_eq!(
            seen(Some(&neighbour.namespace), &gateway),
            near,
            "the same network by its gateway"
        );
        assert_eq!(seen(Some(&web.namespace), HOST4), gateway, "itself");
        let strange = stranger.ipv4().to_string();
        assert_eq!(seen(Some(&stranger.namespace), HOST4), strange, "another network");

        assert_eq!(seen(None, "::1"), gateway6, "this machine by IPv6 loopback");
        assert_eq!(seen(None, HOST6), HOST6);
        assert_eq!(seen(Some(&outside), HOST6), FAR6);
        assert_eq!(seen(Some(&neighbour.namespace), HOST6), near6);
        assert_eq!(seen(Some(&web.namespace), HOST6), gateway6);
        let own = web.ipv4();
        assert_eq!(ask(Some(&web.namespace), &own.to_string(), 80).unwrap(), own);
        let port = world.publish(&web, vec![exact("80/tcp", HOST4, port)]).await[0].host_port;
        let answer = ask(Some(&web.namespace), HOST4, port).unwrap();
        assert_eq!(answer.to_string(), gateway, "itself, at one address");
        assert!(is_closed(None, "127.0.0.1", port));
    });
}

#[test]
fn privileged_datagrams_find_both_ways() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let (web, neighbour) = (world.container().await, world.container().await);
        let _four = serve_datagrams(&web.namespace, web.ipv4(), 53);
        let _six = serve_datagrams(&web.namespace, web.ipv6(), 53);
        let port = world.publish_free(&web, "53/udp").await;
        let seen = |from, target: &str| {
            let answer = ask_datagram(from, target, port);
            answer.unwrap_or_else(|error| panic!("{target}: {error}")).to_string()
        };
        let gateway = world.network.pool(false).unwrap().gateway.unwrap().to_string();
        assert_eq!(seen(None, "127.0.0.1"), gateway);
        assert_eq!(seen(None, HOST4), HOST4);
        assert_eq!(seen(Some(&outside), HOST4), FAR4);
        let near = [gateway.clone(), neighbour.ipv4().to_string()];
        assert!(near.contains(&seen(Some(&neighbour.namespace), HOST4)));
        assert_eq!(seen(Some(&web.namespace), HOST4), gateway, "itself");
        assert_eq!(seen(Some(&outside), HOST6), FAR6);
        let gateway6 = world.network.pool(true).unwrap().gateway.unwrap().to_string();
        assert_eq!(seen(None, "::1"), gateway6, "this machine by IPv6 loopback");
    });
}

#[test]
fn privileged_an_ipv4_container_is_reached_by_ipv6() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let four = world.network("four", &[], |_| {}).await;
        let web = world.container_in(&four).await;
        assert_eq!(web.endpoint.ipv6, None);
        let _server = serve_streams(&web.namespace, 80);
        let _datagrams = serve_datagrams(&web.namespace, web.ipv4(), 80);
        let published = world.publish(&web, vec![free("80/tcp"), free("80/udp")]).await;
        assert_eq!(published.len(), 4);
        let (tcp, udp) = (published[0].host_port, published[2].host_port);
        let gateway = four.pool(false).unwrap().gateway.unwrap();
        for (from, target) in [(None, "::1"), (None, HOST6), (Some(&outside), HOST6)] {
            assert_eq!(ask(from, target, tcp).unwrap(), gateway, "{target}");
            assert_eq!(ask_datagram(from, target, udp).unwrap(), gateway, "{target}");
        }
    });
}

#[test]
fn privileged_large_transfers_are_whole() {
    const SIZE: usize = 64 * 1024 * 1024;
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let web = world.container().await;
        let _server = serve_streams(&web.namespace, 80);
        let port = world.publish_free(&web, "80/tcp").await;
        for (from, target) in [(None, "127.0.0.1"), (Some(&outside), HOST4), (None, "::1")] {
            let start = Instant::now();
            ask_much(from, target, port, SIZE).unwrap();
            let seconds = start.elapsed().as_secs_f64();
            println!("{target}: {:.0} MB/s there and back", 2.0 * 64.0 / seconds);
        }
    });
}

#[test]
fn privileged_ports_are_somebody_s() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = listener.local_addr().unwrap().port();
        let refuse = |request| async {
            let refused = world.mechanisms.ports.publish(request).await.unwrap_err();
            (refused.kind, refused.message)
        };
        let (kind, message) = refuse(web.wish(vec![exact("80/tcp", "127.0.0.1", number)])).await;
        let address = web.ipv4();
        assert_eq!(kind, ErrorKind::Conflict);
        let expected = format!(
            "failed to bind host port for 127.0.0.1:{number}:{address}:80/tcp: address already in use (by process {} ",
            std::process::id()
        );
        assert!(message.starts_with(&expected), "{message}");
        assert!(
            world
                .mechanisms
                .ports
                .publish(web.wish(vec![exact("80/tcp", "127.0.0.2", number)]))
                .await
                .is_ok()
        );
        let (_, message) = refuse(web.wish(vec![exact("80/tcp", "198.51.100.9", 80)])).await;
        assert_eq!(
            message,
            format!("failed to bind host port for 198.51.100.9:80:{address}:80/tcp: cannot assign requested address")
        );
        // A range passes over what somebody else has.
        let range = PortRequest {
            host_ports: Some((number, number + 20)),
            ..exact("80/tcp", "127.0.0.1", number)
        };
        let published = world.publish(&web, vec![range]).await;
        assert!(published[0].host_port > number, "{published:?}");
        // What is published is nobody else's.
        let taken = SocketAddr::new("127.0.0.1".parse().unwrap(), published[0].host_port);
        assert!(TcpListener::bind(taken).is_err());
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        TcpListener::bind(taken).unwrap();
        let udp = world.publish_free(&web, "53/udp").await;
        assert!(UdpSocket::bind(("0.0.0.0", udp)).is_err());
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        UdpSocket::bind(("0.0.0.0", udp)).unwrap();
    });
}

#[test]
fn privileged_a_withdrawal_cuts_connections_and_leaves_nothing() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let before = ruleset();
        let web = world.container().await;
        let server = serve_streams(&web.namespace, 80);
        let port = world.publish_free(&web, "80/tcp").await;
        let target = SocketAddr::new(HOST4.parse().unwrap(), port);
        let mut stream = inside(&outside, move || TcpStream::connect_timeout(&target, PATIENCE)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = [0; 12];
        std::io::Read::read_exact(&mut stream, &mut line).unwrap();
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        assert_eq!(ruleset(), before);
        // The next packet meets a machine that knows of no such connection.
        wait_for("the connection to be cut", || {
            std::io::Write::write_all(&mut stream, b"x")
                .err()
                .map(drop)
                .ok_or_else(|| "it lives".to_owned())
        });
        assert!(is_closed(Some(&outside), HOST4, port));
        drop(server);
        world.remove(web).await;
        world.mechanisms.bridge.remove(&world.network).await.unwrap();
        assert_eq!(ruleset()["nftables"].as_array().unwrap().len(), 1, "{}", ruleset());
        wait_for("the links to go", || match links() {
            left if left == ["lo", "uplink"] => Ok(()),
            left => Err(format!("{left:?}")),
        });
    });
}

#[test]
fn privileged_clients_that_were_too_early_get_through() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let web = world.container().await;
        let _server = serve_datagrams(&web.namespace, web.ipv4(), 53);
        let number = world.publish_free(&web, "53/udp").await;
        let target = SocketAddr::new(HOST4.parse().unwrap(), number);
        let socket = inside(&outside, || UdpSocket::bind("0.0.0.0:0").unwrap());
        wait_for("the first answer", || {
            ask_again(&socket, target).map(drop).map_err(|error| error.to_string())
        });
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        wait_for("the flow to be cut", || match ask_again(&socket, target) {
            Ok(_) => Err("it lives".to_owned()),
            Err(_) => Ok(()),
        });
        let next = world.container().await;
        let _next_server = serve_datagrams(&next.namespace, next.ipv4(), 53);
        world.publish(&next, vec![exact("53/udp", "0.0.0.0", number)]).await;
        // Until the flow is cut the listening socket serves it, and the client's address is lost.
        wait_for(
            "the kernel to lead the same socket to the new container",
            || match ask_again(&socket, target) {
                Ok(seen) if seen.to_string() == FAR4 => Ok(()),
                other => Err(format!("{other:?}")),
            },
        );
    });
}

#[test]
fn privileged_a_new_daemon_takes_over() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let (web, gone) = (world.container().await, world.container().await);
        let _server = serve_streams(&web.namespace, 80);
        let published = world.publish(&web, vec![free("80/tcp")]).await;
        let port = published[0].host_port;
        let lost = world.publish_free(&gone, "80/tcp").await;
        let World {
            mechanisms,
            network,
            config,
            ..
        } = world;
        drop(mechanisms);
        ask(Some(&outside), HOST4, port).unwrap_or_else(|error| panic!("without a daemon: {error}"));
        // As a daemon with other rules would find it.
        run("nft", &["flush", "chain", "inet", "hyperbox", "guard"]);
        let mechanisms = Mechanisms::open(config).unwrap();
        let endpoints = [(web.id.clone(), web.endpoint.clone())];
        mechanisms
            .bridge
            .adopt(std::slice::from_ref(&network), &endpoints)
            .await
            .unwrap();
        assert!(ask(Some(&outside), HOST4, port).is_ok(), "while it starts");
        let exact = published.iter().map(|port| PortRequest {
            container: port.container,
            host_address: Some(port.host_address),
            host_ports: Some((port.host_port, port.host_port)),
        });
        mechanisms.ports.adopt(vec![web.wish(exact.collect())]).await.unwrap();
        assert!(mechanisms.firewall.still_intact().unwrap());
        for target in ["127.0.0.1", HOST4, "::1"] {
            assert!(ask(None, target, port).is_ok(), "{target}");
        }
        assert!(TcpListener::bind(("0.0.0.0", port)).is_err());
        TcpListener::bind(("0.0.0.0", lost)).unwrap();
        assert!(!run("nft", &["list", "ruleset"]).contains(&format!("tcp . {lost} ")));
    });
}

#[test]
fn privileged_five_hundred_ports() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        let _server = serve_streams(&web.namespace, 500);
        let rules = || {
            run("nft", &["-a", "list", "table", "inet", "hyperbox"])
                .matches(" # handle ")
                .count()
        };
        let start = Instant::now();
        world.publish_free(&web, "500/tcp").await;
        let one = start.elapsed();
        let (before, start) = (rules(), Instant::now());
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        let withdrawn = start.elapsed();
        let wishes = (1..=500).map(|number| free(&format!("{number}/tcp")));
        let start = Instant::now();
        let published = world.publish(&web, wishes.collect()).await;
        let many = start.elapsed();
        assert_eq!((published.len(), rules()), (1000, before), "rules do not grow");
        let last = published.last().unwrap().host_port;
        assert!(ask(None, "127.0.0.1", last).is_ok());
        let next = world.container().await;
        let start = Instant::now();
        world.publish_free(&next, "80/tcp").await;
        let behind = start.elapsed();
        let start = Instant::now();
        run("nft", &["flush", "ruleset"]);
        wait_for("the rules to return", || {
            let intact = world.mechanisms.firewall.still_intact().unwrap();
            if intact { Ok(()) } else { Err("not yet".to_owned()) }
        });
        let restored = start.elapsed();
        let start = Instant::now();
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        println!(
            "publish 1: {one:?}, withdraw 1: {withdrawn:?}, publish 500 (two families): {many:?}, one more: {behind:?}, \
             restored with nft's own time: {restored:?}, withdraw 500: {:?}; {before} objects in the table",
            start.elapsed()
        );
    });
}

#[test]
fn privileged_abandoned_publications_are_undone() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        let before = ruleset();
        for _ in 0..5 {
            let request = web.wish(vec![free("80/tcp"), free("80/udp")]);
            // Polled once: the job is on its way when the caller goes.
            drop(futures_util::FutureExt::now_or_never(
                world.mechanisms.ports.publish(request),
            ));
        }
        // Jobs run in order, but the undoing of the last may come behind this one.
        wait_for("the ports to be withdrawn", || {
            if ruleset() == before {
                Ok(())
            } else {
                Err("there are elements".to_owned())
            }
        });
    });
}

/// A kernel without SCTP sockets translates it all the same.
#[test]
fn privileged_sctp_is_translated() {
    on_a_machine(|| async {
        let outside = outside_with_routes();
        let world = World::new().await;
        let web = world.container().await;
        let received = inside(&web.namespace, || crate::raw_packet::sctp_socket().unwrap());
        world.publish(&web, vec![exact("9899/sctp", "0.0.0.0", 4321)]).await;
        let refused = world.container().await.wish(vec![exact("1/sctp", HOST4, 4321)]);
        let refused = world.mechanisms.ports.publish(refused).await.unwrap_err();
        assert!(refused.message.contains("port is already allocated"), "{refused}");
        inside(&outside, || {
            crate::raw_packet::send_init(HOST4.parse().unwrap(), 4321).unwrap();
        });
        let (from, port) = crate::raw_packet::receive_sctp(&received).unwrap();
        assert_eq!((IpAddr::V4(from), port), (FAR4.parse().unwrap(), 9899));
    });
}
