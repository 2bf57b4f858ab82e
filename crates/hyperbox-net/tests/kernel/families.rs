// SPDX-License-Identifier: MIT
//! IPv6, both families and neither; what a link has and has not.

use std::net::{IpAddr, Ipv6Addr};

use crate::machine::{Net, inside, json, on_a_machine, request, run, subnet, wish};
use crate::traffic::{listener, seen_address};
use hyperbox_core::seam::{NetworkDriver as _, NetworkWish};
use hyperbox_types::ErrorKind;
use serde_json::json;

fn dual() -> NetworkWish {
    NetworkWish {
        ipv6: true,
        ..wish("dual")
    }
}

fn sysctl(name: &str) -> String {
    std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}"))
        .unwrap()
        .trim()
        .to_owned()
}

/// Addresses of a link that `ip` calls usable: not tentative, not failed.
fn usable(link: &str) -> Vec<String> {
    let shown = json("ip", &["-j", "addr", "show", link]);
    let addresses = shown[0]["addr_info"].as_array().unwrap().iter();
    let usable = addresses.filter(|address| address.get("tentative").is_none() && address["scope"] == json!("global"));
    usable
        .map(|address| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]))
        .collect()
}

#[test]
fn privileged_both_families_at_once_and_usable_at_once() {
    on_a_machine(|| async {
        let net = Net::of(dual()).await;
        let pool = net.network.pool(true).unwrap();
        assert!(
            pool.subnet.to_string().starts_with("fd") && pool.subnet.prefix_len() == 64,
            "{pool:?}"
        );
        let (_, one) = net.open().await;
        let (_, two) = net.open().await;
        let address = one.endpoint.ipv6.unwrap();
        assert_eq!(one.endpoint.gateway_ipv6.map(IpAddr::V6), pool.gateway);
        let (addresses, routes) = inside(&one.namespace, || (usable("eth0"), run("ip", &["-6", "route"])));
        let expected = [one.endpoint.ipv4.unwrap().to_string(), address.to_string()];
        assert_eq!(addresses, expected);
        let gateway = pool.gateway.unwrap();
        assert!(routes.contains(&format!("default via {gateway} dev eth0")), "{routes}");
        let target = IpAddr::from(two.endpoint.ipv6.unwrap().addr());
        let seen = seen_address(&one.namespace, || inside(&two.namespace, move || listener(target)));
        assert_eq!(seen.unwrap(), IpAddr::from(address.addr()));
        assert_eq!(
            seen_address(&one.namespace, || listener(gateway)).unwrap(),
            IpAddr::from(address.addr())
        );
        assert_eq!(sysctl("all/forwarding"), "1");
    });
}

#[test]
fn privileged_ipv6_alone() {
    on_a_machine(|| async {
        let net = Net::of(NetworkWish {
            ipv4: false,
            pools: vec![subnet("2001:db8:7::/64")],
            ..dual()
        })
        .await;
        let mut wished = net.request();
        wished.endpoint.ipv6 = Some(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0x77));
        let one = net.driver.open(wished).await.unwrap();
        let (_, two) = net.open().await;
        assert_eq!(
            (one.endpoint.ipv4, two.endpoint.ipv6.unwrap().to_string().as_str()),
            (None, "2001:db8:7::2/64")
        );
        assert_eq!(inside(&one.namespace, || usable("eth0")), ["2001:db8:7::77/64"]);
        let target = IpAddr::from(two.endpoint.ipv6.unwrap().addr());
        let seen = seen_address(&one.namespace, || inside(&two.namespace, move || listener(target)));
        assert_eq!(seen.unwrap().to_string(), "2001:db8:7::77");
        let bridge = json("ip", &["-j", "-4", "addr", "show", &net.network.link]);
        assert!(bridge[0]["addr_info"].as_array().is_none_or(Vec::is_empty), "{bridge}");
    });
}

#[test]
fn privileged_a_network_without_ipv6_has_none_of_it() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let (_, sandbox) = net.open().await;
        let (off, others, loopback) = inside(&sandbox.namespace, || {
            (
                sysctl("eth0/disable_ipv6"),
                [
                    sysctl("all/disable_ipv6"),
                    sysctl("default/disable_ipv6"),
                    sysctl("lo/disable_ipv6"),
                ],
                run("ip", &["-6", "addr"]),
            )
        });
        assert_eq!((off.as_str(), others), ("1", ["0", "0", "0"].map(str::to_owned)));
        assert!(loopback.contains("::1/128") && !loopback.contains("eth0"), "{loopback}");
        assert_eq!(sysctl("hyperbox0/disable_ipv6"), "1");
        assert_eq!(sysctl("all/forwarding"), "0");
    });
}

#[test]
fn privileged_router_advertisements_are_accepted_where_they_were() {
    on_a_machine(|| async {
        run("ip", &["link", "add", "uplink", "type", "veth", "peer", "name", "far"]);
        std::fs::write("/proc/sys/net/ipv6/conf/far/accept_ra", "0").unwrap();
        assert_eq!(sysctl("uplink/accept_ra"), "1");
        let net = Net::of(dual()).await;
        assert_eq!(
            (sysctl("uplink/accept_ra"), sysctl("far/accept_ra")),
            ("2".to_owned(), "0".to_owned())
        );
        assert_eq!(sysctl(&format!("{}/accept_ra", net.network.link)), "0");
    });
}

#[test]
fn privileged_refusals_have_docker_s_words() {
    on_a_machine(|| async {
        let small = NetworkWish {
            pools: vec![subnet("10.7.0.0/30"), subnet("fd00:7::/126")],
            ..dual()
        };
        let net = Net::of(small).await;
        let (_, held) = net.open().await;
        let refused = net.driver.open(net.request()).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.to_string()),
            (
                ErrorKind::ResourceExhausted,
                format!(
                    "no available IPv4 addresses on this network's address pools: dual ({})",
                    net.network.id
                )
            )
        );
        let mut taken = net.request();
        taken.endpoint.ipv6 = Some(held.endpoint.ipv6.unwrap().addr());
        taken.endpoint.ipv4 = Some(held.endpoint.ipv4.unwrap().addr());
        let refused = net.driver.open(taken).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.to_string().as_str()),
            (ErrorKind::PermissionDenied, "Address already in use")
        );
        let mut foreign = net.request();
        foreign.endpoint.ipv4 = Some([10, 9, 9, 9].into());
        let refused = net.driver.open(foreign).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "invalid config for network dual: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.9.9.9"
        );
        let mut wrong = request(&net.network);
        wrong.endpoint.link_local = vec!["10.3.3.3".parse().unwrap()];
        let refused = net.driver.open(wrong).await.unwrap_err();
        assert_eq!(refused.to_string(), "invalid link local IP address: 10.3.3.3");
    });
}
