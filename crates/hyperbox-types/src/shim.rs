// SPDX-License-Identifier: MIT
//! What the daemon, the launcher and a shim say to each other.
//!
//! A message is a little-endian `u32` length, then that many bytes of JSON, on a Unix stream socket. File descriptors
//! travel with the first byte of the length (`SCM_RIGHTS`).
//!
//! ```text
//! daemon ──Launch + fds──▶ launcher ──fork──▶ shim          (one way; the launcher never answers)
//! daemon ◀═══control═════════════════════════▶ shim         (the first fd of Launch is the shim's end)
//!        ◀──ShimMessage::Launched / Failed──
//!        ──ShimRequest──▶   ◀──ShimMessage::Reply (same `sequence`)──
//!        ◀──ShimMessage::Event──
//! ```
//!
//! After a restart the daemon connects to [`SOCKET_NAME`] in the container's run directory, sends
//! [`ShimCall::Hello`] and has a control connection again; the shim accepts several at once and sends events to all of them.
//! A connection whose first request is [`ShimCall::Attach`] leaves this framing after the reply and carries the raw stream:
//! frames of [`crate::stream`] (or raw terminal bytes) towards the daemon, raw standard input towards the shim, whose end is
//! the half-close of the socket.
//!
//! The shim writes [`EXIT_FILE`] (an [`ExitRecord`], by rename) before it reports the exit, and ends itself once the process
//! has ended, its output is in the log and all attached streams are drained. Whoever finds the exit file but no shim knows all
//! there is to know.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::run::{Streams, TerminalSize};
use crate::trace::Mark;
use crate::{ContainerId, ErrorKind, ExecId, RootMount, Signal};

/// Name of a shim's listening socket in the container's run directory.
pub const SOCKET_NAME: &str = "shim.sock";

/// Name of the exit record in the container's run directory.
pub const EXIT_FILE: &str = "exit.json";

/// Name of the file that records what a shim is about to make and then, before it reports, what it has made: a [`LaunchRecord`].
pub const LAUNCH_FILE: &str = "launch.json";

/// The largest message either side accepts.
pub const MAX_MESSAGE: u32 = 4 << 20;

/// The version of this protocol; a shim answers [`ShimCall::Hello`] with its own.
pub const PROTOCOL_VERSION: u32 = 1;

/// Asks the launcher for a new shim with a container in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The container.
    pub container: ContainerId,
    /// Directory for the shim's socket, exit record and (for external runtimes) bundle; it exists and belongs to root.
    pub run_dir: PathBuf,
    /// OCI runtime configuration (`config.json`) without `linux.seccomp`. `root.path` and `process.user` are filled in by the shim.
    pub spec: String,
    /// The configuration's `linux.seccomp`: by itself, so that a launcher that has seen it before need not look into it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<String>,
    /// How to mount the root filesystem.
    pub rootfs: RootMount,
    /// Whom to run as, resolved inside the root filesystem.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: Stdio,
    /// Where the output is kept.
    pub log: LogTarget,
    /// What runs the container.
    pub runtime: RuntimeChoice,
    /// Whether a small init process (pid 1) reaps orphans and forwards signals.
    pub init: bool,
    /// What the passed file descriptors are, in order.
    pub fds: Vec<FdRole>,
    /// Whether to tell when what was done ([`ShimMessage::Traced`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trace: bool,
}

/// The meaning of one file descriptor passed with [`Launch`] or [`ShimCall::Exec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "kebab-case")]
pub enum FdRole {
    /// The shim's end of the control connection.
    Control,
    /// The network namespace to join; without one, the spec decides.
    NetworkNamespace,
    /// The shim's end of a stream that was attached before the start.
    Attach(Streams),
}

/// A user as Docker's `User` and `GroupAdd` fields write it, not yet resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UserSpec {
    /// `user[:group]`, each a name or a number; empty means root.
    pub user: String,
    /// Supplementary groups, each a name or a number.
    #[serde(default)]
    pub additional_groups: Vec<String>,
}

/// Standard streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// Whether standard input stays open; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// Close standard input for good when the first attached client that has it goes away.
    pub stdin_once: bool,
    /// A pseudo-terminal instead of pipes, with this initial size.
    pub terminal: Option<TerminalSize>,
}

