// SPDX-License-Identifier: MIT
//! Links on a parent: real traffic between containers and to the outside, and nothing left behind.
//!
//! Tests of what many kernels lack (ipvlan, VLANs, links that lead nowhere) run in the virtual machine, whose kernel has all modules.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use hyperbox_core::seam::{Endpoint, NetworkDriver, NetworkError, NetworkSettings, NetworkWish, Sandbox};
use hyperbox_net::{Config, ParentDriver};
use hyperbox_testkit::conformance::network::{Traits, check_with};
use hyperbox_types::{ContainerId, ErrorKind};

use crate::machine::{inside, links, on_a_machine, outside, request, run, subnet, wish};

const PATIENCE: Duration = Duration::from_secs(30);

/// A driver and the directory where it notes its choices.
struct World {
    driver: ParentDriver,
    run_dir: tempfile::TempDir,
}

fn config(run_dir: &tempfile::TempDir) -> Config {
    Config {
        run_dir: run_dir.path().to_owned(),
        ..Config::default()
    }
}

fn macvlan() -> World {
    let run_dir = tempfile::tempdir().unwrap();
    World {
        driver: ParentDriver::open_macvlan(config(&run_dir)).unwrap(),
        run_dir,
    }
}

fn ipvlan() -> World {
    let run_dir = tempfile::tempdir().unwrap();
    World {
        driver: ParentDriver::open_ipvlan(config(&run_dir)).unwrap(),
        run_dir,
    }
}

/// A wish for a network in the outside's subnet; the outside is its gateway.
fn on_uplink(name: &str, options: &[(&str, &str)]) -> NetworkWish {
    let mut pool = subnet("203.0.113.0/24");
    pool.gateway = Some("203.0.113.2".parse().unwrap());
    pool.reserved = [("machine".to_owned(), "203.0.113.1".parse().unwrap())].into();
    let options = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    NetworkWish {
        options: options.collect(),
        pools: vec![pool],
        ..wish(name)
    }
}

async fn made(driver: &ParentDriver, wish: NetworkWish) -> Result<NetworkSettings, NetworkError> {
    let network = driver.choose(wish, &[]).await?;
    driver.ensure(&network).await?;
    Ok(network)
}

async fn open(driver: &ParentDriver, network: &NetworkSettings) -> (ContainerId, Sandbox) {
    let request = request(network);
    let container = request.container.clone();
    (container, driver.open(request).await.unwrap())
}

fn address(endpoint: &Endpoint) -> IpAddr {
    endpoint.ipv4.unwrap().addr().into()
}

/// Sends something from one namespace to another and returns the address it came from.
fn send(from: &OwnedFd, to: &OwnedFd, target: IpAddr) -> IpAddr {
    let listener = inside(to, move || TcpListener::bind((target, 0)).unwrap());
    let target = listener.local_addr().unwrap();
    let mut stream = inside(from, move || TcpStream::connect_timeout(&target, PATIENCE).unwrap());
    stream.write_all(b"ping").unwrap();
    let (mut accepted, peer) = listener.accept().unwrap();
    let mut bytes = [0; 4];
    accepted.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
    peer.ip()
}

fn cannot_reach(from: &OwnedFd, target: IpAddr) -> bool {
    inside(from, move || {
        TcpStream::connect_timeout(&(target, 9).into(), Duration::from_millis(300))
            .is_err_and(|error| error.kind() != std::io::ErrorKind::ConnectionRefused)
    })
}

async fn conforms(fresh: impl Fn(Config) -> ParentDriver, options: &[(&str, &str)]) {
    let _outside = outside();
    let run_dir = tempfile::tempdir().unwrap();
    let options = options
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let options: BTreeMap<String, String> = options.collect();
    let traits = Traits {
        manages_addresses: true,
        is_routed: options.get("ipvlan_mode").is_some_and(|mode| mode != "l2"),
        options,
        ..Traits::default()
    };
    let before = links();
    check_with(|| Arc::new(fresh(config(&run_dir))) as Arc<dyn NetworkDriver>, &traits).await;
    assert_eq!(links(), before);
}

