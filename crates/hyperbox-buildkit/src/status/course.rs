// SPDX-License-Identifier: MIT
//! The course of one build: events of the builder and of the door itself, for the one call of `Status` that reads them.
//!
//! Events wait in the builder's bounded queue until somebody reads; nobody is ever waited for. One reads at a time; when that one goes,
//! another may read on. It ends when [`Course::end`] was called and everything until then was read, whoever still holds a sender.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::FutureExt as _;
use hyperbox_build::{BuildEvent, EventSender, EventStream};
use hyperbox_types::Digest;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::translate::{LOGS_OF_A_MESSAGE, logged, translate};
use super::{Definition, Loading};
use crate::proto::control::StatusResponse;

/// How many events one message has at most.
const EVENTS_OF_A_MESSAGE: usize = 256;

/// What happens in a build.
#[derive(Debug)]
pub(crate) struct Course {
    reference: String,
    events: EventSender,
    /// `None` while somebody reads.
    unread: Mutex<Option<Unread>>,
    /// Told when nobody reads any more.
    left: Notify,
    ended: CancellationToken,
    /// Names of vertices that the door tells, with what each is called: the builder has such vertices too, which nobody needs to see.
    told: Mutex<HashMap<String, Digest>>,
    definition: OnceLock<Definition>,
}

impl Course {
    /// Makes the course of a build that has not begun.
    pub(crate) fn new(reference: &str) -> Self {
        let (events, stream) = EventSender::channel();
        Self {
            reference: reference.to_owned(),
            events,
            unread: Mutex::new(Some(Unread {
                events: stream,
                hidden: HashSet::new(),
            })),
            left: Notify::new(),
            ended: CancellationToken::new(),
            told: Mutex::default(),
            definition: OnceLock::new(),
        }
    }

    /// Returns who tells it to a builder.
    pub(crate) fn events(&self) -> EventSender {
        self.events.clone()
    }

    /// Begins a vertex of the door.
    pub(crate) fn begin(&self, name: &str) -> Loading {
        let digest = Loading::digest(&self.reference, name);
        lock(&self.told).insert(name.to_owned(), digest);
        Loading::begin(&self.events, &self.reference, name)
    }

    /// Hides a vertex of the builder, which nobody needs to see.
    pub(crate) fn hide(&self, name: &str) {
        let digest = Loading::digest(&self.reference, name);
        lock(&self.told).insert(name.to_owned(), digest);
    }

