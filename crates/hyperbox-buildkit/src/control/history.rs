// SPDX-License-Identifier: MIT
//! The builds of late: `ListenBuildHistory`, `UpdateBuildHistory`.
//!
//! A build that goes on is in memory. When it is over and nobody watches it any more, it goes to the disk ([`Shelf`]) beside everything
//! else, and memory forgets it: what a crash comes before is not remembered. Who listens is told what happens while it does; a listener
//! that is too slow misses the middle.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use hyperbox_core::time::Timestamp;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;

use super::Control;
use super::builds::{Build, Outcome};
use super::history_filter::HistoryFilter;
use super::history_shelf::Shelf;
use super::transcript::Transcript;
use crate::proto::control::{
    BuildHistoryEvent, BuildHistoryRecord, BuildHistoryRequest, Empty, Exporter, HistoryEventType, SolveRequest,
    UpdateBuildHistoryRequest,
};
use crate::transport::frame::frame;
use crate::transport::server::{Replies, interrupted, one};
use crate::transport::status::{Code, Status};

/// So many builds are in memory at most, and news wait for a listener.
const IN_MEMORY: usize = 256;
/// So long may somebody go on watching a build that is over until it is written down without the rest.
const LINGERING: Duration = Duration::from_secs(5);

/// The builds of late. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct History {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Those that are not on the disk, the oldest first.
    present: Mutex<VecDeque<Remembered>>,
    shelf: Shelf,
    /// Held while one is written down: it is in memory or on the disk, and once.
    filing: Mutex<()>,
    news: broadcast::Sender<BuildHistoryEvent>,
    /// Told when one was written down.
    filed: watch::Sender<()>,
}

/// A build. What was told of it may still be read when it is over, so it is counted when somebody asks.
#[derive(Debug, Clone)]
struct Remembered {
    record: BuildHistoryRecord,
    transcript: Arc<Transcript>,
}

impl Remembered {
    fn record(&self) -> BuildHistoryRecord {
        let mut record = self.record.clone();
        self.transcript.fill(&mut record);
        record
    }

    fn is(&self, reference: &str) -> bool {
        self.record.reference == reference
    }

    fn is_over(&self) -> bool {
        self.record.completed_at.is_some()
    }
}

/// The record of a build that goes on; one whose end nobody tells was cancelled.
#[derive(Debug)]
pub(super) struct Recording<'a> {
    history: &'a History,
    build: &'a Build,
    record: Option<BuildHistoryRecord>,
}

