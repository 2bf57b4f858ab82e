// SPDX-License-Identifier: MIT
//! What gets through: packets between containers, to the machine and to the outside, and the rules that let them.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::machine::{Net, inside, json, on_a_machine, outside, ruleset, run};
use hyperbox_core::seam::NetworkDriver as _;

/// Longer than any handshake on one machine; only a dropped packet uses it up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects from one namespace to a listener in another and returns the address that the listener saw.
pub(crate) fn seen_address(from: &OwnedFd, listen: impl FnOnce() -> TcpListener) -> Result<IpAddr, std::io::Error> {
    let listener = listen();
    let target: SocketAddr = listener.local_addr().unwrap();
    let mut stream = inside(from, move || TcpStream::connect_timeout(&target, PATIENCE))?;
    let (accepted, peer) = listener.accept().unwrap();
    drop(accepted);
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    Ok(peer.ip())
}

pub(crate) fn listener(address: IpAddr) -> TcpListener {
    TcpListener::bind((address, 0)).unwrap()
}

#[test]
fn privileged_containers_reach_the_machine_and_each_other_unmasked() {
    on_a_machine(|| async {
        let net = Net::new().await;
        let ((_, one), (_, two)) = tokio::join!(net.open(), net.open());
        let address = one.endpoint.addresses().next().unwrap();
        let gateway = net.network.pools[0].gateway.unwrap();
        assert_eq!(seen_address(&one.namespace, || listener(gateway)).unwrap(), address);
        let other = two.endpoint.addresses().next().unwrap();
        let seen = seen_address(&one.namespace, || inside(&two.namespace, move || listener(other)));
        assert_eq!(seen.unwrap(), address);
    });
}

#[test]
fn privileged_the_outside_sees_the_machine_s_address() {
    on_a_machine(|| async {
        let outside = outside();
        let net = Net::new().await;
        assert_eq!(
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap().trim(),
            "1"
        );
        let (_, sandbox) = net.open().await;
        let seen = seen_address(&sandbox.namespace, || {
            inside(&outside, || listener("203.0.113.2".parse().unwrap()))
        });
        assert_eq!(seen.unwrap().to_string(), "203.0.113.1");
    });
}

#[test]
fn privileged_docker_s_drop_policy_is_passed() {
    on_a_machine(|| async {
        let outside = outside();
        run("nft", &["add table ip filter"]);
        run("nft", &["add chain ip filter DOCKER-USER"]);
        run(
            "nft",
            &["add chain ip filter FORWARD { type filter hook forward priority filter; policy drop; }"],
        );
        run("nft", &["add rule ip filter FORWARD counter jump DOCKER-USER"]);
        run(
            "nft",
            &["add rule ip filter DOCKER-USER iifname \"hyperbox0\" ip saddr 192.0.2.7 counter accept"],
        );
        let before = ruleset();
        let net = Net::new().await;
        net.driver.ensure(&net.network).await.unwrap();
        let (_, sandbox) = net.open().await;
        let chain = json("nft", &["-j", "list", "chain", "ip", "filter", "DOCKER-USER"]);
        let rules = chain["nftables"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry.get("rule").is_some());
        assert_eq!(rules.count(), 2, "{chain}");
        let seen = seen_address(&sandbox.namespace, || {
            inside(&outside, || listener("203.0.113.2".parse().unwrap()))
        });
        assert_eq!(seen.unwrap().to_string(), "203.0.113.1");
        net.driver.remove(&net.network).await.unwrap();
        assert_eq!(
            without_counters(ruleset()),
            without_counters(before),
            "an administrator's own rule stays"
        );
    });
}

fn without_counters(mut value: serde_json::Value) -> serde_json::Value {
    fn clear(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Array(values) => values.iter_mut().for_each(clear),
            serde_json::Value::Object(fields) => {
                fields.remove("packets");
                fields.remove("bytes");
                fields.values_mut().for_each(clear);
            }
            _ => {}
        }
    }
    clear(&mut value);
    value
}