    /// Keeps the Dockerfile, to be shown with warnings and errors.
    pub(crate) fn define(&self, name: &str, text: &str, vertex: &str) {
        // One build has one Dockerfile.
        let _first = self.definition.set(Definition {
            vertex: Loading::digest(&self.reference, vertex),
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }

    /// Returns the Dockerfile, once it was read.
    pub(crate) fn definition(&self) -> Option<&Definition> {
        self.definition.get()
    }

    /// Says that nothing more will happen.
    pub(crate) fn end(&self) {
        self.ended.cancel();
    }

    /// Tells whether nothing more will happen.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Waits for the end.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Begins to read it; `None` when somebody else does.
    pub(crate) fn read(self: &Arc<Self>) -> Option<Reader> {
        let unread = lock(&self.unread).take();
        unread.map(|unread| Reader {
            course: Arc::clone(self),
            unread: Some(unread),
        })
    }

    /// Waits until who reads it goes; one of those who wait is told, who may find that another was faster.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }
}

#[derive(Debug)]
struct Unread {
    events: EventStream,
    /// Vertices of the builder that are not shown.
    hidden: HashSet<Digest>,
}

/// Whoever reads a course; what it has not read is there for the next one.
#[derive(Debug)]
pub(crate) struct Reader {
    course: Arc<Course>,
    /// There until it is dropped.
    unread: Option<Unread>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        *lock(&self.course.unread) = self.unread.take();
        self.course.left.notify_one();
    }
}

impl Reader {
    /// Waits for something to tell: what there is at a time; `None` at the end. Cancel-safe: what was not returned is not read.
    pub(crate) async fn next(&mut self) -> Option<StatusResponse> {
        let unread = self.unread.as_mut()?;
        let mut message = StatusResponse::default();
        loop {
            // Nothing waits once something was taken.
            let mut next = Some(unread.events.next_until(&self.course.ended).await?);
            let mut count = 0;
            while let Some(event) = next {
                if unread.shows(&event, &self.course) {
                    translate(event, self.course.definition(), &mut message);
                }
                count += 1;
                let full = count >= EVENTS_OF_A_MESSAGE || logged(&message) >= LOGS_OF_A_MESSAGE;
                next = match full {
                    true => None,
                    false => unread.events.next_until(&self.course.ended).now_or_never().flatten(),
                };
            }
            if message != StatusResponse::default() {
                return Some(message);
            }
        }
    }
}

impl Unread {
    fn shows(&mut self, event: &BuildEvent, course: &Course) -> bool {
        match event {
            BuildEvent::Vertex(vertex) => {
                let told = lock(&course.told);
                if told.get(&vertex.name).is_some_and(|own| *own != vertex.digest) {
                    self.hidden.insert(vertex.digest.clone());
                    return false;
                }
                true
            }
            BuildEvent::Progress(progress) => !self.hidden.contains(&progress.vertex),
            BuildEvent::Log(log) => !self.hidden.contains(&log.vertex),
            BuildEvent::Warning(_) => true,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use hyperbox_build::StepReporter;
    use hyperbox_build::event::{LogStream, Vertex};
    use hyperbox_core::time::Timestamp;

    use super::*;

    fn vertex(number: u8, name: &str) -> Vertex {
        Vertex {
            digest: Digest::from_sha256([number; 32]),
            name: name.to_owned(),
            stage: None,
            inputs: Vec::new(),
            started: Some(Timestamp::now()),
            completed: None,
            cached: false,
            error: None,
            lines: None,
        }
    }

    #[tokio::test]
    async fn what_the_door_tells_is_told_once() {
        let course = Arc::new(Course::new("ref"));
        course.begin("[internal] load build context").done();
        let events = course.events();
        for (number, name) in [(1, "[internal] load build context"), (2, "[1/1] RUN x")] {
            let vertex = vertex(number, name);
            let reporter = StepReporter::new(events.clone(), vertex.digest.clone());
            events.send(BuildEvent::Vertex(vertex));
            reporter.log(LogStream::Output, b"x");
        }
        course.end();
        let mut reader = course.read().expect("the first reader");
        assert!(course.read().is_none());
        let mut messages = Vec::new();
        while let Some(message) = reader.next().await {
            messages.push(message);
        }
        let names: Vec<&str> = messages
            .iter()
            .flat_map(|message| &message.vertexes)
            .map(|vertex| vertex.name.as_str())
            .collect();
        let own = "[internal] load build context";
        assert_eq!(names, [own, own, "[1/1] RUN x"]);
        assert_eq!(messages.iter().map(|message| message.logs.len()).sum::<usize>(), 1);
        // Senders are still there, and nothing is told twice.
        drop(reader);
        course.left().await;
        assert!(course.read().expect("the next reader").next().await.is_none());
    }

    #[tokio::test]
    async fn who_reads_on_is_told_the_rest() {
        let course = Arc::new(Course::new("ref"));
        course.begin("[internal] load build context").done();
        let mut first = course.read().expect("the first reader");
        assert_eq!(first.next().await.expect("a message").vertexes.len(), 2);
        // What is hidden stays so.
        let hidden = vertex(1, "[internal] load build context");
        let shown = vertex(2, "[1/1] RUN x");
        course.events().send(BuildEvent::Vertex(hidden.clone()));
        course.events().send(BuildEvent::Vertex(shown.clone()));
        assert_eq!(first.next().await.expect("a message").vertexes.len(), 1);
        assert!(first.next().now_or_never().is_none());
        drop(first);
        for vertex in [hidden, shown] {
            StepReporter::new(course.events(), vertex.digest).log(LogStream::Output, b"x");
        }
        course.end();
        let mut second = course.read().expect("the second reader");
        assert_eq!(second.next().await.expect("a message").logs.len(), 1);
        assert!(second.next().await.is_none());
    }
}