impl History {
    /// Opens the builds of a directory. Blocks.
    ///
    /// # Errors
    /// I/O classes.
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let shared = Shared {
            present: Mutex::default(),
            shelf: Shelf::open(root)?,
            filing: Mutex::default(),
            news: broadcast::Sender::new(IN_MEMORY),
            filed: watch::Sender::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Begins a record, unless the client says that the build is nobody's business.
    pub(super) fn begin<'a>(&'a self, request: &SolveRequest, build: &'a Build) -> Recording<'a> {
        let record = (!request.internal).then(|| BuildHistoryRecord {
            reference: request.reference.clone(),
            frontend: request.frontend.clone(),
            frontend_attrs: request.frontend_attrs.clone(),
            exporters: request
                .exporters
                .iter()
                .map(|exporter| Exporter {
                    kind: exporter.kind.clone(),
                    attrs: exporter.attrs.clone(),
                })
                .collect(),
            created_at: Some(Timestamp::now().into()),
            ..BuildHistoryRecord::default()
        });
        if let Some(record) = &record {
            self.put(record.clone(), &build.transcript, HistoryEventType::Started);
        }
        Recording {
            history: self,
            build,
            record,
        }
    }

    fn put(&self, record: BuildHistoryRecord, transcript: &Arc<Transcript>, kind: HistoryEventType) {
        let remembered = Remembered {
            record,
            transcript: Arc::clone(transcript),
        };
        let told = event(remembered.record(), kind);
        {
            let mut present = lock(&self.shared.present);
            present.retain(|known| !known.is(&remembered.record.reference));
            present.push_back(remembered);
            if present.len() > IN_MEMORY {
                present.pop_front();
            }
        }
        // Nobody may listen.
        let _listeners = self.shared.news.send(told);
    }

    /// Writes a build down that is over, once nobody watches it any more.
    fn file_later(&self, reference: String, transcript: Arc<Transcript>) {
        // There is none when the daemon ends, and the build with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let _lingering = timeout(LINGERING, transcript.sealed()).await;
            let filing = tokio::task::spawn_blocking(move || {
                shared.file(&reference, &transcript);
                shared.filed.send_replace(());
            });
            // It does not panic; the daemon may end.
            let _ended = filing.await;
        });
    }

    /// Forgets a build; tells whether there was one.
    async fn forget(&self, reference: &str) -> Result<bool, Status> {
        let present = {
            let mut present = lock(&self.shared.present);
            let position = present.iter().position(|known| known.is(reference));
            position.and_then(|position| present.remove(position))
        };
        self.shared.filed.send_replace(());
        let name = reference.to_owned();
        let filed = self.blocking(move |shelf| shelf.remove(&name)).await?;
        let record = present.map(|present| present.record()).or(filed);
        let Some(record) = record else { return Ok(false) };
        let _listeners = self.shared.news.send(event(record, HistoryEventType::Deleted));
        Ok(true)
    }

    /// Returns what was told of a build, framed; `None` for one that is not remembered.
    pub(super) async fn messages(&self, reference: &str) -> Result<Option<Vec<Bytes>>, Status> {
        let present = self.present(reference).map(|known| known.transcript.messages());
        if present.is_some() {
            return Ok(present);
        }
        let name = reference.to_owned();
        self.blocking(move |shelf| shelf.messages(&name)).await
    }

    /// Returns the logs of a build by their digest.
    pub(super) async fn blob(&self, digest: &str) -> Result<Option<Bytes>, Status> {
        let digest = digest.to_owned();
        self.blocking(move |shelf| shelf.blob(&digest)).await
    }

    /// Tells whether a build is over and on the disk; does not wait for that.
    pub(super) fn is_written_down(&self, reference: &str) -> bool {
        self.shared.shelf.has(reference)
    }

    fn present(&self, reference: &str) -> Option<Remembered> {
        let present = lock(&self.shared.present);
        present.iter().find(|known| known.is(reference)).cloned()
    }

    /// Waits until what is over is written down.
    async fn settle(&self) {
        let mut filed = self.shared.filed.subscribe();
        let settled = || !lock(&self.shared.present).iter().any(Remembered::is_over);
        // Somebody who watches and does not read keeps one in memory; it is told as it is.
        let _in_time = timeout(LINGERING, filed.wait_for(|()| settled())).await;
    }

    async fn matching(
        &self,
        request: &BuildHistoryRequest,
        filter: &HistoryFilter,
    ) -> Result<Vec<BuildHistoryEvent>, Status> {
        let present: Vec<BuildHistoryRecord> = lock(&self.shared.present).iter().map(Remembered::record).collect();
        let named = Some(request.reference.clone()).filter(|name| !name.is_empty());
        let mut records = match request.active_only {
            true => Vec::new(),
            false => self.blocking(move |shelf| shelf.records(named.as_deref())).await?,
        };
        // One that was written down meanwhile, or is built again.
        records.retain(|filed| present.iter().all(|known| known.reference != filed.reference));
        records.extend(present);
        records.retain(|record| wants(request, filter, record));
        // They are written down as they end.
        records.sort_by_key(|record| record.created_at.map(|time| (time.seconds, time.nanos)));
        if let Some(limit) = usize::try_from(request.limit).ok().filter(|limit| *limit > 0) {
            let surplus = records.len().saturating_sub(limit);
            records.drain(..surplus);
        }
        let events = records.into_iter().map(|record| {
            let kind = match record.completed_at {
                Some(_) => HistoryEventType::Complete,
                None => HistoryEventType::Started,
            };
            event(record, kind)
        });
        Ok(events.collect())
    }

    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Shelf) -> T + Send + 'static) -> Result<T, Status> {
        let shared = Arc::clone(&self.shared);
        let done = tokio::task::spawn_blocking(move || work(&shared.shelf)).await;
        done.map_err(|_| Status::new(Code::Internal, "reading the history of builds was interrupted"))
    }
}

