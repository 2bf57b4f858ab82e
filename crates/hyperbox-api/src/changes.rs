// SPDX-License-Identifier: MIT
//! What happens to projects, for whoever listens: what this crate does, and what the engine's events say of containers with a project's
//! label, whoever made them.
//!
//! A listener that falls behind loses the oldest news rather than slowing anything down. Nothing is persisted.

use futures_util::{Stream, StreamExt, stream};
use hyperbox_core::event::{Event, EventKind, Events};
use hyperbox_core::time::Timestamp;
use hyperbox_types::project::{ProjectChange, ProjectChanged};
use tokio::sync::broadcast;

use crate::labels;

/// How far a listener may fall behind.
const BACKLOG: usize = 256;

/// Tells news. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    events: Events,
    sender: broadcast::Sender<ProjectChanged>,
}

impl Changes {
    /// Makes the teller on the engine's events.
    pub(crate) fn new(events: &Events) -> Self {
        let (sender, _) = broadcast::channel(BACKLOG);
        Self {
            events: events.clone(),
            sender,
        }
    }

    /// Tells everybody that something happened to a project now.
    pub(crate) fn tell(&self, name: &str, what: ProjectChange) {
        let changed = ProjectChanged {
            name: name.to_owned(),
            what,
            service: None,
            container: None,
            at: Timestamp::now().to_string(),
        };
        // No listener is no failure.
        drop(self.sender.send(changed));
    }

    /// Returns what happens from now on. Never ends by itself.
    pub(crate) fn follow(&self) -> impl Stream<Item = ProjectChanged> + Send + use<> {
        let own = stream::unfold(self.sender.subscribe(), |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(changed) => return Some((changed, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        });
        let engine = self
            .events
            .subscribe(None, None)
            .filter_map(|event| std::future::ready(of_event(&event)));
        stream::select(Box::pin(own), Box::pin(engine))
    }
}

/// What an event of the engine says of a project.
fn of_event(event: &Event) -> Option<ProjectChanged> {
    if event.kind != EventKind::Container {
        return None;
    }
    let what = match event.action.as_str() {
        "create" => ProjectChange::ContainerCreated,
        "start" => ProjectChange::ContainerStarted,
        "die" => ProjectChange::ContainerEnded,
        "destroy" => ProjectChange::ContainerRemoved,
        "oom" => ProjectChange::ContainerOutOfMemory,
        action if action.starts_with("health_status") => ProjectChange::HealthChanged,
        _ => return None,
    };
    Some(ProjectChanged {
        name: labels::project(&event.attributes)?.to_owned(),
        what,
        service: labels::service(&event.attributes).map(str::to_owned),
        container: event.attributes.get("name").cloned(),
        at: event.time.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn events_of_the_engine() {
        for (action, project, expected) in [
            ("start", true, Some(ProjectChange::ContainerStarted)),
            ("health_status: healthy", true, Some(ProjectChange::HealthChanged)),
            ("exec_create: ls", true, None),
            ("start", false, None),
        ] {
            let mut attributes = BTreeMap::from([("name".to_owned(), "shop-web-1".to_owned())]);
            if project {
                attributes.insert("com.docker.compose.project".to_owned(), "shop".to_owned());
            }
            let event = Event {
                kind: EventKind::Container,
                action: action.to_owned(),
                actor: "id".to_owned(),
                attributes,
                time: Timestamp(0),
            };
            let found = of_event(&event);
            assert_eq!(found.as_ref().map(|changed| changed.what), expected, "{action}");
        }
    }
}
