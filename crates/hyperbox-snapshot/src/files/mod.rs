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

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use hyperbox_core::seam::{ContainerFiles, FileStream, FilesError, FilesView, PathStat, SnapshotError, WriteFiles};
use tokio::sync::{mpsc, oneshot};

use self::view::View;
use crate::unpack::Limits;

/// Bytes collected before they are sent.
const CHUNK: usize = 128 * 1024;
/// How many chunks may wait for the reader.
const CHUNKS: usize = 8;

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
        let (sender, receiver) = mpsc::channel(CHUNKS);
        self.spawn(move |point| {
            let opened = View::open(&request, point).and_then(|view| begin(&view).map(|first| (view, first)));
            let (view, first) = match opened {
                Ok(opened) => opened,
                Err(error) => return drop(begun.send(Err(error))),
            };
            if begun.send(Ok(())).is_err() {
                return;
            }
            let mut writer = ChunkWriter::new(sender.clone());
            let written = write(&view, first, &mut writer).and_then(|()| writer.flush());
            drop(view);
            drop(request);
            if let Err(error) = written {
                // Whoever dropped the stream needs no reason.
                drop(sender.blocking_send(Err(error)));
            }
        })?;
        beginning
            .await
            .map_err(|error| failed("look at", "a container", std::io::Error::other(error)))??;
        Ok(chunks(receiver))
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

    async fn export(&self, view: FilesView) -> Result<FileStream, FilesError> {
        self.stream(view, |_| Ok(()), |view, (), out| pack::all(view.root(), out))
            .await
    }
}

/// Reads the upper directory of an overlay as a layer archive.
pub(crate) fn archive_of_layer(upper: OwnedFd) -> FileStream {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut writer = ChunkWriter::new(sender.clone());
        if let Err(error) = pack::layer(upper, &mut writer).and_then(|()| writer.flush()) {
            // Whoever dropped the stream needs no reason.
            drop(sender.blocking_send(Err(error)));
        }
    });
    chunks(receiver)
}

fn chunks(receiver: mpsc::Receiver<std::io::Result<Bytes>>) -> FileStream {
    Box::pin(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

/// Sends what is written in chunks.
struct ChunkWriter {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    fn new(sender: mpsc::Sender<std::io::Result<Bytes>>) -> Self {
        Self {
            sender,
            buffer: Vec::with_capacity(CHUNK),
        }
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        self.sender
            .blocking_send(Ok(chunk))
            .map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }
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