impl Shared {
    /// Writes a build down and forgets it in memory.
    fn file(&self, reference: &str, transcript: &Arc<Transcript>) {
        let _only = lock(&self.filing);
        let is_it =
            |known: &Remembered| known.is(reference) && known.is_over() && Arc::ptr_eq(&known.transcript, transcript);
        let found = lock(&self.present).iter().find(|known| is_it(known)).cloned();
        // It was removed, or is built again.
        let Some(found) = found else { return };
        if let Err(error) = self.shelf.add(found.record(), &transcript.messages()) {
            tracing::warn!(reference, %error, "a build is not remembered");
        }
        let was_there = {
            let mut present = lock(&self.present);
            let position = present.iter().position(is_it);
            position.and_then(|position| present.remove(position)).is_some()
        };
        if !was_there {
            self.shelf.remove(reference);
        }
    }
}

fn event(record: BuildHistoryRecord, kind: HistoryEventType) -> BuildHistoryEvent {
    BuildHistoryEvent {
        kind: kind as i32,
        record: Some(record),
    }
}

fn wants(request: &BuildHistoryRequest, filter: &HistoryFilter, record: &BuildHistoryRecord) -> bool {
    let named = request.reference.is_empty() || request.reference == record.reference;
    named && !(request.active_only && record.completed_at.is_some()) && filter.accepts(record)
}

impl Recording<'_> {
    /// Says how the build ended.
    pub(super) fn end(mut self, outcome: &Outcome) {
        self.complete(outcome.as_ref());
    }

    fn complete(&mut self, outcome: Result<&HashMap<String, String>, &Status>) {
        let Some(mut record) = self.record.take() else { return };
        record.completed_at = Some(Timestamp::now().into());
        match outcome {
            Ok(response) => record.exporter_response.clone_from(response),
            Err(status) => record.error = Some(status.to_message()),
        }
        let reference = record.reference.clone();
        let transcript = &self.build.transcript;
        self.history.put(record, transcript, HistoryEventType::Complete);
        self.history.file_later(reference, Arc::clone(transcript));
    }
}

impl Drop for Recording<'_> {
    fn drop(&mut self) {
        self.complete(Err(&interrupted()));
    }
}

