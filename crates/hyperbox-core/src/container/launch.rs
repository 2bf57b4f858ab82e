// SPDX-License-Identifier: MIT
//! Launching: gathers what a run needs, in an order that leaves nothing behind when a step fails.
//!
//! Network namespace and endpoint first (they vanish with their last file descriptor), then the task. The record is written by the
//! lifecycle after the launch; when the daemon dies in between, `restore.rs` finds the running task and adopts it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use hyperbox_types::shim::{CommandFault, Stdio, UserSpec};
use hyperbox_types::{ErrorKind, RootMount};
use tokio::sync::mpsc;

use super::actor::Actor;
use super::command::Command;
use super::health::{self, Prober};
use super::links::Linked;
use super::log;
use super::networks::check_modes;
use super::oci::{self, Surroundings};
use super::providers::{self, Providers};
use super::resolver::{HostsInput, hosts_file, resolv_conf};
use super::service::Inner;
use super::{ContainerRecord, NetworkMode, Phase};
use crate::network::{DEFAULT_NETWORK, Joined};
use crate::seam::{ActiveKey, Endpoint, LaunchTask, Task, TaskError};
use crate::time::Timestamp;
use crate::{Result, ServiceError, failpoint};

impl Actor {
    /// Starts the process. On an error nothing of the run is left but what it joined, which `ReleaseRun` gives back.
    /// Returns the task and since when it counts as running: no later than the process's own first moment.
    pub(super) async fn launch(&mut self) -> Result<(Arc<dyn Task>, Timestamp)> {
        let _busy = self.inner.with.images.busy();
        let providers = Providers::find(&self.inner, &self.record)?;
        self.take_names(&providers);
        let joined = self.join_networks(&providers).await?;
        self.life.state.endpoints.clone_from(&joined.endpoints);
        self.life.state.ports.clone_from(&joined.ports);
        self.mark("networks joined");
        failpoint!("start.after-network");
        let sources = self.mount_sources().await?;
        let launch = self.assemble(providers, joined, &sources)?;
        self.mark("configuration made");
        failpoint!("start.before-launch");
        let name = self.record.name.clone();
        let at = Timestamp::now();
        let launched = self.inner.with.tasks.launch(launch).await;
        let task = launched.map_err(|error| launch_error(&name, error))?;
        Ok((task, at))
    }

    async fn join_networks(&self, providers: &Providers) -> Result<Joined> {
        let Some(provider) = &providers.network else {
            check_modes(&self.record.spec)?;
            return self.inner.with.networks.join(self.join_request()).await;
        };
        let namespace = self.inner.with.host.network_namespace(provider.pid).map_err(|error| {
            ServiceError::from_mechanism("cannot join the network of another container", error.kind(), error)
        })?;
        Ok(Joined {
            namespace: Some(namespace),
            ..Joined::default()
        })
    }

    fn assemble(&mut self, providers: Providers, joined: Joined, sources: &oci::MountSources) -> Result<LaunchTask> {
        let inner = Arc::clone(&self.inner);
        let linked = linked(&inner, &self.record)?;
        let record = &with_links(&self.record, &linked);
        let spec = &record.spec;
        let directory = inner.config.containers_dir.join(record.id.as_str());
        let own_files = !matches!(spec.network, NetworkMode::Container(_));
        let files_of = match &providers.network {
            Some(provider) => inner.config.containers_dir.join(provider.id.as_str()),
            None => directory.clone(),
        };
        let files = oci::engine_files(&files_of);
        let around = Surroundings {
            host: inner.with.host.as_ref(),
            cgroup_parent: &inner.config.cgroup_parent,
            kernel: inner.config.kernel,
            files: Some(&files),
            sources,
            pid_provider: providers.pid,
            ipc_provider: providers.ipc,
            cgroup_v2: inner.config.cgroup_v2,
        };
        let configuration = oci::configuration(record, &around)?;
        let seccomp = oci::seccomp(record, &around)?;
        let mut rootfs = inner
            .with
            .snapshotter
            .mount(&ActiveKey(record.id.clone()), &record.layers)
            .map_err(|error| ServiceError::from_mechanism("cannot mount the container", error.kind(), error))?;
        if let RootMount::Overlay {
            writable: Some(writable),
            ..
        } = &mut rootfs
        {
            // What goes with the end of the run goes with a crash of the machine, too: nothing of it need reach the disk.
            writable.volatile = spec.auto_remove;
        }
        let terminal = spec.terminal.then_some(self.terminal_size);
        Ok(LaunchTask {
            container: record.id.clone(),
            spec: configuration.to_string(),
            seccomp,
            trace: self.trace.clone(),
            rootfs,
            user: UserSpec {
                user: spec.user.clone(),
                additional_groups: spec.additional_groups.clone(),
            },
            stdio: Stdio {
                stdin: spec.open_stdin,
                stdin_once: spec.stdin_once,
                terminal,
            },
            log: log::target(record, &directory)?,
            runtime: choose_runtime(&inner, record)?,
            init: spec.init,
            network_namespace: joined.namespace,
            attached: std::mem::take(&mut self.pending_attaches),
            files: if own_files {
                engine_texts(&inner, &self.record, &joined.endpoints, &files)
            } else {
                Vec::new()
            },
        })
    }

