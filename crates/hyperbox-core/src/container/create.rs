// SPDX-License-Identifier: MIT
//! Creating a container: stage everything, then commit with one transaction.
//!
//! Order: reserve the name, make the volumes' directories and the writable layer, copy image content into new volumes, write the
//! record together with the records of new volumes (the commit point), start the actor. A failed step undoes the earlier ones; what
//! a crash leaves behind has no record and is collected by the next start.

use std::sync::Arc;

use hyperbox_types::{ContainerId, ContainerName};

use super::actor::{Actor, put};
use super::launch::validate_references;
use super::mounts::{self, MountedImages, Plan};
use super::networks::settle_networks;
use super::service::Inner;
use super::table::Handle;
use super::{
    ContainerRecord, ContainerSpec, ContainerState, Containers, NamespaceMode, NetworkMode, Phase, ResolvedMount,
    merge, names, oci,
};
use crate::image::ImageRecord;
use crate::seam::ActiveKey;
use crate::time::Timestamp;
use crate::volume::{Staged, Wanted};
use crate::{Result, ServiceError, failpoint, random};

/// What a container is created for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be there until somebody starts or removes it.
    Keep,
    /// To be started at once by the request that creates it. One that also removes itself is never there for anybody else before
    /// its start, so a daemon that dies in between takes it along.
    RunAtOnce,
}

/// A container that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: ContainerName,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Containers {
    /// Creates a container that is kept. `door_document` is kept as it is for the door that made the request.
    ///
    /// # Errors
    /// Those of [`Containers::create_for`].
    pub async fn create(
        &self,
        name: Option<ContainerName>,
        spec: ContainerSpec,
        door_document: serde_json::Value,
    ) -> Result<Created> {
        self.create_for(Purpose::Keep, name, spec, door_document).await
    }

    /// Creates a container. `door_document` is kept as it is for the door that made the request.
    ///
    /// Goes on when the caller is dropped: a creation is finished or undone, never left half-way.
    ///
    /// # Errors
    /// `NotFound` without the image, `Conflict` when the name is in use, `InvalidArgument` for contradictory wishes.
    pub async fn create_for(
        &self,
        purpose: Purpose,
        name: Option<ContainerName>,
        spec: ContainerSpec,
        door_document: serde_json::Value,
    ) -> Result<Created> {
        let inner = Arc::clone(&self.inner);
        let creation = tokio::spawn(async move { create(&inner, purpose, name, spec, door_document).await });
        creation
            .await
            .map_err(|error| ServiceError::internal("the creation of a container was interrupted").with_source(error))?
    }
}

async fn create(
    inner: &Arc<Inner>,
    purpose: Purpose,
    name: Option<ContainerName>,
    spec: ContainerSpec,
    door_document: serde_json::Value,
) -> Result<Created> {
    // From here on nobody removes the layers, even when the image goes.
    let (image, _lease) = inner.with.images.get_leased(&spec.image).await?;
    let mounted = MountedImages::find(&spec, &inner.with.images).await?;
    let id = ContainerId::from_bytes(random::bytes()?);
    let name = match name {
        Some(name) => name,
        None => names::generate(|name| inner.table.is_taken(name))?,
    };
    let (mut record, warnings) = draft(inner, id.clone(), name.clone(), spec, door_document, &image)?;
    record.run_at_once = purpose == Purpose::RunAtOnce;
    let reservation = Reservation::make(inner, &name, &id)?;
    let handle = build(inner, &mut record, &image, &mounted).await?;
    inner.table.insert(handle);
    reservation.keep();
    inner.publish("create", &record, []);
    Ok(Created { id, name, warnings })
}

/// A name that goes back when it is dropped before it is kept, also by a panic.
struct Reservation<'a> {
    inner: &'a Inner,
    name: Option<&'a ContainerName>,
    id: &'a ContainerId,
}

impl<'a> Reservation<'a> {
    fn make(inner: &'a Inner, name: &'a ContainerName, id: &'a ContainerId) -> Result<Self> {
        inner.table.reserve(name, id)?;
        Ok(Self {
            inner,
            name: Some(name),
            id,
        })
    }

    fn keep(mut self) {
        self.name = None;
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if let Some(name) = self.name {
            self.inner.table.release(name, self.id);
        }
    }
}