impl Control {
    /// Tells of builds: those that are remembered, and unless told otherwise what happens afterwards.
    ///
    /// # Errors
    /// Malformed filters.
    pub(super) async fn listen_history(&self, request: BuildHistoryRequest) -> Result<Replies, Status> {
        let filter = HistoryFilter::parse(&request.filter)?;
        let news = self.history.shared.news.subscribe();
        if request.early_exit {
            // A client that has just built asks for all of it.
            self.history.settle().await;
        }
        let known = stream::iter(self.history.matching(&request, &filter).await?);
        if request.early_exit {
            return Ok(known.map(|event| Ok(frame(&event))).boxed());
        }
        let news = stream::unfold(news, |mut news| async move {
            loop {
                match news.recv().await {
                    Ok(event) => return Some((event, news)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let news = news.filter(move |event| {
            let wanted = event
                .record
                .as_ref()
                .is_some_and(|record| wants(&request, &filter, record));
            std::future::ready(wanted)
        });
        Ok(known.chain(news).map(|event| Ok(frame(&event))).boxed())
    }

    /// Forgets a build, or says whether it stays until it is forgotten so.
    ///
    /// # Errors
    /// Without the build; [`Code::ResourceExhausted`] when too many are to stay.
    pub(super) async fn update_history(&self, request: UpdateBuildHistoryRequest) -> Result<Replies, Status> {
        let reference = request.reference;
        // Docker's words: there, a lease holds what a build left.
        let unknown = Status::new(Code::Unknown, format!("lease \"ref_{reference}\": not found"));
        let found = match request.delete {
            true => self.history.forget(&reference).await?,
            false => {
                self.history.settle().await;
                let goes_on = self.history.present(&reference).is_some();
                let name = reference.clone();
                let pinned = self
                    .history
                    .blocking(move |shelf| shelf.pin(&name, request.pinned))
                    .await?;
                goes_on || pinned.map_err(|error| Status::new(Code::ResourceExhausted, error.to_string()))?
            }
        };
        match found {
            true => Ok(one(&Empty {})),
            false => Err(unknown),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::builds::Builds;
    use super::*;

    fn request(reference: &str, internal: bool) -> SolveRequest {
        SolveRequest {
            reference: reference.to_owned(),
            internal,
            ..SolveRequest::default()
        }
    }

    async fn listed(history: &History, request: &BuildHistoryRequest) -> Vec<(String, i32)> {
        history.settle().await;
        let filter = HistoryFilter::parse(&request.filter).expect("a filter");
        let events = history.matching(request, &filter).await.expect("events").into_iter();
        let named = events.map(|event| (event.record.expect("a record").reference, event.kind));
        named.collect()
    }

    fn watched(builds: &Builds, reference: &str) -> Arc<Build> {
        builds.watch(reference, false).expect("it may come")
    }

    fn open(directory: &tempfile::TempDir) -> History {
        History::open(directory.path()).expect("a history")
    }

    #[tokio::test]
    async fn builds_are_remembered() {
        let directory = tempfile::tempdir().expect("directory");
        let (history, builds) = (open(&directory), Builds::default());
        let everything = BuildHistoryRequest::default();
        let build = watched(&builds, "1");
        let one = history.begin(&request("1", false), &build);
        assert_eq!(listed(&history, &everything).await, [("1".to_owned(), 0)]);
        one.end(&Ok(HashMap::new()));
        drop(build);
        for (reference, internal) in [("2", false), ("3", true)] {
            drop(history.begin(&request(reference, internal), &watched(&builds, reference)));
        }
        let both = [("1".to_owned(), 1), ("2".to_owned(), 1)];
        assert_eq!(listed(&history, &everything).await, both);
        // Memory has none of it.
        assert!(lock(&history.shared.present).is_empty());
        let next = open(&directory);
        assert_eq!(listed(&next, &everything).await, both);
        let events = next.matching(&everything, &HistoryFilter::default()).await;
        let cancelled = events.expect("events").pop().and_then(|event| event.record);
        assert_eq!(
            cancelled.and_then(|record| record.error).expect("cancelled").code,
            Code::Cancelled as i32
        );
        let only = |reference: &str| BuildHistoryRequest {
            reference: reference.to_owned(),
            ..BuildHistoryRequest::default()
        };
        assert_eq!(listed(&next, &only("2")).await.len(), 1);
        assert_eq!(listed(&next, &only("x")).await.len(), 0);
        let failed = BuildHistoryRequest {
            filter: vec!["status==canceled".to_owned()],
            ..BuildHistoryRequest::default()
        };
        assert_eq!(listed(&next, &failed).await, [("2".to_owned(), 1)]);
        let last = BuildHistoryRequest {
            limit: 1,
            ..BuildHistoryRequest::default()
        };
        assert_eq!(listed(&next, &last).await, [("2".to_owned(), 1)]);
        assert!(next.forget("2").await.expect("forgotten"));
        assert!(!next.forget("2").await.expect("nothing"));
        assert_eq!(next.messages("2").await.expect("nothing"), None);
        assert_eq!(listed(&open(&directory), &everything).await, both[..1]);
    }

    #[tokio::test]
    async fn what_is_forgotten_before_it_is_written_down_is_gone() {
        let directory = tempfile::tempdir().expect("directory");
        let (history, builds) = (open(&directory), Builds::default());
        let build = watched(&builds, "1");
        drop(history.begin(&request("1", false), &build));
        assert!(history.messages("1").await.expect("read").is_some());
        assert!(history.forget("1").await.expect("forgotten"));
        let again = history.begin(&request("1", false), &build);
        let everything = BuildHistoryRequest::default();
        assert_eq!(listed(&history, &everything).await, [("1".to_owned(), 0)]);
        drop(again);
        drop(build);
        assert_eq!(listed(&history, &everything).await, [("1".to_owned(), 1)]);
        assert_eq!(listed(&open(&directory), &everything).await.len(), 1);
    }
}
