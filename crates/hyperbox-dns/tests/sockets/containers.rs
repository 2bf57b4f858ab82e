// SPDX-License-Identifier: MIT
//! Containers: network namespaces with the service at 127.0.0.11, asked by the resolver of the C library.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::Command;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use hyperbox_core::seam::{Announcement, NameServer, NameService as _, NameSockets, ResolverSettings};
use hyperbox_dns::{Configuration, Names};
use hyperbox_testkit::environment::PrivateNetwork;
use hyperbox_testkit::name_client::{addresses, question};
use hyperbox_testkit::{container_id, network_id};
use hyperbox_types::NetworkId;
use tokio::runtime::Handle;

/// Where containers find the service.
const SERVICE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// A namespace that is served.
struct Container {
    network: PrivateNetwork,
    names: Names,
    zone: NetworkId,
    datagrams: SocketAddr,
}

impl Container {
    fn new(port: u16, servers: &[NameServer], forward: bool) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "this test makes network namespaces: run it as root"
        );
        let network = PrivateNetwork::new();
        // The C library asks for addresses of families only that the machine has itself, loopback apart (`AI_ADDRCONFIG`).
        for address in ["192.0.2.9/32", "fd00::9/128"] {
            let mut command = Command::new("ip");
            command.args(["address", "add", address, "dev", "lo"]);
            assert!(network.enter(|| command.status()).expect("ip starts").success());
        }
        let sockets = network.enter(|| NameSockets {
            datagrams: UdpSocket::bind((SERVICE, port)).expect("a socket"),
            connections: TcpListener::bind((SERVICE, port)).expect("a socket"),
        });
        let datagrams = sockets.datagrams.local_addr().unwrap();
        let names = Names::new(Handle::current(), Configuration::default());
        let zone = network_id();
        let settings = ResolverSettings {
            networks: vec![zone.clone()],
            servers: servers.to_vec(),
            forward,
            ..ResolverSettings::default()
        };
        let namespace = namespace_of(&network);
        names.serve(&container_id(), sockets, namespace, settings).unwrap();
        Self {
            network,
            names,
            zone,
            datagrams,
        }
    }

    fn announce(&self, names: &[&str], addresses: &[&str]) {
        self.names.announce(Announcement {
            network: self.zone.clone(),
            container: container_id(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            reverse: format!("{}.front", names[0]),
        });
    }

    /// Asks from inside.
    async fn ask(&self, name: &str) -> Message {
        let server = self.datagrams;
        let socket = self.network.enter(|| {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
            socket.connect(server).expect("a route");
            socket.set_nonblocking(true).expect("a socket that does not block");
            socket
        });
        let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
        socket
            .send(&question(name, RecordType::A).to_vec().unwrap())
            .await
            .unwrap();
        let mut bytes = vec![0; 4096];
        let length = socket.recv(&mut bytes).await.unwrap();
        Message::from_vec(&bytes[..length]).unwrap()
    }

    /// Runs `getent` inside, where resolv.conf(5) names the service.
    async fn getent(&self, arguments: &[&str]) -> (bool, String) {
        let directory = tempfile::tempdir().unwrap();
        let configuration = directory.path().join("resolv.conf");
        std::fs::write(&configuration, format!("nameserver {SERVICE}\noptions ndots:0\n")).unwrap();
        let switch = directory.path().join("nsswitch.conf");
        std::fs::write(&switch, "hosts: dns\n").unwrap();
        let script = "mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/nsswitch.conf && shift 2 && exec getent \"$@\"";
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.network.holder()));
        command.args([
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ]);
        command.arg(&configuration).arg(&switch).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().expect("nsenter starts"));
        let output = output.await.unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    }
}

fn namespace_of(network: &PrivateNetwork) -> OwnedFd {
    File::open(format!("/proc/{}/ns/net", network.holder())).unwrap().into()
}

/// Answers every question with one address, until the socket is closed by the end of the runtime.
async fn answer_with(socket: UdpSocket, address: Ipv4Addr) {
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::UdpSocket::from_std(socket).unwrap();
    let mut bytes = vec![0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
        let mut answer = Message::from_vec(&bytes[..length]).unwrap();
        answer.metadata.message_type = MessageType::Response;
        let name = answer.queries[0].name.clone();
        if answer.queries[0].query_type == RecordType::A {
            answer.add_answer(Record::from_rdata(name, 60, RData::A(A(address))));
        }
        socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    }
}

fn server(address: impl Into<IpAddr>, from_container: bool) -> NameServer {
    NameServer {
        address: address.into(),
        from_container,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_the_c_library_finds_names() {
    let container = Container::new(53, &[], true);
    container.announce(&["web", "alias", "with.dots"], &["10.0.0.2"]);
    container.announce(&["six", "alias"], &["10.0.0.3", "fd00::3"]);
    for (arguments, expected) in [
        (&["ahostsv4", "web"][..], &["10.0.0.2"][..]),
        (&["ahostsv4", "WEB.front"], &["10.0.0.2"]),
        (&["ahostsv4", "with.dots"], &["10.0.0.2"]),
        (&["ahostsv4", "alias"], &["10.0.0.2", "10.0.0.3"]),
        (&["ahostsv6", "six"], &["fd00::3"]),
        (&["ahosts", "six"], &["10.0.0.3", "fd00::3"]),
        (&["hosts", "10.0.0.2"], &["web.front"]),
        (&["hosts", "fd00::3"], &["six.front"]),
    ] {
        let (found, text) = container.getent(arguments).await;
        assert!(found, "{arguments:?}: {text}");
        for part in expected {
            assert!(text.contains(part), "{arguments:?}: {text}");
        }
    }
    for unknown in ["other", "web.back"] {
        let (found, text) = container.getent(&["ahosts", unknown]).await;
        assert!(!found, "{unknown}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_many_addresses_come_whole_through_the_c_library() {
    let container = Container::new(53, &[], true);
    let all: Vec<String> = (0..200).map(|last| format!("10.0.1.{last}")).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    container.announce(&["many"], &all);
    let (found, text) = container.getent(&["ahostsv4", "many"]).await;
    assert!(found, "{text}");
    assert_eq!(text.matches("STREAM").count(), all.len(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_servers_are_asked_where_they_are() {
    for inner in [IpAddr::from([127, 0, 0, 53]), Ipv6Addr::LOCALHOST.into()] {
        let container = Container::new(0, &[server(inner, true)], true);
        let socket = container
            .network
            .enter(|| UdpSocket::bind((inner, 53)).expect("a socket"));
        tokio::spawn(answer_with(socket, Ipv4Addr::new(192, 0, 2, 1)));
        for _ in 0..3 {
            let answer = container.ask("example.com").await;
            assert_eq!(addresses(&answer), [IpAddr::from([192, 0, 2, 1])]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_a_container_without_a_way_out_asks_only_what_it_reaches() {
    let inner = Ipv4Addr::new(127, 0, 0, 53);
    // The first would be answered from the host's namespace by whoever is there; it must not be asked.
    let container = Container::new(0, &[server(Ipv4Addr::LOCALHOST, false), server(inner, true)], false);
    assert_eq!(
        container.ask("example.com").await.metadata.response_code,
        ResponseCode::ServFail
    );
    let socket = container
        .network
        .enter(|| UdpSocket::bind((inner, 53)).expect("a socket"));
    tokio::spawn(answer_with(socket, Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!(addresses(&container.ask("example.com").await).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn privileged_the_service_never_asks_itself() {
    let container = Container::new(53, &[server(SERVICE, true)], true);
    let answer = container.ask("example.com").await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}
