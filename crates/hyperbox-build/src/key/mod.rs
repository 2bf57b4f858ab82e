// SPDX-License-Identifier: MIT
//! What names a step: a digest of all that decides its result. Pure.
//!
//! In it are the layers below (by their content), the instruction with everything evaluated, and the content of what it reads. Not in it
//! are times, the names of stages, the ids of cache mounts, what secrets hold, proxies, and where files were read from. So two builds
//! that do the same share the result, whatever their Dockerfiles are called, and whoever changes something that matters gets another
//! key. When in doubt something is in it: a step that is done once too often costs time, one that is not done costs trust.

mod writer;

#[cfg(test)]
mod tests;

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::{RunNetwork, RunSecurity};
use hyperbox_types::{DiffId, Digest};

pub(crate) use writer::KeyWriter;

use crate::plan::{PlannedCopy, PlannedMountKind, PlannedRun, PlannedSource};
use crate::request::{BuildNetwork, BuildRequest};
use crate::step::{MakeDirectory, Unpacking};

/// What a request tells of how processes run, as far as it can matter to what they do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Surroundings {
    pub(crate) network: BuildNetwork,
    pub(crate) extra_hosts: Vec<(String, String)>,
    pub(crate) shm_size: Option<hyperbox_types::ByteSize>,
    pub(crate) ulimits: Vec<hyperbox_types::Ulimit>,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) source_date_epoch: Option<Timestamp>,
}

impl Surroundings {
    pub(crate) fn of(request: &BuildRequest) -> Self {
        Self {
            network: request.network.clone(),
            extra_hosts: request.extra_hosts.clone(),
            shm_size: request.shm_size,
            ulimits: request.ulimits.clone(),
            cgroup_parent: request.cgroup_parent.clone(),
            source_date_epoch: request.source_date_epoch,
        }
    }
}

/// Returns the key of COPY or ADD; `read` is the digest of what it reads.
pub(crate) fn copy(
    parents: &[DiffId],
    copy: &PlannedCopy,
    read: &[u8; 32],
    source_date_epoch: Option<Timestamp>,
) -> Digest {
    let mut key = KeyWriter::new("copy");
    // A step that does not look at what is below it is the same on all of it.
    let looks_below = !copy.link || copy.owner.as_ref().is_some_and(crate::copy::is_named);
    key.layers(if looks_below { parents } else { &[] });
    key.flag(copy.link);
    selection(&mut key, copy);
    key.text(&copy.destination);
    key.option(copy.owner.as_ref().map(|owner| owner.0.as_str()));
    key.option(copy.mode.as_deref());
    key.bytes(read);
    key.moment(source_date_epoch);
    key.finish()
}

/// Returns what names the content that COPY reads of layers: the same layers and the same selection have the same content.
pub(crate) fn copied_content(of: &[DiffId], copy: &PlannedCopy) -> Digest {
    let mut key = KeyWriter::new("copied-content");
    key.layers(of);
    selection(&mut key, copy);
    key.finish()
}

/// Returns what names the content below a path of layers.
pub(crate) fn path_content(of: &[DiffId], path: &str) -> Digest {
    let mut key = KeyWriter::new("path-content");
    key.layers(of);
    key.text(path);
    key.finish()
}

/// What of the sources gets into the layer, and how.
fn selection(key: &mut KeyWriter, copy: &PlannedCopy) {
    key.count(copy.sources.len());
    for source in &copy.sources {
        match source {
            PlannedSource::Path(path) => key.tagged("path", path),
            PlannedSource::Text { name, content } => {
                key.tagged("text", name);
                key.text(content);
            }
            PlannedSource::Remote(address) => key.tagged("remote", address),
        }
    }
    key.flag(copy.parents);
    key.texts(&copy.excludes);
    match &copy.add {
        None => key.flag(false),
        Some(add) => {
            key.flag(true);
            key.option(add.checksum.as_deref());
            key.flag(add.keep_git_directory);
            key.text(match add.unpacking {
                Unpacking::Local => "local",
                Unpacking::Always => "always",
                Unpacking::Never => "never",
            });
        }
    }
}

