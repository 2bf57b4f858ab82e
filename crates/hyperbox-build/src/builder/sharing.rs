// SPDX-License-Identifier: MIT
//! The cache of other builders: steps are taken from images in registries and from directories, and kept there for others.
//!
//! What is kept is an image of layers whose configuration says which steps made them ([`crate::cache::shared`]): the built image itself
//! (inline), or one that holds nothing else. **Taking over** never fails a build: what cannot be had is told, and the steps are done.
//! What is fetched only for its steps never comes into the list of images, and no name moves; its layers are the cache's then, and
//! until then the build's lease protects them. **Keeping** happens after the image is there; its failure is the build's.

mod directory;

use std::io;
use std::path::Path;
use std::sync::Arc;

use hyperbox_core::ServiceError;
use hyperbox_core::image::{BuiltImage, ImageConfig, ImageRecord};
use hyperbox_types::{ErrorKind, ImageId, ImageReference};
use serde_json::Value;

use self::directory::Index;
use crate::BuildError;
use crate::cache::shared;
use crate::event::follow;
use crate::plan::Base;
use crate::request::{CacheMode, CacheSource, CacheTarget};
use crate::solve::{Solver, Stage, UsedStep, Watched};

/// Why there may be nothing. BuildKit names steps by digests of its own operations, of which nothing here can be made.
const FOREIGN: &str = "Steps are taken over from images and directories that HyperBox has kept them in (--cache-to); a cache of BuildKit's \
                       (inline, registry or local) is no use here.";

/// Takes steps over from everywhere that the client names.
pub(super) async fn take_over(solver: &Solver, sources: &[CacheSource]) {
    for source in sources {
        let (title, taken);
        match source {
            CacheSource::Registry(name) => {
                title = format!("importing cache manifest from {name}");
                let vertex = solver.vertices.begin_internal(&title, None, None);
                taken = (from_registry(solver, name, &vertex).await, vertex);
            }
            CacheSource::Local(directory) => {
                title = format!("importing cache from {}", directory.display());
                let vertex = solver.vertices.begin_internal(&title, None, None);
                taken = (from_directory(solver, directory).await, vertex);
            }
        }
        let (taken, vertex) = taken;
        match &taken {
            Ok(0) => warn(solver, &vertex, source, &"nothing is kept there"),
            Ok(_) => {}
            Err(error) => warn(solver, &vertex, source, error),
        }
        match taken {
            Ok(_) => vertex.done(),
            Err(error) => vertex.failed(&error),
        }
    }
}

/// Says that nothing is taken over from a place, which the build does not depend on.
fn warn(solver: &Solver, vertex: &Watched, source: &CacheSource, reason: &dyn std::fmt::Display) {
    let place = match source {
        CacheSource::Registry(name) => name.to_string(),
        CacheSource::Local(directory) => directory.display().to_string(),
    };
    let short = format!("no steps are taken over from {place}: {reason}");
    solver.vertices.warn_of(vertex, short, FOREIGN);
}

/// Returns how many steps are there.
async fn from_registry(solver: &Solver, name: &ImageReference, vertex: &Watched) -> Result<usize, BuildError> {
    let images = &solver.shared.images;
    let record = match images.get(&name.to_string()) {
        Ok(record) => record,
        Err(_) => fetch(solver, name, vertex).await?,
    };
    let document = images.docker_fields(&record).await.build_cache;
    hold(solver, document.unwrap_or_default(), &record).await
}

/// Fetches an image for this build alone.
async fn fetch(solver: &Solver, name: &ImageReference, vertex: &Watched) -> Result<Arc<ImageRecord>, BuildError> {
    let credentials = solver.wishes.registries.credentials(name).await;
    let credentials = credentials.map_err(|error| refused(&error.to_string()))?;
    let images = &solver.shared.images;
    let platform = Some(solver.wishes.platform.clone());
    let (course, fetched) = images
        .fetch_unlisted(name.clone(), platform, credentials, &solver.lease)
        .await?;
    follow(course, &vertex.reporter()).await?;
    let record = fetched
        .await
        .map_err(|_| refused(&format!("fetching {name} was interrupted")))?;
    Ok(Arc::new(record))
}

/// Records the steps of an image, whose layers are protected until the build is over; returns how many there are.
async fn hold(solver: &Solver, document: Value, record: &Arc<ImageRecord>) -> Result<usize, BuildError> {
    let steps = shared::read(document, &record.layers);
    let count = steps.len();
    let there = solver
        .shared
        .images
        .protect_layers(&record.layers, &solver.lease)
        .await?;
    if !there {
        return Ok(0);
    }
    let taken = solver.shared.cache.take_over(steps);
    taken.map_err(|error| ServiceError::from_mechanism("cannot record steps", error.kind, error))?;
    Ok(count)
}

