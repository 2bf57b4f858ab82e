// SPDX-License-Identifier: MIT
//! The one place where mechanisms meet services: read it to know what the daemon is made of.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use hyperbox_api::{IsolationConfig, Projects};
use hyperbox_build::copy::Files;
use hyperbox_build::run::Runner;
use hyperbox_build::{Builder, BuilderDependencies, Retention};
use hyperbox_buildkit::{BuildKit, BuildKitConfig};
use hyperbox_cni::CniDriver;
use hyperbox_core::Engine;
use hyperbox_core::container::{self, Containers, Dependencies};
use hyperbox_core::event::Events;
use hyperbox_core::exec::Execs;
use hyperbox_core::image::{ImageDependencies, Images, PulledBlobs};
use hyperbox_core::network::{BridgeWishes, NetworkDependencies, Networks};
use hyperbox_core::seam::{Change, Host, Records, Registry, Snapshotter, Table, TaskRuntime};
use hyperbox_core::system::{System, SystemFacts};
use hyperbox_core::time::Timestamp;
use hyperbox_core::volume::Volumes;
use hyperbox_dns::{Configuration, Names};
use hyperbox_net::{HostView, Mechanisms};
use hyperbox_registry::{DistributionClient, PeerClient};
use hyperbox_snapshot::MountedFiles;
use hyperbox_store::{FileContent, LocalVolumes, SqliteRecords};
use hyperbox_task::{KernelGroups, ShimTaskRuntime};
use hyperbox_types::ByteSize;
use tokio::runtime::Handle;

use crate::config::Config;
use crate::host::{LinuxHost, Machine};
use crate::instance::private_directory;
use crate::storage::Storage;

/// What doors are opened to.
#[derive(Debug)]
pub(crate) struct Services {
    /// The engine's services.
    pub(crate) engine: Engine,
    /// Builds images.
    pub(crate) builder: Builder,
    /// The same for BuildKit's clients.
    pub(crate) buildkit: BuildKit,
    /// Keeps projects.
    pub(crate) projects: Projects,
}

/// Opens all stores, wires all services and brings back what an earlier daemon left. `descriptors` is how many files containers may open.
///
/// # Errors
/// When a store cannot be opened; the message names it.
pub(crate) async fn services(config: &Config, machine: &Machine, descriptors: Option<u64>) -> Result<Services> {
    let root = &config.root;
    let containers_dir = root.join("containers");
    let spool_dir = root.join("spool");
    private_directory(&containers_dir)?;
    // What an interrupted load spooled is of no use to anybody.
    drop(std::fs::remove_dir_all(&spool_dir));
    private_directory(&spool_dir)?;

    let events = Events::new();
    let host: Arc<dyn Host> = Arc::new(LinuxHost::default());
    let records: Arc<dyn Records> = Arc::new(SqliteRecords::open(&root.join("hyperbox.db"))?);
    let content = Arc::new(FileContent::open(&root.join("content"))?);
    let storage = Storage::open(config)?;
    let snapshotter: Arc<dyn Snapshotter> = storage.snapshotter;
    let volume_driver = Arc::new(LocalVolumes::open(&root.join("volumes"))?);
    let registry: Arc<dyn Registry> =
        Arc::new(DistributionClient::new(registry_config(config)).context("setting registry")?);
    let store_id = store_id(records.as_ref())?;
    let tasks: Arc<dyn TaskRuntime> = Arc::new(ShimTaskRuntime::open(task_config(config, descriptors))?);

    let images = Images::open(ImageDependencies {
        records: Arc::clone(&records),
        content,
        snapshotter: Arc::clone(&snapshotter),
        registry: Arc::clone(&registry),
        peers: Arc::new(PeerClient::new()),
        events: events.clone(),
        pulled_blobs: if config.storage.keep_blobs {
            PulledBlobs::Kept
        } else {
            PulledBlobs::Left
        },
        spool_dir,
    })?;
    let volumes = Volumes::open(
        volume_driver,
        Arc::clone(&records),
        Arc::clone(&snapshotter),
        events.clone(),
    )
    .await?;
    let wishes = BridgeWishes {
        bridge: wish(&config.network.bridge),
        subnet: wish(&config.network.subnet),
    };
    let mechanisms = network_mechanisms(config, &store_id, &records, &events)?;
    let networks = Networks::open(mechanisms, &wishes).await?;
    let containers = Containers::new(
        container::Config {
            containers_dir,
            cgroup_parent: config.runtime.cgroup_parent.clone(),
            kernel: machine.kernel_version,
            cgroup_v2: machine.cgroup_v2,
            default_runtime: config.runtime.default.clone(),
        },
        Dependencies {
            records: Arc::clone(&records),
            snapshotter: Arc::clone(&snapshotter),
            files: Arc::new(MountedFiles::open(&config.run_dir.join("view"))?),
            tasks: Arc::clone(&tasks),
            host: Arc::clone(&host),
            images: images.clone(),
            volumes: volumes.clone(),
            networks: networks.clone(),
            events: events.clone(),
        },
    );
    images.set_users(containers.image_users());
    let mechanisms = (Arc::clone(&snapshotter), registry);
    let projects_records = Arc::clone(&records);
    let builder = builder(config, &images, &containers, records, mechanisms)?;
    let execs = Execs::new(containers.clone(), Arc::clone(&tasks), events.clone());
    let system = System::new(facts(
        config,
        machine,
        store_id,
        host.as_ref(),
        (snapshotter.name(), storage.status),
        tasks.as_ref(),
    )?);
    let engine = Engine {
        containers,
        execs,
        images,
        volumes,
        networks,
        events,
        system,
    };
    let buildkit = buildkit(config, &engine, builder.clone())?;
    let projects = Projects::open(hyperbox_api::Dependencies {
        engine: engine.clone(),
        records: projects_records,
        isolation: isolation(config),
    })?;
    // The projects' groups have their limits before anything starts in them.
    engine.containers.restore().await?;
    engine.images.collect().await;
    Ok(Services {
        engine,
        builder,
        buildkit,
        projects,
    })
}

