// SPDX-License-Identifier: MIT
//! What published ports carry: iperf3 in a container, asked from the host and from elsewhere, by every kind of address.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::elsewhere::Elsewhere;
use super::engine::Stage;
use crate::bench::series::{Series, Unit, interleave};
use crate::process::command;

/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

/// Measures from all vantage points.
pub(super) fn measure(stages: &[Stage], rounds: usize) -> Result<Vec<Value>> {
    let elsewhere = Elsewhere::set_up()?;
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
    let mut points = vec![
        ("from the host by 127.0.0.1".to_owned(), None, "127.0.0.1".to_owned()),
        ("from the host by ::1".to_owned(), None, "::1".to_owned()),
    ];
    points.push((
        "from the host by its IPv4 address".to_owned(),
        None,
        elsewhere.host_ipv4.clone(),
    ));
    points.push((
        "from the host by its IPv6 address".to_owned(),
        None,
        elsewhere.host_ipv6.clone(),
    ));
    for (family, address) in [("IPv4", &elsewhere.host_ipv4), ("IPv6", &elsewhere.host_ipv6)] {
        let name = format!("from another namespace, {family}");
        points.push((name, Some(elsewhere.name.as_str()), address.clone()));
    }
    let mut results = Vec::new();
    for (name, namespace, address) in &points {
        let series = servers.iter().map(|(stage, _, port)| Series {
            name: stage.engine.name.to_owned(),
            command: words(*namespace, address, *port).join(" "),
            take: Box::new(move || patiently(|| iperf(&words(*namespace, address, *port)))),
        });
        let scenario = format!("published port, {name}");
        results.push(interleave(&scenario, Unit::GigabitsPerSecond, series.collect(), rounds).to_json());
    }
    for (stage, container, _) in &servers {
        stage.remove(container)?;
    }
    Ok(results)
}

fn words(namespace: Option<&str>, address: &str, port: u16) -> Vec<String> {
    let inside = namespace.map_or(Vec::new(), |name| vec!["ip", "netns", "exec", name]);
    let port = port.to_string();
    let client = ["iperf3", "--client", address, "--port", &port, "--time", "1", "--json"];
    let client = [client.as_slice(), &["--connect-timeout", "1000"]].concat();
    [inside, client].concat().into_iter().map(str::to_owned).collect()
}

/// Runs the client once and returns what the server received, in Gbit/s.
fn iperf(words: &[String]) -> Result<f64> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // It prints its errors as JSON, too.
    let output = command(&words).output().context("cannot run iperf3")?;
    let report: Value = serde_json::from_slice(&output.stdout).context("cannot read what iperf3 says")?;
    if let Some(error) = report["error"].as_str() {
        bail!("iperf3: {error}");
    }
    let bits = report["end"]["sum_received"]["bits_per_second"].as_f64();
    Ok(bits.context("iperf3 says no throughput")? / 1e9)
}

fn patiently(mut take: impl FnMut() -> Result<f64>) -> Result<f64> {
    let start = Instant::now();
    loop {
        match take() {
            Err(_) if start.elapsed() < PATIENCE => std::thread::park_timeout(Duration::from_millis(50)),
            outcome => return outcome,
        }
    }
}

/// Returns a port that nobody has in either family at the moment.
fn free_port() -> Result<u16> {
    let socket = TcpListener::bind("[::]:0").context("cannot bind a port")?;
    Ok(socket.local_addr().context("a socket has an address")?.port())
}