async fn from_directory(solver: &Solver, directory: &Path) -> Result<usize, BuildError> {
    let opened = directory::open(directory.to_owned()).await;
    let (index, archive) = opened
        .map_err(|error: io::Error| refused(&format!("cannot read the cache in {}: {error}", directory.display())))?;
    let images = &solver.shared.images;
    let record = images
        .load_unlisted(Box::new(archive), &ImageId(index.image), &solver.lease)
        .await?;
    hold(solver, index.cache, &Arc::new(record)).await
}

/// Returns what the image itself says of its steps, if it shall.
pub(super) fn inline(solver: &Solver, targets: &[CacheTarget]) -> Option<Value> {
    let wanted = targets.iter().any(|target| matches!(target, CacheTarget::Inline));
    wanted.then(|| written(&of_image(solver)))
}

/// Keeps steps everywhere that the client names.
///
/// # Errors
/// Those of the stores, the registry and the directory.
pub(super) async fn keep(solver: &Solver, stage: &Stage, targets: &[CacheTarget]) -> Result<(), BuildError> {
    for target in targets {
        let (title, mode) = match target {
            CacheTarget::Inline => continue,
            CacheTarget::Registry { mode, .. } => ("exporting cache to registry", *mode),
            CacheTarget::Local { mode, .. } => ("exporting cache to client directory", *mode),
        };
        let vertex = solver.vertices.begin_internal(title, None, None);
        let steps = match mode {
            CacheMode::Min => of_image(solver),
            CacheMode::Max => solver.used(),
        };
        let image = holder(stage, &steps);
        let kept = match target {
            CacheTarget::Registry { reference, .. } => to_registry(solver, &image, reference, &vertex).await,
            CacheTarget::Local { directory, .. } => to_directory(solver, &image, directory).await,
            CacheTarget::Inline => Ok(()),
        };
        match kept {
            Ok(()) => vertex.done(),
            Err(error) => {
                vertex.failed(&error);
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Returns the steps that the image itself is made of: those of its stage, and of the stages below it.
fn of_image(solver: &Solver) -> Vec<UsedStep> {
    let plan = &solver.plan;
    let mut chain = vec![plan.target];
    // A base is an earlier stage.
    while let Some(Base::Stage(below)) = chain.last().map(|index| &plan.stages[*index].base) {
        chain.push(*below);
    }
    let used = solver.used().into_iter();
    used.filter(|step| chain.contains(&step.stage)).collect()
}

fn written(steps: &[UsedStep]) -> Value {
    shared::write(steps.iter().map(|step| (&step.key, &step.record)))
}

/// Makes an image that holds nothing but the layers of steps. The same steps make the same image.
fn holder(stage: &Stage, steps: &[UsedStep]) -> BuiltImage {
    let mut layers: Vec<_> = steps.iter().map(|step| step.record.layer.clone()).collect();
    layers.sort_by(|one, other| one.diff_id.0.cmp(&other.diff_id.0));
    layers.dedup_by(|one, other| one.diff_id == other.diff_id);
    let newest = steps.iter().map(|step| step.record.created_at).max();
    BuiltImage {
        config: ImageConfig::default(),
        command_is_shell: false,
        author: String::new(),
        platform: stage.platform.clone(),
        created_at: newest.unwrap_or(hyperbox_core::time::Timestamp(0)),
        layers,
        history: Vec::new(),
        build_cache: Some(written(steps)),
    }
}

async fn to_registry(
    solver: &Solver,
    image: &BuiltImage,
    name: &ImageReference,
    vertex: &Watched,
) -> Result<(), BuildError> {
    let credentials = solver.wishes.registries.credentials(name).await;
    let credentials = credentials.map_err(|error| refused(&error.to_string()))?;
    let images = &solver.shared.images;
    let course = images.push_built(image, name, credentials, &solver.lease).await?;
    let pushed = follow(course, &vertex.reporter()).await;
    pushed.map_err(|error| error.in_context(&format!("failed to push {name}")).into())
}

async fn to_directory(solver: &Solver, image: &BuiltImage, directory: &Path) -> Result<(), BuildError> {
    let archive = solver.shared.images.archive_built(image, &[], &solver.lease).await?;
    let index = Index {
        image: image.id().0,
        cache: image.build_cache.clone().unwrap_or_default(),
    };
    let kept = directory::keep(directory.to_owned(), &index, archive).await;
    kept.map_err(|error| refused(&format!("cannot keep the cache in {}: {error}", directory.display())))
}

fn refused(message: &str) -> BuildError {
    BuildError::Refused {
        kind: ErrorKind::Unavailable,
        message: message.to_owned(),
    }
}
