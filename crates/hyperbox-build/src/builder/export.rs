// SPDX-License-Identifier: MIT
//! What comes out of a build: an image in the store, or an archive for the client.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyperbox_core::ServiceError;
use hyperbox_core::image::{ArchiveStream, BuiltImage};
use hyperbox_core::time::Timestamp;
use hyperbox_types::{DiffId, ErrorKind, ImageReference};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::{Built, sharing};
use crate::context::Tree;
use crate::event::{PartProgress, follow};
use crate::request::{CacheTarget, Output, OutputSink};
use crate::solve::{Solver, Stage, Watched};
use crate::{BuildError, StepError};

/// Pieces of an archive that wait for the client.
const QUEUE: usize = 16;

/// How much is read at a time.
const PIECE: usize = 64 * 1024;

/// What is left of a request when everything else was taken.
pub(super) struct Wanted {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) tags: Vec<ImageReference>,
    pub(super) outputs: Vec<Output>,
    pub(super) cache_to: Vec<CacheTarget>,
}

/// Makes what was asked for of a stage.
///
/// # Errors
/// Those of the stores and of the client's end.
pub(super) async fn export(solver: &Solver, stage: &Stage, wanted: Wanted) -> Result<Built, BuildError> {
    let epoch = solver.wishes.around.source_date_epoch;
    let (history, created_at) = stage.dated(epoch);
    let mut config = stage.image.config.clone();
    config.labels.extend(wanted.labels);
    let image = BuiltImage {
        config,
        command_is_shell: stage.image.command_is_shell,
        author: stage.image.author.clone(),
        platform: stage.platform.clone(),
        created_at,
        layers: stage.layers.clone(),
        history,
        build_cache: sharing::inline(solver, &wanted.cache_to),
    };
    let mut built = Built::default();
    for output in wanted.outputs {
        let vertex = solver.vertices.begin_internal(title(&output), None, None);
        match one(solver, &image, &wanted.tags, output, &vertex).await {
            Ok(Some(made)) => {
                built.image = made.image;
                built.names.extend(made.names);
            }
            Ok(None) => {}
            Err(error) => {
                vertex.failed(&error);
                return Err(error);
            }
        }
        vertex.done();
    }
    sharing::keep(solver, stage, &wanted.cache_to).await?;
    Ok(built)
}

fn title(output: &Output) -> &'static str {
    match output {
        Output::Image { .. } => "exporting to image",
        Output::Files(_) => "exporting to client tarball",
        Output::Tree(_) => "exporting to client directory",
        Output::Oci(_) => "exporting to oci image format",
        Output::Docker(_) => "exporting to docker image format",
        Output::Named(_, output) => title(output),
    }
}

/// Makes one output.
async fn one(
    solver: &Solver,
    image: &BuiltImage,
    tags: &[ImageReference],
    output: Output,
    vertex: &Watched,
) -> Result<Option<Built>, BuildError> {
    let images = &solver.shared.images;
    match output {
        Output::Named(names, output) => Box::pin(one(solver, image, &names, *output, vertex)).await,
        Output::Image { push } => {
            let started = Timestamp::now();
            let id = images.publish_built(image, tags, &solver.lease).await?;
            tell(vertex, "exporting layers", started);
            tell(vertex, &format!("writing image {id}"), started);
            for name in tags {
                tell(vertex, &format!("naming to {name}"), started);
            }
            if push {
                for name in tags {
                    upload(solver, name, vertex).await?;
                }
            }
            Ok(Some(Built {
                image: Some(id),
                names: tags.to_vec(),
            }))
        }
        Output::Oci(sink) | Output::Docker(sink) => {
            let archive = images.archive_built(image, tags, &solver.lease).await?;
            send(archive, sink).await?;
            Ok(None)
        }
        Output::Tree(sink) => {
            let tree = files_of(solver, image).await?;
            let started = Timestamp::now();
            sink.take(tree).await.map_err(in_export)?;
            tell(vertex, "copying files", started);
            Ok(None)
        }
        Output::Files(sink) => {
            let tree = files_of(solver, image).await?;
            let archive = tokio::task::spawn_blocking(move || crate::copy::archive(&tree)).await;
            let archive = archive
                .map_err(|error| ServiceError::internal("reading the result was interrupted").with_source(error))?;
            let started = Timestamp::now();
            send(pieces(archive.map_err(in_export)?), sink).await?;
            tell(vertex, "sending tarball", started);
            Ok(None)
        }
    }
}

/// Tells of something that is over, in BuildKit's words.
fn tell(vertex: &Watched, id: &str, started: Timestamp) {
    vertex.reporter().progress(&PartProgress {
        id,
        name: "",
        current: 0,
        total: 0,
        started,
        done: true,
    });
}

async fn files_of(solver: &Solver, image: &BuiltImage) -> Result<Arc<dyn Tree>, BuildError> {
    let layers: Vec<DiffId> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    solver.shared.files.open_layers(&layers).await.map_err(in_export)
}

async fn upload(solver: &Solver, name: &ImageReference, vertex: &Watched) -> Result<(), BuildError> {
    let credentials = solver.wishes.registries.credentials(name).await.map_err(in_export)?;
    let course = solver.shared.images.push(name.clone(), credentials);
    let pushed = follow(course, &vertex.reporter()).await;
    pushed.map_err(|error| error.in_context(&format!("failed to push {name}")).into())
}

/// Reads on a thread that may block; who stops listening ends it.
fn pieces(mut reader: Box<dyn Read + Send>) -> ArchiveStream {
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = reader.read(&mut piece).map(|length| {
                piece.truncate(length);
                Bytes::from(piece)
            });
            let last = read.as_ref().map_or(true, Bytes::is_empty);
            if sender.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    Box::pin(futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

async fn send(mut archive: ArchiveStream, mut sink: OutputSink) -> Result<(), BuildError> {
    let lost = |error: std::io::Error| BuildError::Refused {
        kind: ErrorKind::Unavailable,
        message: format!("the client does not take the result: {error}"),
    };
    while let Some(piece) = archive.next().await {
        let piece = piece.map_err(|error| BuildError::Refused {
            kind: ErrorKind::Internal,
            message: format!("cannot read the result: {error}"),
        })?;
        sink.write_all(&piece).await.map_err(lost)?;
    }
    sink.shutdown().await.map_err(lost)
}

fn in_export(error: StepError) -> BuildError {
    BuildError::Step {
        name: "exporting".to_owned(),
        lines: None,
        source: Arc::new(error),
    }
}
