// SPDX-License-Identifier: MIT
//! Nothing that arrives on its socket stops a shim.

use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use hyperbox_core::seam::TaskStatus;
use hyperbox_sys::message;
use hyperbox_types::shim::{MAX_MESSAGE, SOCKET_NAME, ShimMessage};
use proptest::test_runner::{Config, TestRunner};

use crate::bench::Bench;

fn ask(socket: &mut UnixStream, payload: &[u8]) -> ShimMessage {
    socket
        .write_all(&message::frame(payload, MAX_MESSAGE).unwrap())
        .unwrap();
    let (answer, _) = message::receive_one(&*socket, MAX_MESSAGE).unwrap().unwrap();
    serde_json::from_slice(&answer).unwrap()
}

#[tokio::test]
async fn privileged_malformed_requests_are_answered() {
    let bench = Bench::new();
    let (container, task, _client) = bench.run("sleep 100000").await;
    // A socket address is short (unix(7)), a test's directory is not.
    let directory = std::fs::File::open(bench.run_dir(&container)).unwrap();
    let path = format!("/proc/self/fd/{}/{SOCKET_NAME}", directory.as_raw_fd());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut socket = UnixStream::connect(&path).unwrap();
    for (payload, number) in [
        (&b"nonsense"[..], 0),
        (br#"{"sequence":5,"call":{"call":"fly"}}"#, 5),
        (br#"{"sequence":6,"call":{"call":"update","resources":"{"}}"#, 6),
        (
            br#"{"sequence":7,"call":{"call":"attach","exec":null,"streams":{}}}"#,
            7,
        ),
    ] {
        match ask(&mut socket, payload) {
            ShimMessage::Reply { sequence, result } => {
                assert_eq!(sequence, number);
                assert!(result.is_err());
            }
            other => panic!("{other:?}"),
        }
    }
    socket.write_all(&u32::MAX.to_le_bytes()).unwrap();
    assert_eq!(
        socket.read(&mut [0; 16]).unwrap_or(0),
        0,
        "a stream without sense is closed"
    );

    let mut runner = TestRunner::new(Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&proptest::prelude::any::<Vec<u8>>(), |bytes| {
            let mut socket = UnixStream::connect(&path).unwrap();
            // The shim may have closed the connection meanwhile.
            drop(socket.write_all(&bytes));
            Ok(())
        })
        .unwrap();
    assert_eq!(task.processes().await.unwrap().len(), 1, "it still answers");
    assert_eq!(*task.status().borrow(), TaskStatus::Running);
    bench.finish(&[&container]).await;
}