/// Returns the key of WORKDIR.
pub(crate) fn directory(parents: &[DiffId], step: &MakeDirectory, source_date_epoch: Option<Timestamp>) -> Digest {
    let mut key = KeyWriter::new("directory");
    key.layers(parents);
    key.text(&step.path);
    key.option(step.owner.as_ref().map(|owner| owner.0.as_str()));
    key.moment(source_date_epoch);
    key.finish()
}

/// Returns the key of RUN; `read` are the digests of what its mounts show, one for each mount that shows files, in order.
pub(crate) fn run(parents: &[DiffId], run: &PlannedRun, read: &[[u8; 32]], around: &Surroundings) -> Digest {
    let mut key = KeyWriter::new("run");
    key.layers(parents);
    key.texts(&run.arguments);
    key.texts(&run.environment);
    key.text(&run.user);
    key.text(&run.working_dir);
    key.count(run.files.len());
    for file in &run.files {
        key.text(&file.path);
        key.text(&file.content);
        key.number(file.mode.into());
    }
    mounts(&mut key, run, read);
    if let Some(name) = &run.hostname {
        key.tagged("hostname", name);
    }
    key.text(match run.security {
        RunSecurity::Sandbox => "sandbox",
        RunSecurity::Insecure => "insecure",
    });
    surroundings(&mut key, run.network, around);
    key.finish()
}

fn mounts(key: &mut KeyWriter, run: &PlannedRun, read: &[[u8; 32]]) {
    let mut read = read.iter();
    key.count(run.mounts.len());
    for mount in &run.mounts {
        key.option(mount.target.as_deref());
        key.flag(mount.read_only);
        match &mount.kind {
            PlannedMountKind::Bind { .. } => {
                key.text("bind");
                key.bytes(read.next().map_or(&[], |digest| digest.as_slice()));
            }
            PlannedMountKind::Cache {
                initial,
                mode,
                uid,
                gid,
                ..
            } => {
                key.text("cache");
                if initial.is_some() {
                    key.bytes(read.next().map_or(&[], |digest| digest.as_slice()));
                }
                key.numbers([*mode, *uid, *gid]);
            }
            PlannedMountKind::Tmpfs { size } => {
                key.text("tmpfs");
                key.number(size.map_or(0, |size| size.0));
            }
            PlannedMountKind::Secret(secret) => {
                key.tagged("secret", &secret.id);
                key.option(secret.environment.as_deref());
                key.numbers([secret.mode, secret.uid, secret.gid]);
            }
            PlannedMountKind::Ssh(agent) => {
                key.tagged("ssh", &agent.id);
                key.numbers([agent.mode, agent.uid, agent.gid]);
            }
        }
    }
}

fn surroundings(key: &mut KeyWriter, network: RunNetwork, around: &Surroundings) {
    match (network, &around.network) {
        (RunNetwork::None, _) | (RunNetwork::Default, BuildNetwork::None) => key.text("none"),
        (RunNetwork::Host, _) | (RunNetwork::Default, BuildNetwork::Host) => key.text("host"),
        (RunNetwork::Default, BuildNetwork::Default) => key.text("default"),
        (RunNetwork::Default, BuildNetwork::Named(name)) => key.tagged("network", name),
        (RunNetwork::Default, BuildNetwork::Container(name)) => key.tagged("container", name),
    }
    key.count(around.extra_hosts.len());
    for (name, address) in &around.extra_hosts {
        key.tagged(name, address);
    }
    key.number(around.shm_size.map_or(0, |size| size.0));
    key.count(around.ulimits.len());
    for limit in &around.ulimits {
        key.tagged(limit.name(), &format!("{}:{}", limit.soft(), limit.hard()));
    }
    key.option(around.cgroup_parent.as_deref());
    key.moment(around.source_date_epoch);
}
