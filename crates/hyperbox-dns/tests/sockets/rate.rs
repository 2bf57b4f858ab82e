// SPDX-License-Identifier: MIT
//! How many local names per second one container is answered.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use hyperbox_testkit::name_client::question;

use crate::served::Served;

const CLIENTS: u64 = 4;
const EACH: u64 = 50_000;

/// Run by hand, optimised: `cargo nextest run --release -p hyperbox-dns --run-ignored only --no-capture rate`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn rate_of_local_names() {
    let served = Served::new();
    served.announce(&["web"], &[[10, 0, 0, 2].into()]);
    let bytes = question("web", RecordType::A).to_vec().unwrap();
    let server = served.datagrams;
    let begin = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let bytes = bytes.clone();
            std::thread::spawn(move || {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
                socket.connect(server).unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                let mut answer = [0; 512];
                for _ in 0..EACH {
                    socket.send(&bytes).unwrap();
                    socket.recv(&mut answer).unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    let elapsed = begin.elapsed();
    let rate = (CLIENTS * EACH) as f64 / elapsed.as_secs_f64();
    println!("{rate:.0} questions per second, {CLIENTS} clients, {elapsed:?}");
}
