// SPDX-License-Identifier: MIT
//! The queue between a build and who watches it. See the module above for what is lost when nobody reads.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_util::{Stream, StreamExt as _};
use hyperbox_core::time::Timestamp;
use hyperbox_types::Digest;
use tokio_util::sync::CancellationToken;

use super::{BuildEvent, LOG_LIMIT, Log, LogStream, Progress, Warning};

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<BuildEvent>,
    /// Bytes of logs in the queue.
    waiting: usize,
    /// Bytes of logs that were lost since the last one that was not.
    lost: usize,
    senders: usize,
    reader_gone: bool,
    waker: Option<Waker>,
}

/// Tells what happens in a build. Cheap to clone; never waits.
#[derive(Debug)]
pub struct EventSender {
    queue: Arc<Mutex<Queue>>,
}

/// Reads what happens in a build; ends when all senders are gone.
#[derive(Debug)]
pub struct EventStream {
    queue: Arc<Mutex<Queue>>,
    /// So many events are still told of a build that has ended.
    rest: Option<usize>,
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl EventSender {
    /// Makes a queue.
    pub fn channel() -> (Self, EventStream) {
        let queue = Arc::new(Mutex::new(Queue {
            senders: 1,
            ..Queue::default()
        }));
        let sender = Self {
            queue: Arc::clone(&queue),
        };
        (sender, EventStream { queue, rest: None })
    }

    /// Tells an event.
    pub fn send(&self, event: BuildEvent) {
        let mut queue = lock(&self.queue);
        if queue.reader_gone {
            return;
        }
        queue.push(event);
        if let Some(waker) = queue.waker.take() {
            drop(queue);
            waker.wake();
        }
    }
}

impl Queue {
    fn push(&mut self, event: BuildEvent) {
        match event {
            BuildEvent::Log(log) => self.push_log(log),
            BuildEvent::Progress(progress) => {
                let same = |known: &&mut BuildEvent| match known {
                    BuildEvent::Progress(known) => known.vertex == progress.vertex && known.id == progress.id,
                    _ => false,
                };
                match self.events.iter_mut().rev().find(same) {
                    Some(known) => *known = BuildEvent::Progress(progress),
                    None => self.events.push_back(BuildEvent::Progress(progress)),
                }
            }
            event => self.events.push_back(event),
        }
    }

    fn push_log(&mut self, mut log: Log) {
        if self.waiting + log.bytes.len() > LOG_LIMIT {
            self.lost += log.bytes.len();
            return;
        }
        if self.lost > 0 {
            let note = format!("\n[output clipped, {} bytes]\n", self.lost);
            log.bytes.splice(0..0, note.into_bytes());
            self.lost = 0;
        }
        self.waiting += log.bytes.len();
        self.events.push_back(BuildEvent::Log(log));
    }
}

impl Clone for EventSender {
    fn clone(&self) -> Self {
        lock(&self.queue).senders += 1;
        Self {
            queue: Arc::clone(&self.queue),
        }
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.senders -= 1;
        if queue.senders == 0
            && let Some(waker) = queue.waker.take()
        {
            drop(queue);
            waker.wake();
        }
    }
}

impl EventStream {
    /// Returns the next event; `None` when a build has ended and everything until then was read, whoever still holds a sender: a step
    /// that other builds wait for goes on telling. Cancel safe.
    pub async fn next_until(&mut self, ended: &CancellationToken) -> Option<BuildEvent> {
        if self.rest.is_none() {
            tokio::select! {
                biased;
                () = ended.cancelled() => self.rest = Some(lock(&self.queue).events.len()),
                event = self.next() => return event,
            }
        }
        // What came later is not this build's, and comes as fast as a slow reader reads.
        self.rest = Some(self.rest?.checked_sub(1)?);
        self.next().await
    }
}

impl Stream for EventStream {
    type Item = BuildEvent;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<BuildEvent>> {
        let mut queue = lock(&self.queue);
        match queue.events.pop_front() {
            Some(event) => {
                if let BuildEvent::Log(log) = &event {
                    queue.waiting = queue.waiting.saturating_sub(log.bytes.len());
                }
                Poll::Ready(Some(event))
            }
            None if queue.senders == 0 => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        queue.reader_gone = true;
        queue.events.clear();
    }
}

/// Tells what happens in one step, to everybody who waits for it: builds that need the same step at the same time share it, and each
/// sees it under the digest of its own vertex. Cheap to clone; never waits.
#[derive(Debug, Clone, Default)]
pub struct StepReporter {
    watchers: Arc<Mutex<Vec<(EventSender, Digest)>>>,
}

impl StepReporter {
    /// Makes one that tells a build.
    pub fn new(events: EventSender, vertex: Digest) -> Self {
        let reporter = Self::default();
        reporter.watch(events, vertex);
        reporter
    }