#[test]
fn privileged_macvlan_conforms() {
    on_a_machine(|| {
        conforms(
            |config| ParentDriver::open_macvlan(config).unwrap(),
            &[("parent", "uplink")],
        )
    });
}

#[test]
fn privileged_containers_reach_each_other_and_the_outside() {
    on_a_machine(|| async {
        let outside = outside();
        let world = macvlan();
        let wish = on_uplink(
            "lan",
            &[("parent", "uplink"), ("com.docker.network.driver.mtu", "1400")],
        );
        let network = made(&world.driver, wish).await.unwrap();
        assert_eq!((network.link.as_str(), network.mtu), ("uplink", 1400));
        let (_, one) = open(&world.driver, &network).await;
        let (_, two) = open(&world.driver, &network).await;
        assert_eq!(
            send(&one.namespace, &two.namespace, address(&two.endpoint)),
            address(&one.endpoint)
        );
        let far: IpAddr = "203.0.113.2".parse().unwrap();
        assert_eq!(
            send(&one.namespace, &outside, far),
            address(&one.endpoint),
            "nobody hides the address"
        );
        assert_eq!(send(&outside, &one.namespace, address(&one.endpoint)), far);
        assert!(
            cannot_reach(&one.namespace, "203.0.113.1".parse().unwrap()),
            "a parent does not hear its own links"
        );
        let shown = inside(&one.namespace, || run("ip", &["-d", "addr", "show", "dev", "eth0"]));
        assert!(
            shown.contains("macvlan mode bridge") && shown.contains("mtu 1400"),
            "{shown}"
        );
        assert!(shown.contains(&one.endpoint.mac_address), "{shown}");
        let routes = inside(&one.namespace, || run("ip", &["route"]));
        assert!(routes.contains("default via 203.0.113.2 dev eth0"), "{routes}");
        assert_eq!(links(), ["lo", "uplink"], "there is no link on the host");
    });
}

#[test]
fn privileged_private_links_do_not_hear_each_other() {
    on_a_machine(|| async {
        let outside = outside();
        let world = macvlan();
        let wish = on_uplink("private", &[("parent", "uplink"), ("macvlan_mode", "private")]);
        let network = made(&world.driver, wish).await.unwrap();
        let (_, one) = open(&world.driver, &network).await;
        let (_, two) = open(&world.driver, &network).await;
        assert!(cannot_reach(&one.namespace, address(&two.endpoint)));
        send(&one.namespace, &outside, "203.0.113.2".parse().unwrap());
    });
}

#[test]
fn privileged_both_families_and_several_subnets() {
    on_a_machine(|| async {
        let _outside = outside();
        let world = macvlan();
        let wish = NetworkWish {
            ipv6: true,
            pools: vec![subnet("198.18.1.0/24"), subnet("198.18.2.0/24"), subnet("fd00:77::/64")],
            options: [("parent".to_owned(), "uplink".to_owned())].into(),
            ..wish("dual")
        };
        let network = made(&world.driver, wish).await.unwrap();
        let mut wished = request(&network);
        wished.endpoint.ipv4 = Some([198, 18, 2, 33].into());
        wished.endpoint.ipv6 = Some("fd00:77::33".parse().unwrap());
        wished.endpoint.mac_address = Some("02:42:00:00:00:88".to_owned());
        let one = world.driver.open(wished).await.unwrap();
        assert_eq!(
            one.endpoint.gateway_ipv4,
            Some([198, 18, 2, 1].into()),
            "the gateway of its own subnet"
        );
        assert_eq!(one.endpoint.mac_address, "02:42:00:00:00:88");
        let (_, two) = open(&world.driver, &network).await;
        let target = IpAddr::V6(one.endpoint.ipv6.unwrap().addr());
        let seen = send(&two.namespace, &one.namespace, target);
        assert_eq!(seen, IpAddr::V6(two.endpoint.ipv6.unwrap().addr()));
        let routes = inside(&one.namespace, || run("ip", &["-6", "route"]));
        assert!(routes.contains("default via fd00:77::1"), "{routes}");
    });
}

