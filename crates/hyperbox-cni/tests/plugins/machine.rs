// SPDX-License-Identifier: MIT
//! A machine of one's own for each test: a network namespace that links, rules and sysctls die with, and directories for everything
//! that plugins keep.

use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyperbox_cni::{CniDriver, Config};
use hyperbox_core::seam::{
    DefaultRoutes, Endpoint, EndpointRequest, NameSockets, NetworkDriver as _, NetworkError, NetworkSettings,
    NetworkWish, Routes, Sandbox, SandboxRequest, Sandboxes,
};
use hyperbox_sys::network_namespace;
pub(crate) use hyperbox_testkit::machine::{inside, on_a_machine, run};
use hyperbox_testkit::{container_id, network_id};
use hyperbox_types::{ContainerId, ErrorKind};
use ipnet::IpNet;

/// A new namespace, loopback up.
pub(crate) fn namespace() -> OwnedFd {
    let thread = std::thread::spawn(|| {
        let namespace = network_namespace::unshare_network().unwrap();
        run("ip", &["link", "set", "lo", "up"]);
        namespace
    });
    thread.join().unwrap()
}

/// Namespaces, and nothing else.
#[derive(Debug)]
struct PlainSandboxes;

#[async_trait]
impl Sandboxes for PlainSandboxes {
    async fn open(&self) -> Result<OwnedFd, NetworkError> {
        Ok(namespace())
    }

    async fn set_routes(&self, _: BorrowedFd<'_>, _: Routes) -> Result<(), NetworkError> {
        Ok(())
    }

    async fn add_stand_in(
        &self,
        namespace: BorrowedFd<'_>,
        link: &str,
        addresses: &[IpNet],
    ) -> Result<(), NetworkError> {
        let (link, addresses) = (link.to_owned(), addresses.to_vec());
        let namespace = namespace.try_clone_to_owned().unwrap();
        inside(&namespace, move || {
            run("ip", &["link", "add", &link, "type", "bridge"]);
            for address in addresses {
                run("ip", &["addr", "add", &address.to_string(), "dev", &link]);
            }
        });
        Ok(())
    }

    async fn open_names(&self, _: BorrowedFd<'_>) -> Result<NameSockets, NetworkError> {
        Err(NetworkError {
            network: "names".to_owned(),
            message: "no name service here".to_owned(),
            kind: ErrorKind::Unsupported,
            source: None,
        })
    }

    fn host_resolver_configuration(&self) -> String {
        String::new()
    }

    fn host_servers(&self) -> Vec<IpAddr> {
        Vec::new()
    }
}

/// Directories, and drivers that use them.
#[derive(Debug)]
pub(crate) struct Machine {
    directory: tempfile::TempDir,
    pub(crate) config: Config,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::new(directory.path().join("state"));
        config.list_dir = directory.path().join("lists");
        config.plugin_dirs.insert(0, directory.path().join("plugins"));
        std::fs::create_dir(directory.path().join("plugins")).unwrap();
        Self { directory, config }
    }

    /// A driver as after a start of the daemon.
    pub(crate) fn driver(&self) -> CniDriver {
        CniDriver::open(self.config.clone(), Arc::new(PlainSandboxes)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a plugin in shell.
    pub(crate) fn script(&self, name: &str, text: &str) {
        let path = self.path("plugins").join(name);
        let versions = r#"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0","1.1.0"]}"#;
        let text = format!(
            "#!/bin/sh\nif [ \"$CNI_COMMAND\" = VERSION ]; then echo '{versions}'; exit; fi\nD={}\n{text}\n",
            self.directory.path().display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The addresses that `host-local` thinks are in use.
    pub(crate) fn addresses(&self, list: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("addresses").join(list))
            .into_iter()
            .flatten();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut addresses: Vec<_> = names.filter(|name| name.parse::<IpAddr>().is_ok()).collect();
        addresses.sort();
        addresses
    }

    /// The notes of attachments.
    pub(crate) fn notes(&self) -> usize {
        std::fs::read_dir(self.path("state/attachments")).unwrap().count()
    }

    /// A list of bridge and `host-local`, with more plugins behind.
    pub(crate) fn bridge_list(&self, name: &str, subnet: &str, more: &str) -> String {
        let addresses = self.path("addresses");
        format!(
            r#"{{"cniVersion": "1.0.0", "name": "{name}", "plugins": [
                {{"type": "bridge", "bridge": "cni-{name}", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
                  "capabilities": {{"mac": true}},
                  "ipam": {{"type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "{subnet}"}}]]}}}}{more}]}}"#,
            addresses.display()
        )
    }
}

pub(crate) fn wish(list: &str) -> NetworkWish {
    let id = network_id();
    NetworkWish {
        name: format!("net{}", id.short()),
        id,
        predefined: false,
        options: [("conflist".to_owned(), list.to_owned())].into(),
        pools: Vec::new(),
        address_options: std::collections::BTreeMap::new(),
        ipv4: true,
        ipv6: false,
        internal: false,
    }
}

pub(crate) async fn network(driver: &CniDriver, list: &str) -> NetworkSettings {
    let network = driver.choose(wish(list), &[]).await.unwrap();
    driver.ensure(&network).await.unwrap();
    network
}

pub(crate) fn request(network: &NetworkSettings) -> EndpointRequest {
    EndpointRequest {
        network: network.clone(),
        ipv4: None,
        ipv6: None,
        link_local: Vec::new(),
        mac_address: None,
        link: "eth0".to_owned(),
        default_routes: DefaultRoutes { ipv4: true, ipv6: true },
        options: std::collections::BTreeMap::new(),
    }
}

pub(crate) async fn open_with(
    driver: &CniDriver,
    endpoint: EndpointRequest,
) -> Result<(ContainerId, Sandbox), NetworkError> {
    let container = container_id();
    let request = SandboxRequest {
        container: container.clone(),
        endpoint,
        names: false,
    };
    Ok((container, driver.open(request).await?))
}

pub(crate) async fn open(driver: &CniDriver, network: &NetworkSettings) -> (ContainerId, Sandbox) {
    open_with(driver, request(network)).await.unwrap()
}

/// Waits for releases, which happen behind their callers.
pub(crate) async fn settled(machine: &Machine) {
    hyperbox_testkit::wait_for_async("attachments to be undone", || async {
        match machine.notes() {
            0 => Ok(()),
            left => Err(format!("{left} attachments are left")),
        }
    })
    .await;
}

pub(crate) fn address(endpoint: &Endpoint) -> IpAddr {
    endpoint.ipv4.unwrap().addr().into()
}

pub(crate) const SHORT: Duration = Duration::from_millis(500);