/// Where a container's output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum LogTarget {
    /// Nowhere.
    None,
    /// One JSON object a line: `{"log":"…","stream":"stdout","time":"RFC 3339 with nanoseconds"}`, with `"attrs":{…}` before the
    /// time when there are attributes.
    JsonFile {
        /// The file written to. Rotated files are `PATH.1` (the youngest), `PATH.2`, …, with `.gz` behind it when they are compressed.
        path: PathBuf,
        /// Rotate before the file would grow beyond that; `None` never.
        max_bytes: Option<u64>,
        /// How many files to keep in all, at least 1.
        max_files: u32,
        /// Compress rotated files.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        compress: bool,
        /// What every entry tells of its container.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, String>,
    },
}

/// What runs a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "runtime", rename_all = "kebab-case")]
pub enum RuntimeChoice {
    /// HyperBox's own runtime.
    Embedded,
    /// An executable with the OCI runtime command line.
    External {
        /// The executable.
        program: PathBuf,
        /// Arguments before the subcommand.
        arguments: Vec<String>,
    },
}

/// What a shim has made for its container: enough to clean up after it was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchRecord {
    /// Process id of the shim.
    pub shim_pid: u32,
    /// Process id of the container's first process, in the daemon's pid namespace; 0 while it is being started.
    pub init_pid: u32,
    /// Start time of the first process (field 22 of `/proc/PID/stat`), which tells a reused pid apart.
    pub init_start_time: u64,
    /// Directories of the container's cgroups: one on v2, one per hierarchy on v1. While it is being started, all that may be made.
    pub cgroups: Vec<PathBuf>,
    /// What runs the container.
    pub runtime: RuntimeChoice,
}

/// A numbered request to a shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRequest {
    /// Chosen by the caller, repeated in the reply.
    pub sequence: u64,
    /// What to do.
    pub call: ShimCall,
}

/// What a shim can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum ShimCall {
    /// Opens a control connection. Answer: [`ShimReply::Hello`].
    Hello,
    /// Turns this connection into an attached stream of the container or of an exec. Answer: [`ShimReply::Done`].
    Attach {
        /// The exec, or the container's first process.
        exec: Option<ExecId>,
        /// Which streams.
        streams: Streams,
    },
    /// Starts another process in the container. Attached streams come as file descriptors. Answer: [`ShimReply::Started`].
    Exec(Box<ExecLaunch>),
    /// Sends a signal. Answer: [`ShimReply::Done`].
    Signal {
        /// The exec, or the container's first process.
        exec: Option<ExecId>,
        /// The signal.
        signal: Signal,
        /// To every process of the container instead of one.
        all: bool,
    },
    /// Sets the size of a terminal. Answer: [`ShimReply::Done`].
    Resize {
        /// The exec, or the container's first process.
        exec: Option<ExecId>,
        /// The new size.
        size: TerminalSize,
    },
    /// Closes standard input once what was written so far is delivered. Answer: [`ShimReply::Done`].
    CloseStdin {
        /// The exec, or the container's first process.
        exec: Option<ExecId>,
    },
    /// Freezes all processes. Answer: [`ShimReply::Done`].
    Pause,
    /// Thaws all processes. Answer: [`ShimReply::Done`].
    Resume,
    /// Changes limits while running; the argument is the OCI `linux.resources` object. Answer: [`ShimReply::Done`].
    Update {
        /// JSON of the OCI specification's `LinuxResources`.
        resources: String,
    },
    /// Reads the cgroups' counters. Answer: [`ShimReply::Stats`].
    Stats,
    /// Lists the processes. Answer: [`ShimReply::Processes`].
    Processes,
}

/// Another process in a running container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecLaunch {
    /// Its id.
    pub exec: ExecId,
    /// JSON of the OCI specification's `Process`; `user` is filled in by the shim.
    pub process: String,
    /// Whom to run as.
    pub user: UserSpec,
    /// Standard streams.
    pub stdio: Stdio,
    /// What the passed file descriptors are, in order; only [`FdRole::Attach`].
    pub fds: Vec<FdRole>,
}

