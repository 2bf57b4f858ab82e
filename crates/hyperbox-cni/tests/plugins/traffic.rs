// SPDX-License-Identifier: MIT
//! What the reference plugins make carries packets, and none of it stays.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use hyperbox_cni::PORT_MAPPINGS;
use hyperbox_core::seam::{EndpointRequest, NetworkDriver as _};

use crate::machine::{Machine, address, inside, network, on_a_machine, open, open_with, request, run, settled};

const PATIENCE: Duration = Duration::from_secs(20);

/// Listens in a namespace, connects from another and returns the address that the listener sees.
fn seen(server: &OwnedFd, port: u16, client: impl FnOnce() -> TcpStream) -> IpAddr {
    let listener = inside(server, move || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
    });
    let mut stream = client();
    stream.write_all(b"ping").unwrap();
    let (mut accepted, from) = listener.accept().unwrap();
    let mut bytes = [0; 4];
    accepted.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
    from.ip()
}

fn connect(target: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&target, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn privileged_containers_reach_each_other_and_published_ports_work() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        let more = r#", {"type": "portmap", "capabilities": {"portMappings": true}}, {"type": "firewall"}"#;
        let network = network(&driver, &machine.bridge_list("traffic", "198.18.7.0/24", more)).await;
        let ports = r#"[{"container": "80/tcp", "host_address": null, "host_ports": [8080, 8080]}]"#;
        let published = EndpointRequest {
            options: [(PORT_MAPPINGS.to_owned(), ports.to_owned())].into(),
            ..request(&network)
        };
        let (server, server_sandbox) = open_with(&driver, published).await.unwrap();
        let (client, client_sandbox) = open(&driver, &network).await;
        let target = address(&server_sandbox.endpoint);
        let inner = || inside(&client_sandbox.namespace, move || connect((target, 80).into()));
        assert_eq!(
            seen(&server_sandbox.namespace, 80, inner),
            address(&client_sandbox.endpoint)
        );
        let gateway = server_sandbox.endpoint.gateway_ipv4.unwrap();
        assert_eq!(gateway.to_string(), "198.18.7.1");
        let host = || connect((gateway, 8080).into());
        assert_eq!(seen(&server_sandbox.namespace, 80, host), IpAddr::V4(gateway));
        assert!(run("ip", &["link"]).contains(&server_sandbox.endpoint.host_link));
        for (container, sandbox) in [(server, server_sandbox), (client, client_sandbox)] {
            driver.release(&container, &sandbox.endpoint).await.unwrap();
        }
        settled(&machine).await;
        assert!(machine.addresses("traffic").is_empty());
        let rules = run("iptables-save", &[]);
        assert!(!rules.contains("198.18.7.2") && !rules.contains("8080"), "{rules}");
    });
}

#[test]
fn privileged_wished_addresses_are_set() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        let network = network(&driver, &machine.bridge_list("wishes", "198.18.8.0/24", "")).await;
        let wished = EndpointRequest {
            ipv4: Some([198, 18, 8, 77].into()),
            mac_address: Some("02:42:00:00:00:77".to_owned()),
            link: "lan0".to_owned(),
            ..request(&network)
        };
        let (container, sandbox) = open_with(&driver, wished).await.unwrap();
        assert_eq!(sandbox.endpoint.mac_address, "02:42:00:00:00:77");
        let links = inside(&sandbox.namespace, || run("ip", &["addr", "show", "dev", "lan0"]));
        assert!(
            links.contains("198.18.8.77/24") && links.contains("02:42:00:00:00:77"),
            "{links}"
        );
        let routes = inside(&sandbox.namespace, || run("ip", &["route"]));
        assert!(routes.contains("default via 198.18.8.1"), "{routes}");
        driver.release(&container, &sandbox.endpoint).await.unwrap();
        settled(&machine).await;
    });
}

#[test]
fn privileged_both_families() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let driver = machine.driver();
        let list = format!(
            r#"{{"cniVersion": "0.4.0", "name": "dual", "plugins": [{{"type": "bridge", "bridge": "cni-dual", "isGateway": true, "ipam": {{"type": "host-local", "dataDir": "{}",
                "ranges": [[{{"subnet": "198.18.9.0/24"}}], [{{"subnet": "fd00:9::/64"}}]], "routes": [{{"dst": "0.0.0.0/0"}}, {{"dst": "::/0"}}]}}}}]}}"#,
            machine.path("addresses").display()
        );
        let network = network(&driver, &list).await;
        assert_eq!(network.pools.len(), 2);
        let (container, sandbox) = open(&driver, &network).await;
        let endpoint = &sandbox.endpoint;
        assert_eq!(endpoint.ipv6.unwrap().to_string(), "fd00:9::2/64");
        assert_eq!(endpoint.gateway_ipv6, "fd00:9::1".parse().ok());
        let target = IpAddr::V6(endpoint.ipv6.unwrap().addr());
        let listener = inside(&sandbox.namespace, move || TcpListener::bind((target, 80)).unwrap());
        // The bridge has its own address only when nobody else has claimed it for a while (RFC 4862).
        let target = listener.local_addr().unwrap();
        hyperbox_testkit::wait_for("a connection", || {
            TcpStream::connect_timeout(&target, Duration::from_secs(1))
                .map(drop)
                .map_err(|error| error.to_string())
        });
        driver.release(&container, &sandbox.endpoint).await.unwrap();
        settled(&machine).await;
        assert!(machine.addresses("dual").is_empty());
    });
}