/// How projects are kept apart.
fn isolation(config: &Config) -> IsolationConfig {
    IsolationConfig {
        cgroup_parent: config.runtime.cgroup_parent.clone(),
        groups: Arc::new(KernelGroups),
        network: Arc::new(HostView::default()),
    }
}

/// Opens the builder for BuildKit's clients.
fn buildkit(config: &Config, engine: &Engine, builder: Builder) -> Result<BuildKit> {
    let keep = ByteSize::parse(&config.builder.keep).context("setting builder.keep")?;
    BuildKit::open(BuildKitConfig {
        builder,
        worker: engine.system.facts().id.clone(),
        host_gateway: engine.networks.host_gateways().into_iter().find(IpAddr::is_ipv4),
        keep,
        contexts: config.root.join("build").join("contexts"),
        history: config.root.join("build").join("history"),
    })
    .context("cannot open the builder")
}

/// Opens the builder, which says what it holds before anything is collected.
fn builder(
    config: &Config,
    images: &Images,
    containers: &Containers,
    records: Arc<dyn Records>,
    (snapshotter, registry): (Arc<dyn Snapshotter>, Arc<dyn Registry>),
) -> Result<Builder> {
    let directory = config.root.join("build");
    private_directory(&directory)?;
    let retention = Retention {
        size: ByteSize::parse(&config.builder.keep).context("setting builder.keep")?,
        age: config.builder.keep_age(),
    };
    let files = Files::open(&directory, snapshotter, registry).context("cannot open the builder")?;
    let runs = Runner::open(containers.clone(), &directory, &config.run_dir).context("cannot open the builder")?;
    Ok(Builder::open(BuilderDependencies {
        images: images.clone(),
        records,
        files: Arc::new(files),
        runs: Arc::new(runs),
        retention,
    })?)
}

