// SPDX-License-Identifier: MIT
//! Packets beyond 64 KiB: on their way in both families, with bridges filtered or not, whole; and on no link that nobody asked about.

use std::os::fd::OwnedFd;

use hyperbox_core::seam::NetworkDriver as _;
use hyperbox_testkit::wait_for;

use crate::loopback::{counted, filter_bridges};
use crate::machine::{inside, json, on_a_machine, outside, run};
use crate::publish_world::{World, ask_much, free, serve_streams};

const BRIDGE: &str = "hyperbox0";
const USUAL: u64 = 65536;
const BIG: u64 = 196_608;
/// What makes packets of the kernel's own sockets, and is more than a window.
const MUCH: usize = 16 * 1024 * 1024;

/// The size that a link takes. The program of Debian 12 does not show that of IPv4, whose packets are counted below.
fn size(link: &str) -> u64 {
    json("ip", &["-d", "-j", "link", "show", link])[0]["gso_max_size"]
        .as_u64()
        .unwrap()
}

fn size_inside(namespace: &OwnedFd) -> u64 {
    inside(namespace, || size("eth0"))
}

fn count_big() {
    run(
        "nft",
        &["table inet big { chain c { type filter hook postrouting priority 300; meta length > 65600 counter; }\n }"],
    );
}

fn forget_count() {
    run("nft", &["delete table inet big"]);
}

#[test]
fn privileged_big_packets_reach_containers_whole() {
    on_a_machine(|| async {
        let outside = outside();
        let world = World::with_big_packets().await;
        let web = world.container().await;
        let _server = serve_streams(&web.namespace, 80);
        let port = world.publish(&web, vec![free("80/tcp")]).await[0].host_port;
        assert_eq!(
            ["lo", BRIDGE, &web.endpoint.host_link].map(size),
            [BIG, BIG, BIG],
            "loopback, bridge, host link"
        );
        assert_eq!(size_inside(&web.namespace), BIG);
        assert_eq!(size("uplink"), USUAL, "a link of somebody else");
        for position in ["0", "1"] {
            filter_bridges(position);
            std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", position).unwrap();
            for address in ["127.0.0.1", "203.0.113.1", "::1"] {
                count_big();
                let answered = ask_much(None, address, port, MUCH);
                answered.unwrap_or_else(|error| panic!("{address}, {position}: {error}"));
                assert_ne!(counted(), 0, "{address}, {position}");
                forget_count();
            }
        }
        ask_much(Some(&outside), "203.0.113.1", port, MUCH).unwrap();
    });
}

#[test]
fn privileged_packets_stay_at_their_size_unless_asked_for() {
    on_a_machine(|| async {
        let world = World::new().await;
        let web = world.container().await;
        assert_eq!(["lo", BRIDGE, &web.endpoint.host_link].map(size), [USUAL; 3]);
        assert_eq!(size_inside(&web.namespace), USUAL);
    });
}

#[test]
fn privileged_a_restored_bridge_takes_big_packets() {
    on_a_machine(|| async {
        let world = World::with_big_packets().await;
        let web = world.container().await;
        run("ip", &["link", "delete", BRIDGE]);
        wait_for("a bridge that takes big packets again", || {
            let links = crate::machine::links();
            let whole = links.iter().any(|link| link == BRIDGE) && size(BRIDGE) == BIG;
            whole.then_some(()).ok_or_else(|| format!("{links:?}"))
        });
        world.mechanisms.bridge.release(&web.id, &web.endpoint).await.unwrap();
    });
}
