// SPDX-License-Identifier: MIT
//! How many questions for a container's name are answered in a second, in a container.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::engine::Stage;
use super::image;
use crate::bench::series::{Series, Unit, interleave};

/// How many questions are on their way at a time.
const WINDOWS: [u16; 2] = [1, 32];
/// How long is asked.
const DURATION: Duration = Duration::from_secs(1);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Arguments of `ask name`.
#[derive(Debug, clap::Args)]
pub(crate) struct Question {
    /// The name to ask for.
    name: String,
    /// How many questions are on their way at a time.
    window: u16,
}

/// Measures all engines.
pub(super) fn measure(stages: &[Stage], rounds: usize) -> Result<Vec<Value>> {
    let mut asking = Vec::new();
    for stage in stages {
        let name = format!("{}-asked", stage.network);
        let asked = stage.run(&["--network", &stage.network, "--name", &name], &["sleep", "600"])?;
        let container = stage.run(&["--network", &stage.network], &["sleep", "3600"])?;
        asking.push((stage, name, asked, container));
    }
    let mut results = Vec::new();
    for window in WINDOWS {
        let series = asking.iter().map(|(stage, name, _, container)| Series {
            name: stage.engine.name.to_owned(),
            command: format!("xtask bench ask name {name} {window}, in a container"),
            take: Box::new(move || {
                let window = window.to_string();
                let words = ["exec", container, image::PROGRAM, "bench", "ask", "name", name, &window];
                let rate = stage.engine.call(&words)?;
                rate.parse().context("not a number")
            }),
        });
        let scenario = format!("questions for a container's name, {window} at a time");
        results.push(interleave(&scenario, Unit::PerSecond, series.collect(), rounds).to_json());
    }
    for (stage, _, asked, container) in &asking {
        stage.remove(asked)?;
        stage.remove(container)?;
    }
    Ok(results)
}

/// Asks the first server of `/etc/resolv.conf` and prints how many answers came in a second.
pub(crate) fn ask(question: &Question) -> Result<()> {
    let text = std::fs::read_to_string("/etc/resolv.conf").context("cannot read /etc/resolv.conf")?;
    let server = text.lines().find_map(|line| line.strip_prefix("nameserver "));
    let server: IpAddr = server.context("no server")?.trim().parse().context("not an address")?;
    let socket = UdpSocket::bind((server_any(server), 0)).context("cannot make a socket")?;
    socket.connect((server, 53)).context("cannot connect a socket")?;
    socket.set_read_timeout(Some(PATIENCE)).context("cannot set a time")?;
    let mut message = [0; 512];
    let start = Instant::now();
    let mut next = 0;
    for _ in 0..question.window {
        send(&socket, next, &question.name)?;
        next = next.wrapping_add(1);
    }
    let mut answers = 0_u32;
    while start.elapsed() < DURATION {
        let length = socket.recv(&mut message).context("no answer")?;
        // Codes of RFC 1035 §4.1.1: no error, and at least one answer.
        if length < 12 || message[3] & 0xf != 0 || message[6..8] == [0, 0] {
            bail!("{}: not known", question.name);
        }
        answers += 1;
        send(&socket, next, &question.name)?;
        next = next.wrapping_add(1);
    }
    println!("{:.0}", f64::from(answers) / start.elapsed().as_secs_f64());
    Ok(())
}

fn server_any(server: IpAddr) -> IpAddr {
    match server {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// Sends a question for an address.
fn send(socket: &UdpSocket, id: u16, name: &str) -> Result<()> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired, one question.
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).context("a label is too long")?);
        message.extend(label.as_bytes());
    }
    // The root; type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    socket.send(&message).context("cannot ask")?;
    Ok(())
}
