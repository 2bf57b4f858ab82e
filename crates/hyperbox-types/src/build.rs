// SPDX-License-Identifier: MIT
//! Messages of `POST /hyperbox/v1/build`: one upgraded request for a whole build.
//!
//! The request body is a [`BuildCall`]; the answer is `101 Switching Protocols`, or an error in Docker's form when the request makes no
//! sense. After the switch both sides speak the frames of [`crate::stream`]:
//!
//! - daemon → client: channel 4 with one [`BuildMessage`] each, and channel 1 with the bytes of what was asked to come out. *finished* or
//!   *failed* is the last frame; by then everything else has been sent.
//! - client → daemon: channel 0 with the bytes of the context that was announced as an upload (an empty frame ends it), and channel 4
//!   with one [`BuildAnswer`] each.
//!
//! Closing the connection cancels the build. Bytes inside of messages are base64 (RFC 4648, section 4).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{ByteSize, ErrorKind, Hint, Ulimit};

/// What to build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildCall {
    /// Where the Dockerfile is.
    pub dockerfile: DockerfilePlace,
    /// What COPY and ADD read.
    pub context: ContextPlace,
    /// Contexts by name. None of them is an upload.
    #[serde(default)]
    pub named_contexts: BTreeMap<String, ContextPlace>,
    /// The stage to build; the last one when absent.
    #[serde(default)]
    pub target: Option<String>,
    /// Values of ARG instructions.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// Labels of the image.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Names of the image.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Whether everything is done again.
    #[serde(default)]
    pub no_cache: bool,
    /// Stages of which everything is done again.
    #[serde(default)]
    pub no_cache_stages: Vec<String>,
    /// Whether registries are asked for images that are here.
    #[serde(default)]
    pub pull: bool,
    /// What the image shall run on, such as `linux/arm64`.
    #[serde(default)]
    pub platform: Option<String>,
    /// Ids of the secrets that the client has.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Ids of the SSH agents that the client has.
    #[serde(default)]
    pub ssh: Vec<String>,
    /// `default`, `none`, `host`, `container:NAME` or a network.
    #[serde(default)]
    pub network: String,
    /// Lines of `/etc/hosts`: name and address.
    #[serde(default)]
    pub extra_hosts: Vec<(String, String)>,
    /// Size of `/dev/shm`.
    #[serde(default)]
    pub shm_size: Option<ByteSize>,
    /// Limits of processes.
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    /// The control group that processes live under.
    #[serde(default)]
    pub cgroup_parent: Option<String>,
    /// Where steps that were done elsewhere are found.
    #[serde(default)]
    pub cache_from: Vec<CachePlace>,
    /// Where steps are kept for others.
    #[serde(default)]
    pub cache_to: Vec<CachePlace>,
    /// What comes out.
    pub output: BuildOutput,
    /// `SOURCE_DATE_EPOCH`, in seconds.
    #[serde(default)]
    pub source_date_epoch: Option<i64>,
    /// What is allowed besides: `network.host`, `security.insecure`.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Whether the Dockerfile is only checked: then nothing is built, and [`BuildMessage::Checked`] comes before the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
}

/// Where a Dockerfile is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "kebab-case")]
pub enum DockerfilePlace {
    /// Here.
    Text {
        /// What it is called in messages.
        name: String,
        /// The file.
        text: String,
        /// What of the context is left out, where a list beside the file says it (`NAME.dockerignore`). It counts only for a context
        /// that the daemon reads itself, and instead of the context's own list.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ignore: Option<String>,
    },
    /// In the context, at this path from its root. A list beside it counts as above.
    Context {
        /// The path.
        path: String,
    },
}

/// Where a context is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "kebab-case")]
pub enum ContextPlace {
    /// Nowhere: there are no files.
    Empty,
    /// An archive that follows on channel 0.
    Upload,
    /// An address.
    Remote {
        /// Of git or HTTP.
        address: String,
    },
    /// A directory that the client believes the daemon to see too; it is refused (`FailedPrecondition`) unless it is the same one.
    Directory {
        /// Absolute path.
        path: PathBuf,
        /// The device that it is on (`st_dev`, inode(7)).
        device: u64,
        /// Its number there (`st_ino`).
        inode: u64,
    },
    /// An image.
    Image {
        /// Its name.
        name: String,
    },
}