#[test]
fn privileged_joining_leaving_and_internal_networks() {
    on_a_machine(|| async {
        let _outside = outside();
        let world = macvlan();
        let first = made(&world.driver, on_uplink("first", &[("parent", "uplink")]))
            .await
            .unwrap();
        let wish = NetworkWish {
            internal: true,
            pools: vec![subnet("198.18.3.0/24")],
            options: [("parent".to_owned(), "uplink".to_owned())].into(),
            ..wish("second")
        };
        let second = made(&world.driver, wish).await.unwrap();
        let (container, sandbox) = open(&world.driver, &first).await;
        let mut joining = request(&second).endpoint;
        joining.link = "eth1".to_owned();
        let joined = world
            .driver
            .attach(sandbox.namespace.as_fd(), &container, joining)
            .await
            .unwrap();
        assert_eq!(joined.gateway_ipv4, None, "an internal network has no way out");
        let (_, other) = open(&world.driver, &second).await;
        assert_eq!(
            send(&sandbox.namespace, &other.namespace, address(&other.endpoint)),
            address(&joined)
        );
        let routes = inside(&other.namespace, || run("ip", &["route"]));
        assert!(!routes.contains("default"), "{routes}");
        world
            .driver
            .detach(sandbox.namespace.as_fd(), &container, &joined)
            .await
            .unwrap();
        let left = inside(&sandbox.namespace, links);
        assert_eq!(left, ["lo", "eth0"]);
    });
}

#[test]
fn privileged_mistakes_are_told_in_docker_s_words() {
    on_a_machine(|| async {
        let _outside = outside();
        let world = macvlan();
        let passthru = on_uplink("one", &[("parent", "uplink"), ("macvlan_mode", "passthru")]);
        let network = made(&world.driver, passthru).await.unwrap();
        let others = [network.clone()];
        let id = &network.id;
        let wish = |options: &[(&str, &str)]| NetworkWish {
            pools: vec![subnet("198.18.9.0/24")],
            ..on_uplink("two", options)
        };
        for (wish, expected) in [
            (
                wish(&[("parent", "lo")]),
                "loopback interface is not a valid macvlan parent link".to_owned(),
            ),
            (
                wish(&[("parent", "eth7")]),
                "invalid subinterface vlan name eth7, example formatting is eth0.10".to_owned(),
            ),
            (
                wish(&[("parent", "eth7.3")]),
                "-o parent interface was not found on the host: eth7".to_owned(),
            ),
            (
                wish(&[("parent", "uplink"), ("macvlan_mode", "x")]),
                "requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default".to_owned(),
            ),
            (
                wish(&[("parent", "uplink")]),
                format!("macvlan network {id} is already using parent interface uplink in mode passthru"),
            ),
            (
                wish(&[("parent", "uplink"), ("macvlan_mode", "passthru")]),
                format!("cannot use mode passthru, macvlan network {id} is already using parent interface uplink"),
            ),
        ] {
            let refused = world.driver.choose(wish, &others).await.unwrap_err();
            assert_eq!((refused.to_string(), refused.kind), (expected, ErrorKind::Internal));
        }
        let overlapping = on_uplink("three", &[("parent", "uplink")]);
        let others = [NetworkSettings {
            id: hyperbox_testkit::network_id(),
            ..network
        }];
        let refused = world.driver.choose(overlapping, &others).await.unwrap_err();
        let expected = "invalid pool request: Pool overlaps with other one on this address space";
        assert_eq!(
            (refused.to_string().as_str(), refused.kind),
            (expected, ErrorKind::PermissionDenied)
        );
    });
}

#[test]
fn v2_ipvlan_l2_conforms() {
    on_a_machine(|| {
        conforms(
            |config| ParentDriver::open_ipvlan(config).unwrap(),
            &[("parent", "uplink")],
        )
    });
}

