// SPDX-License-Identifier: MIT
//! One process in a writable root of its own, for the time that it takes: what RUN is in a build.
//!
//! It is confined, networked and limited as containers are, by the same code, but no record knows it: it is in no list, publishes no
//! event of a container, and cannot outlive who asked for it. What a crash leaves has no record and is collected at the next start
//! ([`super::restore`]), the process included.
//!
//! Dropping a [`Step`] kills the process and takes everything apart in the background; [`Step::discard`] waits for that.

use std::sync::{Arc, Mutex, PoisonError};

use hyperbox_types::run::Streams;
use hyperbox_types::shim::{ExitRecord, LogTarget, Stdio, UserSpec};
use hyperbox_types::{ContainerId, ContainerName, DiffId, Digest, ImageId, RootMount};
use serde_json::{Value, json};

use super::launch::launch_error;
use super::networks::settle_networks;
use super::providers::Providers;
use super::resolver::resolv_conf;
use super::service::Inner;
use super::{ContainerRecord, ContainerSpec, ContainerState, Containers, Phase, ResolvedMount, oci};
use crate::network::{JoinRequest, Joined};
use crate::seam::{
    ActiveKey, AttachIo, Endpoint, FileStream, FilesView, LaunchTask, PathStat, Task, TaskStatus, ViewRoot,
};
use crate::time::Timestamp;
use crate::{Result, ServiceError, random};

/// What is to run, and on what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepSpec {
    /// The layers below, lowest first. The caller holds a lease of them.
    pub layers: Vec<DiffId>,
    /// Command, user, environment, limits, network, confinement. Its image, mounts, names, ports, log and restart policy say nothing.
    pub spec: ContainerSpec,
    /// What is mounted.
    pub mounts: Vec<ResolvedMount>,
}

/// A step that runs or has run.
pub struct Step {
    inner: Arc<Inner>,
    id: ContainerId,
    task: Option<Arc<dyn Task>>,
    endpoints: Vec<Endpoint>,
    /// A lock, so that the step can be shared between threads.
    output: Mutex<Option<Box<dyn AttachIo>>>,
    apart: bool,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Step")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Containers {
    /// Starts a step. When the caller is dropped, it is started and taken apart again.
    ///
    /// # Errors
    /// `InvalidArgument` for contradictory wishes and commands that cannot be executed; else those of the mechanisms. Nothing is left.
    pub async fn start_step(&self, wish: StepSpec) -> Result<Step> {
        let inner = Arc::clone(&self.inner);
        let starting = tokio::spawn(async move { start(inner, wish).await });
        starting
            .await
            .map_err(|error| ServiceError::internal("the start of a step was interrupted").with_source(error))?
    }