/// Where steps are found, or kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "kebab-case")]
pub enum CachePlace {
    /// In the image itself; only to keep them.
    Inline,
    /// In a registry.
    Registry {
        /// The name.
        reference: String,
        /// Whether all steps are kept, not only those of the image.
        #[serde(default)]
        all: bool,
    },
    /// In a directory that the client believes the daemon to see too, as [`ContextPlace::Directory`].
    Local {
        /// Absolute path.
        directory: PathBuf,
        /// The device that it is on.
        device: u64,
        /// Its number there.
        inode: u64,
        /// Whether all steps are kept, not only those of the image.
        #[serde(default)]
        all: bool,
    },
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum BuildOutput {
    /// An image in the daemon's store.
    Image {
        /// Whether it is pushed under its names.
        push: bool,
    },
    /// The files, as a tar.
    Files,
    /// An OCI layout, as a tar.
    Oci,
    /// What `docker load` takes.
    Docker,
    /// Nothing but the cache.
    Nothing,
}

/// What the daemon tells and asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum BuildMessage {
    /// A vertex is new or has changed; told whole each time.
    Vertex(VertexState),
    /// How far a part of a vertex is.
    Progress(PartState),
    /// A vertex wrote something.
    Log {
        /// The vertex.
        vertex: String,
        /// Whether to standard error.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stderr: bool,
        /// What, in base64: pieces, not lines.
        data: String,
        /// When, in nanoseconds since the Unix epoch.
        at: i64,
    },
    /// Something is not as it should be, and does not stop the build.
    Warning {
        /// The vertex that it belongs to.
        vertex: String,
        /// One sentence.
        short: String,
        /// More, a line each.
        #[serde(default)]
        detail: Vec<String>,
        /// Where to read about it.
        #[serde(default)]
        url: Option<String>,
        /// The lines of the Dockerfile, marked.
        #[serde(default)]
        excerpt: String,
    },
    /// What a check found.
    Checked {
        /// Rules that are broken.
        findings: Vec<CheckFinding>,
        /// What would end a build before its first step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mistake: Option<CheckMistake>,
    },
    /// Asks for a secret; answered by [`BuildAnswer::Secret`].
    Secret {
        /// The number of the question.
        question: u64,
        /// The secret.
        id: String,
    },
    /// Opens a connection to an SSH agent.
    SshOpen {
        /// The number of the connection.
        connection: u64,
        /// The agent.
        id: String,
    },
    /// Bytes for an SSH agent; none end the direction.
    SshData {
        /// The connection.
        connection: u64,
        /// The bytes, in base64.
        data: String,
    },
    /// The build has succeeded.
    Finished {
        /// The id of the image, if one was made.
        image: Option<String>,
        /// The digest of its manifest.
        digest: Option<String>,
    },
    /// It has failed.
    Failed {
        /// The class.
        kind: ErrorKind,
        /// One sentence.
        message: String,
        /// The lines of the Dockerfile, marked.
        #[serde(default)]
        excerpt: String,
        /// The last that the step wrote, in base64.
        #[serde(default)]
        tail: String,
        /// What to do next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<Hint>,
    },
}

/// A rule that a Dockerfile breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckFinding {
    /// The rule.
    pub rule: String,
    /// What it asks for.
    pub description: String,
    /// Where to read about it.
    pub url: String,
    /// How it is broken.
    pub message: String,
    /// The first line, counted from one.
    pub first_line: usize,
    /// The last.
    pub last_line: usize,
    /// The lines of the Dockerfile, marked.
    #[serde(default)]
    pub excerpt: String,
}

/// What would end a build before its first step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckMistake {
    /// One sentence.
    pub message: String,
    /// The lines of the Dockerfile, marked.
    #[serde(default)]
    pub excerpt: String,
}

/// A part of a build: a step, or something that the builder does for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VertexState {
    /// What names it.
    pub digest: String,
    /// For people.
    pub name: String,
    /// The stage that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The vertices that it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// When it began, in nanoseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed: Option<i64>,
    /// Whether its result was there already.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How far a part of a vertex is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartState {
    /// The vertex.
    pub vertex: String,
    /// What the part is, for people.
    pub id: String,
    /// What happens there.
    #[serde(default)]
    pub name: String,
    /// So far, in bytes.
    pub current: u64,
    /// In all; zero when not known.
    pub total: u64,
    /// When it began, in nanoseconds since the Unix epoch.
    #[serde(default)]
    pub started: Option<i64>,
    /// When it ended.
    #[serde(default)]
    pub completed: Option<i64>,
    /// When this was measured.
    #[serde(default)]
    pub at: i64,
}

/// What the client answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum BuildAnswer {
    /// A secret.
    Secret {
        /// The number of the question.
        question: u64,
        /// The secret, in base64; none when there is none.
        data: Option<String>,
        /// Why it cannot be read.
        #[serde(default)]
        error: Option<String>,
    },
    /// Bytes of an SSH agent; none end the direction.
    SshData {
        /// The connection.
        connection: u64,
        /// The bytes, in base64.
        data: String,
    },
    /// The context cannot be sent to its end.
    ContextFailed {
        /// Why.
        message: String,
    },
}