#[test]
fn v2_ipvlan_l3_conforms() {
    let options = &[("parent", "uplink"), ("ipvlan_mode", "l3")];
    on_a_machine(|| conforms(|config| ParentDriver::open_ipvlan(config).unwrap(), options));
}

#[test]
fn v2_ipvlan_l3s_conforms() {
    let options = &[("parent", "uplink"), ("ipvlan_mode", "l3s")];
    on_a_machine(|| conforms(|config| ParentDriver::open_ipvlan(config).unwrap(), options));
}

#[test]
fn v2_where_the_parent_routes_there_is_no_gateway() {
    on_a_machine(routed);
}

async fn routed() {
    let _outside = outside();
    let world = ipvlan();
    let wish = NetworkWish {
        pools: vec![subnet("198.18.4.0/24")],
        ..on_uplink("routed", &[("parent", "uplink"), ("ipvlan_mode", "l3")])
    };
    let network = made(&world.driver, wish).await.unwrap();
    let (container, one) = open(&world.driver, &network).await;
    let (_, two) = open(&world.driver, &network).await;
    assert_eq!(
        (one.endpoint.gateway_ipv4, one.endpoint.mac_address.as_str()),
        (None, "")
    );
    assert_eq!(
        send(&one.namespace, &two.namespace, address(&two.endpoint)),
        address(&one.endpoint)
    );
    let routes = inside(&one.namespace, || run("ip", &["route"]));
    assert!(routes.contains("default dev eth0 scope link"), "{routes}");
    let mut again = request(&network);
    again.endpoint.ipv4 = one.endpoint.ipv4.map(|net| net.addr());
    assert_eq!(
        world.driver.open(again.clone()).await.unwrap_err().kind,
        ErrorKind::PermissionDenied
    );
    drop(one.namespace);
    world.driver.release(&container, &one.endpoint).await.unwrap();
    world.driver.open(again).await.unwrap();
    let refused = world
        .driver
        .choose(
            on_uplink("other", &[("parent", "uplink")]),
            std::slice::from_ref(&network),
        )
        .await;
    let expected = format!(
        "network di-{} is already using parent interface uplink",
        &network.id.as_str()[..12]
    );
    assert_eq!(refused.unwrap_err().to_string(), expected);
    world.driver.remove(&network).await.unwrap();
}

#[test]
fn v2_parents_come_and_go_with_their_networks() {
    on_a_machine(|| async {
        let _outside = outside();
        let world = macvlan();
        let vlan = |name: &str, pool: &str| NetworkWish {
            pools: vec![subnet(pool)],
            ..on_uplink(name, &[("parent", "uplink.42")])
        };
        let one = made(&world.driver, vlan("one", "198.18.5.0/24")).await.unwrap();
        let two = made(&world.driver, vlan("two", "198.18.6.0/24")).await.unwrap();
        let nowhere = made(
            &world.driver,
            NetworkWish {
                pools: vec![subnet("198.18.7.0/24")],
                ..wish("nowhere")
            },
        )
        .await
        .unwrap();
        assert_eq!(nowhere.link, format!("dm-{}", &nowhere.id.as_str()[..12]));
        let shown = run("ip", &["-d", "link", "show", "dev", "uplink.42"]);
        assert!(shown.contains("vlan protocol 802.1Q id 42"), "{shown}");
        let (_, first) = open(&world.driver, &nowhere).await;
        let (_, second) = open(&world.driver, &nowhere).await;
        assert_eq!(first.endpoint.gateway_ipv4, None, "it leads nowhere");
        send(&first.namespace, &second.namespace, address(&second.endpoint));
        drop((first, second));
        world.driver.remove(&one).await.unwrap();
        assert!(links().contains(&"uplink.42".to_owned()), "another network needs it");
        // A daemon that died: what belongs to no network goes, what does stays.
        let after = ParentDriver::open_macvlan(config(&world.run_dir)).unwrap();
        after.adopt(std::slice::from_ref(&two), &[]).await.unwrap();
        assert_eq!(links().len(), 3, "{:?}", links());
        after.remove(&two).await.unwrap();
        assert_eq!(links(), ["lo", "uplink"]);
    });
}