    /// Tells what is at a path of layers (lowest first).
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` when the path leads through a file or in circles.
    pub async fn stat_in_layers(&self, layers: &[DiffId], path: &str) -> Result<PathStat> {
        let found = self.inner.with.files.stat(self.view_of_layers(layers)?, path).await;
        found.map_err(|error| ServiceError::from_mechanism(format!("cannot look at {path}"), error.kind(), error))
    }

    /// Reads what is at a path of layers (lowest first) as a tar archive whose names begin with the last component of the path.
    ///
    /// # Errors
    /// As [`Containers::stat_in_layers`].
    pub async fn read_in_layers(&self, layers: &[DiffId], path: &str) -> Result<(PathStat, FileStream)> {
        let read = self.inner.with.files.read(self.view_of_layers(layers)?, path).await;
        read.map_err(|error| ServiceError::from_mechanism(format!("cannot read {path}"), error.kind(), error))
    }

    /// Returns how layers (lowest first) are mounted, read-only.
    ///
    /// # Errors
    /// `NotFound` when one is missing.
    pub fn mount_of_layers(&self, layers: &[DiffId]) -> Result<RootMount> {
        let view = self.inner.with.snapshotter.view(layers);
        view.map_err(|error| ServiceError::from_mechanism("cannot mount layers", error.kind(), error))
    }

    fn view_of_layers(&self, layers: &[DiffId]) -> Result<FilesView> {
        let mut mount = self.mount_of_layers(layers)?;
        if let RootMount::Overlay { lower, writable: None } = &mut mount
            && let [only] = &mut lower[..]
        {
            // A single layer is its own view; whoever attaches that to a place takes it away from everybody else.
            mount = RootMount::Bind {
                source: std::mem::take(only),
                read_only: true,
            };
        }
        Ok(FilesView {
            root: ViewRoot::Idle(mount),
            mounts: Vec::new(),
            turn: Box::new(()),
        })
    }
}

impl Step {
    /// Returns standard output and standard error, in the frames of [`hyperbox_types::stream`], once.
    pub fn take_output(&mut self) -> Option<Box<dyn AttachIo>> {
        self.output.get_mut().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the end of the process. Cancel-safe.
    ///
    /// # Errors
    /// `Internal` when its supervisor vanished.
    pub async fn finished(&self) -> Result<ExitRecord> {
        let lost = || ServiceError::internal("the supervisor of a build step vanished");
        let Some(task) = &self.task else {
            return Err(lost());
        };
        let mut status = task.status();
        let ended = status.wait_for(|status| *status != TaskStatus::Running).await;
        match ended.as_deref() {
            Ok(TaskStatus::Exited(exit)) => Ok(exit.clone()),
            _ => Err(lost()),
        }
    }

    /// Reads what the process has changed, as a layer. To be called after its end.
    ///
    /// # Errors
    /// Those of the snapshotter.
    pub async fn changes(&self) -> Result<FileStream> {
        let key = ActiveKey(self.id.clone());
        let packed = self.inner.with.snapshotter.pack_changes(&key);
        packed
            .await
            .map_err(|error| ServiceError::from_mechanism("cannot read what a step changed", error.kind(), error))
    }

    /// Kills what runs and takes everything apart.
    pub async fn discard(mut self) {
        self.apart = true;
        let endpoints = std::mem::take(&mut self.endpoints);
        take_apart(&self.inner, &self.id, &endpoints).await;
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if !self.apart {
            let (inner, id) = (Arc::clone(&self.inner), self.id.clone());
            let endpoints = std::mem::take(&mut self.endpoints);
            tokio::spawn(async move { take_apart(&inner, &id, &endpoints).await });
        }
    }
}

async fn start(inner: Arc<Inner>, wish: StepSpec) -> Result<Step> {
    let record = draft(&inner, wish)?;
    let key = ActiveKey(record.id.clone());
    let mut step = Step {
        inner: Arc::clone(&inner),
        id: record.id.clone(),
        task: None,
        endpoints: Vec::new(),
        output: Mutex::default(),
        apart: false,
    };
    let begun = begin(&inner, &record, &key, &mut step).await;
    match begun {
        Ok(()) => Ok(step),
        Err(error) => {
            step.discard().await;
            Err(error)
        }
    }
}

async fn begin(inner: &Inner, record: &ContainerRecord, key: &ActiveKey, step: &mut Step) -> Result<()> {
    let prepared = inner.with.snapshotter.prepare(key, &record.layers).await;
    let mut rootfs = prepared
        .map_err(|error| ServiceError::from_mechanism("cannot make the writable layer", error.kind(), error))?;
    if let RootMount::Overlay {
        writable: Some(writable),
        ..
    } = &mut rootfs
    {
        // What the process leaves is read from the writable layer, on the running machine, or never.
        writable.volatile = true;
    }
    let directory = inner.config.containers_dir.join(record.id.as_str());
    let made = inner.with.host.create_directory(&directory);
    made.map_err(|error| ServiceError::from_mechanism("cannot make the step's directory", error.kind(), error))?;
    let joined = join(inner, record).await?;
    step.endpoints.clone_from(&joined.endpoints);
    let streams = Streams {
        stdin: false,
        stdout: true,
        stderr: true,
    };
    let (output, pending) = inner
        .with
        .tasks
        .prepare_attach(streams)
        .map_err(|error| ServiceError::from_mechanism("cannot attach to a step", error.kind, error))?;
    let mut launch = assemble(inner, record, rootfs, joined)?;
    launch.attached.push(pending);
    let launched = inner.with.tasks.launch(launch).await;
    step.task = Some(launched.map_err(|error| launch_error(&record.name, error))?);
    step.output = Mutex::new(Some(output));
    Ok(())
}

async fn join(inner: &Inner, record: &ContainerRecord) -> Result<Joined> {
    let Some(provider) = Providers::find(inner, record)?.network else {
        return inner.with.networks.join(join_request(record)).await;
    };
    let namespace =
        inner.with.host.network_namespace(provider.pid).map_err(|error| {
            ServiceError::from_mechanism("cannot join the network of a container", error.kind(), error)
        })?;
    Ok(Joined {
        namespace: Some(namespace),
        ..Joined::default()
    })
}

fn join_request(record: &ContainerRecord) -> JoinRequest<'_> {
    JoinRequest {
        container: &record.id,
        name: record.name.as_str(),
        hostname: oci::hostname(record),
        spec: &record.spec,
    }
}

/// Validates and completes a wish; touches nothing.
fn draft(inner: &Inner, wish: StepSpec) -> Result<ContainerRecord> {
    let StepSpec {
        layers,
        mut spec,
        mounts,
    } = wish;
    let host = inner.with.host.as_ref();
    oci::discard_unsupported(&mut spec.resources, host);
    super::cpuset::validate(&spec.resources, || host.processor_sets())?;
    oci::validate_resources(&spec.resources, host.online_cpus())?;
    oci::validate_capabilities(&spec.security)?;
    settle_networks(&inner.with.networks, &mut spec)?;
    // The name of the machine that a container would find in its environment changes from run to run.
    spec.env.insert(0, "HOSTNAME".to_owned());
    let id = ContainerId::from_bytes(random::bytes()?);
    let name = ContainerName::parse(&format!("build-{}", id.short()))
        .map_err(|error| ServiceError::internal("a step has no name").with_source(error))?;
    Ok(ContainerRecord {
        image_id: ImageId(Digest::from_sha256(random::bytes()?)),
        id,
        name,
        created_at: Timestamp::now(),
        layers,
        spec,
        mounts,
        door_document: Value::Null,
        run_at_once: true,
        state: ContainerState {
            phase: Phase::Created,
            ..ContainerState::default()
        },
    })
}

fn assemble(inner: &Inner, record: &ContainerRecord, rootfs: RootMount, joined: Joined) -> Result<LaunchTask> {
    let spec = &record.spec;
    let files = oci::engine_files(&inner.config.containers_dir.join(record.id.as_str()));
    let around = oci::Surroundings {
        host: inner.with.host.as_ref(),
        cgroup_parent: &inner.config.cgroup_parent,
        kernel: inner.config.kernel,
        files: Some(&files),
        sources: &oci::MountSources::default(),
        pid_provider: None,
        ipc_provider: None,
        cgroup_v2: inner.config.cgroup_v2,
    };
    let mut configuration = oci::configuration(record, &around)?;
    let seccomp = oci::seccomp(record, &around)?;
    settle_own_files(&mut configuration, &files);
    let networks = &inner.with.networks;
    let names = joined.names;
    let resolver = resolv_conf(spec, &networks.host_resolver_configuration(), names);
    let hosts = hosts_file(
        spec,
        &networks
            .host_gateways()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
    );
    Ok(LaunchTask {
        container: record.id.clone(),
        spec: configuration.to_string(),
        seccomp,
        trace: None,
        rootfs,
        user: UserSpec {
            user: spec.user.clone(),
            additional_groups: spec.additional_groups.clone(),
        },
        stdio: Stdio {
            stdin: false,
            stdin_once: false,
            terminal: None,
        },
        log: LogTarget::None,
        runtime: inner
            .with
            .tasks
            .choose(&inner.config.default_runtime)
            .map_err(|error| ServiceError::new(error.kind, error.message))?,
        init: false,
        network_namespace: joined.namespace,
        attached: Vec::new(),
        files: vec![(files.hosts, hosts), (files.resolv_conf, resolver)],
    })
}

/// A step cannot change the engine's own files, and has no `/etc/hostname` but its image's: neither may end in its layer.
fn settle_own_files(configuration: &mut Value, files: &oci::EngineFiles) {
    let Some(mounts) = configuration["mounts"].as_array_mut() else {
        return;
    };
    mounts.retain(|mount| mount["source"] != json!(files.hostname));
    for mount in mounts {
        if mount["source"] == json!(files.hosts) || mount["source"] == json!(files.resolv_conf) {
            mount["options"] = json!(["rbind", "ro", "rprivate"]);
        }
    }
}

/// Returns the text of `/etc/hosts`: the same at each run, without addresses of the step.
fn hosts_file(spec: &ContainerSpec, host_gateways: &[String]) -> String {
    let hostname = &spec.hostname;
    let mut text = format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    for (name, address) in &spec.extra_hosts {
        let own = [address.clone()];
        let addresses = match address.as_str() {
            "host-gateway" => host_gateways,
            _ => &own,
        };
        for address in addresses {
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    text
}

async fn take_apart(inner: &Inner, id: &ContainerId, endpoints: &[Endpoint]) {
    let warn = |what: &str, error: &dyn std::fmt::Display| {
        tracing::warn!(step = %id, %error, "{what} of a build step not removed");
    };
    if let Err(error) = inner.with.tasks.discard(id).await {
        warn("the process", &error);
    }
    inner.with.networks.leave(id, endpoints).await;
    inner.with.networks.release(id, endpoints).await;
    if let Err(error) = inner.with.snapshotter.remove(&ActiveKey(id.clone())).await {
        warn("the writable layer", &error);
    }
    let directory = inner.config.containers_dir.join(id.as_str());
    if let Err(error) = inner.with.host.remove_directory(&directory) {
        warn("the directory", &error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_know_the_step_and_what_was_added() {
        let spec = ContainerSpec {
            hostname: "sandbox".to_owned(),
            extra_hosts: vec![
                ("db".to_owned(), "10.0.0.1".to_owned()),
                ("host".to_owned(), "host-gateway".to_owned()),
            ],
            ..ContainerSpec::default()
        };
        assert_eq!(
            hosts_file(&spec, &["172.17.0.1".to_owned()]),
            "127.0.0.1\tlocalhost sandbox\n::1\tlocalhost ip6-localhost ip6-loopback\n10.0.0.1\tdb\n172.17.0.1\thost\n"
        );
    }

    #[test]
    fn own_files_are_read_only_and_the_name_is_the_images() {
        let files = oci::engine_files(std::path::Path::new("/c"));
        let mut configuration = json!({"mounts": [
            {"destination": "/etc/hostname", "source": "/c/hostname", "options": ["rbind", "rw"]},
            {"destination": "/etc/hosts", "source": "/c/hosts", "options": ["rbind", "rw"]},
            {"destination": "/proc", "source": "proc", "options": ["nosuid"]},
        ]});
        settle_own_files(&mut configuration, &files);
        assert_eq!(
            configuration["mounts"],
            json!([
                {"destination": "/etc/hosts", "source": "/c/hosts", "options": ["rbind", "ro", "rprivate"]},
                {"destination": "/proc", "source": "proc", "options": ["nosuid"]},
            ])
        );
    }
}