    /// Returns the prober of a run, if there is a health check.
    pub(super) fn prober_for(
        &mut self,
        task: Arc<dyn Task>,
        run: u64,
        report: mpsc::Sender<Command>,
    ) -> Option<Prober> {
        let check = self.record.spec.health.clone()?;
        let command = health::command(&check, &self.record.spec.shell)?;
        let exec = crate::exec::ExecSpec::plain(command.clone());
        let process = oci::exec_process(&self.record, &exec, self.inner.with.host.as_ref()).ok()?;
        let health = self.life.state.health.get_or_insert_default().clone();
        self.refresh();
        let spec = &self.record.spec;
        Some(Prober {
            task,
            tasks: Arc::clone(&self.inner.with.tasks),
            run,
            check,
            command,
            process: process.to_string(),
            user: UserSpec {
                user: spec.user.clone(),
                additional_groups: spec.additional_groups.clone(),
            },
            started_at: self.life.state.started_at.unwrap_or_else(Timestamp::now),
            health,
            report,
        })
    }
}

/// Refuses a container that refers to itself or to a container that does not exist.
pub(super) fn validate_references(inner: &Inner, record: &ContainerRecord) -> Result<()> {
    providers::validate(inner, record)?;
    for (target, _) in &record.spec.links {
        let found = inner.table.find(target);
        found.map_err(|error| error.in_context(&format!("could not get container for {target}")))?;
    }
    Ok(())
}

fn choose_runtime(inner: &Inner, record: &ContainerRecord) -> Result<hyperbox_types::shim::RuntimeChoice> {
    let wish = &record.spec.runtime;
    let name = if wish.is_empty() {
        &inner.config.default_runtime
    } else {
        wish
    };
    inner
        .with
        .tasks
        .choose(name)
        .map_err(|error| ServiceError::new(error.kind, error.message))
}

/// Returns the files that the engine writes for a container: where each is, and its text.
pub(super) fn engine_texts(
    inner: &Inner,
    record: &ContainerRecord,
    endpoints: &[Endpoint],
    files: &oci::EngineFiles,
) -> Vec<(PathBuf, String)> {
    let hostname = oci::hostname(record);
    let networks = &inner.with.networks;
    let of_host = (record.spec.network == NetworkMode::Host).then(|| inner.with.host.hosts_file());
    let addresses: Vec<IpAddr> = endpoints.iter().flat_map(Endpoint::addresses).collect();
    // A link that has gone since the start is left out.
    let linked = linked(inner, record).unwrap_or_default();
    let hosts = hosts_file(&HostsInput {
        hostname,
        domainname: &record.spec.domainname,
        of_host: of_host.as_deref(),
        addresses: &addresses,
        host_gateways: &networks.host_gateways(),
        extra: &record.spec.extra_hosts,
        linked: &linked
            .iter()
            .map(|linked| (linked.address, linked.names()))
            .collect::<Vec<_>>(),
    });
    let host_configuration = networks.host_resolver_configuration();
    let resolver = resolv_conf(&record.spec, &host_configuration, networks.has_names(endpoints));
    vec![
        (files.hostname.clone(), format!("{hostname}\n")),
        (files.hosts.clone(), hosts),
        (files.resolv_conf.clone(), resolver),
    ]
}

