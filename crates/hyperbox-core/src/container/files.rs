// SPDX-License-Identifier: MIT
//! Files of containers from outside: which tree is shown, and who may look at it when.
//!
//! An overlay must not be mounted twice. So each container has a lock: a start holds it alone until the process runs and everybody can
//! know; work on a running container's files shares it; work on an idle container's, for which they are mounted, holds it alone. A
//! start therefore waits for the end of a copy, as with Docker. What a stream needs of the lock it keeps until it is dropped.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;

use super::service::Inner;
use super::{ContainerRecord, Containers, ResolvedMount};
use crate::image::ChunkReader;
use crate::image::compression::{CUT_SHORT, Unpacking, is_cut_short};
use crate::seam::{
    ActiveKey, FileStream, FilesError, FilesView, PathStat, Replace, ViewMount, ViewRoot, ViewSource, VolumeMount,
    WriteFiles,
};
use crate::{Result, ServiceError};

/// How many chunks of an upload wait to be unpacked.
const QUEUE: usize = 16;

/// How to copy into a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CopyInto {
    /// What may be replaced.
    pub replace: Replace,
    /// Give everything to the container's user instead of whom the archive names.
    pub to_own_user: bool,
}

/// Which mounts belong to a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The container's own files and all that is mounted from the host.
    Whole,
    /// The container's own files.
    Own,
}

impl Containers {
    /// Tells what is at a path of a container.
    ///
    /// # Errors
    /// `NotFound` with Docker's texts; `InvalidArgument`.
    pub async fn stat_path(&self, reference: &str, path: &str) -> Result<PathStat> {
        let (record, view) = self.view(reference, Scope::Whole).await?;
        let _used = self.use_volumes(record);
        let found = self.inner.with.files.stat(view, path).await;
        found.map_err(|error| refusal(reference, path, error))
    }

    /// Reads what is at a path of a container as a tar archive.
    ///
    /// # Errors
    /// As [`Containers::stat_path`].
    pub async fn read_path(&self, reference: &str, path: &str) -> Result<(PathStat, FileStream)> {
        let (record, view) = self.view(reference, Scope::Whole).await?;
        let used = self.use_volumes(Arc::clone(&record));
        let read = self.inner.with.files.read(view, path).await;
        let (stat, files) = read.map_err(|error| refusal(reference, path, error))?;
        self.inner.publish("archive-path", &record, []);
        Ok((stat, used.until_end_of(files)))
    }

    /// Unpacks a tar archive, which may be compressed, into a directory of a container. The stream is read to its end, unless the
    /// archive is refused.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for what is no directory, is read-only, or is a malformed archive.
    pub async fn write_path<S>(&self, reference: &str, path: &str, how: CopyInto, archive: S) -> Result<()>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
    {
        let (record, view) = self.view(reference, Scope::Whole).await?;
        let _used = self.use_volumes(Arc::clone(&record));
        let own_user = Some(record.spec.user.clone()).filter(|user| how.to_own_user && !user.is_empty());
        let wish = WriteFiles {
            replace: how.replace,
            owner: own_user,
            read_only_root: record.spec.read_only_root,
        };
        let (sender, receiver) = mpsc::channel(QUEUE);
        let reader: Box<dyn Read + Send> = Box::new(Unpacking::new(Box::new(ChunkReader::new(receiver))));
        let writing = self.inner.with.files.write(view, path, wish, reader);
        let written = fed(archive, sender, writing).await;
        written.map_err(|error| refusal(reference, path, error))?;
        self.inner.publish("extract-to-dir", &record, []);
        Ok(())
    }

    /// Makes sure that a running container knows a user and a group by their names; numbers need nobody to know them.
    ///
    /// # Errors
    /// `InvalidArgument` with Docker's text.
    pub(crate) async fn check_user(&self, reference: &str, user: &str) -> Result<()> {
        let is_number = |text: &str| text.is_empty() || text.parse::<u32>().is_ok();
        let (name, group) = user.split_once(':').unwrap_or((user, ""));
        if is_number(name) && is_number(group) {
            return Ok(());
        }
        let (_, view) = self.view(reference, Scope::Whole).await?;
        let found = self.inner.with.files.find_user(view, user).await;
        found
            .map(drop)
            .map_err(|error| refusal(reference, "/etc/passwd", error))
    }

