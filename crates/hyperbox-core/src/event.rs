// SPDX-License-Identifier: MIT
//! Events: what happened to objects, for whoever listens.
//!
//! The last [`KEPT`] events are kept in memory, so that a client can ask for what just happened. A listener that falls behind loses
//! the oldest events rather than slowing the engine down. Nothing is persisted: events are news, records are the truth.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, stream};
use tokio::sync::broadcast;
use tokio::time::{Instant, sleep_until};

use crate::time::Timestamp;

/// How many events are kept for late listeners (as many as Docker keeps).
pub const KEPT: usize = 256;

/// How far a listener may fall behind.
const BACKLOG: usize = 1024;

/// The kind of object that an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The daemon itself.
    Daemon,
}

impl EventKind {
    /// Returns Docker's name of the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Daemon => "daemon",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// To what kind of object.
    pub kind: EventKind,
    /// What, in Docker's words, such as `start` or `exec_create: ls`.
    pub action: String,
    /// Id (or name) of the object.
    pub actor: String,
    /// Further facts: name, image, labels, exit code.
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Timestamp,
}

/// Publishes and keeps events. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    /// Also the lock that orders publication, so that a new listener misses nothing and sees nothing twice.
    kept: Mutex<VecDeque<Arc<Event>>>,
    sender: broadcast::Sender<Arc<Event>>,
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

impl Events {
    /// Makes an empty log without listeners.
    pub fn new() -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self {
            inner: Arc::new(Inner {
                kept: Mutex::new(VecDeque::with_capacity(KEPT)),
                sender,
            }),
        }
    }

    /// Tells everybody that something happened now.
    pub fn publish(
        &self,
        kind: EventKind,
        action: impl Into<String>,
        actor: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let event = Arc::new(Event {
            kind,
            action: action.into(),
            actor: actor.into(),
            attributes,
            time: Timestamp::now(),
        });
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&event));
        // No listener is no failure.
        drop(self.inner.sender.send(event));
    }

    /// Returns kept events from `since` on, then live ones; ends at `until`. Without `since` only live events.
    pub fn subscribe(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> impl Stream<Item = Arc<Event>> + Send + use<> {
        let kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.inner.sender.subscribe();
        let replay: VecDeque<Arc<Event>> = match since {
            Some(since) => kept.iter().filter(|event| event.time >= since).cloned().collect(),
            None => VecDeque::new(),
        };
        drop(kept);
        let deadline = until.map(|until| Instant::now() + until.since(Timestamp::now()));
        stream::unfold((replay, receiver), move |(mut replay, mut receiver)| async move {
            loop {
                let event = match replay.pop_front() {
                    Some(event) => event,
                    None => next_live(&mut receiver, deadline).await?,
                };
                if until.is_none_or(|until| event.time <= until) {
                    return Some((event, (replay, receiver)));
                }
            }
        })
    }
}

async fn next_live(receiver: &mut broadcast::Receiver<Arc<Event>>, deadline: Option<Instant>) -> Option<Arc<Event>> {
    loop {
        let received = match deadline {
            Some(deadline) => tokio::select! {
                biased;
                received = receiver.recv() => received,
                () = sleep_until(deadline) => return None,
            },
            None => receiver.recv().await,
        };
        match received {
            Ok(event) => return Some(event),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    fn publish(events: &Events, action: &str) {
        events.publish(EventKind::Container, action, "c", BTreeMap::new());
    }

    #[tokio::test]
    async fn replays_then_follows() {
        let events = Events::new();
        publish(&events, "create");
        let mut all = Box::pin(events.subscribe(Some(Timestamp(0)), None));
        let mut live = Box::pin(events.subscribe(None, None));
        publish(&events, "start");
        assert_eq!(
            all.next().await.map(|event| event.action.clone()),
            Some("create".to_owned())
        );
        assert_eq!(
            all.next().await.map(|event| event.action.clone()),
            Some("start".to_owned())
        );
        assert_eq!(
            live.next().await.map(|event| event.action.clone()),
            Some("start".to_owned())
        );
    }

    #[tokio::test]
    async fn until_in_the_past_ends_after_the_replay() {
        let events = Events::new();
        publish(&events, "create");
        let seen: Vec<_> = events
            .subscribe(Some(Timestamp(0)), Some(Timestamp::now()))
            .collect()
            .await;
        assert_eq!(seen.len(), 1);
    }

    #[tokio::test]
    async fn keeps_a_bounded_number() {
        let events = Events::new();
        for _ in 0..KEPT + 10 {
            publish(&events, "tick");
        }
        let seen: Vec<_> = events
            .subscribe(Some(Timestamp(0)), Some(Timestamp::now()))
            .collect()
            .await;
        assert_eq!(seen.len(), KEPT);
    }
}
