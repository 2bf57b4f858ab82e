// SPDX-License-Identifier: MIT
//! hyperboxd: parse, wire, serve, drain, exit.
//!
//! Containers do not depend on this process: on a clean shutdown as after a crash they go on, and the next daemon finds them again.

#![forbid(unsafe_code)]

mod build_door;
mod config;
mod conversion;
mod descriptors;
mod host;
mod idle;
mod instance;
mod listener;
mod storage;
mod wiring;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use hyperbox_docker::{DoorConfig, serve};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::build_door::BuildKitDoor;
use crate::config::{Config, DEFAULT_FILE, Listen, LogFormat, Overrides, Sources};
use crate::instance::Instance;

/// The HyperBox daemon: pulls images, runs containers, serves the Docker Engine API.
#[derive(Debug, Parser)]
#[command(name = "hyperboxd", version)]
struct Arguments {
    /// Configuration file [default: /etc/hyperbox/hyperbox.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory for images, containers and volumes
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Directory for sockets and running containers
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Where to listen, as unix:///path (repeatable)
    #[arg(long, short = 'H', value_name = "ADDRESS")]
    host: Vec<String>,
    /// Also serve Docker's clients where they look for Docker, unless an engine answers there
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = config::DOCKER_SOCKET)]
    docker_socket: Option<PathBuf>,
    /// Log level or filter
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Make the layers of all images again in the form that the configuration says, while no container runs, and exit
    #[arg(long)]
    convert_layers: bool,
    /// Print the configuration that results from file, environment and flags, and exit
    #[arg(long)]
    print_config: bool,
    /// Print the names of the failpoints of this build, and exit
    #[cfg(feature = "failpoints")]
    #[arg(long)]
    list_failpoints: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("hyperboxd: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the end of the error's journey, before or after logging works"
)]
fn report(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "output that was asked for")]
fn show(text: &str) {
    println!("{text}");
}

fn run(arguments: Arguments) -> Result<()> {
    #[cfg(feature = "failpoints")]
    if arguments.list_failpoints {
        show(&hyperbox_core::failpoint::ALL.join("\n"));
        return Ok(());
    }
    let config = Config::resolve(&sources(&arguments)?)?;
    if arguments.print_config {
        show(config.to_toml().trim_end());
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("must run as root: containers need namespaces, mounts and control groups\nhint: start it with sudo");
    }
    start_logging(&config)?;
    let descriptors = descriptors::raise_limit();
    let instance = Instance::claim(&config.root, &config.run_dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8)))
        .thread_name("hyperboxd")
        .enable_all()
        .build()
        .context("cannot start the scheduler")?;
    let served = if arguments.convert_layers {
        runtime.block_on(conversion::convert(&config)).map(|told| show(&told))
    } else {
        runtime.block_on(daemon(&config, descriptors))
    };
    // Blocking work (an unpacking, a deletion) may be cut off anywhere: stores are made for that.
    runtime.shutdown_background();
    drop(instance);
    served
}

fn sources(arguments: &Arguments) -> Result<Sources> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let named = arguments
        .config
        .clone()
        .or_else(|| variable("HYPERBOX_CONFIG").map(PathBuf::from));
    let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Some((path, text)),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let hosts = variable("HYPERBOX_HOST").map(|hosts| hosts.split(',').map(str::to_owned).collect());
    Ok(Sources {
        file,
        environment: Overrides {
            root: variable("HYPERBOX_ROOT").map(PathBuf::from),
            run_dir: variable("HYPERBOX_RUN_DIR").map(PathBuf::from),
            hosts: hosts.unwrap_or_default(),
            docker_socket: variable("HYPERBOX_DOCKER_SOCKET").map(PathBuf::from),
            log_level: variable("HYPERBOX_LOG"),
        },
        flags: Overrides {
            root: arguments.root.clone(),
            run_dir: arguments.run_dir.clone(),
            hosts: arguments.host.clone(),
            docker_socket: arguments.docker_socket.clone(),
            log_level: arguments.log_level.clone(),
        },
    })
}

fn start_logging(config: &Config) -> Result<()> {
    let filter =
        EnvFilter::try_new(&config.log.level).with_context(|| format!("setting log.level: {}", config.log.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let started = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start logging: {error}"))
}

/// Does work beside; never ends.
async fn forever(work: impl Future<Output = ()>) {
    work.await;
    std::future::pending::<()>().await;
}

async fn daemon(config: &Config, descriptors: Option<u64>) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    if let Some(path) = config.docker_socket() {
        listener::may_bind_for_docker(path)?;
    }
    let wiring::Services {
        engine,
        builder,
        buildkit,
        projects,
    } = wiring::services(config, &host::machine(), descriptors).await?;
    let door = DoorConfig {
        builder: Some(builder),
        native: Some(Arc::new(projects)),
        build_connections: Some(Arc::new(BuildKitDoor(buildkit))),
        ..DoorConfig::default()
    };
    let shutdown = CancellationToken::new();
    let mut doors = tokio::task::JoinSet::new();
    let mut sockets = Vec::new();
    for Listen::Unix(path) in config.listen()? {
        let (listener, socket) = listener::bind(&path, &config.socket_group)?;
        sockets.push(socket);
        doors.spawn(serve(listener, engine.clone(), door.clone(), shutdown.clone()));
        info!(socket = %path.display(), "listening");
    }
    if let Some(path) = config.docker_socket() {
        let (listener, socket) = listener::bind_for_docker(path)?;
        sockets.push(socket);
        doors.spawn(serve(listener, engine.clone(), door.clone(), shutdown.clone()));
        info!(socket = %path.display(), "listening for Docker's clients");
    }
    info!(version = env!("CARGO_PKG_VERSION"), root = %config.root.display(), "ready");
    let _idle = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(idle::give_memory_back()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = forever(storage::optimize_when_idle(&engine.images, config)) => {}
    }
    info!("shutting down; containers go on");
    shutdown.cancel();
    while let Some(ended) = doors.join_next().await {
        if let Err(error) = ended {
            tracing::error!(%error, "a door ended abnormally");
        }
    }
    drop(sockets);
    if !engine
        .containers
        .list()
        .iter()
        .any(|record| record.state.phase.is_alive())
    {
        // Nobody uses bridge and rules any more; the next daemon makes them again when they are needed.
        if let Err(error) = engine.networks.dismantle().await {
            tracing::warn!(%error, "networks not removed from the machine");
        }
    }
    Ok(())
}
