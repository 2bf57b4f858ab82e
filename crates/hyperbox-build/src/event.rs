// SPDX-License-Identifier: MIT
//! The course of a build, shaped so that BuildKit's `Status` stream (`moby.buildkit.v1.StatusResponse`) can be made of it without loss.
//!
//! Events of a build go through one queue, which the builder never waits for: a client that reads slowly loses log output (and is told
//! how much) and steps of progress, but no vertex and no warning. So the queue is bounded: vertices and warnings by the size of the
//! Dockerfile, progress by one value per line, logs by [`LOG_LIMIT`].

mod queue;
mod transfer;

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Lines;
use hyperbox_types::Digest;

pub use queue::{EventSender, EventStream, PartProgress, StepReporter};
pub(crate) use transfer::follow;

/// So many bytes of logs wait for a client at most.
pub const LOG_LIMIT: usize = 2 * 1024 * 1024;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildEvent {
    /// A vertex is new or has changed; told whole each time.
    Vertex(Vertex),
    /// How far a part of a vertex is; a later one of the same vertex and id replaces it.
    Progress(Progress),
    /// A vertex wrote something.
    Log(Log),
    /// Something is not as it should be, and does not stop the build.
    Warning(Warning),
}

/// A part of a build: a step, or something that the builder does for itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Vertex {
    /// What names it in this build: unique, and the same in each event of it.
    pub digest: Digest,
    /// For people: `[stage 2/3] RUN make`, `[internal] load build context`, `exporting to image`.
    pub name: String,
    /// The stage that it belongs to, if any.
    pub stage: Option<String>,
    /// The vertices that it needs.
    pub inputs: Vec<Digest>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended, well or not.
    pub completed: Option<Timestamp>,
    /// Whether its result was there already.
    pub cached: bool,
    /// Why it failed.
    pub error: Option<String>,
    /// Where it is in the Dockerfile.
    pub lines: Option<Lines>,
}

/// How far a part of a vertex is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The vertex.
    pub vertex: Digest,
    /// What the part is, for people: `transferring context:`, `sha256:… 12MB / 30MB`.
    pub id: String,
    /// What happens there, such as `extracting`; often empty.
    pub name: String,
    /// So far, in bytes.
    pub current: u64,
    /// In all; zero when not known.
    pub total: u64,
    /// When this was measured.
    pub at: Timestamp,
    /// When the part began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub completed: Option<Timestamp>,
}

/// The stream that something was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Output = 1,
    /// Standard error.
    Error = 2,
}

/// Something that a vertex wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// The vertex.
    pub vertex: Digest,
    /// Where to.
    pub stream: LogStream,
    /// The bytes as they are: pieces, not lines.
    pub bytes: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Warning {
    /// The vertex that it belongs to.
    pub vertex: Digest,
    /// 1 is worth a look, higher is less important.
    pub level: u8,
    /// One sentence.
    pub short: String,
    /// More, a line each.
    pub detail: Vec<String>,
    /// Where to read about it.
    pub url: Option<String>,
    /// The file's name.
    pub file: String,
    /// Where in it.
    pub lines: Vec<Lines>,
}
