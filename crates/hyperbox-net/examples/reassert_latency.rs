// SPDX-License-Identifier: MIT
//! Prints what it costs that somebody changes nftables beside many networks: a look that finds everything in its place, the rules made anew
//! after their table was removed, and the publishing of a port while `nft` goes on changing.
//!
//! Run it as root; it works in a network namespace of its own and leaves nothing. The first argument is the number of networks, each of which
//! has a port published at all addresses, the second the number of rounds; a line of JSON for each measurement says the times in
//! milliseconds.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hyperbox_core::seam::{
    DefaultRoutes, EndpointRequest, NetworkDriver, NetworkWish, PortPublisher as _, PortRequest, PublishRequest,
    SandboxRequest,
};
use hyperbox_net::{Config, Mechanisms};
use hyperbox_sys::network_namespace;
use hyperbox_types::{ContainerId, NetworkId};

/// What a reload of another firewall looks like, again and again, until its input ends.
const NEIGHBOUR: &str = "add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }\n\
                         delete table ip filter\n";

fn main() -> Result<(), Box<dyn Error>> {
    let number = |place, usual| {
        std::env::args()
            .nth(place)
            .map_or(Ok(usual), |text| text.parse::<usize>())
    };
    let (networks, rounds) = (number(1, 200)?, number(2, 10)?);
    // This thread is the runtime's, too: everything stays in the new namespace.
    let _home = network_namespace::unshare_network()?;
    Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(networks, rounds))
}

async fn measure(networks: usize, rounds: usize) -> Result<(), Box<dyn Error>> {
    let run_dir = tempfile::tempdir()?;
    let config = Config {
        run_dir: run_dir.path().to_owned(),
        system_bus: run_dir.path().join("no-bus"),
        spares: 0,
        ..Config::default()
    };
    let mechanisms = Mechanisms::open(config)?;
    let mut chosen = Vec::new();
    let mut last = None;
    let mut made = Vec::new();
    for number in 0..networks {
        let network = mechanisms.bridge.choose(wish(number), &chosen).await?;
        let start = Instant::now();
        mechanisms.bridge.ensure(&network).await?;
        made.push(start.elapsed());
        chosen.push(network.clone());
        let container = container(number);
        let endpoint = EndpointRequest {
            network: network.clone(),
            ipv4: None,
            ipv6: None,
            link_local: Vec::new(),
            mac_address: None,
            link: "eth0".to_owned(),
            default_routes: DefaultRoutes { ipv4: true, ipv6: true },
            options: BTreeMap::new(),
        };
        let sandbox = mechanisms.bridge.open(SandboxRequest {
            container: container.clone(),
            endpoint,
            names: false,
        });
        let request = PublishRequest {
            container,
            name: format!("web{number}"),
            network,
            endpoint: sandbox.await?.endpoint,
            ports: vec![PortRequest {
                container: "80/tcp".parse()?,
                host_address: None,
                host_ports: None,
            }],
        };
        mechanisms.ports.publish(request.clone()).await?;
        last = Some(request);
    }
    report("a network is made", &made)?;
    let again = times(rounds, || {
        mechanisms.firewall.reassert()?;
        Ok(())
    });
    report("a look, nothing to do", &again?)?;
    let anew = times(rounds, || {
        Command::new("nft")
            .args(["delete", "table", "inet", "hyperbox"])
            .status()?;
        let start = Instant::now();
        mechanisms.firewall.reassert()?;
        while !mechanisms.firewall.still_intact()? {}
        writeln!(std::io::stderr(), "anew {:?}", start.elapsed())?;
        Ok(())
    });
    report("the table removed by nft and made anew", &anew?)?;
    if let Some(request) = last {
        let mut neighbour = neighbour()?;
        let (mut published, mut ensured) = (Vec::new(), Vec::new());
        for _ in 0..rounds * 10 {
            mechanisms.ports.withdraw(&request.container).await?;
            let start = Instant::now();
            mechanisms.ports.publish(request.clone()).await?;
            published.push(start.elapsed());
            let start = Instant::now();
            mechanisms.bridge.ensure(&request.network).await?;
            ensured.push(start.elapsed());
            std::thread::park_timeout(Duration::from_millis(5));
        }
        report("a port is published while others change rules", &published)?;
        report("a network is ensured while others change rules", &ensured)?;
        neighbour.kill()?;
        neighbour.wait()?;
    }
    Ok(())
}

/// Starts a program that loads and removes rules until it is killed.
fn neighbour() -> Result<Child, Box<dyn Error>> {
    let mut script = tempfile::NamedTempFile::new()?;
    script.write_all(NEIGHBOUR.as_bytes())?;
    let (_, path) = script.keep()?;
    let child = Command::new("sh")
        .args(["-c", "while nft -f \"$0\"; do :; done"])
        .arg(path)
        .stdout(Stdio::null())
        .spawn()?;
    Ok(child)
}

fn times(rounds: usize, mut body: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Vec<Duration>, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        body()?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn report(label: &str, times: &[Duration]) -> std::io::Result<()> {
    let numbers: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    let mut sorted = numbers.clone();
    sorted.sort_by(f64::total_cmp);
    writeln!(
        std::io::stdout(),
        "{label}: median {:.2} max {:.2}",
        sorted[sorted.len() / 2],
        sorted[sorted.len() - 1]
    )
}

fn container(number: usize) -> ContainerId {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    ContainerId::from_bytes(bytes)
}

fn wish(number: usize) -> NetworkWish {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&(number + 1).to_le_bytes());
    NetworkWish {
        id: NetworkId::from_bytes(bytes),
        name: format!("measured{number}"),
        predefined: false,
        options: BTreeMap::new(),
        pools: Vec::new(),
        address_options: BTreeMap::new(),
        ipv4: true,
        ipv6: true,
        internal: false,
    }
}