    /// Adds another build, which sees what happens from now on.
    pub fn watch(&self, events: EventSender, vertex: Digest) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push((events, vertex));
    }

    /// Tells that the step wrote something.
    pub fn log(&self, stream: LogStream, bytes: &[u8]) {
        let at = Timestamp::now();
        self.tell(|vertex| {
            BuildEvent::Log(Log {
                vertex,
                stream,
                bytes: bytes.to_vec(),
                at,
            })
        });
    }

    /// Tells how far a part of the step is.
    pub fn progress(&self, progress: &PartProgress<'_>) {
        let at = Timestamp::now();
        self.tell(|vertex| {
            BuildEvent::Progress(Progress {
                vertex,
                id: progress.id.to_owned(),
                name: progress.name.to_owned(),
                current: progress.current,
                total: progress.total,
                at,
                started: Some(progress.started),
                completed: progress.done.then_some(at),
            })
        });
    }

    /// Tells that something is not as it should be.
    pub fn warn(&self, short: &str, detail: &[String]) {
        self.tell(|vertex| {
            BuildEvent::Warning(Warning {
                vertex,
                level: 1,
                short: short.to_owned(),
                detail: detail.to_vec(),
                url: None,
                file: String::new(),
                lines: Vec::new(),
            })
        });
    }

    fn tell(&self, event: impl Fn(Digest) -> BuildEvent) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        for (events, vertex) in watchers.iter() {
            events.send(event(vertex.clone()));
        }
    }
}

/// How far a part of a step is.
#[derive(Debug, Clone, Copy)]
pub struct PartProgress<'a> {
    /// What the part is, for people.
    pub id: &'a str,
    /// What happens there; often empty.
    pub name: &'a str,
    /// So far, in bytes.
    pub current: u64,
    /// In all; zero when not known.
    pub total: u64,
    /// When the part began.
    pub started: Timestamp,
    /// Whether it is over.
    pub done: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::from_sha256([number; 32])
    }

    #[tokio::test]
    async fn logs_that_nobody_reads_are_clipped_and_nothing_else_is() {
        let (sender, stream) = EventSender::channel();
        let step = StepReporter::new(sender.clone(), digest(1));
        step.log(LogStream::Output, &vec![b'x'; LOG_LIMIT]);
        step.log(LogStream::Output, b"lost");
        step.warn("look", &[]);
        drop((sender, step));
        let events: Vec<_> = stream.collect().await;
        assert_eq!(events.len(), 2);
        assert!(matches!(&events[1], BuildEvent::Warning(warning) if warning.short == "look"));
    }

    #[tokio::test]
    async fn what_was_lost_is_told_and_progress_is_the_latest() {
        let (sender, mut stream) = EventSender::channel();
        let step = StepReporter::new(sender, digest(1));
        step.log(LogStream::Output, &vec![b'x'; LOG_LIMIT]);
        step.log(LogStream::Output, b"1234");
        let started = Timestamp::now();
        for current in 1..=3 {
            step.progress(&PartProgress {
                id: "part",
                name: "",
                current,
                total: 3,
                started,
                done: current == 3,
            });
        }
        assert!(matches!(stream.next().await, Some(BuildEvent::Log(_))));
        step.log(LogStream::Error, b"more");
        drop(step);
        let rest: Vec<_> = stream.collect().await;
        assert!(matches!(&rest[0], BuildEvent::Progress(part) if part.current == 3 && part.completed.is_some()));
        assert!(matches!(&rest[1], BuildEvent::Log(log) if log.bytes == b"\n[output clipped, 4 bytes]\nmore"));
        assert_eq!(rest.len(), 2);
    }

    #[tokio::test]
    async fn a_build_that_ended_is_told_to_its_end_and_no_further() {
        let (sender, mut stream) = EventSender::channel();
        let step = StepReporter::new(sender, digest(1));
        let ended = CancellationToken::new();
        step.log(LogStream::Output, b"x");
        step.log(LogStream::Output, b"y");
        ended.cancel();
        for _ in 0..2 {
            assert!(matches!(stream.next_until(&ended).await, Some(BuildEvent::Log(_))));
            // The step, which another build waits for, still holds a sender and tells as much as is read.
            step.log(LogStream::Output, b"of others");
        }
        for _ in 0..2 {
            assert_eq!(stream.next_until(&ended).await, None);
        }
        drop(step);
    }

    #[tokio::test]
    async fn each_build_sees_its_own_vertex() {
        let (one, first) = EventSender::channel();
        let (other, second) = EventSender::channel();
        let step = StepReporter::new(one, digest(1));
        step.watch(other, digest(2));
        step.log(LogStream::Output, b"x");
        drop(step);
        for (stream, number) in [(first, 1), (second, 2)] {
            let events: Vec<_> = stream.collect().await;
            assert!(matches!(&events[..], [BuildEvent::Log(log)] if log.vertex == digest(number)));
        }
    }
}