/// Merges, validates and completes a wish; touches nothing.
fn draft(
    inner: &Inner,
    id: ContainerId,
    name: ContainerName,
    mut spec: ContainerSpec,
    door_document: serde_json::Value,
    image: &ImageRecord,
) -> Result<(ContainerRecord, Vec<String>)> {
    merge::merge(&mut spec, &image.config)?;
    if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
        return Err(ServiceError::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.working_dir
        )));
    }
    settle_hostname(inner, &mut spec)?;
    let warnings = oci::discard_unsupported(&mut spec.resources, inner.with.host.as_ref());
    super::cpuset::validate(&spec.resources, || inner.with.host.processor_sets())?;
    oci::validate_resources(&spec.resources, inner.with.host.online_cpus())?;
    oci::validate_capabilities(&spec.security)?;
    if let super::SeccompChoice::Custom(text) = &spec.security.seccomp {
        oci::parse_seccomp(text)?;
    }
    if spec.auto_remove && spec.restart != super::RestartPolicy::Never {
        return Err(ServiceError::invalid(
            "can't create 'AutoRemove' container with restart policy",
        ));
    }
    settle_networks(&inner.with.networks, &mut spec)?;
    let runtime = if spec.runtime.is_empty() {
        &inner.config.default_runtime
    } else {
        &spec.runtime
    };
    inner
        .with
        .tasks
        .choose(runtime)
        .map_err(|error| ServiceError::new(error.kind, error.message))?;
    let record = ContainerRecord {
        id,
        name,
        created_at: Timestamp::now(),
        image_id: image.id.clone(),
        layers: image.layers.iter().map(|layer| layer.diff_id.clone()).collect(),
        spec,
        mounts: Vec::new(),
        door_document,
        run_at_once: false,
        state: ContainerState {
            phase: Phase::Created,
            ..ContainerState::default()
        },
    };
    super::log::check_driver(&record.spec.log)?;
    validate_references(inner, &record)?;
    Ok((record, warnings))
}

/// A container that shares the machine's network is called as the machine is. One that shares only its names keeps its own in the
/// environment and in `/etc`, as with Docker.
fn settle_hostname(inner: &Inner, spec: &mut ContainerSpec) -> Result<()> {
    let shares_names = spec.namespaces.uts == NamespaceMode::Host;
    if shares_names && !spec.hostname.is_empty() {
        return Err(ServiceError::invalid("conflicting options: hostname and the UTS mode"));
    }
    if spec.hostname.is_empty() && spec.network == NetworkMode::Host {
        spec.hostname = inner.with.host.hostname();
    }
    Ok(())
}

async fn build(
    inner: &Arc<Inner>,
    record: &mut ContainerRecord,
    image: &ImageRecord,
    mounted: &MountedImages,
) -> Result<Handle> {
    let Plan { mounts, volumes } = mounts::plan(
        &record.spec,
        mounted,
        |name| inner.with.volumes.mountpoint(name),
        inner.with.host.as_ref(),
    )?;
    record.mounts = mounts;
    let key = ActiveKey(record.id.clone());
    inner
        .with
        .snapshotter
        .prepare(&key, &record.layers)
        .await
        .map_err(|error| ServiceError::from_mechanism("cannot make the writable layer", error.kind(), error))?;
    failpoint!("create.after-snapshot");
    let directory = inner.config.containers_dir.join(record.id.as_str());
    let made =
        inner.with.host.create_directory(&directory).map_err(|error| {
            ServiceError::from_mechanism("cannot make the container's directory", error.kind(), error)
        });
    let staged = match made {
        Ok(()) => stage_volumes(inner, record, image, volumes).await,
        Err(error) => Err(error),
    };
    let staged = match staged {
        Ok(staged) => staged,
        Err(error) => {
            discard_own(inner, &key).await;
            return Err(error);
        }
    };
    failpoint!("create.after-volumes");
    let mut changes = staged.changes()?;
    changes.push(put(record)?);
    if let Err(error) = inner.with.records.apply(&changes) {
        inner.with.volumes.discard(staged).await;
        discard_own(inner, &key).await;
        return Err(ServiceError::from_mechanism(
            "cannot record the container",
            error.kind,
            error,
        ));
    }
    failpoint!("create.after-record");
    inner.with.volumes.publish(staged, &record.id);
    let (actor, handle) = Actor::new(Arc::clone(inner), record.clone());
    tokio::spawn(actor.run(None));
    Ok(handle)
}

async fn stage_volumes(
    inner: &Inner,
    record: &ContainerRecord,
    image: &ImageRecord,
    wanted: Vec<Wanted>,
) -> Result<Staged> {
    let volumes = &inner.with.volumes;
    let mut staged = Staged::default();
    // New volumes with options: there is nothing to copy into.
    let mut mounted_elsewhere = Vec::new();
    for volume in wanted {
        mounted_elsewhere.extend((!volume.options.is_empty()).then(|| volume.name.clone()));
        if let Err(error) = volumes.stage(&mut staged, volume).await {
            volumes.discard(staged).await;
            return Err(error);
        }
    }
    for mount in &record.mounts {
        if let ResolvedMount::Volume {
            name,
            target,
            anonymous,
            populate: true,
            ..
        } = mount
            && !mounted_elsewhere.contains(name)
            && let Err(error) = volumes.populate(name, *anonymous, image, target).await
        {
            volumes.discard(staged).await;
            return Err(error);
        }
    }
    Ok(staged)
}

/// Undoes what belongs to the container alone.
async fn discard_own(inner: &Inner, key: &ActiveKey) {
    let directory = inner.config.containers_dir.join(key.0.as_str());
    if let Err(error) = inner.with.host.remove_directory(&directory) {
        tracing::warn!(container = %key.0, %error, "container directory not removed");
    }
    if let Err(error) = inner.with.snapshotter.remove(key).await {
        tracing::warn!(container = %key.0, %error, "writable layer not removed");
    }
}
