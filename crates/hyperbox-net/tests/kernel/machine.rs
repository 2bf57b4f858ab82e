// SPDX-License-Identifier: MIT
//! A machine of one's own for each test: a network namespace, with another one that plays the outside.
//!
//! The driver's threads and the programs that serve as oracles inherit it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::process::Command;

use hyperbox_core::seam::{
    DefaultRoutes, EndpointRequest, NetworkDriver as _, NetworkSettings, NetworkWish, PoolWish, Sandbox, SandboxRequest,
};
use hyperbox_net::{BridgeDriver, Config};
use hyperbox_sys::network_namespace;
pub(crate) use hyperbox_testkit::machine::{inside, on_a_machine, run};
use hyperbox_testkit::{container_id, network_id};
use hyperbox_types::ContainerId;
use serde_json::Value;

/// Makes an outside: a namespace with 203.0.113.2, linked to this one, which gets 203.0.113.1 and no route back to containers.
pub(crate) fn outside() -> OwnedFd {
    let namespace = std::thread::spawn(|| network_namespace::unshare_network().unwrap())
        .join()
        .unwrap();
    run("ip", &["link", "add", "uplink", "type", "veth", "peer", "name", "far"]);
    let holder = HeldByProcess::new(&namespace);
    run("ip", &["link", "set", "far", "netns", &holder.pid()]);
    run("ip", &["addr", "add", "203.0.113.1/24", "dev", "uplink"]);
    run("ip", &["link", "set", "uplink", "up"]);
    inside(&namespace, || {
        run("ip", &["addr", "add", "203.0.113.2/24", "dev", "far"]);
        run("ip", &["link", "set", "far", "up"]);
        run("ip", &["link", "set", "lo", "up"]);
    });
    namespace
}

/// `ip link set … netns` wants a process; this one waits for its input to end.
struct HeldByProcess(std::process::Child);

impl HeldByProcess {
    fn new(namespace: &OwnedFd) -> Self {
        Self(inside(namespace, || {
            let mut cat = Command::new("cat");
            cat.stdin(std::process::Stdio::piped()).spawn().unwrap()
        }))
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for HeldByProcess {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// Runs a program and reads its JSON.
pub(crate) fn json(program: &str, arguments: &[&str]) -> Value {
    let text = run(program, arguments);
    if text.trim().is_empty() {
        Value::Array(Vec::new())
    } else {
        serde_json::from_str(&text).unwrap()
    }
}

/// Names of the links of this namespace.
pub(crate) fn links() -> Vec<String> {
    let links = json("ip", &["-j", "link"]);
    let names = links.as_array().unwrap().iter();
    names.map(|link| link["ifname"].as_str().unwrap().to_owned()).collect()
}

/// Names of the host links of endpoints.
pub(crate) fn host_links() -> Vec<String> {
    links()
        .into_iter()
        .filter(|name| name.starts_with("hb") && name.len() == 15)
        .collect()
}

/// The ruleset without the numbers the kernel gives out; tables of each family stand together, whichever was made first.
pub(crate) fn ruleset() -> Value {
    let mut ruleset = json("nft", &["-j", "list", "ruleset"]);
    forget_handles(&mut ruleset);
    let family = |entry: &Value| {
        let mut kinds = entry.as_object().unwrap().values();
        kinds
            .next()
            .and_then(|object| object["family"].as_str())
            .map(str::to_owned)
    };
    ruleset["nftables"].as_array_mut().unwrap().sort_by_key(family);
    ruleset
}

fn forget_handles(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(forget_handles),
        Value::Object(fields) => {
            fields.remove("handle");
            fields.values_mut().for_each(forget_handles);
        }
        _ => {}
    }
}

/// A wish for a network with nothing special about it.
pub(crate) fn wish(name: &str) -> NetworkWish {
    NetworkWish {
        id: network_id(),
        name: name.to_owned(),
        predefined: false,
        options: BTreeMap::new(),
        pools: Vec::new(),
        address_options: BTreeMap::new(),
        ipv4: true,
        ipv6: false,
        internal: false,
    }
}

/// A wished subnet with nothing else said about it.
pub(crate) fn subnet(text: &str) -> PoolWish {
    PoolWish {
        subnet: Some(text.parse().unwrap()),
        ..PoolWish::default()
    }
}

/// The wish for the engine's own network, which gets the default bridge.
pub(crate) fn default_wish() -> NetworkWish {
    NetworkWish {
        predefined: true,
        ..wish("bridge")
    }
}

/// Asks for an endpoint in a network.
pub(crate) fn request(network: &NetworkSettings) -> SandboxRequest {
    SandboxRequest {
        container: container_id(),
        names: false,
        endpoint: EndpointRequest {
            network: network.clone(),
            ipv4: None,
            ipv6: None,
            link_local: Vec::new(),
            mac_address: None,
            link: "eth0".to_owned(),
            default_routes: DefaultRoutes { ipv4: true, ipv6: true },
            options: BTreeMap::new(),
        },
    }
}

/// A driver and its default network.
pub(crate) struct Net {
    pub(crate) driver: BridgeDriver,
    pub(crate) network: NetworkSettings,
    pub(crate) config: Config,
    _run_dir: tempfile::TempDir,
}

impl Net {
    pub(crate) async fn new() -> Self {
        Self::of(default_wish()).await
    }

    /// A driver and one network. Nothing is made ahead: what is there is what was asked for.
    pub(crate) async fn of(wish: NetworkWish) -> Self {
        Self::with_spares(wish, 0).await
    }

    /// A driver that makes so many sandboxes ahead, and one network.
    pub(crate) async fn with_spares(wish: NetworkWish, spares: usize) -> Self {
        let run_dir = tempfile::tempdir().unwrap();
        let config = Config {
            run_dir: run_dir.path().to_owned(),
            spares,
            ..Config::default()
        };
        let driver = BridgeDriver::open(config.clone()).unwrap();
        let network = driver.choose(wish, &[]).await.unwrap();
        driver.ensure(&network).await.unwrap();
        Self {
            driver,
            network,
            config,
            _run_dir: run_dir,
        }
    }

    /// Makes one more network.
    pub(crate) async fn another(&self, wish: NetworkWish) -> NetworkSettings {
        let network = self.driver.choose(wish, std::slice::from_ref(&self.network)).await;
        let network = network.unwrap();
        self.driver.ensure(&network).await.unwrap();
        network
    }

    /// Asks for an endpoint.
    pub(crate) fn request(&self) -> SandboxRequest {
        request(&self.network)
    }

    /// Opens a sandbox for a new container.
    pub(crate) async fn open(&self) -> (ContainerId, Sandbox) {
        self.open_in(&self.network).await
    }

    /// Opens a sandbox for a new container in some network.
    pub(crate) async fn open_in(&self, network: &NetworkSettings) -> (ContainerId, Sandbox) {
        let request = request(network);
        let container = request.container.clone();
        (container, self.driver.open(request).await.unwrap())
    }
}