/// What a shim says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ShimMessage {
    /// When what was done for the start; comes before its outcome, if it was asked for.
    Traced {
        /// In the order of time.
        marks: Vec<Mark>,
    },
    /// The container runs: the answer to [`Launch`], on the control connection.
    Launched(LaunchRecord),
    /// The container could not be started, nothing of it is left, and the shim ends.
    LaunchFailed(ShimError),
    /// The answer to a request.
    Reply {
        /// The request's number.
        sequence: u64,
        /// The answer.
        result: Result<ShimReply, ShimError>,
    },
    /// Something happened.
    Event(ShimEvent),
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum ShimReply {
    /// Done.
    Done,
    /// The shim's state.
    Hello {
        /// [`PROTOCOL_VERSION`] of the shim.
        version: u32,
        /// What it has made.
        record: LaunchRecord,
        /// Set when the first process has ended and the shim is still draining.
        exit: Option<ExitRecord>,
        /// Whether the container is frozen.
        paused: bool,
        /// Execs that run.
        execs: Vec<ExecId>,
    },
    /// The exec runs.
    Started {
        /// Its process id in the daemon's pid namespace.
        pid: u32,
    },
    /// Counters.
    Stats(Box<CgroupStats>),
    /// Process ids in the daemon's pid namespace.
    Processes {
        /// The ids.
        pids: Vec<u32>,
    },
}

/// An unsolicited message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ShimEvent {
    /// The container's first process ended; the exit record is on disk.
    Exited(ExitRecord),
    /// An exec ended.
    ExecExited {
        /// Which one.
        exec: ExecId,
        /// Exit code, 128 + n for signal n.
        code: i32,
    },
    /// The kernel killed a process of the container for want of memory.
    OutOfMemory {
        /// How many it has killed by now.
        kills: u64,
    },
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// Exit code, 128 + n for signal n.
    pub code: i32,
    /// When, in nanoseconds since the Unix epoch.
    pub finished_at_ns: i64,
    /// Whether the kernel killed a process of the container for want of memory.
    pub out_of_memory: bool,
}

/// A failure inside a shim. The daemon gives it the container's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimError {
    /// Its class.
    pub kind: ErrorKind,
    /// What failed, with its whole chain of causes, such as `exec: "nosuch": executable file not found in $PATH`.
    pub message: String,
    /// Set when the command itself could not be executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandFault>,
}

/// Why a command could not be executed; decides exit codes 126 and 127.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandFault {
    /// There is no such file.
    NotFound,
    /// There is one, but it cannot be executed.
    NotExecutable,
}

/// Counters of a container's cgroups, from v1 or v2; absent controllers read as zero or `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CgroupStats {
    /// Consumed processor time in nanoseconds.
    pub cpu_total_ns: u64,
    /// Part of it spent in the kernel.
    pub cpu_system_ns: u64,
    /// Part of it spent in user mode.
    pub cpu_user_ns: u64,
    /// Enforcement periods, throttled periods, throttled time in nanoseconds.
    pub cpu_throttling: (u64, u64, u64),
    /// Memory in use in bytes, page cache included.
    pub memory_usage: u64,
    /// Highest `memory_usage` seen, where the kernel keeps it.
    pub memory_max_usage: Option<u64>,
    /// Limit in bytes; `None` when unlimited.
    pub memory_limit: Option<u64>,
    /// How often the limit was hit.
    pub memory_failures: u64,
    /// `memory.stat`, as the kernel names its fields.
    pub memory_detail: BTreeMap<String, u64>,
    /// Tasks now.
    pub pids_current: u64,
    /// Limit of tasks; `None` when unlimited.
    pub pids_limit: Option<u64>,
    /// Block input and output by device.
    pub block: Vec<BlockStats>,
    /// Whether the numbers come from cgroup v2.
    pub version2: bool,
}

/// Block input and output of one device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlockStats {
    /// Major device number.
    pub major: u64,
    /// Minor device number.
    pub minor: u64,
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub read_operations: u64,
    /// Write operations.
    pub write_operations: u64,
}
