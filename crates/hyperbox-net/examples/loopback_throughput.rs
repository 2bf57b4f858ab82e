// SPDX-License-Identifier: MIT
//! Prints what published ports carry from this machine's loopback addresses: by the kernel in both positions of
//! `bridge-nf-call-ip6tables`, and by the forwarder.
//!
//! Run it as root with iperf3 installed; it works in a network namespace of its own and leaves nothing. The first argument is the number
//! of rounds, the second a word that the names of measurements must contain; a line of JSON for each measurement says Gbit/s. With `big` as
//! the third one packets are beyond 64 KiB.

use std::error::Error;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyperbox_core::seam::{
    DefaultRoutes, EndpointRequest, NetworkDriver, NetworkWish, PortPublisher as _, PortRequest, PublishRequest,
    SandboxRequest,
};
use hyperbox_net::{Config, Mechanisms};
use hyperbox_sys::network_namespace;
use hyperbox_types::{ContainerId, NetworkId};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const FILTERED: &str = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
/// How long a server may take to listen.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(5), |text| text.parse())?;
    let word = std::env::args().nth(2).unwrap_or_default();
    let big_packets = std::env::args().nth(3).is_some_and(|word| word == "big");
    // This thread is the runtime's, too: everything stays in the new namespace.
    let _home = network_namespace::unshare_network()?;
    Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure_all(rounds, &word, big_packets))
}

async fn measure_all(rounds: usize, word: &str, big_packets: bool) -> Result<(), Box<dyn Error>> {
    let run_dir = tempfile::tempdir()?;
    let config = Config {
        run_dir: run_dir.path().to_owned(),
        big_packets,
        ..Config::default()
    };
    let mechanisms = Mechanisms::open(config)?;
    let both = Served::start(&mechanisms, true).await?;
    let four = Served::start(&mechanisms, false).await?;
    let mut measurements = vec![("127.0.0.1, kernel", "127.0.0.1", &both, None)];
    if std::fs::exists(FILTERED)? {
        measurements.push(("::1, kernel, bridges not filtered", "::1", &both, Some("0")));
        measurements.push(("::1, kernel, bridges filtered", "::1", &both, Some("1")));
    } else {
        measurements.push(("::1, kernel", "::1", &both, None));
    }
    measurements.push(("::1, forwarder", "::1", &four, None));
    measurements.retain(|(name, ..)| name.contains(word));
    let mut numbers = vec![Vec::new(); measurements.len()];
    for _ in 0..rounds {
        for ((_, address, served, filtered), numbers) in measurements.iter().zip(&mut numbers) {
            if let Some(position) = filtered {
                std::fs::write(FILTERED, position)?;
            }
            numbers.push(ask(address, served.port)?);
        }
    }
    for ((name, ..), numbers) in measurements.iter().zip(&numbers) {
        let line = serde_json::json!({"name": name, "numbers": numbers});
        writeln!(std::io::stdout(), "{line}")?;
    }
    Ok(())
}

/// A container that serves iperf3 behind a published port.
struct Served {
    server: Child,
    port: u16,
    _namespace: OwnedFd,
}

impl Served {
    async fn start(mechanisms: &Mechanisms, ipv6: bool) -> Result<Self, Box<dyn Error>> {
        let network = mechanisms.bridge.choose(wish(ipv6), &[]).await?;
        mechanisms.bridge.ensure(&network).await?;
        let container = ContainerId::from_bytes([u8::from(ipv6); 32]);
        let request = SandboxRequest {
            container: container.clone(),
            names: false,
            endpoint: EndpointRequest {
                network: network.clone(),
                ipv4: None,
                ipv6: None,
                link_local: Vec::new(),
                mac_address: None,
                link: "eth0".to_owned(),
                default_routes: DefaultRoutes { ipv4: true, ipv6: true },
                options: std::collections::BTreeMap::new(),
            },
        };
        let sandbox = mechanisms.bridge.open(request).await?;
        let namespace = sandbox.namespace.try_clone()?;
        let server = std::thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Command::new("iperf3").arg("--server").stdout(Stdio::null()).spawn()
        });
        let published = mechanisms.ports.publish(PublishRequest {
            container,
            name: "measured".to_owned(),
            network,
            endpoint: sandbox.endpoint,
            ports: vec![PortRequest {
                container: "5201".parse()?,
                host_address: None,
                host_ports: None,
            }],
        });
        Ok(Self {
            port: published.await?.first().ok_or("nothing is published")?.host_port,
            server: server.join().map_err(|_| "the thread panicked")??,
            _namespace: sandbox.namespace,
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // They fail when it has ended.
        let _ended = self.server.kill().and_then(|()| self.server.wait());
    }
}

/// Runs the client for a second; returns what the server received, in Gbit/s.
fn ask(address: &str, port: u16) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    loop {
        let mut client = Command::new("iperf3");
        let port = port.to_string();
        client.args(["--client", address, "--port", &port, "--time", "1", "--json"]);
        let report: serde_json::Value = serde_json::from_slice(&client.output()?.stdout)?;
        if let Some(bits) = report["end"]["sum_received"]["bits_per_second"].as_f64() {
            return Ok(bits / 1e9);
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("iperf3: {}", report["error"]).into());
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn wish(ipv6: bool) -> NetworkWish {
    NetworkWish {
        id: NetworkId::from_bytes([u8::from(ipv6); 32]),
        name: "measured".to_owned(),
        predefined: false,
        options: std::collections::BTreeMap::new(),
        pools: Vec::new(),
        address_options: std::collections::BTreeMap::new(),
        ipv4: true,
        ipv6,
        internal: false,
    }
}
