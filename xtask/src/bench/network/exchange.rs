// SPDX-License-Identifier: MIT
//! Short connections and small messages through a published port: how many connections in a second, what each costs the machine, and
//! how long a byte takes there and back.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::elsewhere::Elsewhere;
use super::engine::Stage;
use super::image;
use super::processor;
use super::throughput::{free_port, patiently};
use crate::bench::series::{Series, Unit, beside, interleave};
use crate::process::{capture, command};

/// Ports of the server in the container.
const HTTP_PORT: u16 = 80;
const ECHO_PORT: u16 = 7;
/// So many connections at a time, by a thread each.
const CLIENTS: u32 = 4;
/// Few enough that what the kernel remembers of them for two minutes does not fill its table in all rounds together.
const CONNECTIONS: u32 = 2000;
/// Bytes there and back.
const ECHOES: usize = 4000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// Where a server is.
#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    address: IpAddr,
    port: u16,
}

/// A container that serves, and the ports it is published at.
struct Serving<'a> {
    stage: &'a Stage,
    container: String,
    http: u16,
    echo: u16,
}

/// Measures from all vantage points.
pub(super) fn measure(stages: &[Stage], elsewhere: &Elsewhere, rounds: usize) -> Result<Vec<Value>> {
    let mut servers = Vec::new();
    for stage in stages {
        match start(stage) {
            Ok(serving) => servers.push(serving),
            Err(error) => println!("left out {}: {error:#}", stage.engine.name),
        }
    }
    let mut results = Vec::new();
    for (name, namespace, address) in [
        ("from the host by 127.0.0.1", None, "127.0.0.1"),
        ("from the host by ::1", None, "::1"),
        ("from the host by its IPv4 address", None, elsewhere.host_ipv4.as_str()),
        (
            "from another namespace, IPv4",
            Some(elsewhere.name.as_str()),
            &elsewhere.host_ipv4,
        ),
    ] {
        results.extend(connections(&servers, name, (namespace, address), rounds));
        let series = servers.iter().map(|serving| {
            let words = words("echo", namespace, address, serving.echo);
            Series {
                name: serving.stage.engine.name.to_owned(),
                command: words.join(" "),
                take: Box::new(move || numbers(&words).map(|[median, _]| median)),
            }
        });
        let scenario = format!("published port, a byte there and back, {name}");
        results.push(interleave(&scenario, Unit::Microseconds, series.collect(), rounds).to_json());
    }
    for serving in &servers {
        serving.stage.remove(&serving.container)?;
    }
    Ok(results)
}

fn start(stage: &Stage) -> Result<Serving<'_>> {
    let (http, echo) = (free_port()?, free_port()?);
    let (web, back) = (format!("{http}:{HTTP_PORT}"), format!("{echo}:{ECHO_PORT}"));
    let flags = ["--network", &stage.network_ipv6, "-p", &web, "-p", &back];
    Ok(Serving {
        stage,
        container: stage.run(&flags, &[image::PROGRAM, "bench", "ask", "serve"])?,
        http,
        echo,
    })
}

fn connections(
    servers: &[Serving<'_>],
    name: &str,
    (namespace, address): (Option<&str>, &str),
    rounds: usize,
) -> [Value; 2] {
    let scenario = format!("published port, HTTP without keep-alive, {name}");
    let series = servers.iter().map(|serving| {
        let words = words("connect", namespace, address, serving.http);
        let name = serving.stage.engine.name.to_owned();
        (name, words.join(" "), move || numbers(&words))
    });
    beside(
        (&scenario, Unit::PerSecond),
        ("CPU time of the machine for each", Unit::Microseconds),
        series.collect(),
        rounds,
    )
}

fn words(what: &str, namespace: Option<&str>, address: &str, port: u16) -> Vec<String> {
    let inside = namespace.map_or(Vec::new(), |name| vec!["ip", "netns", "exec", name]);
    let program = std::env::current_exe().unwrap_or_else(|_| "xtask".into());
    let (program, port) = (program.to_string_lossy(), port.to_string());
    let client = [&program, "bench", "ask", what, address, &port];
    [inside, client.to_vec()]
        .concat()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Runs a client, patiently while its server starts; returns what it prints: a number or two.
fn numbers(words: &[String]) -> Result<[f64; 2]> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    patiently(|| {
        let text = capture(&mut command(&words))?;
        let mut numbers = [0.0; 2];
        for (number, word) in numbers.iter_mut().zip(text.split_whitespace()) {
            *number = word.parse().context("not a number")?;
        }
        Ok(numbers)
    })
}

/// Serves both ports of all addresses until it is ended.
pub(super) fn serve() -> Result<()> {
    let back = listen(ECHO_PORT)?;
    let web = listen(HTTP_PORT)?;
    thread::spawn(move || {
        for stream in back.incoming().flatten() {
            thread::spawn(move || give_back(stream));
        }
    });
    // As many as ask at a time: a new thread for each connection would be a part of what is measured.
    let threads: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let web = web.try_clone()?;
            Ok(thread::spawn(move || web.incoming().flatten().for_each(answer)))
        })
        .collect::<Result<_>>()?;
    for thread in threads {
        // They do not end.
        let _ended = thread.join();
    }
    Ok(())
}

fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("cannot listen at port {port}"))
}

fn answer(mut stream: TcpStream) {
    let mut request = [0; 512];
    // A client that went away is none that counts.
    let _answered = stream.read(&mut request).and_then(|_| stream.write_all(RESPONSE));
}

fn give_back(mut stream: TcpStream) {
    let mut byte = [0];
    // Without waiting for more to send.
    let _set = stream.set_nodelay(true);
    while stream
        .read_exact(&mut byte)
        .and_then(|()| stream.write_all(&byte))
        .is_ok()
    {}
}

/// Makes connections, some at a time, each for one request.
pub(super) fn connect(server: &Server) -> Result<()> {
    let (address, port) = (server.address, server.port);
    request(address, port)?;
    let (before, start) = (processor::used()?, Instant::now());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| thread::spawn(move || (0..CONNECTIONS / CLIENTS).try_for_each(|_| request(address, port))))
        .collect();
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let elapsed = start.elapsed();
    let used = processor::used()?.saturating_sub(before);
    let count = f64::from(CONNECTIONS);
    println!(
        "{:.0} {:.1}",
        count / elapsed.as_secs_f64(),
        used.as_secs_f64() * 1e6 / count
    );
    Ok(())
}

fn request(address: IpAddr, port: u16) -> Result<()> {
    let mut stream = TcpStream::connect((address, port)).context("cannot connect")?;
    stream.write_all(REQUEST).context("cannot ask")?;
    let mut response = Vec::with_capacity(RESPONSE.len());
    stream.read_to_end(&mut response).context("no answer")?;
    ensure!(response == RESPONSE, "not the answer that was expected");
    Ok(())
}

/// Sends bytes one after the other, each when the last one is back.
pub(super) fn echo(server: &Server) -> Result<()> {
    let mut stream = TcpStream::connect((server.address, server.port)).context("cannot connect")?;
    stream.set_nodelay(true).context("cannot set up a socket")?;
    let mut byte = [0];
    let mut times: Vec<Duration> = Vec::with_capacity(ECHOES);
    for _ in 0..ECHOES {
        let start = Instant::now();
        stream.write_all(&[1]).context("cannot send")?;
        stream.read_exact(&mut byte).context("nothing came back")?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    println!("{:.1}", times[ECHOES / 2].as_secs_f64() * 1e6);
    Ok(())
}
