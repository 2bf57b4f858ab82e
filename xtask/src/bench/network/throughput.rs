// SPDX-License-Identifier: MIT
//! What published ports carry: iperf3 in a container, asked from the host and from elsewhere, by every kind of address.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::elsewhere::Elsewhere;
use super::engine::Stage;
use super::processor;
use crate::bench::series::{Unit, beside};
use crate::process::command;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections at a time, from the vantage points that differ in how packets get there.
const STREAMS: [&str; 2] = ["4", "16"];

/// Where is asked from, and for which address.
struct Point<'a> {
    name: String,
    namespace: Option<&'a str>,
    address: &'a str,
    streams: &'static str,
}

/// Measures from all vantage points.
pub(super) fn measure(stages: &[Stage], elsewhere: &Elsewhere, rounds: usize) -> Result<Vec<Value>> {
    let mut servers = Vec::new();
    for stage in stages {
        let port = free_port()?;
        let publish = format!("{port}:5201");
        let flags = ["--network", &stage.network_ipv6, "-p", &publish];
        match stage.run(&flags, &["iperf3", "--server", "--forceflush"]) {
            Ok(container) => servers.push((stage, container, port)),
            Err(error) => println!("left out {}: {error:#}", stage.engine.name),
        }
    }
    let mut results = Vec::new();
    for point in &points(elsewhere) {
        let series = servers.iter().map(|(stage, _, port)| {
            let words = words(point, *port);
            let name = stage.engine.name.to_owned();
            (name, words.join(" "), move || patiently(|| iperf(&words)))
        });
        results.extend(beside(
            (&format!("published port, {}", point.name), Unit::GigabitsPerSecond),
            ("CPU time of the machine", Unit::SecondsPerGigabyte),
            series.collect(),
            rounds,
        ));
    }
    for (stage, container, _) in &servers {
        stage.remove(container)?;
    }
    Ok(results)
}

fn points(elsewhere: &Elsewhere) -> Vec<Point<'_>> {
    let there = Some(elsewhere.name.as_str());
    let places = [
        ("from the host by 127.0.0.1".to_owned(), None, "127.0.0.1", true),
        (
            format!(
                "from the host by ::1 (bridge-nf-call-ip6tables: {})",
                bridges_filtered()
            ),
            None,
            "::1",
            false,
        ),
        (
            "from the host by its IPv4 address".to_owned(),
            None,
            &elsewhere.host_ipv4,
            true,
        ),
        (
            "from the host by its IPv6 address".to_owned(),
            None,
            &elsewhere.host_ipv6,
            false,
        ),
        (
            "from another namespace, IPv4".to_owned(),
            there,
            &elsewhere.host_ipv4,
            true,
        ),
        (
            "from another namespace, IPv6".to_owned(),
            there,
            &elsewhere.host_ipv6,
            false,
        ),
    ];
    let mut points = Vec::new();
    for (name, namespace, address, in_parallel) in places {
        let streams = STREAMS.into_iter().filter(|_| in_parallel);
        for streams in std::iter::once("1").chain(streams) {
            let suffix = if streams == "1" {
                String::new()
            } else {
                format!(", {streams} streams")
            };
            points.push(Point {
                name: format!("{name}{suffix}"),
                namespace,
                address,
                streams,
            });
        }
    }
    points
}

/// Whether packets on bridges pass the firewall decides by which way answers reach `::1`: any engine or program may have said so.
fn bridges_filtered() -> String {
    let value = std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    value.map_or_else(|_| "absent".to_owned(), |value| value.trim().to_owned())
}

fn words(point: &Point<'_>, port: u16) -> Vec<String> {
    let inside = point
        .namespace
        .map_or(Vec::new(), |name| vec!["ip", "netns", "exec", name]);
    let port = port.to_string();
    let client = [
        "iperf3",
        "--client",
        point.address,
        "--port",
        &port,
        "--time",
        "1",
        "--json",
    ];
    let client = [
        client.as_slice(),
        &["--connect-timeout", "1000", "--parallel", point.streams],
    ]
    .concat();
    [inside, client].concat().into_iter().map(str::to_owned).collect()
}

/// Runs the client once and returns what the server received, in Gbit/s, and the seconds that all processors worked for each gigabyte.
fn iperf(words: &[String]) -> Result<[f64; 2]> {
    let before = processor::used()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // It prints its errors as JSON, too.
    let output = command(&words).output().context("cannot run iperf3")?;
    let used = processor::used()?.saturating_sub(before);
    let report: Value = serde_json::from_slice(&output.stdout).context("cannot read what iperf3 says")?;
    if let Some(error) = report["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let received = &report["end"]["sum_received"];
    let bits = received["bits_per_second"]
        .as_f64()
        .context("iperf3 says no throughput")?;
    let bytes = received["bytes"].as_f64().context("iperf3 says no amount")?;
    Ok([bits / 1e9, used.as_secs_f64() / (bytes / 1e9)])
}

/// Tries again while a server starts.
pub(super) fn patiently<T>(mut take: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        match take() {
            Err(_) if start.elapsed() < PATIENCE => std::thread::park_timeout(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}

/// Returns a port that nobody has in either family at the moment.
pub(super) fn free_port() -> Result<u16> {
    let socket = TcpListener::bind("[::]:0").context("cannot bind a port")?;
    Ok(socket.local_addr().context("a socket has an address")?.port())
}
