// SPDX-License-Identifier: MIT
//! Sandboxes made ahead, and bridges that somebody removes.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::machine::{Net, default_wish, host_links, inside, json, links, on_a_machine, run, subnet, wish};
use crate::names::is_reached;
use crate::traffic::{listener, seen_address};
use hyperbox_core::seam::{Endpoint, NetworkDriver as _, NetworkWish, Sandbox};
use hyperbox_net::{BridgeDriver, Config};
use hyperbox_testkit::{container_id, wait_for_async};

async fn there_are(count: usize) {
    wait_for_async("sandboxes to be made or to go", || async {
        let links = host_links();
        if links.len() == count {
            Ok(())
        } else {
            Err(format!("{links:?}"))
        }
    })
    .await;
}

fn ip(endpoint: &Endpoint) -> IpAddr {
    endpoint.ipv4.unwrap().addr().into()
}

fn can_speak(one: &Sandbox, two: &Sandbox) {
    let target = ip(&two.endpoint);
    let seen = seen_address(&one.namespace, || inside(&two.namespace, move || listener(target)));
    assert_eq!(seen.unwrap(), ip(&one.endpoint));
}

#[test]
fn privileged_one_made_ahead_is_like_any_other() {
    on_a_machine(|| async {
        let dual = NetworkWish {
            ipv6: true,
            ..default_wish()
        };
        let net = Net::with_spares(dual, 2).await;
        let mut wished = net.request();
        wished.names = true;
        let first = net.driver.open(wished.clone()).await.unwrap();
        there_are(3).await;
        wished.container = container_id();
        let ready: BTreeSet<_> = host_links().into_iter().collect();
        let second = net.driver.open(wished.clone()).await.unwrap();
        assert!(ready.contains(&second.endpoint.host_link), "it was there before");
        assert_eq!(second.endpoint.ipv4.unwrap().to_string(), "172.30.0.3/16");
        assert_eq!(second.endpoint.mac_address, "02:42:ac:1e:00:03");
        can_speak(&first, &second);
        can_speak(&second, &first);
        is_reached(&second.namespace, second.names.as_ref().unwrap());
        there_are(4).await;
        let own = container_id();
        net.driver.release(&own, &second.endpoint).await.unwrap();
        let mut taken = net.request();
        taken.endpoint.ipv4 = second.endpoint.ipv4.map(|net| net.addr());
        assert!(
            net.driver.open(taken.clone()).await.is_err(),
            "it is the container's now"
        );
        net.driver.release(&wished.container, &second.endpoint).await.unwrap();
        taken.endpoint.ipv6 = None;
        net.driver.open(taken).await.unwrap();
        // Another kind takes the place of the first.
        let plain = net.driver.open(net.request()).await.unwrap();
        assert!(plain.names.is_none());
    });
}

#[test]
fn privileged_nobody_lacks_an_address_for_a_spare() {
    on_a_machine(|| async {
        let narrow = NetworkWish {
            pools: vec![subnet("10.7.0.0/26")],
            ..wish("narrow")
        };
        let net = Net::with_spares(narrow, 8).await;
        let mut opened = vec![net.open().await];
        there_are(3).await;
        // One that a spare has.
        let mut wished = net.request();
        wished.endpoint.ipv4 = Some([10, 7, 0, 3].into());
        let wished = net.driver.open(wished).await.unwrap();
        can_speak(&opened[0].1, &wished);
        // All there are: 64 without network, broadcast, gateway and the one above.
        while opened.len() < 60 {
            opened.push(net.open().await);
        }
        let all: BTreeSet<_> = opened.iter().map(|(_, sandbox)| sandbox.endpoint.ipv4).collect();
        assert_eq!(all.len(), 60);
        assert!(net.driver.open(net.request()).await.is_err());
    });
}

#[test]
fn privileged_spares_go_with_their_network_and_with_the_daemon() {
    on_a_machine(|| async {
        let net = Net::with_spares(default_wish(), 2).await;
        let second = net.another(wish("second")).await;
        let (_, living) = net.open().await;
        let (container, other) = net.open_in(&second).await;
        there_are(6).await;
        drop(other.namespace);
        net.driver.release(&container, &other.endpoint).await.unwrap();
        net.driver.remove(&second).await.unwrap();
        there_are(3).await;
        let (network, config) = (net.network.clone(), net.config.clone());
        drop(net);
        there_are(1).await;
        assert_eq!(host_links()[0], living.endpoint.host_link);
        let after = BridgeDriver::open(config).unwrap();
        let endpoints = [(container_id(), living.endpoint.clone())];
        after.adopt(std::slice::from_ref(&network), &endpoints).await.unwrap();
        after.ensure(&network).await.unwrap();
        let next = after.open(crate::machine::request(&network)).await.unwrap();
        assert_eq!(
            next.endpoint.ipv4.unwrap().to_string(),
            "172.30.0.3/16",
            "the spares' are free again"
        );
        can_speak(&living, &next);
    });
}

#[test]
fn privileged_spares_go_when_nobody_comes() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let config = Config {
            spares: 2,
            spares_idle: Duration::from_millis(500),
            ..net.config.clone()
        };
        let driver = BridgeDriver::open(config).unwrap();
        let _kept = driver.open(net.request()).await.unwrap();
        there_are(3).await;
        there_are(1).await;
        // And come again with use.
        let _second = driver.open(net.request()).await.unwrap();
        there_are(4).await;
    });
}

#[test]
fn privileged_a_bridge_that_somebody_removes_is_restored() {
    on_a_machine(|| async {
        let net = Net::with_spares(default_wish(), 2).await;
        let ((_, one), (_, two)) = tokio::join!(net.open(), net.open());
        wait_for_async("sandboxes to be made", || async {
            if host_links().len() >= 4 {
                Ok(())
            } else {
                Err(format!("{:?}", host_links()))
            }
        })
        .await;
        for _ in 0..3 {
            run("ip", &["link", "del", "hyperbox0"]);
            wait_for_async("the bridge to be back with its ports", || async {
                if !links().contains(&"hyperbox0".to_owned()) {
                    return Err("no bridge".to_owned());
                }
                let ports = run("ip", &["link", "show", "master", "hyperbox0"]);
                let all = [&one, &two]
                    .iter()
                    .all(|sandbox| ports.contains(&sandbox.endpoint.host_link));
                if all { Ok(()) } else { Err(ports) }
            })
            .await;
            can_speak(&one, &two);
            let bridge = json("ip", &["-j", "-4", "addr", "show", "hyperbox0"]);
            assert_eq!(bridge[0]["addr_info"][0]["local"], "172.30.0.1");
            let (_, next) = net.open().await;
            can_speak(&next, &one);
        }
        // One's own removal is not undone.
        net.driver.remove(&net.network).await.unwrap();
        net.driver.ensure(&net.network).await.unwrap();
        net.driver.remove(&net.network).await.unwrap();
        wait_for_async("everything to go", || async {
            let left = links().into_iter().filter(|name| name == "hyperbox0").count();
            if left == 0 {
                Ok(())
            } else {
                Err("the bridge is there".to_owned())
            }
        })
        .await;
    });
}