fn wish(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

/// Returns the id of this store, made up when it is new.
fn store_id(records: &dyn Records) -> Result<String> {
    const KEY: &str = "store-id";
    let known = records.load(Table::Meta)?.into_iter().find(|(key, _)| key == KEY);
    if let Some((_, json)) = known {
        return serde_json::from_str(&json).context("the store's id is unreadable");
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("cannot read random bytes")?;
    let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    records.apply(&[Change::Put {
        table: Table::Meta,
        key: KEY.to_owned(),
        value: serde_json::to_string(&id)?,
    }])?;
    Ok(id)
}

pub(crate) fn registry_config(config: &Config) -> hyperbox_registry::Config {
    hyperbox_registry::Config {
        mirrors: config.registry.mirrors.clone(),
        insecure_hosts: config.registry.insecure.iter().cloned().collect(),
        certificates_dir: Some(config.registry.certificates_dir.clone()),
        ..hyperbox_registry::Config::default()
    }
}

fn network_mechanisms(
    config: &Config,
    store_id: &str,
    records: &Arc<dyn Records>,
    events: &Events,
) -> Result<NetworkDependencies> {
    let kernel = Mechanisms::open(network_config(config, store_id))?;
    let cni = hyperbox_cni::Config::new(config.root.join("cni"));
    let cni = CniDriver::open(cni, kernel.sandboxes.clone())?;
    Ok(NetworkDependencies {
        drivers: vec![
            kernel.bridge,
            kernel.macvlan,
            kernel.ipvlan,
            kernel.host,
            kernel.null,
            Arc::new(cni),
        ],
        sandboxes: kernel.sandboxes,
        ports: kernel.ports,
        names: Arc::new(Names::new(Handle::current(), Configuration::default())),
        records: Arc::clone(records),
        events: events.clone(),
    })
}

fn network_config(config: &Config, store_id: &str) -> hyperbox_net::Config {
    let instance = if config.is_default_instance() {
        hyperbox_net::Config::DEFAULT_INSTANCE.to_owned()
    } else {
        store_id[..6].to_owned()
    };
    hyperbox_net::Config {
        instance,
        mtu: config.network.mtu,
        big_packets: config.network.big_packets,
        default_pools: match config.network.default_address_pools.as_slice() {
            [] => hyperbox_net::Config::standard_pools(),
            pools => pools.to_vec(),
        },
        ..hyperbox_net::Config::default()
    }
}

fn task_config(config: &Config, descriptors: Option<u64>) -> hyperbox_task::Config {
    hyperbox_task::Config {
        shim_program: wish(&config.runtime.shim).map(Into::into),
        default_runtime: config.runtime.default.clone(),
        runtimes: config.runtime.external.clone(),
        descriptors,
        ..hyperbox_task::Config::new(&config.run_dir)
    }
}

fn facts(
    config: &Config,
    machine: &Machine,
    id: String,
    host: &dyn Host,
    (storage_driver, storage_status): (&str, Vec<(String, String)>),
    tasks: &dyn TaskRuntime,
) -> Result<SystemFacts> {
    let warnings = if machine.cgroup_v2 {
        Vec::new()
    } else {
        vec!["control groups are not pure version 2".to_owned()]
    };
    Ok(SystemFacts {
        id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        git_commit: option_env!("HYPERBOX_GIT_COMMIT").unwrap_or_default().to_owned(),
        build_time: option_env!("HYPERBOX_BUILD_TIME").unwrap_or_default().to_owned(),
        name: machine.hostname.clone(),
        kernel: machine.kernel.clone(),
        operating_system: machine.operating_system.clone(),
        os_version: machine.os_version.clone(),
        architecture: std::env::consts::ARCH.to_owned(),
        cpus: host.online_cpus(),
        memory: ByteSize(host.memory_bytes()),
        cgroup_version: if machine.cgroup_v2 { 2 } else { 1 },
        cgroup_driver: "cgroupfs".to_owned(),
        storage_driver: storage_driver.to_owned(),
        storage_status,
        root_dir: config.root.clone(),
        security_options: vec!["name=seccomp,profile=builtin".to_owned()],
        default_runtime: config.runtime.default.clone(),
        runtimes: tasks.runtimes(),
        warnings,
        started_at: Timestamp::now(),
        insecure_registries: config.registry.insecure.clone(),
        mirrors: config.registry.mirrors.get("docker.io").cloned().unwrap_or_default(),
        debug: config.log.level.contains("debug") || config.log.level.contains("trace"),
        listeners: config.listen()?.iter().map(ToString::to_string).collect(),
        default_address_pools: {
            let pools = config.network.default_address_pools.iter();
            pools.map(|pool| (pool.base.to_string(), pool.size)).collect()
        },
    })
}