    /// Reads a container's own files as a tar archive.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn export(&self, reference: &str) -> Result<FileStream> {
        let (record, view) = self.view(reference, Scope::Own).await?;
        let exported = self.inner.with.files.export(view).await;
        let stream = exported.map_err(|error| refusal(reference, "/", error))?;
        self.inner.publish("export", &record, []);
        Ok(stream)
    }

    /// Tells listeners that the volumes of a container are in use, and that they are not any more when the result is dropped.
    fn use_volumes(&self, record: Arc<ContainerRecord>) -> VolumesInUse {
        self.inner.with.volumes.tell_mounted(&record);
        VolumesInUse {
            inner: Arc::clone(&self.inner),
            record,
        }
    }

    /// Decides what is seen of a container, once its files are free for it.
    async fn view(&self, reference: &str, scope: Scope) -> Result<(Arc<ContainerRecord>, FilesView)> {
        let handle = self.inner.table.find(reference)?;
        let shared = Arc::clone(&handle.files).read_owned().await;
        let mut record = self.get(handle.id.as_str())?;
        let turn: Box<dyn std::any::Any + Send> = if record.state.phase.is_alive() {
            Box::new(shared)
        } else {
            drop(shared);
            let alone = Arc::clone(&handle.files).write_owned().await;
            record = self.get(handle.id.as_str())?;
            if record.state.phase.is_alive() {
                Box::new(alone.downgrade())
            } else {
                Box::new(alone)
            }
        };
        let root = if record.state.phase.is_alive() && record.state.pid != 0 {
            ViewRoot::Running { pid: record.state.pid }
        } else {
            let key = ActiveKey(record.id.clone());
            let mount = self.inner.with.snapshotter.mount(&key, &record.layers);
            ViewRoot::Idle(mount.map_err(|error| {
                ServiceError::from_mechanism("cannot find the container's files", error.kind(), error)
            })?)
        };
        let mounts = match scope {
            Scope::Whole => self.mounts_of(&record),
            Scope::Own => Vec::new(),
        };
        Ok((record, FilesView { root, mounts, turn }))
    }

    /// Lists what is seen of the host: binds, volumes, and the engine's own files where the user has mounted nothing.
    fn mounts_of(&self, record: &ContainerRecord) -> Vec<ViewMount> {
        let with = &self.inner.with;
        let pid = record.state.pid;
        let pid = Some(pid).filter(|pid| record.state.phase.is_alive() && *pid != 0);
        let seen = |mount: &ResolvedMount| match mount {
            ResolvedMount::Volume { name, .. } => seen_volume(mount, with.volumes.mount_of(name), pid),
            ResolvedMount::Image {
                layers,
                target,
                subpath,
                ..
            } => Some(ViewMount {
                // Without its layers nothing is seen of it.
                source: ViewSource::Layers(with.snapshotter.view(layers).ok()?),
                part: subpath.clone(),
                target: target.clone(),
                read_only: true,
                recursive: false,
            }),
            ResolvedMount::Bind { .. } | ResolvedMount::Tmpfs { .. } => seen_bind(mount),
        };
        let mut mounts: Vec<ViewMount> = record.mounts.iter().filter_map(seen).collect();
        let directory = self.directory(&record.id);
        for name in ["resolv.conf", "hostname", "hosts"] {
            let target = std::path::Path::new("/etc").join(name);
            if record.mounts.iter().all(|mount| mount.target() != target) {
                mounts.push(ViewMount {
                    source: ViewSource::Host(directory.join(name)),
                    part: PathBuf::new(),
                    target,
                    read_only: false,
                    recursive: false,
                });
            }
        }
        mounts
    }
}

/// The volumes of a container while somebody copies.
struct VolumesInUse {
    inner: Arc<Inner>,
    record: Arc<ContainerRecord>,
}

impl VolumesInUse {
    /// Ends the use with a stream: whoever has read all of it knows that it is told.
    fn until_end_of(self, files: FileStream) -> FileStream {
        let end = stream::once(async move { drop(self) }).filter_map(|()| std::future::ready(None));
        Box::pin(files.chain(end))
    }
}

impl Drop for VolumesInUse {
    fn drop(&mut self) {
        self.inner.with.volumes.tell_unmounted(&self.record);
    }
}

/// Memory that is no volume is not seen from outside, as with Docker.
fn seen_bind(mount: &ResolvedMount) -> Option<ViewMount> {
    let ResolvedMount::Bind {
        source,
        target,
        read_only,
        non_recursive,
        ..
    } = mount
    else {
        return None;
    };
    Some(ViewMount {
        source: ViewSource::Host(source.clone()),
        part: PathBuf::new(),
        target: target.clone(),
        read_only: *read_only,
        recursive: !non_recursive,
    })
}

/// A filesystem that is a volume is mounted in running containers only, and seen there; `pid` is a process of this one.
fn seen_volume(mount: &ResolvedMount, volume: Option<VolumeMount>, pid: Option<u32>) -> Option<ViewMount> {
    let ResolvedMount::Volume {
        source,
        target,
        read_only,
        subpath,
        ..
    } = mount
    else {
        return None;
    };
    let whole = |source, recursive| (ViewSource::Host(source), subpath.clone(), recursive);
    let (source, part, recursive) = match volume {
        None => whole(source.clone(), false),
        Some(VolumeMount::Bind { device, recursive, .. }) => whole(device, recursive),
        Some(VolumeMount::Filesystem { .. }) => {
            let path = target.clone();
            (ViewSource::Process { pid: pid?, path }, PathBuf::new(), false)
        }
    };
    Some(ViewMount {
        source,
        part,
        target: target.clone(),
        read_only: *read_only,
        recursive,
    })
}

/// Feeds a stream to work that reads it on another thread. Once the work is over, the rest of the stream is read all the same when
/// it has succeeded, so that the client can finish.
pub(crate) async fn fed<S, T, E>(
    mut stream: S,
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E>
where
    S: Stream<Item = std::io::Result<Bytes>> + Send + Unpin,
{
    let mut work = std::pin::pin!(work);
    let pump = async move {
        while let Ok(permit) = sender.reserve().await {
            let Some(chunk) = stream.next().await else { break };
            let failed = chunk.is_err();
            permit.send(chunk);
            if failed {
                break;
            }
        }
        stream
    };
    let mut pump = std::pin::pin!(pump);
    tokio::select! {
        biased;
        outcome = &mut work => {
            let done = outcome?;
            let mut rest = pump.await;
            while let Some(Ok(_)) = rest.next().await {}
            Ok(done)
        }
        _ = &mut pump => work.await,
    }
}

fn refusal(container: &str, path: &str, error: FilesError) -> ServiceError {
    match error {
        FilesError::NotFound { .. } => {
            ServiceError::not_found(format!("Could not find the file {path} in container {container}"))
                .with_source(error)
        }
        FilesError::Refused { reason } => ServiceError::invalid(reason),
        error if is_cut_short(&error) => ServiceError::invalid(CUT_SHORT).with_source(error),
        error => ServiceError::from_mechanism("cannot copy", error.kind(), error),
    }
}
