// SPDX-License-Identifier: MIT
//! Sockets for the name service: reached at 127.0.0.11:53, replaced without traces.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::machine::{default_wish, inside, on_a_machine, request, run};
use hyperbox_core::seam::{NameSockets, NetworkDriver as _, Sandboxes as _};
use hyperbox_net::{Config, Mechanisms};

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn is_reached(namespace: &OwnedFd, sockets: &NameSockets) {
    sockets.datagrams.set_read_timeout(Some(PATIENCE)).unwrap();
    let client = inside(namespace, || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect("127.0.0.11:53").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send(b"question").unwrap();
        client
    });
    let mut buffer = [0; 32];
    let (length, from) = sockets.datagrams.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"question");
    sockets.datagrams.send_to(b"answer", from).unwrap();
    // A connected socket takes the answer only from where the question went.
    let length = client.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"answer");

    let mut stream = inside(namespace, || {
        TcpStream::connect_timeout(&"127.0.0.11:53".parse().unwrap(), PATIENCE).unwrap()
    });
    let (mut accepted, _) = sockets.connections.accept().unwrap();
    accepted.write_all(b"answer").unwrap();
    drop(accepted);
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
}

#[test]
fn privileged_names_are_asked_at_the_usual_place() {
    on_a_machine(|| async {
        let run_dir = tempfile::tempdir().unwrap();
        let config = Config {
            run_dir: run_dir.path().to_owned(),
            ..Config::default()
        };
        let mechanisms = Mechanisms::open(config).unwrap();
        let network = mechanisms.bridge.choose(default_wish(), &[]).await.unwrap();
        mechanisms.bridge.ensure(&network).await.unwrap();
        let mut wished = request(&network);
        wished.names = true;
        let mut sandbox = mechanisms.bridge.open(wished).await.unwrap();
        is_reached(&sandbox.namespace, sandbox.names.as_ref().unwrap());
        // The container's own server does not get in the way, nor is it kept from its port.
        let _own = inside(&sandbox.namespace, || {
            (
                UdpSocket::bind("0.0.0.0:53").unwrap(),
                TcpListener::bind("0.0.0.0:53").unwrap(),
            )
        });
        is_reached(&sandbox.namespace, sandbox.names.as_ref().unwrap());
        // The daemon is gone, and a new one opens others.
        sandbox.names = None;
        for _ in 0..2 {
            let again = mechanisms
                .sandboxes
                .open_names(sandbox.namespace.as_fd())
                .await
                .unwrap();
            is_reached(&sandbox.namespace, &again);
        }
        let rules = inside(&sandbox.namespace, || run("nft", &["list", "ruleset"]));
        assert_eq!(rules.matches("dnat").count(), 2, "{rules}");
        let bare = mechanisms.sandboxes.open().await.unwrap();
        is_reached(&bare, &mechanisms.sandboxes.open_names(bare.as_fd()).await.unwrap());
    });
}
