// SPDX-License-Identifier: MIT
//! Vertices of what the door does itself before and beside the build: reading the Dockerfile and contexts of the client.

use hyperbox_build::event::{PartProgress, Vertex};
use hyperbox_build::{BuildEvent, EventSender, StepReporter};
use hyperbox_core::time::Timestamp;
use hyperbox_types::Digest;
use sha2::{Digest as _, Sha256};

/// A vertex that has begun; its end is told, also when nobody says how it ended.
#[derive(Debug)]
pub(crate) struct Loading {
    events: EventSender,
    reporter: StepReporter,
    vertex: Vertex,
    started: Timestamp,
}

impl Loading {
    /// Begins one. `build` sets it apart from those of other builds.
    pub(crate) fn begin(events: &EventSender, build: &str, name: &str) -> Self {
        let started = Timestamp::now();
        let digest = Self::digest(build, name);
        let vertex = Vertex {
            digest: digest.clone(),
            name: name.to_owned(),
            stage: None,
            inputs: Vec::new(),
            started: Some(started),
            completed: None,
            cached: false,
            error: None,
            lines: None,
        };
        events.send(BuildEvent::Vertex(vertex.clone()));
        Self {
            events: events.clone(),
            reporter: StepReporter::new(events.clone(), digest),
            vertex,
            started,
        }
    }

    /// Returns what names a vertex.
    pub(crate) fn digest(build: &str, name: &str) -> Digest {
        let mut hash = Sha256::new();
        for part in ["hyperbox-buildkit", build, name] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        Digest::from_sha256(hash.finalize().into())
    }

    /// Tells how much has come: `id` is for people (`transferring context:`), `total` zero when it is not known.
    pub(crate) fn progress(&self, id: &str, current: u64, total: u64, done: bool) {
        self.reporter.progress(&PartProgress {
            id,
            name: "",
            current,
            total,
            started: self.started,
            done,
        });
    }

    /// Ends it well.
    pub(crate) fn done(mut self) {
        self.end(None);
    }

    /// Ends it badly.
    pub(crate) fn failed(mut self, error: &dyn std::fmt::Display) {
        self.end(Some(error.to_string()));
    }

    fn end(&mut self, error: Option<String>) {
        self.vertex.completed = Some(Timestamp::now());
        self.vertex.error = error;
        self.events.send(BuildEvent::Vertex(self.vertex.clone()));
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        if self.vertex.completed.is_none() {
            self.end(Some("context canceled".to_owned()));
        }
    }
}
