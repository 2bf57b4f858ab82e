// SPDX-License-Identifier: MIT
//! Reads what the shims log: json-file logs, rotated and compressed ones included, with tail, time range and follow.
//!
//! Files are read on a blocking thread, one batch at a time, as fast as the reader of the stream takes it. A follower sleeps on
//! inotify of the log's directory until something changes, the task ends, or the end of the time range has come.

mod entry;
mod files;
mod part;
mod reader;
mod tail;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::stream;
use hyperbox_core::seam::{LogEntry, LogQuery, LogStream, TaskError};
use hyperbox_types::ErrorKind;
use hyperbox_types::shim::LogTarget;
use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch};

use reader::Reader;

/// Batches that may wait for the reader of the stream.
const BATCHES: usize = 4;

/// Opens a log.
pub(crate) fn read(target: &LogTarget, query: LogQuery, ended: watch::Receiver<bool>) -> Result<LogStream, TaskError> {
    let path = path_of(target)?.to_owned();
    let (sender, receiver) = mpsc::channel(BATCHES);
    tokio::spawn(async move {
        if let Err(error) = pump(&path, query, ended, &sender).await {
            let error = TaskError::io(format!("cannot read the log {}", path.display()), error);
            // Whoever read the stream may have gone.
            drop(sender.send(Err(error)).await);
        }
    });
    Ok(Box::pin(stream::unfold((receiver, Vec::new().into_iter()), next_entry)))
}

/// Removes a log's files.
pub(crate) fn remove(target: &LogTarget) -> Result<(), TaskError> {
    let LogTarget::JsonFile { path, .. } = target else {
        return Ok(());
    };
    files::remove_all(path).map_err(|error| TaskError::io(format!("cannot remove the log {}", path.display()), error))
}

/// Returns the wall-clock time in nanoseconds since the epoch.
pub(crate) fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

fn path_of(target: &LogTarget) -> Result<&Path, TaskError> {
    match target {
        LogTarget::JsonFile { path, .. } => Ok(path),
        LogTarget::None => Err(TaskError::new(
            ErrorKind::Unsupported,
            "configured logging driver does not support reading",
        )),
    }
}

type Batch = Result<Vec<LogEntry>, TaskError>;

type Entries = std::vec::IntoIter<LogEntry>;

async fn next_entry(
    (mut batches, mut entries): (mpsc::Receiver<Batch>, Entries),
) -> Option<(Result<LogEntry, TaskError>, (mpsc::Receiver<Batch>, Entries))> {
    loop {
        if let Some(entry) = entries.next() {
            return Some((Ok(entry), (batches, entries)));
        }
        match batches.recv().await? {
            Ok(batch) => entries = batch.into_iter(),
            Err(error) => return Some((Err(error), (batches, entries))),
        }
    }
}

/// Moves batches from the files to the stream until one of both ends.
async fn pump(
    path: &Path,
    query: LogQuery,
    mut ended: watch::Receiver<bool>,
    sender: &mpsc::Sender<Batch>,
) -> io::Result<()> {
    // Watched before the first read, so that no change falls between.
    let changes = if query.follow { Changes::watch(path)? } else { None };
    let opened = path.to_owned();
    let mut reader = blocking(move || Reader::open(&opened, query)).await?;
    loop {
        // Asked before the read: what was logged before the end is then certainly seen by it.
        let has_ended = *ended.borrow_and_update() || ended.has_changed().is_err();
        let expired = query.until_ns.is_some_and(|until| now_ns() > until);
        let (returned, batch) = blocking(move || {
            let batch = reader.next_batch()?;
            Ok((reader, batch))
        })
        .await?;
        reader = returned;
        if !batch.is_empty() {
            if sender.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
            continue;
        }
        if !query.follow || has_ended || expired || reader.is_finished() {
            return Ok(());
        }
        tokio::select! {
            result = wait_for_change(changes.as_ref()) => result?,
            _ = ended.changed() => {}
            () = sender.closed() => return Ok(()),
            () = wait_until(query.until_ns) => {}
        }
    }
}

async fn wait_until(until_ns: Option<i64>) {
    match until_ns {
        Some(until) => {
            let left = u64::try_from(until.saturating_sub(now_ns())).unwrap_or(0);
            tokio::time::sleep(Duration::from_nanos(left) + Duration::from_millis(1)).await;
        }
        None => std::future::pending().await,
    }
}

async fn wait_for_change(changes: Option<&Changes>) -> io::Result<()> {
    match changes {
        Some(changes) => changes.next().await,
        None => std::future::pending().await,
    }
}

/// Runs blocking work on a thread meant for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// Changes in the directory of a log.
struct Changes {
    inotify: AsyncFd<OwnedFd>,
}

impl Changes {
    /// Watches; `None` when there is no such directory (and so no log, now or later).
    #[expect(
        deprecated,
        reason = "sound here, as the registration owns its descriptor; the replacement is an unsafe function"
    )]
    fn watch(path: &Path) -> io::Result<Option<Self>> {
        let directory: PathBuf = path.parent().map(Path::to_owned).unwrap_or_default();
        let inotify = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
        match inotify::add_watch(&inotify, &directory, flags) {
            Ok(_) => Ok(Some(Self {
                inotify: AsyncFd::new(inotify)?,
            })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for the next change and forgets all that happened so far. Cancel-safe.
    async fn next(&self) -> io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let result = ready.try_io(|inotify| {
                let mut events = inotify::Reader::new(inotify.get_ref(), &mut buffer);
                let mut seen = false;
                loop {
                    match events.next() {
                        Ok(_) => seen = true,
                        Err(rustix::io::Errno::AGAIN) if seen => return Ok(()),
                        Err(error) => return Err(io::Error::from(error)),
                    }
                }
            });
            if let Ok(result) = result {
                return result;
            }
        }
    }
}
