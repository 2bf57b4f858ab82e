// SPDX-License-Identifier: MIT
//! Named pipes of Windows: a request, and reading and writing at the same time.

#![cfg(windows)]
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io::{Read, Write};
use std::thread::{self, JoinHandle};

use hyperbox_client::{Client, Filters, Host, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};

/// Listens on a pipe of that name and serves one connection.
fn listen<F>(name: &str, serve: impl FnOnce(NamedPipeServer) -> F + Send + 'static) -> (Client, JoinHandle<()>)
where
    F: Future<Output = ()>,
{
    let name = format!("hyperbox-test-{}-{name}", std::process::id());
    let path = format!(r"\\.\pipe\{name}");
    let (ready, wait) = std::sync::mpsc::channel();
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let server = ServerOptions::new().create(&path).unwrap();
            ready.send(()).unwrap();
            server.connect().await.unwrap();
            serve(server).await;
        });
    });
    wait.recv().unwrap();
    let host = Host::parse(&format!("npipe:////./pipe/{name}")).unwrap();
    (Client::new(host), server)
}

async fn head(server: &mut NamedPipeServer) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(server.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn two_requests_on_one_connection() {
    let (client, server) = listen("requests", |mut server| async move {
        for _ in 0..2 {
            assert!(head(&mut server).await.starts_with("GET /v1.51/networks HTTP/1.1\r\n"));
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";
            server.write_all(answer).await.unwrap();
        }
    });
    for _ in 0..2 {
        assert!(client.list_networks(&Filters::default()).unwrap().is_empty());
    }
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_waiting_read_does_not_hold_up_a_write() {
    let (client, server) = listen("duplex", |mut server| async move {
        head(&mut server).await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        server.write_all(switch).await.unwrap();
        // Nothing is sent before something came.
        let mut word = [0; 4];
        server.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"ping");
        server.write_all(b"pong").await.unwrap();
        server.flush().await.unwrap();
    });
    let upgraded = client.request(Method::Post, "/attach").upgrade().unwrap();
    let (mut reader, mut writer) = (upgraded.reader, upgraded.writer);
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).map(|_| text)
    });
    writer.write_all(b"ping").unwrap();
    server.join().unwrap();
    assert_eq!(reading.join().unwrap().unwrap(), "pong");
}

#[test]
fn closing_ends_a_waiting_read() {
    let (client, server) = listen("abort", |mut server| async move {
        head(&mut server).await;
        let switch = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        server.write_all(switch).await.unwrap();
        // Ends when the client is gone.
        drop(server.read_u8().await);
    });
    let upgraded = client.request(Method::Post, "/attach").upgrade().unwrap();
    let (mut reader, writer) = (upgraded.reader, upgraded.writer);
    let reading = thread::spawn(move || reader.read(&mut [0; 1]).unwrap_or_default());
    writer.abort();
    drop(writer);
    assert_eq!(reading.join().unwrap(), 0);
    server.join().unwrap();
}

#[test]
fn a_missing_pipe_is_no_daemon() {
    let host = Host::parse("npipe:////./pipe/hyperbox-test-none").unwrap();
    let error = Client::new(host).list_networks(&Filters::default()).unwrap_err();
    assert!(
        matches!(error, hyperbox_client::ClientError::Connect { .. }),
        "{error:?}"
    );
}
