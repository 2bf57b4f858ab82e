// SPDX-License-Identifier: MIT
//! Prints how long a container waits for its network: with sandboxes made ahead and without, alone and with sockets for the name service.
//!
//! Run it as root; it works in a network namespace of its own and leaves nothing. The first argument is the number of rounds; a line of
//! JSON for each measurement says the times in milliseconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use hyperbox_core::seam::{
    DefaultRoutes, EndpointRequest, NetworkDriver, NetworkSettings, NetworkWish, SandboxRequest, Sandboxes as _,
};
use hyperbox_net::{Config, Mechanisms};
use hyperbox_sys::network_namespace;
use hyperbox_types::{ContainerId, NetworkId};

/// Long enough for a sandbox to be made while nobody waits.
const BETWEEN: Duration = Duration::from_millis(15);

fn main() -> Result<(), Box<dyn Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(200), |text| text.parse())?;
    // This thread is the runtime's, too: everything stays in the new namespace.
    let _home = network_namespace::unshare_network()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure_all(rounds))
}

async fn measure_all(rounds: usize) -> Result<(), Box<dyn Error>> {
    let run_dir = tempfile::tempdir()?;
    for (label, spares, ipv6, names) in [
        ("made ahead", 4, false, false),
        ("made ahead, IPv6 and names", 4, true, true),
        ("made on demand", 0, false, false),
        ("made on demand, IPv6 and names", 0, true, true),
    ] {
        let config = Config {
            run_dir: run_dir.path().to_owned(),
            spares,
            ..Config::default()
        };
        let mechanisms = Mechanisms::open(config)?;
        let network = mechanisms.bridge.choose(wish(ipv6), &[]).await?;
        mechanisms.bridge.ensure(&network).await?;
        let times = opens(&mechanisms, &network, names, rounds).await?;
        report(&format!("open, {label}"), &times)?;
        if spares == 0 {
            let times = attaches(&mechanisms, &network, rounds / 4).await?;
            report(&format!("attach, {label}"), &times)?;
        }
        mechanisms.bridge.remove(&network).await?;
    }
    Ok(())
}

async fn opens(
    mechanisms: &Mechanisms,
    network: &NetworkSettings,
    names: bool,
    rounds: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::new();
    for round in 0..rounds {
        let container = container(round);
        let request = SandboxRequest {
            container: container.clone(),
            endpoint: request(network, "eth0"),
            names,
        };
        let start = Instant::now();
        let sandbox = mechanisms.bridge.open(request).await?;
        times.push(start.elapsed());
        let endpoint = sandbox.endpoint.clone();
        drop(sandbox);
        mechanisms.bridge.release(&container, &endpoint).await?;
        std::thread::park_timeout(BETWEEN);
    }
    Ok(times)
}

async fn attaches(
    mechanisms: &Mechanisms,
    network: &NetworkSettings,
    rounds: usize,
) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::new();
    let namespace = mechanisms.sandboxes.open().await?;
    for round in 0..rounds {
        let container = container(round);
        let start = Instant::now();
        let attached = mechanisms
            .bridge
            .attach(namespace.as_fd(), &container, request(network, "eth1"));
        let endpoint = attached.await?;
        times.push(start.elapsed());
        mechanisms
            .bridge
            .detach(namespace.as_fd(), &container, &endpoint)
            .await?;
        mechanisms.bridge.release(&container, &endpoint).await?;
    }
    Ok(times)
}

fn report(label: &str, times: &[Duration]) -> std::io::Result<()> {
    let numbers = times.iter().map(|time| time.as_secs_f64() * 1000.0);
    let line = serde_json::json!({"name": label, "numbers": numbers.collect::<Vec<_>>()});
    writeln!(std::io::stdout(), "{line}")
}

fn container(round: usize) -> ContainerId {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&round.to_le_bytes());
    ContainerId::from_bytes(bytes)
}

fn wish(ipv6: bool) -> NetworkWish {
    NetworkWish {
        id: NetworkId::from_bytes([u8::from(ipv6); 32]),
        name: "measured".to_owned(),
        predefined: false,
        options: BTreeMap::new(),
        pools: Vec::new(),
        address_options: BTreeMap::new(),
        ipv4: true,
        ipv6,
        internal: false,
    }
}

fn request(network: &NetworkSettings, link: &str) -> EndpointRequest {
    EndpointRequest {
        network: network.clone(),
        ipv4: None,
        ipv6: None,
        link_local: Vec::new(),
        mac_address: None,
        link: link.to_owned(),
        default_routes: DefaultRoutes { ipv4: true, ipv6: true },
        options: BTreeMap::new(),
    }
}
