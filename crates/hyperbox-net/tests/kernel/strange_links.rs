// SPDX-License-Identifier: MIT
//! Ports of containers behind links that no network of ours has, such as those of CNI plugins.

use hyperbox_core::seam::PortPublisher as _;

use crate::machine::{on_a_machine, outside, run};
use crate::publish_world::{Container, FAR4, HOST4, World, ask, ask_datagram, free, serve_datagrams, serve_streams};

#[test]
fn privileged_ports_behind_strange_links_are_reached_from_loopback_too() {
    on_a_machine(|| async {
        let world = World::new().await;
        let mut web = strange(world.container().await);
        web.namespace = outside();
        let _servers = [
            serve_streams(&web.namespace, 80),
            serve_datagrams(&web.namespace, FAR4.parse().unwrap(), 80),
        ];
        let ports = world.publish(&web, vec![free("80/tcp"), free("80/udp")]).await;
        let number = |protocol: &str| {
            let mut ports = ports.iter().filter(|port| port.host_address.is_ipv4());
            let port = ports.find(|port| port.container.to_string().ends_with(protocol));
            port.unwrap().host_port
        };
        let (tcp, udp) = (number("tcp"), number("udp"));
        for address in ["127.0.0.1", "127.0.0.2", HOST4] {
            assert_eq!(ask(None, address, tcp).unwrap().to_string(), HOST4, "{address}");
        }
        assert_eq!(ask_datagram(None, "127.0.0.1", udp).unwrap().to_string(), HOST4);
        world.mechanisms.ports.withdraw(&web.id).await.unwrap();
        let left = run("nft", &["list", "set", "inet", "hyperbox", "own4at"]);
        assert!(!left.contains("elements"), "{left}");
    });
}

/// The container as if a plugin had connected it to the outside.
fn strange(mut container: Container) -> Container {
    container.network.link = "uplink".to_owned();
    container.endpoint.ipv4 = Some(format!("{FAR4}/24").parse().unwrap());
    container.endpoint.ipv6 = None;
    container
}
