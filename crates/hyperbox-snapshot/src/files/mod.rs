// SPDX-License-Identifier: MIT
//! The files of containers from outside: [`ContainerFiles`] on views put together in a mount namespace of one thread.
//!
//! Each call has a thread of its own (`view.rs` says why), which ends with it. Archives pass through bounded queues: a reader that goes
//! away ends the writer at its next chunk, and the other way round.

mod extract;
mod owner;
mod pack;
mod path;
mod view;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use hyperbox_core::ChunkWriter;
use hyperbox_core::seam::{ContainerFiles, FileStream, FilesError, FilesView, PathStat, SnapshotError, WriteFiles};
use tokio::sync::oneshot;

use self::view::View;
use crate::unpack::Limits;

/// Looks into containers by mounting their files for one thread.
#[derive(Debug)]
pub struct MountedFiles {
    /// Where a view is put together, in the thread's own namespace.
    point: PathBuf,
}

impl MountedFiles {
    /// Makes the directory that views are put together on. It always stays empty for everybody else.
    ///
    /// # Errors
    /// I/O classes.
    pub fn open(point: &Path) -> Result<Self, FilesError> {
        let made = std::fs::create_dir_all(point).and_then(|()| std::path::absolute(point));
        Ok(Self {
            point: made.map_err(|error| failed("make", point.display(), error))?,
        })
    }

    /// Runs work on a view on a thread of its own.
    async fn with_view<T: Send + 'static>(
        &self,
        request: FilesView,
        work: impl FnOnce(&View) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, FilesError> {
        let (sender, receiver) = oneshot::channel();
        self.spawn(move |point| {
            let done = View::open(&request, point).and_then(|view| work(&view));
            drop(request);
            // Nobody may be waiting any more.
            drop(sender.send(done));
        })?;
        receiver
            .await
            .map_err(|error| failed("look at", "a container", std::io::Error::other(error)))?
    }

    fn spawn(&self, work: impl FnOnce(&Path) + Send + 'static) -> Result<(), FilesError> {
        let point = self.point.clone();
        std::thread::Builder::new()
            .name("container-files".to_owned())
            .spawn(move || work(&point))
            .map_err(|error| failed("start", "a thread", error))?;
        Ok(())
    }

    /// Starts to write an archive; `begin` tells whether there is something to write before the stream is handed out.
    async fn stream<T: Send + 'static>(
        &self,
        request: FilesView,
        begin: impl FnOnce(&View) -> Result<T, FilesError> + Send + 'static,
        write: impl FnOnce(&View, T, &mut ChunkWriter) -> std::io::Result<()> + Send + 'static,
    ) -> Result<FileStream, FilesError> {
        let (begun, beginning) = oneshot::channel();
        let (mut writer, chunks) = ChunkWriter::pipe();
        self.spawn(move |point| {
            let opened = View::open(&request, point).and_then(|view| begin(&view).map(|first| (view, first)));
            let (view, first) = match opened {
                Ok(opened) => opened,
                Err(error) => return drop(begun.send(Err(error))),
            };
            if begun.send(Ok(())).is_err() {
                return;
            }
            let written = write(&view, first, &mut writer);
            drop(view);
            drop(request);
            writer.finish(written);
        })?;
        beginning
            .await
            .map_err(|error| failed("look at", "a container", std::io::Error::other(error)))??;
        Ok(chunks)
    }
}

#[async_trait]
impl ContainerFiles for MountedFiles {
    async fn stat(&self, view: FilesView, path: &str) -> Result<PathStat, FilesError> {
        let path = path::Asked::new(path);
        self.with_view(view, move |view| path::look(view.root(), &path).map(|found| found.stat))
            .await
    }

    async fn read(&self, view: FilesView, path: &str) -> Result<(PathStat, FileStream), FilesError> {
        let path = path::Asked::new(path);
        let (tell, told) = oneshot::channel();
        let begin = move |view: &View| {
            let found = path::look(view.root(), &path)?;
            // The other end is in this very call.
            drop(tell.send(found.stat.clone()));
            Ok(found)
        };
        let stream = self
            .stream(view, begin, |_, found, out| pack::found(&found, out))
            .await?;
        let stat = told
            .await
            .map_err(|error| failed("look at", "a container", std::io::Error::other(error)))?;
        Ok((stat, stream))
    }

    async fn write(
        &self,
        view: FilesView,
        path: &str,
        how: WriteFiles,
        archive: Box<dyn Read + Send>,
    ) -> Result<(), FilesError> {
        let path = path::Asked::new(path);
        self.with_view(view, move |view| {
            extract::into(view, &path, &how, archive, &Limits::default())
        })
        .await
    }

    async fn find_user(&self, view: FilesView, user: &str) -> Result<(u32, u32), FilesError> {
        let user = user.to_owned();
        self.with_view(view, move |view| owner::find(view.root(), &user)).await
    }

    async fn export(&self, view: FilesView) -> Result<FileStream, FilesError> {
        self.stream(view, |_| Ok(()), |view, (), out| pack::all(view.root(), out))
            .await
    }
}

/// Reads the upper directory of an overlay as a layer archive.
pub(crate) fn archive_of_layer(upper: OwnedFd) -> FileStream {
    let (mut writer, chunks) = ChunkWriter::pipe();
    tokio::task::spawn_blocking(move || {
        let written = pack::layer(upper, &mut writer);
        writer.finish(written);
    });
    chunks
}

/// A failed operation.
fn failed(operation: &'static str, path: impl ToString, source: impl Into<std::io::Error>) -> FilesError {
    FilesError::Io {
        operation,
        path: path.to_string(),
        source: source.into(),
    }
}

/// What unpacking complains about, in the words of this seam.
fn from_unpacking(error: SnapshotError) -> FilesError {
    match error {
        SnapshotError::Archive { reason, source } => FilesError::Archive { reason, source },
        SnapshotError::Io {
            operation,
            path,
            source,
        } => FilesError::Io {
            operation,
            path,
            source,
        },
        other => failed("unpack into", "a container", std::io::Error::other(other)),
    }
}

#[cfg(test)]
mod tests;
