// SPDX-License-Identifier: MIT
//! What happens to connections: reuse, a kept one that the daemon closed, a refusal in the middle of a streamed body.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use hyperbox_client::{Client, ClientError, Filters, Host, ImportSource};
use hyperbox_types::ErrorKind;

const LIST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]";

fn listen<T: Send + 'static>(serve: impl FnOnce(TcpListener) -> T + Send + 'static) -> (Client, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = Host::parse(&format!("tcp://{}", listener.local_addr().unwrap())).unwrap();
    (Client::new(host), thread::spawn(move || serve(listener)))
}

/// Reads the head of a request; `None` when the client closed.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap() == 0 {
            return None;
        }
        bytes.extend(byte);
    }
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn one_connection_serves_several_requests() {
    let (client, daemon) = listen(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        let mut requests = 0;
        while head(&mut stream).is_some() {
            requests += 1;
            stream.write_all(LIST).unwrap();
        }
        requests
    });
    for _ in 0..3 {
        assert!(
            client
                .list_containers(true, None, false, &Filters::default())
                .unwrap()
                .is_empty()
        );
    }
    drop(client);
    assert_eq!(daemon.join().unwrap(), 3);
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    let (client, daemon) = listen(|listener| {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            head(&mut stream).unwrap();
            // No `Connection: close`: the client keeps it, and finds it closed.
            stream.write_all(LIST).unwrap();
        }
    });
    for _ in 0..2 {
        client.list_containers(true, None, false, &Filters::default()).unwrap();
    }
    daemon.join().unwrap();
}

#[test]
fn a_fresh_connection_is_not_tried_twice() {
    let (client, daemon) = listen(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream).unwrap();
    });
    let error = client
        .list_containers(true, None, false, &Filters::default())
        .unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    daemon.join().unwrap();
}

#[test]
fn a_refusal_in_the_middle_of_an_archive_is_understood() {
    let (client, daemon) = listen(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        let head = head(&mut stream).unwrap();
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        let body = b"{\"message\":\"no space left on device\"}";
        let answer = format!("HTTP/1.1 507 Full\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[answer.as_bytes(), body].concat()).unwrap();
        // The rest is read, so that the answer is not lost by a reset.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    });
    let mut archive = std::io::repeat(7).take(4 << 20);
    let error = client.load_images(&mut archive, None, true).unwrap_err();
    drop(client);
    assert_eq!(
        (error.to_string().as_str(), error.kind()),
        ("no space left on device", ErrorKind::ResourceExhausted)
    );
    daemon.join().unwrap();
}

#[test]
fn a_streamed_archive_arrives_in_chunks() {
    let (client, daemon) = listen(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        head(&mut stream).unwrap();
        let mut body = Vec::new();
        let mut buffer = [0; 4096];
        while !body.ends_with(b"0\r\n\r\n") {
            let count = stream.read(&mut buffer).unwrap();
            body.extend_from_slice(&buffer[..count]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 25\r\n\r\n{\"stream\":\"Loaded x\\n\"}\r\n\n")
            .unwrap();
        body
    });
    let messages: Vec<_> = client
        .load_images(&mut &b"hello"[..], None, true)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(messages[0].stream.as_deref(), Some("Loaded x\n"));
    assert_eq!(daemon.join().unwrap(), b"5\r\nhello\r\n0\r\n\r\n");
}

#[test]
fn an_address_to_import_from_is_sent_without_a_body() {
    let (client, daemon) = listen(|listener| {
        let (mut stream, _) = listener.accept().unwrap();
        let head = head(&mut stream).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"status\":\"sha\"}\n")
            .unwrap();
        head
    });
    let source = ImportSource::Url("http://host.invalid/a.tar");
    let messages = client.import_image(source, ("a", "1"), "", &[], "").unwrap();
    let status: Vec<_> = messages.map(|message| message.unwrap().status).collect();
    assert_eq!(status, [Some("sha".to_owned())]);
    let head = daemon.join().unwrap();
    assert!(
        head.contains("fromSrc=http%3A%2F%2Fhost.invalid%2Fa.tar&repo=a&tag=1 "),
        "{head}"
    );
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
}

#[test]
fn a_daemon_that_dies_in_the_middle_of_messages_is_said_so() {
    let whole = r#"{"name":"shop","what":"opened","at":"2024-01-01T00:00:00Z"}"#;
    for rest in ["", &whole[..20]] {
        let lines = format!("{whole}\n{rest}");
        let head_of = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        // There would be more chunks.
        let text = format!("{head_of}{:x}\r\n{lines}\r\n", lines.len());
        let (client, daemon) = listen(move |listener| {
            let (mut stream, _) = listener.accept().unwrap();
            head(&mut stream).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        });
        let mut news = client.project_events().unwrap();
        assert_eq!(news.next().unwrap().unwrap().name, "shop");
        let error = news.next().unwrap().unwrap_err();
        assert!(matches!(error, ClientError::Broken { .. }), "{error:?}");
        assert!(
            error.to_string().starts_with("lost the connection to tcp://"),
            "{error}"
        );
        assert!(error.hint().is_some());
        daemon.join().unwrap();
    }
}
