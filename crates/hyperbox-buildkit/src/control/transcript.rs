// SPDX-License-Identifier: MIT
//! What was told of a build: how many steps it had, and the messages themselves, for who asks when it is over.
//!
//! Filled as the build's own watcher reads. Messages are kept up to [`MOST`]; beyond that only what becomes of the steps is, and beyond
//! twice as much nothing: the end of a log that nobody could read is no reason to hold all of it in memory.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::proto::control::{BuildHistoryRecord, StatusResponse};
use crate::transport::frame::frame;

/// So many bytes of messages are kept of a build.
const MOST: usize = 256 * 1024;

/// So many messages wait for who follows.
const WAITING: usize = 256;

/// What was told.
#[derive(Debug)]
pub(super) struct Transcript {
    told: Mutex<Told>,
    /// All of it, for who watches besides.
    news: broadcast::Sender<Bytes>,
    sealed: CancellationToken,
}

impl Default for Transcript {
    fn default() -> Self {
        Self {
            told: Mutex::default(),
            news: broadcast::Sender::new(WAITING),
            sealed: CancellationToken::default(),
        }
    }
}

#[derive(Debug, Default)]
struct Told {
    all: BTreeSet<String>,
    cached: BTreeSet<String>,
    completed: BTreeSet<String>,
    warnings: i32,
    /// Framed.
    messages: Vec<Bytes>,
    bytes: usize,
}

impl Transcript {
    /// Adds a message, framed as it goes to the watcher.
    pub(super) fn add(&self, message: &StatusResponse, framed: &Bytes) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for vertex in &message.vertexes {
            told.all.insert(vertex.digest.clone());
            if vertex.cached {
                told.cached.insert(vertex.digest.clone());
            }
            if vertex.completed.is_some() {
                told.completed.insert(vertex.digest.clone());
            }
        }
        told.warnings = told.warnings.saturating_add(number(message.warnings.len()));
        told.keep(message, framed);
        // Mostly nobody follows.
        let _followers = self.news.send(framed.clone());
    }

    /// Returns the messages until now, framed, and who tells those that come.
    pub(super) fn follow(&self) -> (Vec<Bytes>, broadcast::Receiver<Bytes>) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        (told.messages.clone(), self.news.subscribe())
    }

    /// Says that nothing will be added.
    pub(super) fn seal(&self) {
        self.sealed.cancel();
    }

    /// Waits until nothing will be added.
    pub(super) async fn sealed(&self) {
        self.sealed.cancelled().await;
    }

    /// Writes what was counted to a record.
    pub(super) fn fill(&self, record: &mut BuildHistoryRecord) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        record.num_total_steps = number(told.all.len());
        record.num_cached_steps = number(told.cached.len());
        record.num_completed_steps = number(told.completed.len());
        record.num_warnings = told.warnings;
    }

    /// Returns the messages, framed.
    pub(super) fn messages(&self) -> Vec<Bytes> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.messages.clone()
    }
}

impl Told {
    fn keep(&mut self, message: &StatusResponse, framed: &Bytes) {
        let kept = match self.bytes + framed.len() <= MOST {
            true => framed.clone(),
            false => frame(&StatusResponse {
                logs: Vec::new(),
                statuses: Vec::new(),
                ..message.clone()
            }),
        };
        if self.bytes + kept.len() <= 2 * MOST {
            self.bytes += kept.len();
            self.messages.push(kept);
        }
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::control::{Vertex, VertexLog};

    fn message(digest: &str, log: usize) -> StatusResponse {
        StatusResponse {
            vertexes: vec![Vertex {
                digest: digest.to_owned(),
                cached: true,
                ..Vertex::default()
            }],
            logs: vec![VertexLog {
                msg: vec![b'x'; log],
                ..VertexLog::default()
            }],
            ..StatusResponse::default()
        }
    }

    #[test]
    fn what_is_kept_of_a_log_is_limited() {
        let transcript = Transcript::default();
        for number in 0..100_000 {
            let message = message(&number.to_string(), 1000);
            transcript.add(&message, &frame(&message));
        }
        let kept: usize = transcript.messages().iter().map(Bytes::len).sum();
        assert!((MOST..=2 * MOST).contains(&kept), "{kept}");
        let mut record = BuildHistoryRecord::default();
        transcript.fill(&mut record);
        assert_eq!((record.num_total_steps, record.num_completed_steps), (100_000, 0));
        assert_eq!(record.num_cached_steps, 100_000);
    }
}