/// Finds the containers of the default bridge that a container is linked to.
fn linked(inner: &Inner, record: &ContainerRecord) -> Result<Vec<Linked>> {
    let mut found = Vec::new();
    for (target, alias) in &record.spec.links {
        let handle = inner.table.find(target)?;
        let other = handle.snapshot.borrow().record.clone();
        let not_found = || ServiceError::not_found(format!("No such container: {target}"));
        let other = other.ok_or_else(not_found)?;
        if other.state.phase != Phase::Running {
            let (name, own) = (&other.name, &record.name);
            return Err(ServiceError::conflict(format!(
                "Cannot link to a non running container: /{name} AS /{own}/{alias}"
            )));
        }
        let default = inner.with.networks.get(DEFAULT_NETWORK)?;
        let mut endpoints = other.state.endpoints.iter();
        let endpoint = endpoints.find(|endpoint| endpoint.network == default.id);
        let Some(address) = endpoint.and_then(|endpoint| endpoint.addresses().next()) else {
            let id = &other.id;
            return Err(ServiceError::internal(format!(
                "container {id} not attached to default bridge network"
            )));
        };
        found.push(Linked {
            alias: alias.clone(),
            name: other.name.to_string(),
            hostname: oci::hostname(&other).to_owned(),
            address,
            exposed_ports: other.spec.exposed_ports.clone(),
            environment: other.spec.env.clone(),
        });
    }
    Ok(found)
}

/// Puts what is told of linked containers in front of a container's own environment, which wins.
fn with_links<'a>(record: &'a ContainerRecord, linked: &[Linked]) -> std::borrow::Cow<'a, ContainerRecord> {
    if linked.is_empty() {
        return std::borrow::Cow::Borrowed(record);
    }
    let mut told = record.clone();
    let environment = linked
        .iter()
        .flat_map(|linked| linked.environment(record.name.as_str()));
    told.spec.env.splice(0..0, environment);
    std::borrow::Cow::Owned(told)
}

/// Gives a failed launch the beginning that Docker's clients know.
pub(super) fn launch_error(name: &hyperbox_types::ContainerName, error: TaskError) -> ServiceError {
    let fault = error.command;
    let kind = if fault.is_some() {
        ErrorKind::InvalidArgument
    } else {
        error.kind
    };
    let mut prefix =
        "failed to create task for container: failed to create shim task: OCI runtime create failed".to_owned();
    if let Some(words) = missing_words(fault, &error.message) {
        prefix.push_str(": ");
        prefix.push_str(words);
    }
    let mut mapped = ServiceError::from_mechanism(prefix, kind, error).with_command_fault(fault);
    if fault == Some(CommandFault::NotFound) {
        mapped = mapped.with_hint(format!(
            "check the command of container {name} and the PATH of its image"
        ));
    }
    mapped
}

/// Returns what a runtime's text lacks for clients that make an exit code of it (127 or 126), as Docker's command line does.
fn missing_words(fault: Option<CommandFault>, text: &str) -> Option<&'static str> {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match fault? {
        CommandFault::NotFound if !says(&["executable file not found", "no such file or directory"]) => {
            Some("executable file not found")
        }
        CommandFault::NotExecutable if !says(&["permission denied", "is a directory"]) => Some("permission denied"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_runtime_speaks_dockers_words() {
        let name = hyperbox_types::ContainerName::parse("web").expect("name");
        for (fault, text, expected) in [
            (
                CommandFault::NotFound,
                "exec: \"x\": executable file not found in $PATH",
                "failed: exec: \"x\"",
            ),
            (
                CommandFault::NotFound,
                "crun: executable file `x` not found in $PATH",
                "failed: executable file not found: crun",
            ),
            (
                CommandFault::NotExecutable,
                "exec format error",
                "failed: permission denied: exec format error",
            ),
        ] {
            let mut error = TaskError::new(ErrorKind::InvalidArgument, text);
            error.command = Some(fault);
            let mapped = launch_error(&name, error);
            assert!(mapped.message().contains(expected), "{}", mapped.message());
        }
    }
}
